//! Sessions that use one connection in turns: each has its own statements there, and they share what
//! is equal.

use std::time::Duration;

use highwater::config::{Config, PoolMode};
use highwater::protocol::reply::ReplyKind;

use crate::measure::count;
use crate::support::raw::{Param, about, error_of, execute, fetch, long_data, number, usual};
use crate::support::stage::stage;
use crate::{CURSOR, EXECUTE, client, lone, prepared};

const COUNTER: &str = "prepared_statements_total";

fn one_connection(config: &mut Config) {
    config.pool.mode = PoolMode::Transaction;
    config.pool.max_connections = 1;
}

#[tokio::test]
async fn sessions_share_copies_and_keep_their_own_types() {
    let stage = stage().await;
    let proxy = lone(&stage, one_connection).await;
    let before = prepared(&stage).await;
    let text = "SELECT CAST(? AS SIGNED) + 1";
    let mut one = client(&proxy, "app").await;
    let mut other = client(&proxy, "app").await;
    let ids = [one.prepare(text).await, other.prepare(text).await];
    let int = |value, bind| execute(ids[0], 0, &[Param::Int(value)], bind, false);
    let text = |value, bind| execute(ids[1], 0, &[Param::Text(value)], bind, false);
    for turn in 0..5 {
        let first = turn == 0;
        let frames = one.ask(&int(turn, first), EXECUTE).await;
        assert_eq!(number(&frames), turn + 1);
        let frames = other.ask(&text(b"10", first), EXECUTE).await;
        assert_eq!(number(&frames), 11);
    }
    let events = |event: &str| count(&proxy, COUNTER, &[&format!("event=\"{event}\"")]);
    // A MySQL keeps what a parameter was: who binds texts has another copy than who binds numbers.
    assert_eq!((events("asked"), events("again")), (2, 1));
    assert_eq!(prepared(&stage).await, before + 2);
    one.send(&about(0x19, ids[0])).await;
    one.ask(&[0x0E], ReplyKind::Simple).await;
    drop(one);
    let frames = other.ask(&text(b"20", false), EXECUTE).await;
    assert_eq!(number(&frames), 21);
    assert_eq!(events("again"), 1, "what one closed, the other still has");
}

#[tokio::test]
async fn sessions_that_read_a_text_differently_share_nothing() {
    let stage = stage().await;
    let proxy = lone(&stage, one_connection).await;
    let text = "SELECT CAST(CONCAT(1 || 0, '') AS SIGNED)";
    let mut sessions = Vec::new();
    for (sql_mode, value) in [("", 1), ("PIPES_AS_CONCAT", 10), ("", 1)] {
        let mut raw = client(&proxy, "app").await;
        raw.query(&format!("SET sql_mode = '{sql_mode}'")).await;
        let id = raw.prepare(text).await;
        sessions.push((raw, id, value));
    }
    for _ in 0..3 {
        for (raw, id, value) in &mut sessions {
            let frames = raw.ask(&execute(*id, 0, &[], true, false), EXECUTE).await;
            assert_eq!(number(&frames), *value);
        }
    }
}

#[tokio::test]
async fn user_variables_have_the_types_of_their_own_session() {
    let stage = stage().await;
    let proxy = lone(&stage, one_connection).await;
    let mut sessions = Vec::new();
    for value in ["1", "'four'", "1.5e0"] {
        let mut direct = stage.raw_direct("app", usual()).await;
        let mut raw = client(&proxy, "app").await;
        let mut ids = Vec::new();
        for raw in [&mut direct, &mut raw] {
            raw.query(&format!("SET @a = {value}")).await;
            ids.push(raw.prepare("SELECT @a").await);
        }
        let run = |id| execute(id, 0, &[], true, false);
        let expected = direct.ask(&run(ids[0]), EXECUTE).await;
        sessions.push((raw, run(ids[1]), expected));
    }
    for _ in 0..3 {
        for (raw, payload, expected) in &mut sessions {
            assert_eq!(raw.ask(payload, EXECUTE).await, *expected);
        }
    }
}

