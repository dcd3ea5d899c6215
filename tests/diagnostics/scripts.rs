//! What comes between a statement and the question about it.

use std::time::Duration;

use highwater::config::PoolMode;
use highwater::domain::session::aftermath::state_of;
use highwater::rig::{Cluster, ROOT};
use mysql_async::prelude::Queryable;

use super::compare::Pair;
use super::support::Setup;
use super::support::stage::stage;

/// Statements in one session, each of whose answers must be that of one server.
const SCRIPTS: [(&str, &[&str]); 25] = [
    (
        "found rows of a replica, after a write",
        &[
            "SELECT * FROM u",
            "INSERT INTO n VALUES (1, 1)",
            "SELECT FOUND_ROWS()",
            "SELECT SQL_CALC_FOUND_ROWS * FROM u LIMIT 1",
            "INSERT INTO n VALUES (1, 1)",
            "SELECT FOUND_ROWS()",
        ],
    ),
    (
        "diagnostics of a replica into user variables",
        &[
            "SELECT 1/0 FROM u",
            "GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT",
            "GET DIAGNOSTICS CONDITION 1 @c = MYSQL_ERRNO, @m = MESSAGE_TEXT, @t = TABLE_NAME",
            "SHOW WARNINGS",
            "SELECT @n, @r, @c, @m = 'Division by 0', @t = ''",
            "SELECT * FROM nosuch",
            "GET DIAGNOSTICS CONDITION 1 @c = MYSQL_ERRNO, @m = MESSAGE_TEXT, @s = RETURNED_SQLSTATE",
            "SELECT @c, LENGTH(@m) > 9, @s = '42S02'",
        ],
    ),
    (
        "one after the other",
        &[
            "SELECT 1/0 FROM u",
            "SHOW WARNINGS",
            "SHOW COUNT(*) WARNINGS",
            "SHOW WARNINGS",
            "SELECT @@warning_count",
            "SHOW WARNINGS",
            "SELECT FOUND_ROWS()",
            "SHOW WARNINGS",
        ],
    ),
    (
        "a READ ONLY transaction on a replica",
        &[
            "INSERT INTO t (v) VALUES (11)",
            "START TRANSACTION READ ONLY",
            "SELECT ROW_COUNT()",
            "SELECT * FROM u LIMIT 2",
            "SELECT FOUND_ROWS(), LAST_INSERT_ID()",
            "SELECT 1/0 FROM u",
            "SHOW WARNINGS",
            "SELECT LAST_INSERT_ID(12)",
            "COMMIT",
            "SELECT ROW_COUNT()",
            "SELECT LAST_INSERT_ID()",
        ],
    ),
    (
        "autocommit off",
        &[
            "SET autocommit = 0",
            "SELECT 1/0 FROM u",
            "SHOW WARNINGS",
            "SELECT FOUND_ROWS()",
            "COMMIT",
            "SELECT ROW_COUNT(), FOUND_ROWS()",
            "SET autocommit = 1",
        ],
    ),
    (
        "settings in between",
        &[
            "SELECT * FROM u",
            "SET sql_mode = 'ANSI'",
            "SELECT FOUND_ROWS(), ROW_COUNT()",
            "SELECT 1/0 FROM u",
            "SELECT @@warning_count",
            "SET sql_mode = DEFAULT",
        ],
    ),
    (
        "the primary's connection is lost",
        &[
            "INSERT INTO t (v) VALUES (21)",
            "!cut",
            "SELECT LAST_INSERT_ID(), ROW_COUNT()",
            "INSERT INTO t (v) VALUES (22)",
            "!cut",
            "INSERT INTO n VALUES (LAST_INSERT_ID(), 1)",
            "SELECT * FROM n",
            "DELETE FROM n",
            "!cut",
            "SELECT ROW_COUNT()",
            "!cut",
            "SELECT ROW_COUNT(), FOUND_ROWS()",
            "INSERT INTO t (v) VALUES (23)",
            "!cut",
            "CALL keeps_id()",
            "SELECT a FROM n",
        ],
    ),
    (
        "a replica's connection is lost",
        &[
            "SELECT * FROM u",
            "!cut",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM u",
            "!cut",
            "SHOW WARNINGS",
            "SELECT 1/0",
            "!cut",
            "SHOW COUNT(*) WARNINGS",
            "SELECT 1/0",
            "!cut",
            "SELECT @@warning_count, @@error_count, ROW_COUNT()",
        ],
    ),
    (
        "errors and a lost connection",
        &[
            "SELECT * FROM nosuch",
            "!cut",
            "SHOW ERRORS",
            "SELECT * FROM nosuch",
            "!cut",
            "SHOW COUNT(*) ERRORS",
            "INSERT INTO t (v) VALUES (5)",
            "!cut",
            "SHOW WARNINGS",
            "SELECT ROW_COUNT()",
        ],
    ),
    (
        "commands that are no statements",
        &[
            "DELETE FROM n",
            "INSERT INTO n VALUES (1, 1), (2, 2)",
            "!ping",
            "SELECT ROW_COUNT()",
            "SELECT 1/0 FROM u",
            "!ping",
            "SHOW WARNINGS",
        ],
    ),
    (
        "a function of the session's own id",
        &[
            "INSERT INTO t (v) VALUES (31)",
            "SELECT v FROM t WHERE id = LAST_INSERT_ID()",
            "SELECT * FROM u",
            "UPDATE t SET v = 32 WHERE id = LAST_INSERT_ID()",
            "SELECT v FROM t WHERE id = @@last_insert_id",
        ],
    ),
    (
        "the variables of a connection, and an error behind rows",
        &[
            "INSERT INTO t (v) VALUES (33)",
            "SHOW VARIABLES LIKE 'last_insert_id'",
            "SELECT 1",
            "SELECT * FROM u WHERE id < 0; SELECT * FROM nosuch",
            "SELECT FOUND_ROWS()",
        ],
    ),
    (
        "a profiled session, in which nothing else runs",
        &[
            "SET profiling = 1",
            "SHOW WARNINGS",
            "SELECT 1",
            "SHOW WARNINGS",
            "SELECT COUNT(DISTINCT query_id) FROM information_schema.profiling",
            "SET profiling = 0",
        ],
    ),
    (
        "settings that warn, and of which more has to be asked",
        &[
            "SET NAMES utf8mb3",
            "SHOW WARNINGS",
            "SET NAMES utf8mb3",
            "SELECT @@warning_count, ROW_COUNT()",
            "SET SESSION session_track_system_variables = 'autocommit', sql_mode = 'NO_ZERO_DATE'",
            "SHOW WARNINGS",
            "UPDATE u SET v = v",
            "SET session_track_system_variables = 'autocommit'",
            "SELECT FOUND_ROWS()",
            "SET sql_mode = DEFAULT",
            "SELECT GET_LOCK(DATABASE(), 0), 1/0",
            "SHOW WARNINGS",
            "SELECT RELEASE_ALL_LOCKS()",
            "SET NAMES latin1",
            "SELECT 1/0",
            "SET @a = 1",
            "SHOW WARNINGS",
            "SET NAMES utf8mb4",
        ],
    ),
    (
        "SQLSTATEs of warnings",
        &[
            "SELECT 1/0, CAST('x' AS SIGNED) FROM u LIMIT 1",
            "GET DIAGNOSTICS CONDITION 1 @a = RETURNED_SQLSTATE, @c = MYSQL_ERRNO",
            "GET DIAGNOSTICS CONDITION 2 @b = RETURNED_SQLSTATE",
            "SELECT @a = '22012', @c, @b = '22007'",
            "INSERT IGNORE INTO t (v) VALUES (5), (1000)",
            "GET DIAGNOSTICS CONDITION 1 @a = RETURNED_SQLSTATE",
            "GET DIAGNOSTICS CONDITION 2 @b = RETURNED_SQLSTATE",
            "SELECT @a = '23000', @b = '22003'",
            "DROP TABLE IF EXISTS nosuch",
            "GET DIAGNOSTICS CONDITION 1 @a = RETURNED_SQLSTATE",
            "SELECT @a = '42S02'",
        ],
    ),
    (
        "packets that begin with a question",
        &[
            "SELECT 1/0 FROM u",
            "SHOW WARNINGS; SELECT 1",
            "SELECT * FROM nosuch",
            "SHOW WARNINGS; SHOW COUNT(*) ERRORS; SELECT ROW_COUNT(); SELECT 2 FROM u",
            "SELECT 1/0 FROM u",
            "SHOW COUNT(*) WARNINGS; INSERT INTO n VALUES (1, 1); SELECT ROW_COUNT()",
            "SELECT 1/0 FROM u",
            "GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT; SELECT @n, @r",
            "SELECT 1/0 FROM u",
            "GET DIAGNOSTICS CONDITION 3 @n = MYSQL_ERRNO; SHOW WARNINGS",
            "SELECT 1/0 FROM u",
            "SHOW WARNINGS; SELEC",
            "SELECT 1/0 FROM u",
            "SHOW ERRORS LIMIT 3; SHOW WARNINGS LIMIT 1;",
            "SHOW TABLES; SHOW WARNINGS",
        ],
    ),
    (
        "conditions that there are not",
        &[
            "SELECT 1/0 FROM u",
            "GET DIAGNOSTICS CONDITION 4 @c = MYSQL_ERRNO",
            "SELECT ROW_COUNT()",
            "SELECT 1/0 FROM u",
            "GET DIAGNOSTICS CONDITION 4 @c = MYSQL_ERRNO",
            "SHOW WARNINGS",
            "SHOW COUNT(*) ERRORS",
            "GET DIAGNOSTICS CONDITION 4 @c = MYSQL_ERRNO, @m = MESSAGE_TEXT",
            "GET DIAGNOSTICS CONDITION 9 @c = MESSAGE_TEXT",
            "SELECT @c, @m",
            "DO 1",
            "GET DIAGNOSTICS CONDITION 0 @c = MYSQL_ERRNO",
            "SHOW COUNT(*) WARNINGS",
        ],
    ),
    (
        "more conditions than are kept",
        &[
            "SELECT /*+ SET_VAR(max_error_count = 0) */ 1/0 FROM u",
            "SHOW WARNINGS",
            "SHOW COUNT(*) WARNINGS",
            "SET max_error_count = 1",
            "SELECT 1/0, CAST('x' AS SIGNED) FROM u LIMIT 1",
            "GET DIAGNOSTICS @n = NUMBER",
            "GET DIAGNOSTICS CONDITION 2 @c = MYSQL_ERRNO",
            "SHOW WARNINGS",
            "SELECT @@warning_count, @@error_count",
            "SELECT @n",
            "SET max_error_count = DEFAULT",
        ],
    ),
    (
        "warnings of what was only prepared",
        &[
            "!prepare SELECT FOUND_ROWS()",
            "SHOW WARNINGS",
            "!prepare SELECT 'a' || 'b'",
            "SELECT @@warning_count",
            "!prepare SELECT 1/0, CAST('x' AS SIGNED)",
            "SHOW COUNT(*) WARNINGS",
            "SELECT 1/0",
            "!prepare SELECT 1",
            "SHOW WARNINGS",
        ],
    ),
    (
        "where conditions are from, and how they are stored",
        &[
            "SELECT * FROM nosuch",
            "GET DIAGNOSTICS CONDITION 1 @c = CLASS_ORIGIN",
            "GET DIAGNOSTICS CONDITION 1 @s = SUBCLASS_ORIGIN, @m = MESSAGE_TEXT, @t = TABLE_NAME",
            "SELECT @c, @s, CHARSET(@m), COERCIBILITY(@m), COLLATION(@t)",
            "SELECT @m, @s, @t",
            "XA COMMIT 'nosuch'",
            "GET DIAGNOSTICS CONDITION 1 @c = CLASS_ORIGIN, @s = RETURNED_SQLSTATE",
            "SELECT @c, @s",
            "SELECT 1/0 FROM u",
            "GET DIAGNOSTICS CONDITION 1 @c = SUBCLASS_ORIGIN, @s = RETURNED_SQLSTATE",
            "SELECT @c, @s",
        ],
    ),
    (
        "a question, and a routine in the same packet",
        &[
            "SELECT 1; SELECT * FROM u",
            "SELECT FOUND_ROWS(); CALL warns()",
            "SELECT 1; SELECT 1/0 FROM nosuch",
            "GET DIAGNOSTICS CONDITION 1 @a = MYSQL_ERRNO; CALL warns()",
            "SELECT @a",
        ],
    ),
    (
        "found rows of a packet, and of what fills a table",
        &[
            "SELECT * FROM u",
            "UPDATE u SET v = v WHERE id = 77; SET @a = 1",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM u LIMIT 1",
            "CREATE TEMPORARY TABLE f SELECT * FROM u",
            "INSERT INTO n VALUES (1, 1)",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM u LIMIT 2",
            "CREATE TEMPORARY TABLE IF NOT EXISTS f SELECT * FROM u",
            "SELECT FOUND_ROWS()",
        ],
    ),
    (
        "routines where queries are limited",
        &[
            "SET max_join_size = 1",
            "CREATE TEMPORARY TABLE j (a INT)",
            "CALL warns()",
            "CALL nosuch()",
            "SELECT @@max_join_size, @@sql_big_selects",
            "SELECT COUNT(*) FROM u a, u b",
            "SET max_join_size = DEFAULT, sql_big_selects = DEFAULT",
            "SELECT COUNT(*) FROM u a, u b",
        ],
    ),
    (
        "what ends no READ ONLY transaction, and what does",
        &[
            "START TRANSACTION READ ONLY",
            "SELECT * FROM u",
            "ALTER TABLE n ADD",
            "SHOW WARNINGS",
            "INSERT INTO n VALUES (1, 1)",
            "DROP TABLE",
            "DELETE FROM n",
            "ALTER TABLE nosuch ADD COLUMN a INT",
            "INSERT INTO n VALUES (1, 1)",
            "START TRANSACTION READ ONLY",
            "CREATE TABLE made (a INT)",
            "INSERT INTO made VALUES (1)",
            "DROP TABLE made",
        ],
    ),
    (
        "prepared",
        &[
            "SELECT * FROM u",
            "!prepared SELECT FOUND_ROWS(), ROW_COUNT()",
            "!prepared SELECT FOUND_ROWS(), ROW_COUNT()",
            "!prepared SELECT 1/0 FROM u",
            "SHOW WARNINGS",
            "!prepared SELECT 1/0 FROM u",
            "!prepared SELECT @@warning_count, ROW_COUNT()",
            "INSERT INTO n VALUES (1, 1), (2, 2)",
            "!prepared SELECT ROW_COUNT()",
            "SELECT * FROM u",
            "!prepared SELECT ROW_COUNT()",
            "INSERT INTO n VALUES (1, 1), (2, 2)",
            "!prepared SELECT FOUND_ROWS(), ROW_COUNT()",
            "INSERT INTO t (v) VALUES (41)",
            "!prepared SELECT LAST_INSERT_ID()",
            "SELECT * FROM u LIMIT 2",
            "!prepared INSERT INTO n VALUES (FOUND_ROWS(), ROW_COUNT())",
            "SELECT * FROM n",
            "!prepared DELETE FROM n",
            "SELECT ROW_COUNT()",
        ],
    ),
];

