//! Statements at the edge: those meant to break a parser neither crash nor stall the proxy (each gets
//! the primary's own answer, and other sessions are answered meanwhile), and those that cannot be
//! run as they are get a clear error instead of a wrong result.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use support::stage::stage;
use support::{cell, run};

/// What a server says: the first cell, or the number of its error.
async fn answer(conn: &mut Conn, sql: &[u8]) -> Result<Option<Vec<u8>>, u16> {
    match conn.query_first::<mysql_async::Row, _>(sql.to_vec()).await {
        Ok(row) => Ok(row.and_then(|mut row| row.take::<Option<Vec<u8>>, _>(0).flatten())),
        Err(Error::Server(error)) => Err(error.code),
        Err(other) => panic!("the connection broke: {other}"),
    }
}

/// Runs it through the proxy and straight at the primary, while another session goes on reading.
async fn same_as_primary(name: &str, sql: Vec<u8>) {
    let stage = stage().await;
    let schema = format!("limits_{name}");
    stage.schema(&schema).await;
    let mut proxied = stage.client(&schema).await;
    let mut direct = stage.direct(&schema).await;
    let mut other = stage.client(&schema).await;
    run(&mut other, "CREATE TABLE t (a INT)").await;
    run(&mut other, "INSERT INTO t VALUES (7)").await;
    let expected = answer(&mut direct, &sql).await;
    let running = tokio::spawn(async move { answer(&mut proxied, &sql).await });
    let mut reads = 0;
    loop {
        let seen = cell(&mut other, "SELECT a FROM t").await;
        assert_eq!(seen.as_deref(), Some("7"));
        reads += 1;
        if running.is_finished() {
            break;
        }
    }
    assert_eq!(running.await.unwrap(), expected, "{name}");
    println!("{name}: {reads} reads of another session meanwhile");
}

fn chain(first: &str, link: &str, count: usize) -> Vec<u8> {
    format!("SELECT {first}{}", link.repeat(count)).into_bytes()
}

#[tokio::test]
async fn thirty_three_thousand_ors() {
    same_as_primary("ors", chain("a FROM t WHERE a = 1", " OR a = 7", 33_000)).await;
}

#[tokio::test]
async fn two_thousand_two_hundred_divisions() {
    same_as_primary("divisions", chain("1", " DIV 1", 2_200)).await;
}

#[tokio::test]
async fn text_that_is_not_utf8() {
    same_as_primary(
        "bytes",
        b"SELECT LENGTH(_binary '\xff\xfe\x80'), '\xc3\x28'".to_vec(),
    )
    .await;
}

#[tokio::test]
async fn sixty_four_megabytes() {
    let mut sql = b"SELECT LENGTH('".to_vec();
    sql.resize(63 << 20, b'x');
    sql.extend_from_slice(b"')");
    same_as_primary("megabytes", sql).await;
}

#[tokio::test]
async fn diagnostics_of_a_replica_fill_a_variable_of_the_session() {
    let stage = stage().await;
    stage.schema("diagnostics").await;
    let mut client = stage.client("diagnostics").await;
    run(&mut client, "CREATE TABLE t (a INT)").await;
    run(&mut client, "GET DIAGNOSTICS @n = NUMBER").await;
    assert_eq!(cell(&mut client, "SELECT @n").await.as_deref(), Some("0"));
    run(&mut client, "SET @n = 7").await;
    run(&mut client, "SELECT a FROM t").await;
    run(&mut client, "GET DIAGNOSTICS @n = NUMBER").await;
    assert_eq!(cell(&mut client, "SELECT @n").await.as_deref(), Some("0"));
    run(&mut client, "SET @n = 7").await;
    run(&mut client, "BEGIN").await;
    run(&mut client, "SELECT a FROM t").await;
    run(&mut client, "GET DIAGNOSTICS @n = NUMBER").await;
    run(&mut client, "COMMIT").await;
    assert_eq!(cell(&mut client, "SELECT @n").await.as_deref(), Some("0"));
}
