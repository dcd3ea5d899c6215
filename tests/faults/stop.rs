//! The real binary, told to stop.

use std::time::{Duration, Instant};

use highwater::rig::{Cluster, ROOT};
use mysql_async::prelude::Queryable as _;

use super::support::daemon::{Daemon, Folder};
use super::support::{cell, run};

/// A daemon whose drain lasts so long, and its folder.
fn start(cluster: &Cluster, drain_timeout: &str) -> (Daemon, Folder) {
    let folder = Folder::new(cluster, &format!("drain_timeout = \"{drain_timeout}\""));
    (Daemon::start(&folder), folder)
}

#[tokio::test]
async fn sigterm_lets_transactions_end_and_exits_0() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let (mut daemon, _folder) = start(&cluster, "20s");
    let mut idle = daemon.connect().await.unwrap();
    run(&mut idle, "CREATE TABLE t (v INT)").await;
    let mut busy = daemon.connect().await.unwrap();
    run(&mut busy, "BEGIN").await;
    run(&mut busy, "INSERT INTO t VALUES (1)").await;

    daemon.terminate();
    // The idle one ends at once, while the transaction is still open.
    while idle.ping().await.is_ok() {}
    assert!(daemon.connect().await.is_err(), "a new client was let in");
    assert_eq!(
        cell(&mut busy, "SELECT COUNT(*) FROM t").await.as_deref(),
        Some("1")
    );
    run(&mut busy, "INSERT INTO t VALUES (2)").await;
    run(&mut busy, "COMMIT").await;
    while busy.ping().await.is_ok() {}
    assert_eq!(daemon.code().await, Some(0));
    assert_eq!(
        cluster
            .primary()
            .value("SELECT COUNT(*) FROM app.t")
            .await
            .unwrap()
            .as_deref(),
        Some("2")
    );
}

#[tokio::test]
async fn sigterm_ends_what_outlives_the_drain_timeout_and_exits_0() {
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    let (mut daemon, _folder) = start(&cluster, "300ms");
    let mut busy = daemon.connect().await.unwrap();
    run(&mut busy, "CREATE TABLE t (v INT)").await;
    run(&mut busy, "BEGIN").await;
    run(&mut busy, "INSERT INTO t VALUES (1)").await;
    // A server does not notice that the client of one that waits for a row is gone.
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    for sql in [
        "CREATE TABLE app.locked (v INT)",
        "INSERT INTO app.locked VALUES (1)",
        "BEGIN",
        "UPDATE app.locked SET v = 2",
    ] {
        run(&mut root, sql).await;
    }
    let mut waiting = daemon.connect().await.unwrap();
    let waiting = tokio::spawn(async move { waiting.query_drop("UPDATE locked SET v = 3").await });
    let running =
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE locked%'";
    let mut watcher = cluster.primary().connect(&ROOT).await.unwrap();
    while cell(&mut watcher, running).await.as_deref() != Some("1") {}

    let started = Instant::now();
    daemon.terminate();
    assert_eq!(daemon.code().await, Some(0));
    assert!(waiting.await.unwrap().is_err());
    let stopped = Instant::now();
    while cell(&mut watcher, running).await.as_deref() != Some("0") {
        // It would wait for 50 s.
        assert!(stopped.elapsed() < Duration::from_secs(30), "it still runs");
    }
    run(&mut root, "COMMIT").await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(busy.ping().await.is_err());
    assert_eq!(
        cluster
            .primary()
            .value("SELECT COUNT(*) FROM app.t")
            .await
            .unwrap()
            .as_deref(),
        Some("0")
    );
}
