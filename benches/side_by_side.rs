//! Highwater beside HAProxy in TCP mode: CPU per query of the proxy process, and the latency each
//! adds to a direct connection. Same servers, same load, turns taken in one run, medians printed.
//!
//! `cargo bench --bench side_by_side` needs `sysbench` and `haproxy` on PATH; the servers come from
//! the rig. `HIGHWATER_BENCH_SECONDS` sets the length of one turn (8), `HIGHWATER_BENCH_ROUNDS` how
//! many turns each has (3), `HIGHWATER_BENCH_THREADS` sysbench's threads (8).
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster, MONITOR, Server};

/// Rows of sysbench's table.
const ROWS: &str = "10000";

fn main() {
    // `cargo test --benches` runs this with `--test`: nothing to measure there.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(bench());
}

async fn bench() {
    for tool in ["sysbench", "haproxy"] {
        if Command::new(tool).arg("--version").output().is_err() {
            eprintln!("{tool} is not on PATH; install it: sudo apt-get install {tool}");
            std::process::exit(1);
        }
    }
    let cluster = Cluster::builder().start().await.unwrap();
    let folder = tempfile_dir();
    sysbench(&Target::server(cluster.primary()), "prepare", true, 0);
    cluster.wait_all_caught_up().await.unwrap();

    let haproxy = start_haproxy(&cluster, &folder);
    let highwater = start_highwater(&cluster, &folder);
    for target in [&haproxy, &highwater] {
        wait_open(target.port);
    }
    let direct = Target::server(&cluster.replicas()[0]);
    let targets = [
        ("direct", &direct),
        ("haproxy", &haproxy),
        ("highwater", &highwater),
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
    drop((haproxy, highwater));
    fs::remove_dir_all(&folder).unwrap();
}

fn report(turns: &BTreeMap<(&str, bool), Vec<Turn>>) {
    println!("\nmedians            q/s  CPU us/query  added p50 ms  added p99 ms  CPU / haproxy");
    for prepared in [false, true] {
        let of = |name: &'static str| median(&turns[&(name, prepared)]);
        let (direct, haproxy) = (of("direct"), of("haproxy"));
        for (name, turn) in [("haproxy", haproxy), ("highwater", of("highwater"))] {
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

fn protocol(prepared: bool) -> &'static str {
    if prepared { "prepared" } else { "text" }
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

/// Something that speaks MySQL on a port of this machine.
struct Target {
    port: u16,
    /// The proxy's process; stopped when dropped.
    process: Option<Child>,
}

impl Target {
    fn server(server: &Server) -> Self {
        Self {
            port: server.port(),
            process: None,
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn measure(target: &Target, prepared: bool) -> Turn {
    let seconds = number("HIGHWATER_BENCH_SECONDS", 8);
    let before = target.process.as_ref().map(cpu_ns);
    let output = sysbench(target, "run", prepared, seconds);
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

fn sysbench(target: &Target, action: &str, prepared: bool, seconds: u64) -> String {
    let threads = number("HIGHWATER_BENCH_THREADS", 8);
    let output = Command::new("sysbench")
        .arg("oltp_point_select")
        .args([
            "--db-driver=mysql",
            "--mysql-host=127.0.0.1",
            "--tables=1",
            "--skip-trx=on",
        ])
        .arg(format!("--mysql-port={}", target.port))
        .arg(format!("--mysql-user={}", APP.user))
        .arg(format!("--mysql-password={}", APP.password))
        .arg(format!("--mysql-db={}", APP.database.unwrap()))
        .arg(format!("--table-size={ROWS}"))
        .arg(format!("--threads={threads}"))
        .arg(format!("--time={seconds}"))
        .arg(format!(
            "--db-ps-mode={}",
            if prepared { "auto" } else { "disable" }
        ))
        .args(["--histogram=on", action])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "sysbench {action} failed: {text}");
    text
}

/// The number behind a label of sysbench's report.
fn figure(output: &str, label: &str) -> f64 {
    let line = output
        .lines()
        .find(|line| line.trim_start().starts_with(label))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
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

/// CPU that all threads of a process have used, in nanoseconds.
fn cpu_ns(process: &Child) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
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
    Target {
        port,
        process: Some(process),
    }
}

fn start_highwater(cluster: &Cluster, folder: &Path) -> Target {
    let port = free_port();
    let replicas: Vec<_> = cluster
        .replicas()
        .iter()
        .map(|replica| format!("\"{}\"", replica.address()))
        .collect();
    let config = format!(
        "[proxy]\nlisten = \"127.0.0.1:{port}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[cluster]\nprimary = \"{}\"\nreplicas = [{}]\n\
         [monitor]\nuser = \"{}\"\npassword_env = \"BENCH_MONITOR\"\n\
         [[user]]\nname = \"{}\"\npassword_env = \"BENCH_APP\"\n[log]\nlevel = \"warn\"\n",
        cluster.primary().address(),
        replicas.join(", "),
        MONITOR.user,
        APP.user
    );
    let file = folder.join("highwater.toml");
    fs::write(&file, config).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .arg("run")
        .arg("--config")
        .arg(&file)
        .env("BENCH_MONITOR", MONITOR.password)
        .env("BENCH_APP", APP.password)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Target {
        port,
        process: Some(process),
    }
}

fn wait_open(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn tempfile_dir() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("highwater-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
