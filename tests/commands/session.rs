//! Commands about the session itself, and packets that are no commands.

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::command::com_query;
use highwater::protocol::frame::append_packet;
use highwater::protocol::ok::TrackEntry;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::APP;
use tokio::io::AsyncWriteExt;

use crate::support::raw::{Raw, error_of, ok_of, shown, usual};
use crate::support::stage::stage;

const SIMPLE: ReplyKind = ReplyKind::Simple;

#[tokio::test]
async fn what_is_no_command_of_ours_is_refused_and_the_session_goes_on() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    for payload in [
        vec![0xEE],
        vec![0x22],
        vec![0x00],
        vec![0x0B],
        vec![0x10],
        vec![0x1D],
    ] {
        let frames = raw.ask(&payload, SIMPLE).await;
        assert_eq!(
            error_of(&frames),
            Some(1047),
            "{:#04x}: {}",
            payload[0],
            shown(&frames)
        );
        assert_eq!(raw.cell("SELECT 1").await, "1");
    }
}

#[tokio::test]
async fn an_empty_packet_is_an_error() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let frames = raw.ask(&[], SIMPLE).await;
    assert!(error_of(&frames).is_some(), "{}", shown(&frames));
}

#[tokio::test]
async fn statistics_are_one_line_of_text() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let frames = raw.ask(&[0x09], ReplyKind::Statistics).await;
    assert!(frames[0].starts_with(b"Uptime"), "{}", shown(&frames));
    assert_eq!(raw.cell("SELECT 1").await, "1");
}

#[tokio::test]
async fn commands_sent_ahead_are_answered_in_order() {
    let stage = stage().await;
    stage.schema("ahead").await;
    let mut raw = stage.raw("ahead", usual()).await;
    let mut out = Vec::new();
    let statements = [
        "CREATE TABLE t (id INT)",
        "INSERT INTO t VALUES (1)",
        "SELECT COUNT(*) FROM t",
        "SELECT nosuch",
        "SELECT COUNT(*) + 100 FROM t",
        "INSERT INTO t VALUES (2), (3)",
        "SELECT COUNT(*) FROM t",
    ];
    for sql in statements {
        append_packet(&mut out, &mut 0, &com_query(sql.as_bytes(), false));
    }
    append_packet(&mut out, &mut 0, &[0x0E]);
    raw.stream.write_all(&out).await.unwrap();
    let mut got = Vec::new();
    for _ in statements {
        let frames = raw.reply(ReplyKind::Query).await;
        got.push(match (error_of(&frames), frames.get(2)) {
            (Some(code), _) => format!("error {code}"),
            (None, Some(row)) => String::from_utf8_lossy(&row[1..]).into_owned(),
            (None, None) => format!("{} rows", ok_of(&frames).affected_rows),
        });
    }
    raw.reply(SIMPLE).await;
    assert_eq!(
        got,
        ["0 rows", "1 rows", "1", "error 1054", "101", "2 rows", "3"]
    );
}

#[tokio::test]
async fn change_user_starts_anew() {
    let stage = stage().await;
    stage.schema("change_user").await;
    let mut raw = stage.raw("change_user", usual()).await;
    raw.query("CREATE TABLE t (id INT)").await;
    raw.query("SET @a = 1, sort_buffer_size = 70000").await;
    raw.query("BEGIN").await;
    raw.query("INSERT INTO t VALUES (1)").await;

    let last = raw.change_user(APP.user, APP.password, "change_user").await;
    assert_eq!(error_of(&[last]), None);
    assert_eq!(
        raw.cell("SELECT COUNT(*) FROM t").await,
        "0",
        "the transaction was rolled back"
    );
    assert_eq!(raw.cell("SELECT @a IS NULL").await, "1");
    assert_ne!(raw.cell("SELECT @@sort_buffer_size").await, "70000");

    let last = raw.change_user("second", "second-pw", "app").await;
    assert_eq!(error_of(&[last]), None);
    assert_eq!(
        raw.cell("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")
            .await,
        "second"
    );
    assert_eq!(raw.cell("SELECT DATABASE()").await, "app");
    assert_eq!(
        raw.cell("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1) FROM DUAL FOR UPDATE")
            .await,
        "second"
    );

    let last = raw
        .change_user(APP.user, APP.password, "nosuchschema")
        .await;
    assert_eq!(error_of(&[last]), Some(1049));
}

