//! Reads go to replicas, writes to the primary, and own writes are seen: on real servers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Setup, cell, run};

#[tokio::test]
async fn own_writes_are_seen_and_reads_are_offloaded() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (1, 0)").await;
    for value in 1..200 {
        run(&mut conn, &format!("UPDATE t SET v = {value} WHERE id = 1")).await;
        let seen = cell(&mut conn, "SELECT v FROM t WHERE id = 1").await;
        assert_eq!(seen, Some(value.to_string()));
    }
    let metrics = setup.proxy.metrics().render().unwrap();
    println!(
        "{}",
        metrics
            .lines()
            .filter(|l| l.contains("statements_total") || l.contains("outcome"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    setup.proxy.shut_down().await;
}
