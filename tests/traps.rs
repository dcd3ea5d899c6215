//! The traps that splitting proxies fall into, each run straight at the primary and through
//! Highwater: the answers are equal, and each statement went where it should.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use mysql_async::prelude::Queryable;
use support::script::{check, observed};
use support::stage::stage;
use support::{cell, run};

#[tokio::test]
async fn reads_in_unusual_spellings_are_offloaded() {
    check(
        "spellings",
        "p CREATE TABLE t (id INT PRIMARY KEY, v INT)
         p INSERT INTO t VALUES (1, 10), (2, 20)
         r (SELECT v FROM t WHERE id = 1)
         r ((SELECT v FROM t WHERE id = 2))
         r (SELECT id FROM t) UNION (SELECT v FROM t) ORDER BY 1
         r WITH c AS (SELECT v FROM t) SELECT SUM(v) FROM c
         r WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT x FROM n
         r TABLE t
         r TABLE t ORDER BY id LIMIT 1
         r VALUES ROW(1, 2), ROW(3, 4)
         r SHOW TABLES
         r SHOW COLUMNS FROM t
         p:server_local SHOW CREATE TABLE t
         p:server_local SHOW INDEX FROM t
         r DESCRIBE t
         p:server_local EXPLAIN FORMAT=TREE SELECT v FROM t WHERE id = 1
         r /* a comment first */ SELECT v FROM t WHERE id = 1 # and one last",
    )
    .await;
}

#[tokio::test]
async fn who_counts_or_traces_statements_keeps_to_the_primary() {
    check(
        "recorded",
        "p CREATE TABLE t (id INT)
         r SELECT id FROM t
         p FLUSH STATUS
         p:cannot_restore SELECT id FROM t
         p SHOW STATUS LIKE 'Handler_read_rnd_next'",
    )
    .await;
    check(
        "traced",
        "p CREATE TABLE t (id INT)
         p SET optimizer_trace = 'enabled=off'
         r SELECT id FROM t
         p SET optimizer_trace = 'enabled=on'
         p:cannot_restore SELECT id FROM t
         p SELECT COUNT(*) FROM information_schema.optimizer_trace
         p SET optimizer_trace = 'enabled=off'
         p:cannot_restore SELECT id FROM t",
    )
    .await;
}

#[tokio::test]
async fn a_read_only_transaction_runs_on_one_replica_whole() {
    check(
        "read_only_transaction",
        "p CREATE TABLE t (id INT PRIMARY KEY)
         p INSERT INTO t VALUES (1)
         r:read_only_transaction START TRANSACTION READ ONLY
         r:read_only_transaction SELECT id FROM t
         r:read_only_transaction INSERT INTO t VALUES (2)
         r:read_only_transaction SELECT COUNT(*) FROM t
         r:read_only_transaction COMMIT
         p:in_transaction START TRANSACTION
         p:in_transaction SELECT COUNT(*) FROM t
         p:in_transaction INSERT INTO t VALUES (3)
         p:in_transaction COMMIT
         r SELECT COUNT(*) FROM t
         r START TRANSACTION READ ONLY
         r SELECT COUNT(*) FROM t
         p START TRANSACTION READ WRITE
         p INSERT INTO t VALUES (4)
         p ROLLBACK
         r START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY
         r SELECT COUNT(*) FROM t
         r ROLLBACK
         r START TRANSACTION READ ONLY
         p:locking_read SELECT id FROM t FOR SHARE
         p:in_transaction SELECT COUNT(*) FROM t
         p:in_transaction COMMIT
         r START TRANSACTION READ ONLY
         r SELECT COUNT(*) FROM t
         p DROP TABLE IF EXISTS nosuch
         r SELECT COUNT(*) FROM t
         r START TRANSACTION READ ONLY
         p CREATE TABLE u (id INT)
         p INSERT INTO u VALUES (1)
         p SET SESSION TRANSACTION READ ONLY
         r START TRANSACTION
         r SELECT COUNT(*) FROM t
         r COMMIT
         p SET SESSION TRANSACTION READ WRITE
         p START TRANSACTION
         p INSERT INTO t VALUES (5)
         p COMMIT
         r SELECT COUNT(*) FROM t",
    )
    .await;
}

#[tokio::test]
async fn autocommit_off_tears_no_transaction() {
    check(
        "autocommit_off",
        "p CREATE TABLE t (id INT PRIMARY KEY)
         p INSERT INTO t VALUES (1)
         p SET autocommit=0
         p:autocommit_off SELECT COUNT(*) FROM t
         p INSERT INTO t VALUES (2)
         p SELECT COUNT(*) FROM t
         p ROLLBACK
         p SELECT COUNT(*) FROM t
         p INSERT INTO t VALUES (3)
         p COMMIT
         p SET autocommit=1
         r SELECT COUNT(*) FROM t",
    )
    .await;
}