#[tokio::test]
async fn change_user_with_a_wrong_password_ends_the_session() {
    let stage = stage().await;
    for (user, password) in [(APP.user, "wrong"), ("nosuchuser", "x")] {
        let mut raw = stage.raw("app", usual()).await;
        let last = raw.change_user(user, password, "app").await;
        assert_eq!(error_of(&[last]), Some(1045));
        assert!(raw.frame().await.is_none(), "the connection is closed");
    }
}

#[tokio::test]
async fn reset_connection_puts_the_session_back() {
    let stage = stage().await;
    stage.schema("reset").await;
    for flags in [usual(), usual() - CapabilityFlags::CLIENT_DEPRECATE_EOF] {
        let mut raw = stage.raw("reset", flags).await;
        raw.query("DROP TABLE IF EXISTS t").await;
        raw.query("CREATE TABLE t (id INT)").await;
        raw.query("CREATE TEMPORARY TABLE tmp (id INT)").await;
        raw.query("SET @a = 1, sort_buffer_size = 70000, autocommit = 0")
            .await;
        raw.query("INSERT INTO t VALUES (1)").await;
        assert_eq!(error_of(&raw.ask(&[0x1F], SIMPLE).await), None);
        assert_eq!(raw.cell("SELECT COUNT(*) FROM t").await, "0");
        assert_eq!(
            raw.cell("SELECT CONCAT(@a IS NULL, @@autocommit)").await,
            "11"
        );
        assert_ne!(raw.cell("SELECT @@sort_buffer_size").await, "70000");
        assert_eq!(error_of(&raw.query("SELECT * FROM tmp").await), Some(1146));
        assert_eq!(raw.cell("SELECT DATABASE()").await, "reset");
        raw.query("INSERT INTO t VALUES (1)").await;
        assert_eq!(
            raw.cell("SELECT COUNT(*) FROM t").await,
            "1",
            "own writes are seen"
        );
    }
}

#[tokio::test]
async fn process_kill_knows_only_the_ids_of_clients() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let mut victim = stage.raw("app", usual()).await;
    assert_eq!(victim.cell("SELECT 1").await, "1");
    let kill = |id: u32| [&[0x0C][..], &id.to_le_bytes()].concat();
    assert_eq!(
        error_of(&raw.ask(&kill(4_000_000_000), SIMPLE).await),
        Some(1094)
    );
    let id = victim.logged_in.server.connection_id;
    assert_eq!(error_of(&raw.ask(&kill(id), SIMPLE).await), None);
    assert!(
        victim.frame().await.is_none(),
        "the victim's connection is closed"
    );
    assert_eq!(error_of(&raw.ask(&kill(id), SIMPLE).await), Some(1094));
}

/// The GTIDs that the OK of a reply tells.
fn gtids(raw: &Raw, frames: &[Vec<u8>]) -> Option<String> {
    assert!(
        raw.profile
            .flags()
            .contains(CapabilityFlags::CLIENT_SESSION_TRACK)
    );
    ok_of(frames).session_track().find_map(|entry| match entry {
        TrackEntry::Gtids(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    })
}

#[tokio::test]
async fn a_client_that_asks_for_gtids_gets_its_own() {
    let stage = stage().await;
    stage.schema("gtids").await;
    let mut raw = stage.raw("gtids", usual()).await;
    let frames = raw.query("CREATE TABLE t (id INT)").await;
    assert_eq!(gtids(&raw, &frames), None, "nobody asked");
    raw.query("SET SESSION session_track_gtids = OWN_GTID")
        .await;
    let frames = raw.query("INSERT INTO t VALUES (1)").await;
    let told = gtids(&raw, &frames).expect("a GTID");
    assert_eq!(raw.cell("SELECT COUNT(*) FROM t").await, "1");
    let frames = raw.query("SELECT id FROM t").await;
    assert_eq!(
        gtids(&raw, &frames),
        None,
        "a replica's executed set is not the client's"
    );
    let primary = stage.setup.cluster.primary();
    let asked = format!("SELECT GTID_SUBSET('{told}', @@global.gtid_executed)");
    assert_eq!(primary.value(&asked).await.unwrap().as_deref(), Some("1"));
    raw.query("SET SESSION session_track_gtids = OFF").await;
    let frames = raw.query("INSERT INTO t VALUES (2)").await;
    assert_eq!(gtids(&raw, &frames), None);
    assert_eq!(
        raw.cell("SELECT COUNT(*) FROM t").await,
        "2",
        "and own writes are still seen"
    );
}
