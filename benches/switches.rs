//! What a switch costs with `[pool] mode = "transaction"`: the same statement on the connection that its session
//! kept, and on one that another session had in between and that has to be given this session's state
//! first. Two sessions take turns on a pool of one connection, so that every statement switches. Prints
//! markdown: latency as a client sees it, and CPU of the proxy, for each statement.
//!
//! `cargo bench --bench switches`. `HIGHWATER_BENCH_STATEMENTS` is how many are measured of each kind (4000).
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod support;

use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster, ROOT};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use support::{Folder, Target, cpu_ns, number, start_with_pool};

/// What the two sessions differ in: a name for it, and what each of them sets.
const STATES: [(&str, [&[&str]; 2]); 4] = [
    ("nothing", [&[], &[]]),
    (
        "one variable",
        [&["SET time_zone = '+01:00'"], &["SET time_zone = '+02:00'"]],
    ),
    (
        "schema, 5 variables, 2 user variables",
        [
            &[
                "USE switches_a",
                "SET time_zone = '+01:00', sql_mode = 'ANSI', group_concat_max_len = 2000",
                "SET lc_time_names = 'de_DE', div_precision_increment = 6, @a = 1, @b = 'one'",
            ],
            &[
                "USE switches_b",
                "SET time_zone = '+02:00', sql_mode = 'TRADITIONAL', group_concat_max_len = 3000",
                "SET lc_time_names = 'fr_FR', div_precision_increment = 7, @a = 2, @b = 'two'",
            ],
        ],
    ),
    // Nothing can unset a user variable: the connection is reset, and restored after that.
    (
        "a user variable that the other one has not",
        [&["SET @a = 1"], &["SET @b = 1"]],
    ),
];

/// The statement, and where it runs.
const STATEMENTS: [(&str, &str); 2] = [
    (
        "a read on a replica",
        "SELECT v FROM switches_a.t WHERE id = 7",
    ),
    (
        "a statement on the primary",
        "/* highwater: primary */ SELECT v FROM switches_a.t WHERE id = 7",
    ),
];

fn main() {
    support::measure(bench());
}

async fn bench() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    for sql in [
        "CREATE DATABASE switches_a",
        "CREATE DATABASE switches_b",
        "CREATE TABLE switches_a.t (id INT PRIMARY KEY, v INT)",
        "INSERT INTO switches_a.t VALUES (7, 49)",
    ] {
        root.query_drop(sql).await.unwrap();
    }
    root.disconnect().await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let folder = Folder::new();
    let pool = "mode = \"transaction\"\nmax_connections = 1\nmin_idle = 1\n";
    let proxy = start_with_pool(&cluster, &folder.0, "warn", "switches", pool);
    ready(&proxy).await;
    println!(
        "| statement | the other session differs in | latency p50, µs | of that the switch | CPU, µs | of that the switch |"
    );
    println!("|---|---|---|---|---|---|");
    for (what, sql) in STATEMENTS {
        let kept = kept(&proxy, sql).await;
        row(what, "(none: the connection is kept)", kept, kept);
        for (differ, states) in STATES {
            row(what, differ, switched(&proxy, sql, states).await, kept);
        }
    }
}

fn row(what: &str, differ: &str, cost: Cost, kept: Cost) {
    println!(
        "| {what} | {differ} | {:.0} | {:.0} | {:.1} | {:.1} |",
        cost.latency_us,
        cost.latency_us - kept.latency_us,
        cost.cpu_us,
        cost.cpu_us - kept.cpu_us
    );
}

/// Of one statement.
#[derive(Clone, Copy, Debug)]
struct Cost {
    latency_us: f64,
    cpu_us: f64,
}

/// Waits until reads go to the replica.
async fn ready(proxy: &Target) {
    let mut conn = client(proxy).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !proxy.metrics().contains("target=\"replica\"") {
        assert!(Instant::now() < deadline, "no read went to the replica");
        conn.query_drop(STATEMENTS[0].1).await.unwrap();
    }
    conn.disconnect().await.unwrap();
}

async fn kept(proxy: &Target, sql: &str) -> Cost {
    let mut one = client(proxy).await;
    let cost = measure(proxy, sql, &mut [&mut one]).await;
    one.disconnect().await.unwrap();
    cost
}

async fn switched(proxy: &Target, sql: &str, states: [&[&str]; 2]) -> Cost {
    let mut sessions = [client(proxy).await, client(proxy).await];
    for (session, state) in sessions.iter_mut().zip(states) {
        for set in state {
            session.query_drop(*set).await.unwrap();
        }
    }
    let [one, other] = &mut sessions;
    let cost = measure(proxy, sql, &mut [one, other]).await;
    for session in sessions {
        session.disconnect().await.unwrap();
    }
    cost
}

/// The sessions take turns.
async fn measure(proxy: &Target, sql: &str, sessions: &mut [&mut Conn]) -> Cost {
    let count = number("HIGHWATER_BENCH_STATEMENTS", 4000);
    let process = proxy.process.as_ref().unwrap();
    let mut all = Vec::new();
    let mut used = 0;
    for round in 0..count + count / 4 {
        // What comes before that warms up.
        if round == count / 4 {
            all.clear();
            used = cpu_ns(process);
        }
        let turn = usize::try_from(round).unwrap() % sessions.len();
        let begun = Instant::now();
        sessions[turn].query_drop(sql).await.unwrap();
        all.push(begun.elapsed());
    }
    let used = cpu_ns(process) - used;
    all.sort_unstable();
    Cost {
        latency_us: all[all.len() / 2].as_secs_f64() * 1e6,
        cpu_us: used as f64 / count as f64 / 1000.0,
    }
}

async fn client(proxy: &Target) -> Conn {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(proxy.port)
        .user(Some(APP.user))
        .pass(Some(APP.password))
        .db_name(Some("switches_a"))
        .prefer_socket(false);
    Conn::new(Opts::from(opts)).await.unwrap()
}
