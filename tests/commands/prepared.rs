//! Prepared statements across servers: each connection has its own copy, and the client sees one.

use highwater::protocol::command::com_query;
use highwater::protocol::reply::ReplyKind;

use mysql_async::prelude::Queryable;

use crate::measure::Held;
use crate::support::raw::{Param, Raw, error_of, execute, fetch, number, usual};
use crate::support::script::counters;
use crate::support::stage::{Stage, stage};
use crate::support::{cell, run};

const EXECUTE: ReplyKind = ReplyKind::Execute { cursor: false };

/// How many statements replicas have answered. The ping makes sure that the session's last one is
/// counted.
async fn on_replicas(stage: &Stage, raw: &mut Raw) -> u64 {
    raw.ask(&[0x0E], ReplyKind::Simple).await;
    let counters = counters(stage.setup);
    counters
        .iter()
        .filter(|(went, _)| went.target == "replica")
        .map(|(_, count)| count)
        .sum()
}

#[tokio::test]
async fn parameter_types_bound_on_one_server_hold_on_the_other() {
    let stage = stage().await;
    stage.schema("types").await;
    let mut raw = stage.raw("types", usual()).await;
    let id = raw.prepare("SELECT CAST(? AS SIGNED) + 1").await;
    let ask = |value, bind| execute(id, 0, &[Param::Int(value)], bind, false);

    let before = on_replicas(&stage, &mut raw).await;
    assert_eq!(number(&raw.ask(&ask(1, true), EXECUTE).await), 2);
    assert_eq!(number(&raw.ask(&ask(10, false), EXECUTE).await), 11);
    assert_eq!(on_replicas(&stage, &mut raw).await, before + 2);

    raw.query("BEGIN").await;
    assert_eq!(
        number(&raw.ask(&ask(20, false), EXECUTE).await),
        21,
        "on the primary, for the first time"
    );
    let text = execute(id, 0, &[Param::Text(b"30")], true, false);
    assert_eq!(number(&raw.ask(&text, EXECUTE).await), 31);
    raw.query("COMMIT").await;

    let text = execute(id, 0, &[Param::Text(b"40")], false, false);
    assert_eq!(
        number(&raw.ask(&text, EXECUTE).await),
        41,
        "rebound on the primary, used on the replica"
    );
    assert_eq!(on_replicas(&stage, &mut raw).await, before + 3);
}

#[tokio::test]
async fn a_statement_keeps_the_schema_of_its_prepare() {
    let stage = stage().await;
    for (schema, value) in [("keeps_a", 1), ("keeps_b", 2)] {
        stage.schema(schema).await;
        let mut raw = stage.raw(schema, usual()).await;
        raw.query("CREATE TABLE t (id BIGINT)").await;
        raw.query(&format!("INSERT INTO t VALUES ({value})")).await;
    }
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let mut raw = stage.raw("keeps_a", usual()).await;
    let read = raw.prepare("SELECT id FROM t").await;
    let write = raw.prepare("UPDATE t SET id = id + 10").await;
    raw.query("USE keeps_b").await;
    let run = |id| execute(id, 0, &[], true, false);
    assert_eq!(
        number(&raw.ask(&run(read), EXECUTE).await),
        1,
        "on the replica"
    );
    assert_eq!(raw.cell("SELECT DATABASE()").await, "keeps_b");
    raw.query("BEGIN").await;
    assert_eq!(
        number(&raw.ask(&run(read), EXECUTE).await),
        1,
        "on the primary"
    );
    assert_eq!(raw.cell("SELECT DATABASE()").await, "keeps_b");
    raw.ask(&run(write), EXECUTE).await;
    raw.query("COMMIT").await;
    assert_eq!(number(&raw.ask(&run(read), EXECUTE).await), 11);
    assert_eq!(
        raw.cell("SELECT id FROM t").await,
        "2",
        "the other schema is untouched"
    );
    assert_eq!(raw.cell("SELECT id FROM keeps_a.t").await, "11");
}

#[tokio::test]
async fn a_cursor_gives_its_rows_in_chunks() {
    let stage = stage().await;
    stage.schema("cursors").await;
    let mut raw = stage.raw("cursors", usual()).await;
    raw.query("CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    raw.query("INSERT INTO t WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500) SELECT x FROM n").await;
    let id = raw.prepare("SELECT id FROM t ORDER BY id").await;
    let other = raw.prepare("SELECT COUNT(*) FROM t").await;
    let opened = raw
        .ask(
            &execute(id, 1, &[], true, false),
            ReplyKind::Execute { cursor: true },
        )
        .await;
    assert_eq!(error_of(&opened), None);
    let mut seen = Vec::new();
    loop {
        let frames = raw.ask(&fetch(id, 64), ReplyKind::Fetch).await;
        let (end, rows) = frames.split_last().unwrap();
        seen.extend(
            rows.iter()
                .map(|row| i64::from_le_bytes(row[2..10].try_into().unwrap())),
        );
        // Reads in between go elsewhere and disturb nothing.
        assert_eq!(
            number(&raw.ask(&execute(other, 0, &[], true, false), EXECUTE).await),
            500
        );
        let last_row_sent = u16::from_le_bytes([end[3], end[4]]) & 0x80 != 0;
        if last_row_sent {
            break;
        }
    }
    assert_eq!(seen, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn statements_survive_any_number_of_others() {
    let stage = stage().await;
    stage.schema("many_statements").await;
    let mut raw = stage.raw("many_statements", usual()).await;
    let mut ids = Vec::new();
    for value in 0..50_i64 {
        ids.push((
            raw.prepare(&format!("SELECT CAST({value} AS SIGNED)"))
                .await,
            value,
        ));
    }
    for &(id, value) in ids.iter().rev() {
        assert_eq!(
            number(&raw.ask(&execute(id, 0, &[], true, false), EXECUTE).await),
            value
        );
    }
    raw.send(&com_query(b"BEGIN", false)).await;
    raw.reply(ReplyKind::Query).await;
    for &(id, value) in &ids {
        assert_eq!(
            number(&raw.ask(&execute(id, 0, &[], true, false), EXECUTE).await),
            value
        );
    }
}

/// A session leaves a replica and comes back to the same connection, which was reset in between: its
/// statements are not there any more.
#[tokio::test]
async fn statements_survive_coming_back_to_a_connection() {
    let stage = stage().await;
    stage.schema("coming_back").await;
    let mut conn = stage.client("coming_back").await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    let read = conn.prep("SELECT COUNT(*) FROM t").await.unwrap();
    let replicas = stage.setup.cluster.replicas();
    let mut rows = 0;
    for late in [0, 1, 0, 1, 0, 1] {
        stage.setup.cluster.wait_all_caught_up().await.unwrap();
        let held = Held::hold(&replicas[late]).await;
        run(&mut conn, "INSERT INTO t VALUES (1)").await;
        rows += 1;
        // Every third move is made by a prepared read, so that there are copies to come back to.
        if rows % 3 == 1 {
            let seen: Option<i64> = conn.exec_first(&read, ()).await.unwrap();
            assert_eq!(seen, Some(rows));
        }
        let text = cell(&mut conn, "SELECT COUNT(*) FROM t").await;
        assert_eq!(text, Some(rows.to_string()));
        held.release().await;
        if rows % 3 == 0 {
            let seen: Option<i64> = conn.exec_first(&read, ()).await.unwrap();
            assert_eq!(seen, Some(rows));
        }
    }
}
