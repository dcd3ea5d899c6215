//! Where a session stands in its transaction, as each packet tells it: also those that Highwater makes itself, behind
//! errors, which tell nothing; and what READ ONLY transactions make of settings, on replicas that have others.

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::reply::ReplyKind;

use crate::support::raw::{Raw, about, shown, usual};
use crate::support::stage::stage;

const PING: &str = "COM_PING";
const RESET: &str = "COM_STMT_RESET";

const SCRIPTS: [&[&str]; 11] = [
    &[
        "SET autocommit = 0",
        "INSERT INTO t VALUES (1)",
        RESET,
        PING,
        "ROLLBACK",
        PING,
    ],
    &[
        "START TRANSACTION",
        "INSERT INTO t VALUES (2)",
        "LOCK TABLES nosuch READ",
        RESET,
        PING,
        "DELETE FROM t WHERE id = 2",
    ],
    &[
        "CALL fails()",
        PING,
        "SELECT COUNT(*) FROM t",
        "ROLLBACK",
        "SELECT COUNT(*) FROM t",
    ],
    &["CALL fails()", "SELECT COUNT(*) FROM t", RESET, "ROLLBACK"],
    &["CALL fails()", "SHOW WARNINGS", "SELECT nosuch", PING],
    &[
        "START TRANSACTION READ ONLY",
        "SET sql_mode = DEFAULT",
        "SELECT @@sql_mode, 'a\\'",
        "COMMIT",
        "SELECT @@sql_mode",
    ],
    &[
        "START TRANSACTION READ ONLY",
        "SELECT COUNT(*) FROM t",
        "SET sql_mode = DEFAULT, time_zone = @@global.time_zone",
        "SELECT @@sql_mode, @@time_zone, COUNT(*) FROM t",
        "SET transaction_isolation = DEFAULT",
        PING,
        "COMMIT",
        "SELECT @@sql_mode, @@time_zone",
    ],
    &[
        "START TRANSACTION READ ONLY",
        "SELECT @@transaction_read_only, @@global.sql_mode",
        "SHOW VARIABLES LIKE 'transaction_read_only'",
        "SELECT COUNT(*) FROM t",
        "SHOW SESSION VARIABLES LIKE 'sql_mode'",
        "SELECT @@transaction_read_only",
        "COMMIT",
    ],
    &[
        "START TRANSACTION READ ONLY",
        "SELECT COUNT(*) FROM t",
        "SELECT GET_LOCK('standing', 0)",
        PING,
        "SELECT RELEASE_ALL_LOCKS()",
        "COMMIT",
    ],
    &[
        "START TRANSACTION READ ONLY",
        "START TRANSACTION",
        "INSERT INTO t VALUES (3)",
        "SELECT COUNT(*) FROM t",
        "BEGIN",
        PING,
        "START TRANSACTION READ WRITE",
        "INSERT INTO t VALUES (3)",
        "ROLLBACK",
    ],
    &[
        "SET @a = 1",
        "CREATE TEMPORARY TABLE x (id INT)",
        "START TRANSACTION READ ONLY",
        "BEGIN",
        "UPDATE t SET id = 9",
        "COMMIT",
        "DROP TEMPORARY TABLE x",
    ],
];

/// The packets of each step.
async fn play(raw: &mut Raw, script: &[&str]) -> Vec<String> {
    let id = raw.prepare("SELECT 1").await;
    let mut answers = Vec::new();
    for sql in script {
        let frames = match *sql {
            PING => raw.ask(&[0x0E], ReplyKind::Simple).await,
            RESET => raw.ask(&about(0x1A, id), ReplyKind::Simple).await,
            sql => raw.query(sql).await,
        };
        answers.push(format!("{sql}\n    {}", shown(&frames)));
    }
    answers
}

#[tokio::test]
async fn every_packet_tells_where_a_session_stands() {
    let stage = stage().await;
    stage.schema("standing").await;
    let flags = usual() - CapabilityFlags::CLIENT_SESSION_TRACK;
    let mut raw = stage.raw("standing", flags).await;
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "CREATE PROCEDURE fails() BEGIN START TRANSACTION; INSERT INTO t VALUES (7); \
         SIGNAL SQLSTATE '45000'; END",
    ] {
        raw.query(sql).await;
    }
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let mut wrong = String::new();
    for script in SCRIPTS {
        let mut direct = stage.raw_direct("standing", flags).await;
        let expected = play(&mut direct, script).await;
        direct.query("ROLLBACK").await;
        drop(direct);
        let mut raw = stage.raw("standing", flags).await;
        let told = play(&mut raw, script).await;
        raw.query("ROLLBACK").await;
        for (told, expected) in told.iter().zip(&expected).filter(|(a, b)| a != b) {
            wrong += &format!("{script:?}\none server: {expected}\nHighwater: {told}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
