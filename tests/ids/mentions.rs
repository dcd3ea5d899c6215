//! CONNECTION_ID() and @@pseudo_thread_id: the id of the greeting wherever a statement runs, in columns
//! that are the primary's own.

use highwater::protocol::reply::ReplyKind;

use crate::support::raw::{Raw, error_of, execute, shown, usual};
use crate::support::stage::stage;

const EXECUTE: ReplyKind = ReplyKind::Execute { cursor: false };

/// Statements that show the id, as numbers that move with it.
const STATEMENTS: &str = "
    SELECT CONNECTION_ID()
    SELECT connection_id ( ), @@pseudo_thread_id, @@session.pseudo_thread_id AS p
    SELECT `connection_id`() id FROM t ORDER BY CONNECTION_ID()
    SELECT CONNECTION_ID() + 0, CONNECTION_ID() > 0, LENGTH(CONCAT('a', CONNECTION_ID())) > 1
    SELECT * FROM (SELECT CONNECTION_ID(), (SELECT CONNECTION_ID()) FROM t) d
    (SELECT CONNECTION_ID()) UNION SELECT id FROM t WHERE id = 0
    WITH c AS (SELECT CONNECTION_ID()) SELECT * FROM c
    VALUES ROW(CONNECTION_ID(), 1)
    SELECT id FROM t WHERE id < CONNECTION_ID() FOR UPDATE
    SELECT CONNECTION_ID() FROM t GROUP BY CONNECTION_ID() HAVING CONNECTION_ID() > 0
    SET @a = CONNECTION_ID(), @b = @@pseudo_thread_id
    SELECT @a + 0, @b + 0
    INSERT INTO t VALUES (CONNECTION_ID())
    SELECT id FROM t WHERE id = CONNECTION_ID()
    UPDATE t SET id = 5 WHERE id = CONNECTION_ID()
    DO CONNECTION_ID()
    SELECT CONNECTION_ID() INTO @c
    SELECT 1; SELECT CONNECTION_ID(); SELECT @c + 0
    SELECT CONNECTION_ID(1)
    EXPLAIN FORMAT=TRADITIONAL SELECT id FROM t WHERE id = CONNECTION_ID()";

/// A reply's packets with one number put in place of another, whose texts may differ in length.
fn without_id(frames: &[Vec<u8>], id: u32) -> Vec<String> {
    let number = id.to_string();
    let length = char::from(u8::try_from(number.len()).unwrap());
    let one = |frame: &Vec<u8>| {
        let text: String = frame.iter().copied().map(char::from).collect();
        text.replace(&format!("{length}{number}"), "ID")
            .replace(&number, "ID")
    };
    frames.iter().map(one).collect()
}

async fn play(raw: &mut Raw) -> Vec<(String, Vec<String>)> {
    let id = raw.logged_in.server.connection_id;
    raw.query("DELETE FROM t").await;
    raw.query("INSERT INTO t VALUES (1)").await;
    let mut replies = Vec::new();
    for sql in STATEMENTS.lines().map(str::trim).filter(|s| !s.is_empty()) {
        let frames = raw.query(sql).await;
        replies.push((sql.to_owned(), without_id(&frames, id)));
    }
    for sql in [
        "SELECT CONNECTION_ID(), ? + @@pseudo_thread_id",
        "SELECT CONNECTION_ID(), 1",
    ] {
        let prepare = [&[0x16], sql.as_bytes()].concat();
        let frames = raw.ask(&prepare, ReplyKind::Prepare).await;
        let stmt = u32::from_le_bytes(frames[0][1..5].try_into().unwrap());
        replies.push((sql.to_owned(), without_id(&frames[1..], id)));
        if sql.contains('?') {
            continue;
        }
        for _ in 0..2 {
            let attributes = raw.profile.query_attributes();
            let mut frames = raw
                .ask(&execute(stmt, 0, &[], true, attributes), EXECUTE)
                .await;
            let row = frames.remove(3);
            let shown = u64::from_le_bytes(row[2..10].try_into().unwrap());
            assert_eq!(shown, u64::from(id), "{sql}");
            replies.push((sql.to_owned(), without_id(&frames, id)));
        }
    }
    replies
}

#[tokio::test]
async fn the_id_of_the_greeting_is_shown_wherever_a_statement_runs() {
    let stage = stage().await;
    for schema in ["ids", "ids_direct"] {
        stage.schema(schema).await;
        let mut raw = stage.raw_direct(schema, usual()).await;
        raw.query("CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY)")
            .await;
    }
    let mut ours = stage.raw("ids", usual()).await;
    let id = ours.logged_in.server.connection_id;
    assert!((1 << 30..1_u32 << 31).contains(&id), "{id}");
    let ours = play(&mut ours).await;
    let theirs = play(&mut stage.raw_direct("ids_direct", usual()).await).await;
    // A length and the schema behind it; a variable's column may hold NULL as far as it says.
    let differ = |text: &String| {
        text.replace("\u{a}ids_direct", "\u{3}ids")
            .replace("\u{8}\u{a0}", "\u{8}\u{a1}")
    };
    for ((sql, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        let theirs: Vec<_> = theirs.iter().map(differ).collect();
        let ours: Vec<_> = ours.iter().map(differ).collect();
        assert_eq!(ours, theirs, "{sql}");
    }
}

#[tokio::test]
async fn what_a_server_keeps_has_the_servers_id() {
    let stage = stage().await;
    stage.schema("ids_kept").await;
    let mut raw = stage.raw("ids_kept", usual()).await;
    let id = raw.logged_in.server.connection_id.to_string();
    raw.query("CREATE FUNCTION f() RETURNS BIGINT UNSIGNED RETURN CONNECTION_ID()")
        .await;
    assert_ne!(raw.cell("SELECT f()").await, id);
    assert_eq!(raw.cell("SELECT CONNECTION_ID()").await, id);
    for same in [
        "SELECT GET_LOCK('ids_kept', 9) AND IS_USED_LOCK('ids_kept') = CONNECTION_ID()",
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = CONNECTION_ID()",
        "SELECT COUNT(*) FROM performance_schema.threads WHERE processlist_id = CONNECTION_ID()",
    ] {
        assert_eq!(raw.cell(same).await, "1", "{same}");
    }
    raw.query("CREATE TABLE connection_id (a INT)").await;
    let frames = raw.query("INSERT INTO connection_id() VALUES ()").await;
    assert_eq!(error_of(&frames), None, "{}", shown(&frames));
}
