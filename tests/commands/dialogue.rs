//! One long dialogue for every combination of capabilities that shapes replies: each packet through
//! Highwater is the packet that the primary itself sends.

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::command::com_query;
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::ReplyKind;

use crate::support::raw::{Param, Raw, about, execute, fetch, long_data, shown, usual};
use crate::support::stage::{Stage, stage};

const SIMPLE: ReplyKind = ReplyKind::Simple;
const EXECUTE: ReplyKind = ReplyKind::Execute { cursor: false };
const CURSOR: ReplyKind = ReplyKind::Execute { cursor: true };

/// A command, and the shape of its reply if it has one.
struct Step {
    name: String,
    payload: Vec<u8>,
    reply: Option<ReplyKind>,
}

fn step(name: &str, payload: Vec<u8>, reply: ReplyKind) -> Step {
    Step {
        name: name.to_owned(),
        payload,
        reply: Some(reply),
    }
}

fn silent(name: &str, payload: Vec<u8>) -> Step {
    Step {
        name: name.to_owned(),
        payload,
        reply: None,
    }
}

fn with_text(code: u8, text: &str) -> Vec<u8> {
    [&[code], text.as_bytes()].concat()
}

/// COM_QUERY, with an attribute where they are in force.
fn query(sql: &str, attributes: bool) -> Step {
    let mut payload = vec![0x03];
    if attributes {
        payload.extend_from_slice(b"\x01\x01\x00\x01\xfd\x00\x05trace\x03abc");
        payload.extend_from_slice(sql.as_bytes());
    } else {
        payload = com_query(sql.as_bytes(), false);
    }
    step(sql, payload, ReplyKind::Query)
}

fn queries(text: &str, attributes: bool) -> Vec<Step> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|sql| query(sql, attributes)).collect()
}

fn dialogue(schema: &str, attributes: bool) -> Vec<Step> {
    let run = |id, flags, params: &[Param<'_>], bind| execute(id, flags, params, bind, attributes);
    let mut steps = queries(
        "SELECT 1
         CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100), b LONGBLOB)
         INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'b'), (3, NULL)
         SELECT id, v FROM t ORDER BY id
         SELECT id FROM t WHERE id = 99
         SELECT nosuch FROM t
         SELECT CAST('x' AS SIGNED)
         SHOW WARNINGS
         UPDATE t SET v = 'z' WHERE id < 3
         DO 1
         CREATE PROCEDURE p() BEGIN SELECT id FROM t; SELECT 'two'; UPDATE t SET v = 'y'; END
         CALL p()
         SELECT 1; INSERT INTO t (id) VALUES (10); SELECT 2, 3; SELECT nosuch FROM t; SELECT 3
         SELECT id FROM t; SELECT 2",
        attributes,
    );
    steps.extend([
        step("ping", vec![0x0E], SIMPLE),
        step("init_db", with_text(0x02, schema), SIMPLE),
        step("init_db nosuch", with_text(0x02, "nosuchschema"), SIMPLE),
        step("field_list", with_text(0x04, "t\0%"), ReplyKind::FieldList),
        step(
            "field_list nosuch",
            with_text(0x04, "nosuch\0"),
            ReplyKind::FieldList,
        ),
        step("set_option off", vec![0x1B, 1, 0], SIMPLE),
        query("SELECT 1; SELECT 2", attributes),
        step("set_option on", vec![0x1B, 0, 0], SIMPLE),
        query("SELECT 1; SELECT 2", attributes),
        step("set_option bad", vec![0x1B, 7, 0], SIMPLE),
        step(
            "prepare 1",
            with_text(0x16, "SELECT id, v FROM t WHERE id >= ? ORDER BY id"),
            ReplyKind::Prepare,
        ),
        step("execute 1", run(1, 0, &[Param::Int(2)], true), EXECUTE),
        step(
            "execute 1, types known",
            run(1, 0, &[Param::Int(1)], false),
            EXECUTE,
        ),
        query("BEGIN", attributes),
        step(
            "execute 1 elsewhere",
            run(1, 0, &[Param::Int(3)], false),
            EXECUTE,
        ),
        query("COMMIT", attributes),
        step("execute 1 null", run(1, 0, &[Param::Null], true), EXECUTE),
        step(
            "execute 1 text",
            run(1, 0, &[Param::Text(b"2")], true),
            EXECUTE,
        ),
        step(
            "prepare wrong",
            with_text(0x16, "SELEC 1"),
            ReplyKind::Prepare,
        ),
        step(
            "prepare 3",
            with_text(0x16, "INSERT INTO t (id, b) VALUES (?, ?)"),
            ReplyKind::Prepare,
        ),
        silent("long data", long_data(3, 1, b"hello ")),
        silent("long data", long_data(3, 1, b"world")),
        step(
            "execute 3",
            run(3, 0, &[Param::Int(20), Param::Sent], true),
            EXECUTE,
        ),
        silent("long data", long_data(3, 1, b"dropped by reset")),
        step("reset 3", about(0x1A, 3), SIMPLE),
        step(
            "execute 3 again",
            run(3, 0, &[Param::Int(21), Param::Text(b"plain")], true),
            EXECUTE,
        ),
        step(
            "execute 3 twice",
            run(3, 0, &[Param::Int(21), Param::Text(b"plain")], false),
            EXECUTE,
        ),
        query("SELECT id, b FROM t WHERE id >= 20", attributes),
        step("cursor 1", run(1, 1, &[Param::Int(0)], true), CURSOR),
        step("fetch 2", fetch(1, 2), ReplyKind::Fetch),
        query("SELECT 'between'", attributes),
        step("fetch the rest", fetch(1, 100), ReplyKind::Fetch),
        step("fetch after the end", fetch(1, 1), ReplyKind::Fetch),
        step("cursor 1 again", run(1, 1, &[Param::Int(0)], false), CURSOR),
        step("reset closes it", about(0x1A, 1), SIMPLE),
        step("fetch after reset", fetch(1, 1), ReplyKind::Fetch),
        step("prepare 4", with_text(0x16, "CALL p()"), ReplyKind::Prepare),
        step("execute 4", run(4, 0, &[], true), EXECUTE),
        step(
            "prepare 5",
            with_text(0x16, "SELECT COUNT(*) FROM t"),
            ReplyKind::Prepare,
        ),
        step("execute 5", run(5, 0, &[], true), EXECUTE),
        silent("close 5", about(0x19, 5)),
        step("execute closed", run(5, 0, &[], true), EXECUTE),
        step("reset closed", about(0x1A, 5), SIMPLE),
        step("fetch closed", fetch(5, 1), ReplyKind::Fetch),
        step("unknown command", vec![0xEE], SIMPLE),
    ]);
    let trackers = format!(
        "SET NAMES latin1
         SET time_zone = '+02:00'
         USE {schema}
         SET autocommit = 0
         SELECT COUNT(*) FROM t
         SET autocommit = 1
         SET session_track_state_change = ON
         SET @a = 1
         SET session_track_transaction_info = 'CHARACTERISTICS'
         BEGIN
         SELECT COUNT(*) FROM t
         INSERT INTO t (id) VALUES (30)
         ROLLBACK
         SET TRANSACTION ISOLATION LEVEL READ COMMITTED
         START TRANSACTION READ ONLY
         SELECT COUNT(*) FROM t
         COMMIT
         SELECT COUNT(*) FROM t
         SET session_track_transaction_info = 'STATE'
         SELECT COUNT(*) FROM t
         BEGIN
         COMMIT
         SET session_track_transaction_info = OFF
         SET session_track_system_variables = 'sql_mode,sort_buffer_size'
         SET sort_buffer_size = 70000, sql_mode = '', max_join_size = 99999
         SET session_track_schema = OFF
         USE {schema}
         SELECT COUNT(*) FROM t
         SET session_track_system_variables = ''
         SET sort_buffer_size = 70001"
    );
    steps.extend(queries(&trackers, attributes));
    steps.push(step("reset_connection", vec![0x1F], SIMPLE));
    steps.extend(queries(
        "SET sort_buffer_size = 70002
         SET NAMES utf8mb4
         SELECT DATABASE(), @@sort_buffer_size, @a
         DROP PROCEDURE p
         DROP TABLE t",
        attributes,
    ));
    steps.push(step(
        "execute after reset",
        run(1, 0, &[Param::Int(2)], true),
        EXECUTE,
    ));
    steps
}

