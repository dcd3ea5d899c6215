//! Cursors and parameters in parts: what they are on is one statement's alone while they last.

use highwater::protocol::reply::ReplyKind;

use crate::support::raw::{Param, Raw, about, error_of, execute, fetch, long_data, number, shown};
use crate::support::stage::stage;
use crate::{CURSOR, EXECUTE, client, lone, prepared};

const FETCH: ReplyKind = ReplyKind::Fetch;

fn rows(frames: &[Vec<u8>]) -> Vec<i64> {
    let (_, rows) = frames.split_last().unwrap();
    let number = |row: &Vec<u8>| i64::from_le_bytes(row[2..10].try_into().unwrap());
    rows.iter().map(number).collect()
}

async fn open(raw: &mut Raw, id: u32, above: i64) {
    let payload = execute(id, 1, &[Param::Int(above)], true, false);
    let opened = raw.ask(&payload, CURSOR).await;
    assert_eq!(error_of(&opened), None, "{}", shown(&opened));
}

#[tokio::test]
async fn a_cursor_outlives_whatever_equal_statements_and_eviction_do() {
    let stage = stage().await;
    stage.schema("tied_cursor").await;
    let proxy = lone(&stage, |config| config.pool.prepared_per_connection = 2).await;
    let mut raw = client(&proxy, "tied_cursor").await;
    raw.query("CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    raw.query("INSERT INTO t VALUES (1), (2), (3), (4), (5), (6), (7), (8)")
        .await;
    let before = prepared(&stage).await;
    let text = "SELECT id FROM t WHERE id > ? ORDER BY id";
    let one = raw.prepare(text).await;
    let other = raw.prepare(text).await;
    open(&mut raw, one, 0).await;
    assert_eq!(rows(&raw.ask(&fetch(one, 2), FETCH).await), [1, 2]);

    open(&mut raw, other, 4).await;
    assert_eq!(rows(&raw.ask(&fetch(other, 1), FETCH).await), [5]);
    let third = raw.prepare(text).await;
    let plain = execute(third, 0, &[Param::Int(7)], true, false);
    assert_eq!(number(&raw.ask(&plain, EXECUTE).await), 8);
    for value in 0..10 {
        raw.prepare(&format!("SELECT {value}")).await;
    }
    assert_eq!(rows(&raw.ask(&fetch(one, 2), FETCH).await), [3, 4]);
    assert_eq!(rows(&raw.ask(&fetch(other, 100), FETCH).await), [6, 7, 8]);
    assert_eq!(rows(&raw.ask(&fetch(one, 100), FETCH).await), [5, 6, 7, 8]);

    for id in [one, other] {
        let ended = raw.ask(&fetch(id, 1), FETCH).await;
        assert_eq!(error_of(&ended), Some(1421));
    }
    raw.prepare("SELECT 'room'").await;
    assert_eq!(
        prepared(&stage).await,
        before + 2,
        "nothing is held any more"
    );
    assert_eq!(number(&raw.ask(&plain, EXECUTE).await), 8);
}

#[tokio::test]
async fn parts_of_a_parameter_are_one_statements_own() {
    let stage = stage().await;
    let proxy = lone(&stage, |config| config.pool.prepared_per_connection = 2).await;
    let mut raw = client(&proxy, "app").await;
    let before = prepared(&stage).await;
    let text = "SELECT CAST(LENGTH(?) AS SIGNED)";
    let one = raw.prepare(text).await;
    let other = raw.prepare(text).await;
    let sent = |id| execute(id, 0, &[Param::Sent], true, false);
    let whole = |id, text| execute(id, 0, &[Param::Text(text)], true, false);
    raw.send(&long_data(one, 0, b"hello ")).await;
    assert_eq!(number(&raw.ask(&whole(other, b"ab"), EXECUTE).await), 2);
    raw.send(&long_data(other, 0, b"abc")).await;
    raw.send(&long_data(one, 0, b"world")).await;
    for value in 0..10 {
        raw.prepare(&format!("SELECT {value}")).await;
    }
    assert_eq!(number(&raw.ask(&sent(one), EXECUTE).await), 11);
    assert_eq!(number(&raw.ask(&sent(other), EXECUTE).await), 3);
    // They are used up.
    assert_eq!(number(&raw.ask(&whole(one, b"a"), EXECUTE).await), 1);

    raw.send(&long_data(one, 0, b"dropped")).await;
    raw.ask(&about(0x1A, one), ReplyKind::Simple).await;
    assert_eq!(number(&raw.ask(&whole(one, b"ab"), EXECUTE).await), 2);
    raw.send(&long_data(one, 0, b"closed with its statement"))
        .await;
    raw.send(&about(0x19, one)).await;
    assert_eq!(number(&raw.ask(&whole(other, b"abc"), EXECUTE).await), 3);
    raw.prepare("SELECT 'room'").await;
    assert_eq!(
        prepared(&stage).await,
        before + 2,
        "nothing is held any more"
    );
}

#[tokio::test]
async fn an_execution_ends_the_cursor_before_it() {
    let stage = stage().await;
    stage.schema("tied_again").await;
    let proxy = lone(&stage, |_| {}).await;
    let mut raw = client(&proxy, "tied_again").await;
    raw.query("CREATE TABLE t (id BIGINT PRIMARY KEY)").await;
    raw.query("INSERT INTO t VALUES (1), (2), (3)").await;
    let id = raw
        .prepare("SELECT id FROM t WHERE id > ? ORDER BY id")
        .await;
    open(&mut raw, id, 0).await;
    open(&mut raw, id, 1).await;
    assert_eq!(rows(&raw.ask(&fetch(id, 1), FETCH).await), [2]);
    // A MySQL 9.7 that ran a statement with a cursor sends no rows when it then runs without one.
    let plain = execute(id, 0, &[Param::Int(2)], true, false);
    assert_eq!(number(&raw.ask(&plain, EXECUTE).await), 3);
    let gone = raw.ask(&fetch(id, 1), FETCH).await;
    assert_eq!(error_of(&gone), Some(1421));
    // A statement without rows opens no cursor.
    let write = raw.prepare("INSERT INTO t VALUES (?)").await;
    let payload = execute(write, 1, &[Param::Int(9)], true, false);
    assert_eq!(error_of(&raw.ask(&payload, CURSOR).await), None);
    let none = raw.ask(&fetch(write, 1), FETCH).await;
    assert_eq!(error_of(&none), Some(1421));
    let failed = raw.ask(&payload, CURSOR).await;
    assert_eq!(error_of(&failed), Some(1062));
    let payload = execute(write, 0, &[Param::Int(10)], true, false);
    assert_eq!(error_of(&raw.ask(&payload, EXECUTE).await), None);
}
