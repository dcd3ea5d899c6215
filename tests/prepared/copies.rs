//! A connection's copies: shared where they are equal, and bounded.

use highwater::frontend::ClientError;
use highwater::protocol::frame::append_packet;
use highwater::protocol::reply::ReplyKind;
use tokio::io::AsyncWriteExt;

use crate::measure::count;
use crate::support::raw::{Param, about, error_of, execute, number, shown, usual};
use crate::support::stage::{stage, until};
use crate::{EXECUTE, client, lone, prepared};

const COUNTER: &str = "prepared_statements_total";

#[tokio::test]
async fn equal_texts_share_a_copy_and_keep_their_own_types() {
    let stage = stage().await;
    let proxy = lone(&stage, |_| {}).await;
    let mut raw = client(&proxy, "app").await;
    let before = prepared(&stage).await;
    let text = "SELECT CAST(? AS SIGNED) + 1";
    let one = raw.prepare(text).await;
    let other = raw.prepare(text).await;
    assert_ne!(one, other);

    let int = |id, value, bind| execute(id, 0, &[Param::Int(value)], bind, false);
    let text = |id, value, bind| execute(id, 0, &[Param::Text(value)], bind, false);
    for (payload, sum) in [
        (int(one, 1, true), 2),
        (text(other, b"10", true), 11),
        (int(one, 2, false), 3),
        (text(other, b"20", false), 21),
        (text(other, b"30", false), 31),
        (int(one, 3, false), 4),
    ] {
        assert_eq!(number(&raw.ask(&payload, EXECUTE).await), sum);
    }
    assert_eq!(
        prepared(&stage).await,
        before + 2,
        "one for numbers, one for texts"
    );

    raw.send(&about(0x19, one)).await;
    let closed = raw.ask(&int(one, 5, true), EXECUTE).await;
    assert_eq!(error_of(&closed), Some(1243));
    assert_eq!(
        number(&raw.ask(&text(other, b"40", false), EXECUTE).await),
        41
    );
    raw.send(&about(0x19, other)).await;
    raw.query("SELECT 1").await;
    assert_eq!(
        prepared(&stage).await,
        before + 2,
        "kept for who comes next"
    );
    drop(raw);
    until("a reset drops it", async || {
        prepared(&stage).await == before
    })
    .await;
}

/// A MySQL takes a parameter that was a number once for one ever after: for that statement alone.
#[tokio::test]
async fn what_a_parameter_was_for_one_statement_it_is_not_for_another() {
    let stage = stage().await;
    let proxy = lone(&stage, |_| {}).await;
    let mut raw = client(&proxy, "app").await;
    let mut direct = stage.raw_direct("app", usual()).await;
    let mut ids = Vec::new();
    for raw in [&mut raw, &mut direct] {
        let one = raw.prepare("SELECT ?, @@sql_mode IS NULL").await;
        ids.push([one, raw.prepare("SELECT ?, @@sql_mode IS NULL").await]);
    }
    let values = [
        (0, Param::Int(5)),
        (1, Param::Text(b"a text")),
        (0, Param::Int(6)),
        (1, Param::Text(b"another")),
        (1, Param::Null),
        (1, Param::Int(7)),
        (1, Param::Text(b"8 is the number of it")),
        (0, Param::Int(9)),
    ];
    for (at, (which, value)) in values.iter().enumerate() {
        let value = match value {
            Param::Int(value) => Param::Int(*value),
            Param::Text(text) => Param::Text(text),
            Param::Sent | Param::Null => Param::Null,
        };
        let [proxied, bare] = [&ids[0], &ids[1]].map(|ids| ids[*which]);
        let values = [value];
        let proxied = execute(proxied, 0, &values, true, false);
        let bare = execute(bare, 0, &values, true, false);
        let proxied = raw.ask(&proxied, EXECUTE).await;
        let bare = direct.ask(&bare, EXECUTE).await;
        assert_eq!(shown(&proxied), shown(&bare), "execution {at}");
    }
}

#[tokio::test]
async fn statements_about_user_variables_share_nothing() {
    let stage = stage().await;
    let proxy = lone(&stage, |_| {}).await;
    let mut raw = client(&proxy, "app").await;
    let before = prepared(&stage).await;
    raw.query("SET @a = 1").await;
    let one = raw.prepare("SELECT @a").await;
    let other = raw.prepare("SELECT @a").await;
    assert_eq!(prepared(&stage).await, before + 2);
    for id in [one, other] {
        raw.send(&about(0x19, id)).await;
    }
    raw.query("SELECT 1").await;
    assert_eq!(prepared(&stage).await, before, "of no use to anybody else");
}

#[tokio::test]
async fn a_connection_keeps_only_so_many() {
    const BOUND: u64 = 10;
    let stage = stage().await;
    let proxy = lone(&stage, |config| {
        config.pool.prepared_per_connection = 10;
        config.pool.max_connections = 2;
    })
    .await;
    let before = prepared(&stage).await;
    let mut sessions = [client(&proxy, "app").await, client(&proxy, "app").await];
    let mut ids = Vec::new();
    for value in 0..2000_usize {
        let raw = &mut sessions[value % 2];
        let id = raw
            .prepare(&format!("SELECT CAST({value} AS SIGNED)"))
            .await;
        ids.push((value, id));
        if value % 100 == 0 {
            assert!(prepared(&stage).await <= before + 2 * BOUND, "{value}");
        }
    }
    for (value, id) in ids.into_iter().rev().step_by(7) {
        let raw = &mut sessions[value % 2];
        let frames = raw.ask(&execute(id, 0, &[], true, false), EXECUTE).await;
        assert_eq!(number(&frames), i64::try_from(value).unwrap());
    }
    assert_eq!(prepared(&stage).await, before + 2 * BOUND);
    let events = |event: &str| count(&proxy, COUNTER, &[&format!("event=\"{event}\"")]);
    assert_eq!(events("asked"), 2000);
    assert!(events("again") > 200, "{}", events("again"));
    assert_eq!(
        events("evicted"),
        events("asked") + events("again") - 2 * BOUND
    );
}

