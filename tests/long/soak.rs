//! A soak: thousands of sessions over few server connections in `[pool] mode = "transaction"`, each with a
//! state of its own that it looks at again and again. Nothing of one session may be seen in another
//! one, no read may miss what its level promises, nothing may fail that does not fail on one server,
//! and after it has warmed up the daemon may not grow.
//!
//! `cargo bench --bench soak` runs it, optimised, and prints its figures. `HIGHWATER_LONG_SECONDS` is its
//! length (600), `HIGHWATER_LONG_SESSIONS` the number of sessions (2000), `HIGHWATER_LONG_CONNECTIONS`
//! what each server's pool may have (40).
#![allow(
    clippy::unwrap_used,
    reason = "a long test fails by panicking, as others do"
)]

#[path = "soak/acts.rs"]
mod acts;
#[path = "soak/client.rs"]
mod client;
#[path = "soak/daemon.rs"]
mod daemon;
#[path = "../support/daemon.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with tests, which use other parts"
)]
mod running;
#[path = "soak/shared.rs"]
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater::rig::{Cluster, ROOT, Server};
use mysql_async::prelude::Queryable;

use daemon::Daemon;
use shared::{GROUPS, Shared, USERS};

/// Seconds between two lines that tell how it goes.
const TOLD_EVERY: u64 = 10;

fn main() {
    // This is `cargo test` looking at a bench.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if !runtime.block_on(soak()) {
        std::process::exit(1);
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Says whether all was as it must be.
async fn soak() -> bool {
    let length = Duration::from_secs(number("HIGHWATER_LONG_SECONDS", 600) as u64);
    let sessions = number("HIGHWATER_LONG_SESSIONS", 2000);
    let connections = number("HIGHWATER_LONG_CONNECTIONS", 40);
    let cluster = Cluster::builder()
        .option("max_connections=500")
        // Without locks of gaps, sessions with rows of their own never wait for each other.
        .option("transaction_isolation=READ-COMMITTED")
        .start()
        .await
        .unwrap();
    prepare(&cluster).await;
    let daemon = Daemon::start(&cluster, connections, sessions);
    let shared = Arc::new(Shared::new(daemon.port(), connections / 2));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..sessions {
        clients.spawn(client::run(Arc::clone(&shared), number));
    }
    let mut watched = Watched::new(length / 5);
    while watched.begun.elapsed() < length && !shared.is_over() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        watched.look(&daemon, &cluster, &shared).await;
    }
    let page = daemon.metrics().await;
    watched.tell(&daemon, &shared, sessions);
    for (what, count) in page.counted(&[
        "pins_total",
        "handovers_total",
        "restores_total",
        "recalls_total",
        "statements_total",
        "errors_total",
    ]) {
        println!("| {what} | {count} |");
    }
    shared.end();
    clients.shutdown().await;
    let log = daemon.log();
    if !log.is_empty() {
        println!(
            "\nlogged:\n{}",
            log.lines().take(20).collect::<Vec<_>>().join("\n")
        );
    }
    let mut wrong = shared.wrong();
    wrong.extend(watched.wrong(connections as u64));
    for line in &wrong {
        println!("WRONG: {line}");
    }
    wrong.is_empty()
}

/// What was seen of the daemon.
struct Watched {
    begun: Instant,
    warm: Duration,
    told: u64,
    /// KiB, each second once it was warm.
    memory: Vec<u64>,
    /// Open connections of the clients' accounts at most, to each server.
    most: BTreeMap<String, u64>,
}

impl Watched {
    fn new(warm: Duration) -> Self {
        Self {
            begun: Instant::now(),
            warm,
            told: 0,
            memory: Vec::new(),
            most: BTreeMap::new(),
        }
    }

    async fn look(&mut self, daemon: &Daemon, cluster: &Cluster, shared: &Shared) {
        let page = daemon.metrics().await;
        for server in std::iter::once(cluster.primary()).chain(cluster.replicas()) {
            let now = connections(server).await;
            let most = self.most.entry(server.address()).or_default();
            *most = now.max(*most);
        }
        let resident = daemon.resident();
        let elapsed = self.begun.elapsed();
        if elapsed > self.warm {
            self.memory.push(resident);
        }
        let due = elapsed.as_secs() / TOLD_EVERY;
        if due > self.told {
            self.told = due;
            eprintln!(
                "{:4} s  {} statements  {} restores  {} handovers  {} pins  {resident} KiB",
                elapsed.as_secs(),
                shared.statements(),
                page.sum("restores_total"),
                page.sum("handovers_total"),
                page.sum("pins_total"),
            );
        }
    }

