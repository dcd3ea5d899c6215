//! What was in force at a PREPARE is in force wherever the statement runs, and what a table is, is
//! what it is now.

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::reply::ReplyKind;
use highwater::protocol::status::Status;

use crate::EXECUTE;
use crate::support::raw::{Raw, error_of, execute, ok_of, shown, usual};
use crate::support::stage::stage;

const PREPARE: ReplyKind = ReplyKind::Prepare;

/// Settings, a text that is prepared under them, and settings under which it then runs.
const CASES: [(&str, &[u8], &str); 9] = [
    (
        "SET sql_mode = 'ANSI_QUOTES'",
        b"SELECT \"name\" FROM t",
        "SET sql_mode = ''",
    ),
    (
        "SET sql_mode = 'PIPES_AS_CONCAT'",
        b"SELECT 1 || 0",
        "SET sql_mode = ''",
    ),
    ("DO 0", b"SELECT 1 || 0", "SET sql_mode = 'PIPES_AS_CONCAT'"),
    (
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
        b"SELECT 'a\\\\b'",
        "SET sql_mode = ''",
    ),
    (
        "SET NAMES latin1",
        b"SELECT CHAR_LENGTH('\xC3\xA9')",
        "SET NAMES utf8mb4",
    ),
    (
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        b"SELECT 'a' = 'A'",
        "SET NAMES utf8mb4",
    ),
    (
        "SET div_precision_increment = 9",
        b"SELECT 1 / 7",
        "SET div_precision_increment = 4",
    ),
    ("DO 0", b"SELECT 1 / 7", "SET div_precision_increment = 9"),
    (
        "SET time_zone = '+05:00'",
        b"SELECT TIMESTAMP '2020-01-01 00:00:00+00:00'",
        "SET time_zone = '+00:00'",
    ),
];

/// What each case shows where it was prepared, and on the other connection: inside a transaction.
async fn shown_by(raw: &mut Raw) -> Vec<[String; 3]> {
    let mut all = Vec::new();
    for (before, text, after) in CASES {
        raw.ask(&[0x1F], ReplyKind::Simple).await;
        raw.query(before).await;
        let prepared = raw.ask(&[b"\x16", text].concat(), PREPARE).await;
        assert_eq!(prepared[0][0], 0, "{}", shown(&prepared));
        let id = u32::from_le_bytes(prepared[0][1..5].try_into().unwrap());
        raw.query(after).await;
        let run = execute(id, 0, &[], true, false);
        let row = async |raw: &mut Raw| {
            let frames = raw.ask(&run, EXECUTE).await;
            frames
                .get(2)
                .map_or_else(|| shown(&frames), |row| shown(std::slice::from_ref(row)))
        };
        let here = row(raw).await;
        raw.query("BEGIN").await;
        let there = row(raw).await;
        raw.query("COMMIT").await;
        all.push([String::from_utf8_lossy(text).into_owned(), here, there]);
    }
    all
}

#[tokio::test]
async fn what_was_in_force_at_the_prepare_holds_on_every_connection() {
    let stage = stage().await;
    stage.schema("in_force").await;
    let mut raw = stage.raw("in_force", usual()).await;
    raw.query("CREATE TABLE t (name VARCHAR(10))").await;
    raw.query("INSERT INTO t VALUES ('value')").await;
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let expected = shown_by(&mut stage.raw_direct("in_force", usual()).await).await;
    assert_eq!(shown_by(&mut raw).await, expected);
}

/// Of an execution's answer: the column count, what comes behind the columns (an EOF, or the first row),
/// and whether the number of columns is said to have changed; or the error.
fn answer(frames: &[Vec<u8>]) -> Result<(u8, Vec<u8>, bool), Option<u16>> {
    if let Some(code) = error_of(frames) {
        return Err(Some(code));
    }
    let columns = frames[0][0];
    let behind = match columns {
        // An OK names GTIDs and numbers of its own server.
        0 => None,
        _ => frames.get(usize::from(columns) + 1),
    };
    let changed = ok_of(frames).status.contains(Status::METADATA_CHANGED);
    Ok((columns, behind.cloned().unwrap_or_default(), changed))
}

#[tokio::test]
async fn a_statement_follows_its_table_as_on_one_server() {
    follows("follows", usual()).await;
}

#[tokio::test]
async fn and_where_an_eof_ends_the_columns() {
    follows(
        "follows_eof",
        usual() - CapabilityFlags::CLIENT_DEPRECATE_EOF,
    )
    .await;
}

async fn follows(name: &str, flags: CapabilityFlags) {
    let stage = stage().await;
    let mut told = Vec::new();
    for direct in [true, false] {
        let schema = &format!("{name}_{direct}");
        stage.schema(schema).await;
        let mut raw = match direct {
            true => stage.raw_direct(schema, flags).await,
            false => stage.raw(schema, flags).await,
        };
        let mut answers = Vec::new();
        raw.query("CREATE TABLE t (a BIGINT)").await;
        raw.query("INSERT INTO t VALUES (1)").await;
        let read = raw.prepare("SELECT * FROM t").await;
        let write = raw.prepare("INSERT INTO t SELECT * FROM t").await;
        for change in [
            "DO 0",
            "ALTER TABLE t ADD COLUMN b BIGINT DEFAULT 7",
            "BEGIN",
            "ALTER TABLE t ADD COLUMN c BIGINT DEFAULT 8",
            "BEGIN",
            "COMMIT",
            "ALTER TABLE t DROP COLUMN a",
            "ALTER TABLE t MODIFY b VARCHAR(20)",
            "DROP TABLE t",
            "CREATE TABLE t (other BIGINT)",
            "INSERT INTO t VALUES (11)",
            "BEGIN",
        ] {
            raw.query(change).await;
            for id in [read, write, read] {
                let payload = execute(id, 0, &[], true, false);
                answers.push((change, answer(&raw.ask(&payload, EXECUTE).await)));
            }
        }
        raw.query("COMMIT").await;
        told.push(answers);
    }
    let theirs = told.remove(0);
    assert!(theirs.iter().any(|(_, answer)| *answer == Err(Some(1146))));
    assert!(
        theirs
            .iter()
            .any(|(_, answer)| matches!(answer, Ok((.., true))))
    );
    for (ours, theirs) in told.remove(0).iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

/// A PREPARE is a read: it finds what its session has just made.
#[tokio::test]
async fn a_prepare_sees_its_sessions_own_tables() {
    let stage = stage().await;
    stage.schema("own_ddl").await;
    let mut raw = stage.raw("own_ddl", usual()).await;
    for turn in 0..20 {
        raw.query(&format!("CREATE TABLE t{turn} (a BIGINT)")).await;
        let id = raw.prepare(&format!("SELECT * FROM t{turn}")).await;
        raw.query(&format!("ALTER TABLE t{turn} ADD b BIGINT"))
            .await;
        let frames = raw
            .ask(
                &[b"\x16", format!("SELECT b FROM t{turn}").as_bytes()].concat(),
                PREPARE,
            )
            .await;
        assert_eq!(error_of(&frames), None, "{turn}");
        let frames = raw.ask(&execute(id, 0, &[], true, false), EXECUTE).await;
        assert_eq!(frames[0][0], 2, "{turn}: {}", shown(&frames));
    }
}