#[tokio::test]
async fn user_variables_live() {
    check(
        "user_variables",
        "p SET @a = 1
         r SELECT @a
         p SELECT @b := @a + 1
         p SELECT @a, @b
         r SELECT 1
         p SELECT 5 INTO @c
         p SELECT @c",
    )
    .await;
}

#[tokio::test]
async fn session_variables_are_mirrored_and_reads_stay_offloaded() {
    check(
        "session_variables",
        r#"p CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10), ts TIMESTAMP)
         p SET time_zone = '+00:00'
         p INSERT INTO t VALUES (1, 'x', '2020-01-01 00:00:00')
         r SELECT ts, @@time_zone FROM t
         p SET time_zone = '+05:30'
         r SELECT ts, @@time_zone FROM t
         p SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,ANSI_QUOTES')
         r SELECT @@sql_mode
         r SELECT 'a' || 'b', "id" FROM t
         p SET SESSION wait_timeout = 77
         r SELECT @@wait_timeout
         p SELECT @@session.wait_timeout FROM t FOR UPDATE
         p SET group_concat_max_len = 4, sort_buffer_size = 65536, @@session.div_precision_increment = 9
         r SELECT @@group_concat_max_len, @@sort_buffer_size, 1/3, GROUP_CONCAT(a, a, a, a, a, a) FROM t
         p SET sql_mode = DEFAULT, time_zone = DEFAULT
         r SELECT @@sql_mode, @@time_zone, ts FROM t
         p SET SESSION sql_mode = ''
         r SELECT @@sql_mode, 1/0"#,
    )
    .await;
}

#[tokio::test]
async fn names_and_charsets_are_mirrored() {
    check(
        "charsets",
        "p SET NAMES latin1
         r SELECT @@character_set_client, @@character_set_results, @@collation_connection, HEX('\u{e9}')
         p SET NAMES utf8mb4 COLLATE utf8mb4_bin
         r SELECT 'a' = 'A', @@collation_connection
         p SET character_set_results = NULL
         r SELECT @@character_set_results
         p SET NAMES DEFAULT
         r SELECT @@character_set_client, @@character_set_results, @@collation_connection
         p SET CHARACTER SET latin1
         r SELECT @@character_set_client, @@character_set_results, @@collation_connection",
    )
    .await;
}

#[tokio::test]
async fn temporary_tables_are_seen() {
    check(
        "temporary_tables",
        "p CREATE TEMPORARY TABLE tmp (id INT)
         p INSERT INTO tmp VALUES (7)
         p:temporary_tables SELECT id FROM tmp
         p UPDATE tmp SET id = 8
         p SELECT ROW_COUNT()
         p SELECT id FROM tmp
         p DROP TEMPORARY TABLE tmp
         r SELECT id FROM tmp
         new
         r SELECT 1",
    )
    .await;
}

#[tokio::test]
async fn questions_about_the_previous_statement_follow_it() {
    // Before each of them the script pings, and a ping's OK counts what an error left, so Highwater knows that.
    check(
        "diagnostics",
        "p CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)
         p INSERT INTO t (v) VALUES (1), (2), (3)
         p SELECT ROW_COUNT()
         p SELECT LAST_INSERT_ID()
         r SELECT v FROM t ORDER BY v
         r SELECT COUNT(*) FROM t
         p SELECT LAST_INSERT_ID()
         p UPDATE t SET v = v + 1 WHERE id < 3
         p:follows_previous SELECT ROW_COUNT()
         r SELECT SQL_CALC_FOUND_ROWS v FROM t ORDER BY v LIMIT 1
         r:follows_previous SELECT FOUND_ROWS()
         r SELECT v FROM t ORDER BY v
         - SELECT ROW_COUNT()
         p UPDATE t SET v = 9 WHERE id = 3
         p SELECT ROW_COUNT(), LAST_INSERT_ID()
         r SELECT CAST('abc' AS SIGNED)
         r:follows_previous SHOW WARNINGS
         r SELECT 1/0, CAST('x' AS SIGNED)
         r SHOW COUNT(*) WARNINGS
         r SELECT nosuch FROM t
         o SHOW ERRORS
         o SHOW WARNINGS LIMIT 1
         r SELECT CAST('abc' AS SIGNED)
         r SELECT @@warning_count
         p INSERT IGNORE INTO t (id, v) VALUES (1, 1)
         p SHOW WARNINGS
         r SELECT 1/0
         p INSERT IGNORE INTO t (id, v) VALUES (1, 1)
         p SHOW WARNINGS",
    )
    .await;
}