#[tokio::test]
async fn a_statement_that_is_in_use_stays() {
    let stage = stage().await;
    let proxy = lone(&stage, |config| config.pool.prepared_per_connection = 3).await;
    let mut raw = client(&proxy, "app").await;
    let hot = raw.prepare("SELECT CAST(? AS SIGNED)").await;
    for value in 0..20 {
        raw.prepare(&format!("SELECT {value}")).await;
        let payload = execute(hot, 0, &[Param::Int(value)], true, false);
        assert_eq!(number(&raw.ask(&payload, EXECUTE).await), value);
    }
    assert_eq!(count(&proxy, COUNTER, &["event=\"again\""]), 0);
    assert_eq!(count(&proxy, COUNTER, &["event=\"reused\""]), 20);
}

#[tokio::test]
async fn a_server_that_has_no_room_is_given_some() {
    let stage = stage().await;
    let proxy = lone(&stage, |_| {}).await;
    let mut raw = client(&proxy, "app").await;
    let root = stage.setup.cluster.primary();
    let limit = async |limit: u64| {
        let sql = format!("SET GLOBAL max_prepared_stmt_count = {limit}");
        root.exec(&sql).await.unwrap();
    };
    limit(prepared(&stage).await + 5).await;
    let mut ids = Vec::new();
    for value in 0..20 {
        ids.push((
            value,
            raw.prepare(&format!("SELECT CAST({value} AS SIGNED)"))
                .await,
        ));
    }
    for (value, id) in ids {
        let frames = raw.ask(&execute(id, 0, &[], true, false), EXECUTE).await;
        assert_eq!(number(&frames), value);
    }
    limit(16_382).await;
    assert!(count(&proxy, COUNTER, &["event=\"evicted\""]) >= 30);
}

#[tokio::test]
async fn a_session_may_have_as_many_as_a_server_allows() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    // No server has this one.
    let prepare = b"\x16SET highwater_read_consistency = 'session'";
    let mut packets = Vec::new();
    for _ in 0..64 {
        append_packet(&mut packets, &mut 0, prepare);
    }
    let most = 16_382;
    let mut done = 0;
    while done < most {
        let now = (most - done).min(64);
        let bytes = packets.len() / 64 * now;
        raw.stream.write_all(&packets[..bytes]).await.unwrap();
        for _ in 0..now {
            assert_eq!(raw.reply(ReplyKind::Prepare).await[0][0], 0);
        }
        done += now;
    }
    let refused = raw.ask(prepare, ReplyKind::Prepare).await;
    assert_eq!(
        error_of(&refused),
        Some(ClientError::TooManyStatements { limit: most }.code())
    );
    raw.send(&about(0x19, 1)).await;
    raw.prepare("SELECT 1").await;
}

/// A statement that never told its types has none, whatever others bound to an equal one.
#[tokio::test]
async fn types_of_another_statement_are_not_borrowed() {
    let stage = stage().await;
    let proxy = lone(&stage, |_| {}).await;
    let mut answers = Vec::new();
    for mut raw in [
        stage.raw_direct("app", usual()).await,
        client(&proxy, "app").await,
    ] {
        let one = raw.prepare("SELECT ?").await;
        let other = raw.prepare("SELECT ?").await;
        let mut codes = Vec::new();
        for (id, bind) in [(one, false), (other, true), (one, false), (other, false)] {
            let payload = execute(id, 0, &[Param::Text(b"x")], bind, false);
            codes.push(error_of(&raw.ask(&payload, EXECUTE).await));
        }
        answers.push(codes);
    }
    assert_eq!(answers[0], answers[1]);
}

/// Types that came with an execution which the server refused for its shape.
#[tokio::test]
async fn types_of_a_refused_execution() {
    let stage = stage().await;
    let proxy = lone(&stage, |_| {}).await;
    let mut answers = Vec::new();
    for mut raw in [
        stage.raw_direct("app", usual()).await,
        client(&proxy, "app").await,
    ] {
        let id = raw.prepare("SELECT CAST(LENGTH(?) AS SIGNED)").await;
        let mut told = Vec::new();
        let mut cut = execute(id, 0, &[Param::Text(b"\x01345678")], true, false);
        cut.truncate(cut.len() - 5);
        for payload in [
            execute(id, 0, &[Param::Int(100)], true, false),
            cut,
            execute(id, 0, &[Param::Text(b"1234567")], false, false),
        ] {
            let frames = raw.ask(&payload, EXECUTE).await;
            told.push(error_of(&frames).map_or_else(|| number(&frames), i64::from));
        }
        answers.push(told);
    }
    assert_eq!(answers[0], answers[1]);
}
