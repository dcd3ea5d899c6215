//! Highwater beside HAProxy in TCP mode: CPU per query of the proxy process, and the latency each
//! adds to a direct connection; once with each session's own connections, once with lent ones
//! (`[pool] mode = "transaction"`). Same servers, same load, turns taken in one run, medians printed.
//!
//! `cargo bench --bench side_by_side` needs `sysbench` and `haproxy` on PATH; the servers come from
//! the rig. `HIGHWATER_BENCH_SECONDS` sets the length of one turn (8), `HIGHWATER_BENCH_ROUNDS` how
//! many turns each has (3), `HIGHWATER_BENCH_THREADS` sysbench's threads (8).
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use highwater::rig::Cluster;
use support::{
    Folder, Load, Target, cpu_ns, figure, free_port, need, number, prepare, protocol,
    start_highwater, wait_open,
};

fn main() {
    support::measure(bench());
}

async fn bench() {
    need(&["sysbench", "haproxy"]);
    let cluster = Cluster::builder().start().await.unwrap();
    let folder = Folder::new();
    prepare(&Target::server(cluster.primary()));
    cluster.wait_all_caught_up().await.unwrap();

    let haproxy = start_haproxy(&cluster, &folder.0);
    let highwater = start_highwater(&cluster, &folder.0, "warn", "session");
    let lending = start_highwater(&cluster, &folder.0, "warn", "transaction");
    let direct = Target::server(&cluster.replicas()[0]);
    let targets = [
        ("direct", &direct),
        ("haproxy", &haproxy),
        ("highwater", &highwater),
        ("lending", &lending),
    ];
    let mut turns: BTreeMap<(&str, bool), Vec<Turn>> = BTreeMap::new();
    for round in 0..number("HIGHWATER_BENCH_ROUNDS", 3) {
        for prepared in [false, true] {
            for (name, target) in targets {
                let turn = measure(target, prepared);
                eprintln!(
                    "round {round} {name:9} {:8} {:7.0} q/s  {:5.1} us CPU/query  p50 {:.3} ms  p99 {:.3} ms",
                    protocol(prepared),
                    turn.per_second,
                    turn.cpu_us,
                    turn.p50_ms,
                    turn.p99_ms
                );
                turns.entry((name, prepared)).or_default().push(turn);
            }
        }
    }
    report(&turns);
}

fn report(turns: &BTreeMap<(&str, bool), Vec<Turn>>) {
    println!("\nmedians            q/s  CPU us/query  added p50 ms  added p99 ms  CPU / haproxy");
    for prepared in [false, true] {
        let of = |name: &'static str| median(&turns[&(name, prepared)]);
        let (direct, haproxy) = (of("direct"), of("haproxy"));
        let ours = ["highwater", "lending"].map(|name| (name, of(name)));
        for (name, turn) in [("haproxy", haproxy)].into_iter().chain(ours) {
            println!(
                "{name:9} {:8} {:7.0} {:13.1} {:13.3} {:13.3} {:14.2}",
                protocol(prepared),
                turn.per_second,
                turn.cpu_us,
                turn.p50_ms - direct.p50_ms,
                turn.p99_ms - direct.p99_ms,
                turn.cpu_us / haproxy.cpu_us
            );
        }
    }
}

/// One turn of load on one target.
#[derive(Clone, Copy, Debug)]
struct Turn {
    per_second: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn median(turns: &[Turn]) -> Turn {
    let middle = |figure: fn(&Turn) -> f64| {
        let mut all: Vec<f64> = turns.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Turn {
        per_second: middle(|turn| turn.per_second),
        cpu_us: middle(|turn| turn.cpu_us),
        p50_ms: middle(|turn| turn.p50_ms),
        p99_ms: middle(|turn| turn.p99_ms),
    }
}

fn measure(target: &Target, prepared: bool) -> Turn {
    let seconds = number("HIGHWATER_BENCH_SECONDS", 8);
    let before = target.process.as_ref().map(cpu_ns);
    let load = Load {
        script: "oltp_point_select",
        action: "run",
        prepared,
        skip_trx: true,
        seconds,
        options: &[],
    };
    let output = load.run(target);
    let used = target
        .process
        .as_ref()
        .map_or(0, |process| cpu_ns(process) - before.unwrap_or(0));
    let queries = figure(&output, "total:");
    let latencies = histogram(&output);
    Turn {
        per_second: queries / seconds as f64,
        cpu_us: used as f64 / queries / 1000.0,
        p50_ms: percentile(&latencies, 0.50),
        p99_ms: percentile(&latencies, 0.99),
    }
}

/// sysbench's latency histogram: milliseconds and count.
fn histogram(output: &str) -> Vec<(f64, u64)> {
    output
        .lines()
        .filter(|line| line.contains('|'))
        .filter_map(|line| {
            let (value, rest) = line.split_once('|')?;
            let count = rest.split_whitespace().last()?.parse().ok()?;
            Some((value.trim().parse().ok()?, count))
        })
        .collect()
}

fn percentile(histogram: &[(f64, u64)], share: f64) -> f64 {
    let total: u64 = histogram.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    for (value, count) in histogram {
        seen += count;
        if seen as f64 >= share * total as f64 {
            return *value;
        }
    }
    f64::NAN
}

fn start_haproxy(cluster: &Cluster, folder: &Path) -> Target {
    let port = free_port();
    let mut config = format!(
        "global\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  \
         timeout server 1h\nlisten mysql\n  bind 127.0.0.1:{port}\n  balance leastconn\n"
    );
    for (number, replica) in cluster.replicas().iter().enumerate() {
        config.push_str(&format!("  server replica{number} {}\n", replica.address()));
    }
    let file = folder.join("haproxy.cfg");
    fs::write(&file, config).unwrap();
    let process = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .spawn()
        .unwrap();
    wait_open(port);
    Target {
        port,
        http: 0,
        process: Some(process),
    }
}