#[tokio::test]
async fn named_locks_are_released_where_they_are_held() {
    check(
        "named_locks",
        "p SELECT GET_LOCK('trap', 0)
         r SELECT 1
         p SELECT IS_FREE_LOCK('trap')
         p SELECT RELEASE_LOCK('trap')
         p SELECT IS_FREE_LOCK('trap')
         p SELECT RELEASE_LOCK('trap')
         p DO GET_LOCK('trap', 0)
         p SELECT RELEASE_ALL_LOCKS()",
    )
    .await;
}

#[tokio::test]
async fn table_locks_hold_for_reads_too() {
    check(
        "table_locks",
        "p CREATE TABLE t (id INT)
         p CREATE TABLE other (id INT)
         p LOCK TABLES t WRITE
         p:table_locks SELECT COUNT(*) FROM t
         p:table_locks SELECT COUNT(*) FROM other
         p INSERT INTO t VALUES (1)
         p UNLOCK TABLES
         r SELECT COUNT(*) FROM t
         r SELECT COUNT(*) FROM other
         p LOCK TABLES t READ
         p SELECT COUNT(*) FROM t
         p INSERT INTO t VALUES (2)
         p START TRANSACTION
         p ROLLBACK
         r SELECT COUNT(*) FROM other",
    )
    .await;
}

#[tokio::test]
async fn several_statements_in_one_packet_run_on_the_primary() {
    check(
        "multi_statements",
        "p CREATE TABLE t (id INT PRIMARY KEY)
         p:multi_statement SELECT 1; INSERT INTO t VALUES (1)
         r SELECT COUNT(*) FROM t
         p INSERT INTO t VALUES (2); SELECT COUNT(*) FROM t; INSERT INTO t VALUES (2); SELECT 3
         r SELECT COUNT(*) FROM t
         r SELECT 1;
         p SET sql_mode = ''; SELECT 1
         r SELECT @@sql_mode",
    )
    .await;
}

#[tokio::test]
async fn functions_that_write_run_once() {
    check(
        "writing_functions",
        "p CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what INT)
         p CREATE FUNCTION f(x INT) RETURNS INT READS SQL DATA BEGIN INSERT INTO log (what) VALUES (x); RETURN x; END
         p CREATE VIEW v AS SELECT f(2) AS x
         p:unknown_function SELECT f(1)
         r SELECT COUNT(*) FROM log
         p:replica_refused SELECT x FROM v
         r SELECT COUNT(*) FROM log
         p:replica_refused SELECT x FROM v
         r SELECT what FROM log ORDER BY id
         p CREATE PROCEDURE p() BEGIN SELECT 1; INSERT INTO log (what) VALUES (3); SELECT COUNT(*) FROM log; END
         p CALL p()
         r SELECT COUNT(*) FROM log",
    )
    .await;
}

#[tokio::test]
async fn a_refused_view_fails_inside_a_read_only_transaction_as_on_one_server() {
    check(
        "refused_view",
        "p CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what INT)
         p CREATE FUNCTION g() RETURNS INT BEGIN INSERT INTO log (what) VALUES (1); RETURN 1; END
         p CREATE VIEW w AS SELECT g() AS x
         new
         r START TRANSACTION READ ONLY
         r SELECT COUNT(*) FROM log
         r SELECT x FROM w
         r COMMIT
         r SELECT COUNT(*) FROM log",
    )
    .await;
}

#[tokio::test]
async fn the_schema_follows_use() {
    check(
        "schemas",
        "p CREATE TABLE t (id INT)
         r SELECT DATABASE(), COUNT(*) FROM t
         p USE app
         r SELECT DATABASE()
         r SELECT COUNT(*) FROM t
         p USE mysql
         r SELECT DATABASE()
         p USE nosuchschema
         r SELECT DATABASE()",
    )
    .await;
}

#[tokio::test]
async fn a_dropped_schema_is_none() {
    check(
        "dropped_schema",
        "p CREATE DATABASE gone_by_drop
         p USE gone_by_drop
         r SELECT DATABASE()
         p DROP DATABASE gone_by_drop
         r SELECT DATABASE()
         r SHOW TABLES",
    )
    .await;
}

#[tokio::test]
async fn isolation_levels_hold() {
    check(
        "isolation",
        "p CREATE TABLE t (id INT)
         r SELECT @@transaction_isolation
         p SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
         p:one_shot SELECT COUNT(*) FROM t
         r SELECT @@transaction_isolation
         p SET TRANSACTION READ ONLY
         p START TRANSACTION
         p INSERT INTO t VALUES (1)
         p ROLLBACK
         p SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE
         p:serializable SELECT COUNT(*) FROM t
         p SELECT @@transaction_isolation
         p SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
         r SELECT COUNT(*) FROM t
         r SELECT @@transaction_isolation
         p SELECT @@transaction_read_only
         p SET SESSION TRANSACTION READ ONLY
         p SELECT @@transaction_read_only
         r SELECT COUNT(*) FROM t
         p INSERT INTO t VALUES (1)
         p SET SESSION TRANSACTION READ WRITE
         p INSERT INTO t VALUES (1)
         p SELECT @@transaction_read_only",
    )
    .await;
}