#[tokio::test]
async fn an_open_cursor_keeps_its_connection() {
    let stage = stage().await;
    let proxy = lone(&stage, |config| {
        one_connection(config);
        config.pool.acquire_timeout = Duration::from_millis(200);
    })
    .await;
    let mut one = client(&proxy, "app").await;
    let mut other = client(&proxy, "app").await;
    let text = "SELECT CAST(1 AS SIGNED) UNION ALL SELECT 2 UNION ALL SELECT 3";
    let id = one.prepare(text).await;
    one.ask(&execute(id, 1, &[], true, false), CURSOR).await;
    assert_eq!(error_of(&other.query("SELECT 1").await), Some(1040));
    assert_eq!(one.ask(&fetch(id, 2), ReplyKind::Fetch).await.len(), 3);
    assert_eq!(error_of(&other.query("SELECT 1").await), Some(1040));
    assert_eq!(one.ask(&fetch(id, 2), ReplyKind::Fetch).await.len(), 2);
    // Its last row was sent.
    assert_eq!(error_of(&other.query("SELECT 1").await), None);

    let id = one.prepare("SELECT CAST(LENGTH(?) AS SIGNED)").await;
    one.send(&long_data(id, 0, b"hello")).await;
    one.ask(&[0x0E], ReplyKind::Simple).await;
    assert_eq!(error_of(&other.query("SELECT 1").await), Some(1040));
    let sent = execute(id, 0, &[Param::Sent], true, false);
    assert_eq!(number(&one.ask(&sent, EXECUTE).await), 5);
    assert_eq!(error_of(&other.query("SELECT 1").await), None);

    // One that is abandoned goes with its session.
    let id = one.prepare(text).await;
    one.ask(&execute(id, 1, &[], true, false), CURSOR).await;
    drop(one);
    crate::support::stage::until("the connection is free", async || {
        error_of(&other.query("SELECT 1").await).is_none()
    })
    .await;
}

/// Thousands of statements of many sessions over few connections.
#[tokio::test]
async fn the_bound_is_the_connections_not_the_sessions() {
    const SESSIONS: usize = 20;
    let stage = stage().await;
    let proxy = lone(&stage, |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.max_connections = 3;
        config.pool.prepared_per_connection = 8;
    })
    .await;
    let before = prepared(&stage).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push((client(&proxy, "app").await, Vec::new()));
    }
    for value in 0..2000_usize {
        let (raw, ids) = &mut sessions[value % SESSIONS];
        let id = raw
            .prepare(&format!("SELECT CAST({value} + ? AS SIGNED)"))
            .await;
        ids.push((id, value));
    }
    for (raw, ids) in &mut sessions {
        for (id, value) in ids.iter().step_by(3) {
            let frames = raw
                .ask(&execute(*id, 0, &[Param::Int(1)], true, false), EXECUTE)
                .await;
            assert_eq!(number(&frames), i64::try_from(*value).unwrap() + 1);
        }
    }
    assert!(prepared(&stage).await <= before + 3 * 8);
}

/// Every statement on another connection than the one before.
#[tokio::test]
async fn statements_follow_their_session_from_connection_to_connection() {
    let stage = stage().await;
    stage.schema("lent").await;
    let proxy = lone(&stage, |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    let mut raw = client(&proxy, "lent").await;
    raw.query("CREATE TABLE t (id BIGINT)").await;
    let write = raw.prepare("INSERT INTO t VALUES (?)").await;
    let read = raw
        .prepare("SELECT SUM(id) DIV 1 FROM t WHERE id > ?")
        .await;
    let mut sum = 0;
    for value in 1..=30 {
        let bind = value == 1;
        let payload = execute(write, 0, &[Param::Int(value)], bind, false);
        assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
        sum += value;
        let payload = execute(read, 0, &[Param::Int(0)], bind, false);
        assert_eq!(number(&raw.ask(&payload, EXECUTE).await), sum);
        raw.send(&long_data(write, 0, b"100")).await;
        let payload = execute(write, 0, &[Param::Sent], true, false);
        assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
        sum += 100;
        let payload = execute(write, 0, &[Param::Int(0)], true, false);
        assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
    }
}
