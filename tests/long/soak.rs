//! A soak: thousands of sessions over few server connections in `[pool] mode = "transaction"`, each with a
//! state of its own that it looks at again and again. Nothing of one session may be seen in another
//! one, and after it has warmed up the daemon may not grow.
//!
//! `cargo bench --bench soak` runs it, optimised, and prints its figures. `HIGHWATER_LONG_SECONDS` is its
//! length (600), `HIGHWATER_LONG_SESSIONS` the number of sessions (2000), `HIGHWATER_LONG_CONNECTIONS`
//! what each server's pool may have (40).
#![allow(
    clippy::unwrap_used,
    reason = "a long test fails by panicking, as others do"
)]

#[path = "soak/client.rs"]
mod client;
#[path = "soak/cost.rs"]
mod cost;
#[path = "soak/daemon.rs"]
mod daemon;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater::rig::{Cluster, ROOT};
use mysql_async::prelude::Queryable;
use tokio::sync::Semaphore;

use client::{Shared, USERS, run};
use daemon::Daemon;

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

/// Says whether nothing leaked and nothing grew.
async fn soak() -> bool {
    let seconds = number("HIGHWATER_LONG_SECONDS", 600) as u64;
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
    let shared = Arc::new(Shared::new(Semaphore::new(connections / 2)));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..sessions {
        clients.spawn(run(Arc::clone(&shared), daemon.port, number));
    }
    let begun = Instant::now();
    let warm = Duration::from_secs(seconds / 5);
    let (mut memory, mut most) = (Vec::new(), [0; 3]);
    while begun.elapsed() < Duration::from_secs(seconds) && !shared.is_over() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let page = daemon.metrics().await;
        for (most, now) in most.iter_mut().zip(page.connections()) {
            *most = now.max(*most);
        }
        if begun.elapsed() > warm {
            memory.push(daemon.resident());
        }
    }
    let took = begun.elapsed();
    let page = daemon.metrics().await;
    shared.end();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let statements = shared.statements();
    println!("| what | figure |\n|---|---|");
    println!("| sessions | {sessions} |\n| seconds | {:.0} |", took.as_secs_f64());
    println!("| statements | {statements} |");
    println!("| statements/s | {:.0} |", statements as f64 / took.as_secs_f64());
    println!("| connections at most, each server | {most:?} |");
    for (what, count) in page.counted(&["pins_total", "recalls_total", "restores_total", "handovers_total"]) {
        println!("| {what} | {count} |");
    }
    let part = (memory.len() / 10).max(1);
    let first = memory.iter().take(part).max().copied().unwrap_or_default();
    let last = memory.iter().rev().take(part).max().copied().unwrap_or_default();
    println!("| memory once warm, KiB | {first} |\n| memory at the end, KiB | {last} |");
    for line in cost::lines(&cluster).await {
        println!("{line}");
    }
    let wrong = shared.wrong();
    for line in &wrong {
        println!("{line}");
    }
    // What an allocator keeps differs from moment to moment.
    let grew = last > first + first / 10 + 4096;
    wrong.is_empty() && !grew && most.into_iter().all(|most| most <= connections as u64)
}

async fn prepare(cluster: &Cluster) {
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    let (user, password) = USERS[1];
    for sql in [
        format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'"),
        format!("GRANT ALL ON *.* TO '{user}'@'%'"),
        "CREATE DATABASE soak_a".to_owned(),
        "CREATE DATABASE soak_b".to_owned(),
        "CREATE TABLE soak_a.rows_of (id INT PRIMARY KEY AUTO_INCREMENT, owner INT, v INT, KEY (owner))".to_owned(),
        "CREATE TABLE soak_b.rows_of LIKE soak_a.rows_of".to_owned(),
        // What a session sees that has no temporary table of this name.
        "CREATE TABLE soak_a.canary (owner INT)".to_owned(),
        "CREATE TABLE soak_b.canary (owner INT)".to_owned(),
        "INSERT INTO soak_a.canary VALUES (-1)".to_owned(),
        "INSERT INTO soak_b.canary VALUES (-1)".to_owned(),
    ] {
        root.query_drop(&sql).await.unwrap();
    }
    root.disconnect().await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
}