#[tokio::test]
async fn locking_reads_lock_on_the_primary() {
    check(
        "locking_reads",
        "p CREATE TABLE t (id INT PRIMARY KEY)
         p:locking_read SELECT id FROM t FOR UPDATE
         p:locking_read SELECT id FROM t FOR SHARE
         p:locking_read SELECT id FROM t LOCK IN SHARE MODE
         p SELECT 1 UNION SELECT id FROM t FOR UPDATE
         p BEGIN
         p SELECT id FROM t FOR UPDATE
         p SAVEPOINT s
         p INSERT INTO t VALUES (1)
         p ROLLBACK TO s
         p COMMIT AND CHAIN
         p SELECT COUNT(*) FROM t
         p ROLLBACK AND NO CHAIN
         r SELECT COUNT(*) FROM t",
    )
    .await;
}

#[tokio::test]
async fn text_prepared_statements_are_found() {
    check(
        "text_prepared",
        "p CREATE TABLE t (id INT PRIMARY KEY)
         p PREPARE s FROM 'INSERT INTO t VALUES (?)'
         p SET @x = 5
         p EXECUTE s USING @x
         r SELECT id FROM t
         p PREPARE q FROM 'SELECT id FROM t'
         p EXECUTE q
         p DEALLOCATE PREPARE q
         p EXECUTE q",
    )
    .await;
}

#[tokio::test]
async fn other_defaults_of_a_replica_stay_hidden() {
    const ASK: &str = "@@sql_mode, @@time_zone, @@max_execution_time, @@default_week_format, \
                       @@character_set_client, @@collation_connection, @@collation_server, WEEK('2008-02-20'), \
                       HEX('a\\\\b')";
    let stage = stage().await;
    let mut direct = stage.direct("app").await;
    let mut sessions = Vec::new();
    for index in 0..4 {
        let sql = format!("SELECT {ASK} /* base-{index} */");
        let expected = support::script::answer(&mut direct, &sql).await;
        let mut client = stage.client("app").await;
        let (got, went) = observed(stage.setup, &mut client, &sql).await;
        assert_eq!(got, expected);
        assert_eq!(went[0].target, "replica", "{went:?}");
        sessions.push(client);
    }
    for replica in stage.setup.cluster.replicas() {
        let sql = "SELECT COUNT(*) FROM performance_schema.events_statements_history \
                   WHERE sql_text LIKE CONCAT('%base', '-%')";
        let served = replica.value(sql).await.unwrap();
        assert_ne!(
            served.as_deref(),
            Some("0"),
            "{} was not asked",
            replica.name()
        );
    }
    for session in sessions {
        session.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn a_session_that_ends_leaves_nothing_to_the_next() {
    let stage = stage().await;
    stage.schema("leftovers").await;
    for round in 0..6 {
        let mut client = stage.client("leftovers").await;
        assert_eq!(
            cell(&mut client, "SELECT @@group_concat_max_len")
                .await
                .as_deref(),
            Some("1024"),
            "{round}"
        );
        assert_eq!(cell(&mut client, "SELECT @left").await, None);
        assert_eq!(
            cell(&mut client, "SELECT DATABASE()").await.as_deref(),
            Some("leftovers")
        );
        assert_eq!(
            cell(&mut client, "SELECT @@autocommit").await.as_deref(),
            Some("1")
        );
        run(&mut client, "SET group_concat_max_len = 99, @left = 1").await;
        assert_eq!(
            cell(&mut client, "SELECT @@group_concat_max_len")
                .await
                .as_deref(),
            Some("99")
        );
        run(&mut client, "CREATE TEMPORARY TABLE tmp (id INT)").await;
        run(&mut client, "SET autocommit = 0").await;
        run(&mut client, "USE app").await;
        client.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn an_isolated_write_in_a_read_only_transaction_gives_1792() {
    let stage = stage().await;
    stage.schema("error_1792").await;
    let mut client = stage.client("error_1792").await;
    run(&mut client, "CREATE TABLE t (id INT)").await;
    run(&mut client, "START TRANSACTION READ ONLY").await;
    let (answer, went) = observed(stage.setup, &mut client, "INSERT INTO t VALUES (1)").await;
    assert_eq!(answer.error, Some(1792));
    assert_eq!(went[0].target, "replica");
    run(&mut client, "COMMIT").await;
    client
        .exec_drop("INSERT INTO t VALUES (?)", (1,))
        .await
        .unwrap();
    assert_eq!(
        cell(&mut client, "SELECT COUNT(*) FROM t").await.as_deref(),
        Some("1")
    );
    client.disconnect().await.unwrap();
}
