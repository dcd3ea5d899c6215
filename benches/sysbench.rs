//! sysbench's read-only and read-write loads through Highwater at `session`: it stops at any error
//! but a deadlock between its own writes, and tells which share of the reads the replicas served,
//! over all and per session.
//!
//! `cargo bench --bench sysbench` needs `sysbench` on PATH; the servers come from the rig.
//! `HIGHWATER_BENCH_SECONDS` sets the length of one run (60), `HIGHWATER_BENCH_THREADS` its threads
//! (8).
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod support;

use std::fs;
use std::path::Path;

use highwater::rig::Cluster;
use support::{Folder, Load, Target, figure, need, number, prepare, protocol, start_highwater};

fn main() {
    support::measure(bench());
}

async fn bench() {
    need(&["sysbench"]);
    let cluster = Cluster::builder().start().await.unwrap();
    prepare(&Target::server(cluster.primary()));
    println!(
        "load             protocol     q/s  deadlocks  reads on replicas  per session (min-max)"
    );
    // Without transactions, a DELETE and INSERT of one row by two threads collide on any server.
    let no_collisions: &[&str] = &["--delete_inserts=0"];
    for (script, skip_trx, options, name) in [
        ("oltp_read_only", true, &[][..], "read_only"),
        ("oltp_read_only", false, &[][..], "read_only, trx"),
        ("oltp_read_write", false, &[][..], "read_write"),
        ("oltp_read_write", true, no_collisions, "read_write, auto"),
    ] {
        for prepared in [false, true] {
            let load = Load {
                script,
                action: "run",
                prepared,
                skip_trx,
                seconds: number("HIGHWATER_BENCH_SECONDS", 60),
                options,
            };
            run(&cluster, &load, name);
        }
    }
}

/// One load through a proxy of its own, so that its counters tell of this load alone.
fn run(cluster: &Cluster, load: &Load<'_>, name: &str) {
    let folder = Folder::new();
    let mut target = start_highwater(cluster, &folder.0, "info", "session");
    let report = load.run(&target);
    let metrics = target.metrics();
    target.terminate();
    let reads = |with: &str| {
        metrics
            .lines()
            .filter(|line| line.starts_with("highwater_statements_total{access=\"read\""))
            .filter(|line| line.contains(with))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .fold(0.0, |sum: f64, count| sum + count)
    };
    let share = 100.0 * reads("target=\"replica\"") / reads("");
    let (least, most) = per_session(&folder.0);
    println!(
        "{name:16} {:8} {:7.0} {:10.0} {share:17.2}%  {least:.2}%-{most:.2}% of all statements",
        protocol(load.prepared),
        figure(&report, "queries:") / load.seconds as f64,
        figure(&report, "ignored errors:"),
    );
}

/// The smallest and largest share of a session's statements that replicas answered, from the log
/// lines of the sessions' ends. sysbench's first connection only looks at the server.
fn per_session(folder: &Path) -> (f64, f64) {
    let log = fs::read_to_string(folder.join("session.log")).unwrap();
    let number = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
        rest.split([',', '}']).next()?.parse::<f64>().ok()
    };
    let shares = log
        .lines()
        .filter(|line| line.contains("session ended"))
        .filter_map(|line| {
            let (primary, replicas) = (number(line, "on_primary")?, number(line, "on_replicas")?);
            (primary + replicas > 10.0).then(|| 100.0 * replicas / (primary + replicas))
        });
    shares.fold((100.0, 0.0), |(least, most), share| {
        (share.min(least), share.max(most))
    })
}
