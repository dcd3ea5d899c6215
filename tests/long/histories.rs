//! Long histories on real servers: at each level so many reads, through Highwater, while replicas are
//! late in every way that the rig knows. Prints a table and fails if any history contradicts its level.
//!
//! `cargo bench --bench histories` runs it, optimised. `HIGHWATER_LONG_READS` is the number of reads a
//! level (200000), `HIGHWATER_LONG_ENGINES` names the servers (`mysql,mariadb`), `HIGHWATER_LONG_LEVELS`
//! the levels.
#![allow(
    clippy::unwrap_used,
    reason = "a long test fails by panicking, as others do"
)]

#[path = "../verify/lag.rs"]
mod lag;
#[path = "../support/measure.rs"]
mod measure;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use highwater::rig::{Cluster, Engine};
use highwater::verify::{Claim, Kind};

use lag::{Lag, direct, history, plan};
use measure::reads_on;
use support::Setup;

fn main() {
    // This is `cargo test` looking at a bench.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if !runtime.block_on(all()) {
        std::process::exit(1);
    }
}

/// Ways of being late, which share the reads of a level.
const COUNT: u64 = Lag::ALL.len() as u64;

fn chosen(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Says whether every level held.
async fn all() -> bool {
    let reads: u64 = chosen("HIGHWATER_LONG_READS", "200000").parse().unwrap();
    let engines = chosen("HIGHWATER_LONG_ENGINES", "mysql,mariadb");
    let every = Claim::ALL.map(Claim::name).join(",");
    let levels = chosen("HIGHWATER_LONG_LEVELS", &every);
    println!(
        "| server | level | replicas | reads | on replicas | writes | violations | reads that missed \
         something acknowledged | oldest | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut held = true;
    for name in engines.split(',') {
        let engine = match name {
            "mysql" => Engine::MySql,
            "mariadb" => Engine::MariaDb,
            other => panic!("{other} is neither mysql nor mariadb"),
        };
        held &= on_engine(engine, reads, &levels).await;
    }
    held
}

async fn on_engine(engine: Engine, reads: u64, levels: &str) -> bool {
    let setup = Setup::with(Cluster::builder().engine(engine), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    let mut held = true;
    for level in levels.split(',') {
        let level = Claim::from_name(level).unwrap();
        for lag in Lag::ALL {
            held &= one(&setup, engine, level, lag, reads.div_ceil(COUNT)).await;
        }
    }
    setup.proxy.shut_down().await;
    held
}

/// One history; prints its row.
async fn one(setup: &Setup, engine: Engine, level: Claim, lag: Lag, reads: u64) -> bool {
    let cluster = &setup.cluster;
    let mut plan = plan(setup.opts(), Some(level), reads);
    plan.sessions = 16;
    plan.keys = 16;
    plan.stop.after = Duration::from_secs(3600);
    let past = matches!(level, Claim::Proxy | Claim::Global);
    plan.past = past.then(|| direct(cluster.primary()));
    let before = [
        reads_on(&setup.proxy, "replica"),
        reads_on(&setup.proxy, "primary"),
    ];
    let (made, findings) = history(cluster, &plan, lag).await;
    let [replica, primary] = [
        reads_on(&setup.proxy, "replica") - before[0],
        reads_on(&setup.proxy, "primary") - before[1],
    ];
    let excluded = Kind::ALL.into_iter().filter(|kind| level.excludes(*kind));
    let violations: u64 = excluded.map(|kind| findings.tally(kind).violations).sum();
    let errors: u64 = made.errors.iter().map(|(_, count)| count).sum();
    println!(
        "| {engine:?} | {} | {} | {} | {:.1} % | {} | {violations} | {} | {:.1} ms | {errors} |",
        level.name(),
        lag.name(),
        findings.reads,
        100.0 * replica as f64 / (replica + primary).max(1) as f64,
        findings.writes,
        findings.staleness.count,
        findings.staleness.max.as_secs_f64() * 1e3,
    );
    for (error, count) in &made.errors {
        println!("{count} times: {error}");
    }
    for kind in Kind::ALL.into_iter().filter(|kind| level.excludes(*kind)) {
        if let Some(example) = &findings.tally(kind).example {
            println!("{}:\n{}", kind.text(), example.lines.join("\n"));
        }
    }
    violations == 0 && findings.tried(level)
}
