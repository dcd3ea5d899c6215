//! What a prepared statement does to its session is known as if it had come as text.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::measure::{reads_on, until};
use crate::support::stage::{Stage, stage};
use crate::support::{cell, run};

/// Prepares a statement without parameters, runs it, and drops it.
async fn prepared(conn: &mut Conn, sql: &str) {
    let statement = conn
        .prep(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    conn.exec_drop(&statement, ())
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    conn.close(statement).await.unwrap();
}

/// Runs a read and sees which servers answer it.
async fn read(stage: &Stage, conn: &mut Conn, sql: &str, target: &str) -> Option<String> {
    let before = reads_on(&stage.setup.proxy, target);
    let answer = cell(conn, sql).await;
    until(&format!("{sql} on {target}"), || {
        reads_on(&stage.setup.proxy, target) > before
    })
    .await;
    answer
}

#[tokio::test]
async fn settings() {
    let stage = stage().await;
    let mut conn = stage.client("app").await;
    prepared(
        &mut conn,
        "SET sql_mode = 'ANSI_QUOTES', time_zone = '+07:00'",
    )
    .await;
    let shown = "SELECT CONCAT(@@sql_mode, @@time_zone)";
    let expected = Some("ANSI_QUOTES+07:00".to_owned());
    assert_eq!(read(&stage, &mut conn, shown, "replica").await, expected);
    let statement = conn.prep("SET time_zone = ?").await.unwrap();
    conn.exec_drop(&statement, ("-03:00",)).await.unwrap();
    let expected = Some("-03:00".to_owned());
    assert_eq!(
        read(&stage, &mut conn, "SELECT @@time_zone", "replica").await,
        expected
    );
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn transactions() {
    let stage = stage().await;
    stage.schema("tracked_work").await;
    let mut conn = stage.client("tracked_work").await;
    run(&mut conn, "CREATE TABLE t (a INT)").await;
    prepared(&mut conn, "SET autocommit = 0").await;
    prepared(&mut conn, "INSERT INTO t VALUES (1)").await;
    let count = "SELECT COUNT(*) FROM t";
    assert_eq!(
        read(&stage, &mut conn, count, "primary").await.unwrap(),
        "1"
    );
    prepared(&mut conn, "ROLLBACK").await;
    prepared(&mut conn, "INSERT INTO t VALUES (2)").await;
    prepared(&mut conn, "COMMIT").await;
    prepared(&mut conn, "SET autocommit = 1").await;
    for _ in 0..20 {
        prepared(&mut conn, "INSERT INTO t VALUES (3)").await;
        let seen = read(&stage, &mut conn, count, "replica").await.unwrap();
        let there = stage
            .setup
            .cluster
            .primary()
            .value("SELECT COUNT(*) FROM tracked_work.t")
            .await;
        assert_eq!(Some(seen), there.unwrap());
    }
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn temporary_tables() {
    let stage = stage().await;
    stage.schema("tracked_temporary").await;
    let mut conn = stage.client("tracked_temporary").await;
    run(&mut conn, "CREATE TABLE t (a INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    let read_t = conn.prep("SELECT a FROM t").await.unwrap();
    let value = async |conn: &mut Conn| {
        let row: Option<i64> = conn.exec_first(&read_t, ()).await.unwrap();
        row
    };
    assert_eq!(value(&mut conn).await, Some(1));
    prepared(&mut conn, "CREATE TEMPORARY TABLE t (a INT)").await;
    prepared(&mut conn, "INSERT INTO t VALUES (2)").await;
    assert_eq!(value(&mut conn).await, Some(2), "the temporary table");
    prepared(&mut conn, "DROP TEMPORARY TABLE t").await;
    assert_eq!(value(&mut conn).await, Some(1), "the other one again");
    conn.disconnect().await.unwrap();
}
