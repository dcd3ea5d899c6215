//! Clients that go away: their statements are stopped, their transactions end, and nobody else gets
//! what they left behind.

use highwater::protocol::command::com_query;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::Server;

use tokio::io::AsyncWriteExt;

use crate::support::raw::{error_of, shown, usual};
use crate::support::stage::{Stage, stage, until};
use crate::support::{cell, run};

async fn runs(server: &Server, beginning: &str) -> bool {
    let sql = format!(
        "SELECT COUNT(*) FROM performance_schema.processlist WHERE info LIKE '{beginning}%'"
    );
    server.value(&sql).await.unwrap().as_deref() != Some("0")
}

async fn runs_anywhere(stage: &Stage, beginning: &str) -> bool {
    let cluster = &stage.setup.cluster;
    for server in std::iter::once(cluster.primary()).chain(cluster.replicas()) {
        if runs(server, beginning).await {
            return true;
        }
    }
    false
}

/// New sessions find clean connections.
async fn others_are_well(stage: &Stage, schema: &str) {
    for _ in 0..6 {
        let mut client = stage.client(schema).await;
        assert_eq!(
            cell(&mut client, "SELECT 41 + 1").await.as_deref(),
            Some("42")
        );
        run(&mut client, "DO 1").await;
        client.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_on_the_primary_is_stopped() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    raw.query("BEGIN").await;
    raw.send(&com_query(b"SELECT SLEEP(301)", false)).await;
    let primary = stage.setup.cluster.primary();
    until("it runs", async || runs(primary, "SELECT SLEEP(301)").await).await;
    drop(raw);
    until("it is stopped", async || {
        !runs(primary, "SELECT SLEEP(301)").await
    })
    .await;
    others_are_well(&stage, "app").await;
}

#[tokio::test]
async fn a_statement_on_a_replica_is_stopped() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    raw.query("START TRANSACTION READ ONLY").await;
    raw.send(&com_query(b"SELECT SLEEP(302)", false)).await;
    until("it runs", async || {
        runs_anywhere(&stage, "SELECT SLEEP(302)").await
    })
    .await;
    assert!(!runs(stage.setup.cluster.primary(), "SELECT SLEEP(302)").await);
    drop(raw);
    until("it is stopped", async || {
        !runs_anywhere(&stage, "SELECT SLEEP(302)").await
    })
    .await;
    others_are_well(&stage, "app").await;
}

#[tokio::test]
async fn a_result_that_nobody_reads_to_its_end_is_given_up() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let sql = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 900) \
               SELECT REPEAT('x', 1000000) FROM n";
    raw.send(&com_query(sql.as_bytes(), false)).await;
    raw.frame().await.unwrap();
    until("it runs", async || {
        runs_anywhere(&stage, "WITH RECURSIVE n (x)").await
    })
    .await;
    drop(raw);
    until("it is stopped", async || {
        !runs_anywhere(&stage, "WITH RECURSIVE n (x)").await
    })
    .await;
    others_are_well(&stage, "app").await;
}

#[tokio::test]
async fn an_open_transaction_is_rolled_back() {
    let stage = stage().await;
    stage.schema("left_open").await;
    let mut other = stage.client("left_open").await;
    run(&mut other, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut other, "INSERT INTO t VALUES (1)").await;
    let mut raw = stage.raw("left_open", usual()).await;
    raw.query("BEGIN").await;
    raw.query("UPDATE t SET id = 2").await;
    let mut second = stage.raw("left_open", usual()).await;
    let locked = second.query("SELECT id FROM t FOR UPDATE NOWAIT").await;
    assert_eq!(
        error_of(&locked),
        Some(3572),
        "locked while the transaction is open"
    );
    drop(raw);
    until("the lock is free", async || {
        error_of(&second.query("SELECT id FROM t FOR UPDATE NOWAIT").await).is_none()
    })
    .await;
    assert_eq!(
        cell(&mut other, "SELECT id FROM t").await.as_deref(),
        Some("1")
    );
    other.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_long_write_is_stopped() {
    let stage = stage().await;
    stage.schema("left_writing").await;
    let mut other = stage.client("left_writing").await;
    run(&mut other, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut other, "INSERT INTO t VALUES (1), (2), (3)").await;
    let mut raw = stage.raw("left_writing", usual()).await;
    let sql = "UPDATE t SET id = id + 10 WHERE SLEEP(305) = 0";
    raw.send(&com_query(sql.as_bytes(), false)).await;
    let primary = stage.setup.cluster.primary();
    until("it runs", async || runs(primary, "UPDATE t SET id").await).await;
    drop(raw);
    until("it is stopped", async || {
        !runs(primary, "UPDATE t SET id").await
    })
    .await;
    let left = cell(&mut other, "SELECT MAX(id) FROM t FOR UPDATE").await;
    assert_eq!(left.as_deref(), Some("3"), "nothing was changed");
    other.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_client_that_only_listens_gets_its_answer() {
    let stage = stage().await;
    stage.schema("listens").await;
    let mut holder = stage.direct("listens").await;
    run(&mut holder, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut holder, "INSERT INTO t VALUES (7)").await;
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let primary = stage.setup.cluster.primary();
    // The primary itself, then through Highwater.
    for direct in [true, false] {
        let mut raw = match direct {
            true => stage.raw_direct("listens", usual()).await,
            false => stage.raw("listens", usual()).await,
        };
        run(&mut holder, "BEGIN").await;
        run(&mut holder, "UPDATE t SET id = 7 WHERE id = 7").await;
        raw.send(&com_query(b"SELECT id FROM t FOR UPDATE", false))
            .await;
        until("it waits", async || {
            runs(primary, "SELECT id FROM t FOR UPDATE").await
        })
        .await;
        raw.stream.shutdown().await.unwrap();
        // Long enough that the end of what it sends is seen.
        run(&mut holder, "DO 1").await;
        run(&mut holder, "COMMIT").await;
        let frames = raw.reply(ReplyKind::Query).await;
        assert_eq!(frames[2], b"\x017", "{direct}: {}", shown(&frames));
    }
    holder.disconnect().await.unwrap();
}
