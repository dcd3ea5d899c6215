//! What each level costs: reads per second, the share that replicas answer, waits, and how many reads
//! missed anything that had been acknowledged, on one primary and two replicas. Prints markdown.
//!
//! `cargo bench --bench levels`. `HIGHWATER_BENCH_SECONDS` is the length of one history (10),
//! `HIGHWATER_BENCH_ENGINES` names the servers (`mysql`; `mysql,mariadb` measures both).
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[path = "../tests/verify/lag.rs"]
mod lag;
#[path = "../tests/support/measure.rs"]
mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use highwater::rig::{Cluster, Engine};
use highwater::verify::{Claim, Kind, WaitBuckets};

use lag::{Lag, direct, history, plan};
use measure::reads_on;
use support::Setup;

fn main() {
    // This is `cargo test` looking at a bench.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(bench());
}

fn chosen(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

async fn bench() {
    let seconds: u64 = chosen("HIGHWATER_BENCH_SECONDS", "10").parse().unwrap();
    for name in chosen("HIGHWATER_BENCH_ENGINES", "mysql").split(',') {
        let engine = match name {
            "mysql" => Engine::MySql,
            "mariadb" => Engine::MariaDb,
            other => panic!("{other} is neither mysql nor mariadb"),
        };
        // The defaults, as users get them.
        let setup = Setup::with(Cluster::builder().engine(engine), |_| {}).await;
        println!(
            "\n{} {}\n",
            engine_name(engine),
            setup.cluster.program().version()
        );
        println!(
            "| replicas | level | reads/s | on replicas | waited | wait p50 | wait p99 | read p50 | read \
             p99 | missed something acknowledged | missed something promised |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        for lag in [Lag::Natural, Lag::Delayed] {
            for level in Claim::ALL {
                row(&setup, level, lag, Duration::from_secs(seconds)).await;
            }
        }
        setup.proxy.shut_down().await;
    }
}

fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "MySQL",
        Engine::MariaDb => "MariaDB",
    }
}

async fn row(setup: &Setup, level: Claim, lag: Lag, length: Duration) {
    let mut plan = plan(setup.opts(), Some(level), u64::MAX);
    plan.sessions = 16;
    plan.keys = 32;
    plan.stop.after = length;
    plan.max_staleness = Duration::from_millis(500);
    // The same load at every level: four more sessions write past the proxy.
    plan.past = Some(direct(setup.cluster.primary()));
    let proxy = &setup.proxy;
    let look = || {
        let page = proxy.metrics().render().unwrap();
        let waits = WaitBuckets::parse(&page, Some(level));
        (
            waits,
            reads_on(proxy, "replica"),
            reads_on(proxy, "primary"),
        )
    };
    let before = look();
    let (made, findings) = history(&setup.cluster, &plan, lag).await;
    let after = look();
    let waits = after.0.since(&before.0);
    let (replica, primary) = (after.1 - before.1, after.2 - before.2);
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    let bound = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("≤ {:.1} ms", seconds * 1e3),
        None if waits.count == 0 => "-".to_owned(),
        None => "> the largest bucket".to_owned(),
    };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let excluded = Kind::ALL.into_iter().filter(|kind| level.excludes(*kind));
    let violations: u64 = excluded.map(|kind| findings.tally(kind).violations).sum();
    println!(
        "| {} | `{}` | {:.0} | {:.1} % | {:.1} % | {} | {} | {:.2} ms | {:.2} ms | {:.2} % | {violations} |",
        lag.name(),
        level.name(),
        findings.reads as f64 / made.took.as_secs_f64(),
        share(replica, replica + primary),
        share(waits.count, findings.reads),
        bound(waits.p50),
        bound(waits.p99),
        ms(findings.read_latency.p50),
        ms(findings.read_latency.p99),
        share(
            u64::try_from(findings.staleness.count).unwrap(),
            findings.reads
        ),
    );
    for (error, count) in &made.errors {
        println!("{count} times: {error}");
    }
}