#[tokio::test]
async fn what_comes_in_between() {
    let stage = stage().await;
    all(stage.setup).await;
}

/// SHOW WARNINGS tells no SQLSTATE, so it is derived.
#[tokio::test]
async fn sqlstates_are_the_servers() {
    let stage = stage().await;
    let mut root = stage.setup.cluster.primary().connect(&ROOT).await.unwrap();
    let sql = "SELECT error_number, sql_state FROM \
               performance_schema.events_errors_summary_global_by_error \
               WHERE error_number < 10000 AND sql_state IS NOT NULL";
    let states: Vec<(u16, String)> = root.query(sql).await.unwrap();
    assert!(states.len() > 1000);
    for (code, state) in states {
        if let Some(derived) = state_of(code, false) {
            assert_eq!(derived.escape_ascii().to_string(), state, "{code}");
        }
    }
    root.disconnect().await.unwrap();
}

#[tokio::test]
async fn the_same_with_another_connection_for_every_statement() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    all(&setup).await;
    setup.proxy.shut_down().await;
}

async fn all(setup: &Setup) {
    let mut pair = Pair::new(setup, "scripts").await;
    for (what, script) in SCRIPTS {
        pair.run("DELETE FROM n").await;
        pair.run("DELETE FROM t WHERE id > 50").await;
        let mut before = format!("{what}:");
        for sql in script {
            pair.check(&before, sql).await;
            before = format!("{what}: … {sql}");
        }
        pair.anew().await;
    }
    pair.verdict();
}