    fn tell(&self, daemon: &Daemon, shared: &Shared, sessions: usize) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let statements = shared.statements();
        println!("| what | figure |\n|---|---|");
        println!("| sessions at a time | {sessions} |");
        println!("| logins and changes of user | {} |", shared.logins());
        println!("| seconds | {seconds:.0} |");
        println!("| statements | {statements} |");
        println!("| statements/s | {:.0} |", statements as f64 / seconds);
        println!("| answers compared | {} |", shared.looks());
        let cpu = daemon.cpu() * 1e6 / statements as f64;
        println!("| CPU of Highwater for a statement, µs | {cpu:.0} |");
        for (backend, most) in &self.most {
            println!("| connections at most, {backend} | {most} |");
        }
        let [first, last] = self.memory_then_and_now();
        println!("| memory once warm, KiB | {first} |");
        println!("| memory at the end, KiB | {last} |");
    }

    /// The most in the first tenth of the time once warm, and in the last.
    fn memory_then_and_now(&self) -> [u64; 2] {
        let part = (self.memory.len() / 10).max(1);
        let most = |part: &[u64]| part.iter().max().copied().unwrap_or_default();
        let end = self.memory.len().saturating_sub(part);
        [
            most(&self.memory[..part.min(self.memory.len())]),
            most(&self.memory[end..]),
        ]
    }

    fn wrong(&self, connections: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let [first, last] = self.memory_then_and_now();
        // What an allocator keeps differs from moment to moment.
        if last > first + first / 10 + 4096 {
            wrong.push(format!("the daemon grew from {first} to {last} KiB"));
        }
        for (backend, most) in &self.most {
            if *most > connections {
                wrong.push(format!("{backend} had {most} connections"));
            }
        }
        wrong
    }
}

/// How many connections of the clients' accounts are open to a server at one moment: those that it has, without
/// those that Highwater closed and it did not notice yet. The proxy's own gauges are no moment: they are read one
/// after the other while connections go from one state to the next.
async fn connections(server: &Server) -> u64 {
    let users = USERS.map(|(name, _)| format!("'{name}'")).join(", ");
    let sql = format!("SELECT HOST FROM performance_schema.processlist WHERE USER IN ({users})");
    let mut root = server.connect(&ROOT).await.unwrap();
    let hosts: Vec<String> = root.query(sql).await.unwrap();
    root.disconnect().await.unwrap();
    let open = daemon::ports_to(server.port());
    let port = |host: &String| host.rsplit_once(':').unwrap().1.parse().unwrap();
    hosts
        .iter()
        .filter(|host| open.contains(&port(host)))
        .count() as u64
}

async fn prepare(cluster: &Cluster) {
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    let (user, password) = USERS[1];
    let mut script = vec![
        format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'"),
        format!("GRANT ALL ON *.* TO '{user}'@'%'"),
        "CREATE DATABASE soak_a".to_owned(),
        "CREATE DATABASE soak_b".to_owned(),
        "CREATE TABLE soak_a.marks (g INT PRIMARY KEY, v BIGINT NOT NULL)".to_owned(),
    ];
    for schema in ["soak_a", "soak_b"] {
        script.push(format!(
            "CREATE TABLE {schema}.rows_of (id INT PRIMARY KEY AUTO_INCREMENT, owner INT, v INT, KEY (owner))"
        ));
        // What a session sees that has no temporary table of this name.
        script.push(format!("CREATE TABLE {schema}.canary (owner INT)"));
        script.push(format!("INSERT INTO {schema}.canary VALUES (-1)"));
    }
    script.extend((0..GROUPS).map(|group| format!("INSERT INTO soak_a.marks VALUES ({group}, 0)")));
    for sql in &script {
        root.query_drop(sql).await.unwrap();
    }
    root.disconnect().await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
}