async fn play(raw: &mut Raw, steps: &[Step]) -> Vec<Vec<Vec<u8>>> {
    // At its default, OFF, a 9.7 tells of BEGIN all the same; Highwater does not.
    raw.query("SET session_track_transaction_info = 'STATE'")
        .await;
    let mut replies = Vec::new();
    for step in steps {
        raw.send(&step.payload).await;
        replies.push(match step.reply {
            Some(kind) => raw.reply(kind).await,
            None => Vec::new(),
        });
    }
    replies
}

/// Words of errors may differ, where they are ours.
fn same(ours: &[Vec<u8>], theirs: &[Vec<u8>]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(ours, theirs)| {
            match (ErrView::parse(ours), ErrView::parse(theirs)) {
                (Some(ours), Some(theirs)) => {
                    (ours.code, ours.state) == (theirs.code, theirs.state)
                }
                _ => ours == theirs,
            }
        })
}

async fn check(stage: &Stage, schema: &str, flags: CapabilityFlags) -> Vec<String> {
    let attributes = flags.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
    let steps = dialogue(schema, attributes);
    let theirs = play(&mut stage.raw_direct(schema, flags).await, &steps).await;
    let ours = play(&mut stage.raw(schema, flags).await, &steps).await;
    let mut wrong = Vec::new();
    for ((step, ours), theirs) in steps.iter().zip(&ours).zip(&theirs) {
        if !same(ours, theirs) {
            wrong.push(format!(
                "{}\n  primary:\n    {}\n  highwater:\n    {}",
                step.name,
                shown(theirs),
                shown(ours)
            ));
        }
    }
    wrong
}

#[tokio::test]
async fn replies_are_the_primarys_byte_for_byte() {
    let stage = stage().await;
    stage.schema("dialogue").await;
    let shaping = [
        CapabilityFlags::CLIENT_DEPRECATE_EOF,
        CapabilityFlags::CLIENT_SESSION_TRACK,
        CapabilityFlags::CLIENT_QUERY_ATTRIBUTES,
    ];
    let mut wrong = Vec::new();
    for choice in 0..8_usize {
        let mut flags = usual();
        for (bit, flag) in shaping.into_iter().enumerate() {
            flags.set(flag, choice & (1 << bit) != 0);
        }
        for line in check(&stage, "dialogue", flags).await {
            wrong.push(format!("[{choice:03b}] {line}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
