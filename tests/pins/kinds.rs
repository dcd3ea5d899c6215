//! Each kind of pin.

use mysql_async::prelude::Queryable;

use crate::script::{check, leave, reasons};
use crate::support::stage::stage;
use crate::support::{cell, run};

#[tokio::test]
async fn temporary_tables_keep_the_connection_and_reads_follow_them() {
    check(
        "pin_temporary",
        "p - CREATE TABLE t (id INT PRIMARY KEY)
         p - INSERT INTO t VALUES (1), (2)
         p temporary_table CREATE TEMPORARY TABLE Mine (id INT)
         p temporary_table INSERT INTO Mine VALUES (7)
         r temporary_table SELECT COUNT(*) FROM t
         p temporary_table SELECT id FROM Mine
         p temporary_table SELECT COUNT(*) FROM t JOIN `Mine` AS m
         p temporary_table WITH c AS (SELECT id FROM Mine) SELECT id FROM c
         r temporary_table SELECT 'Mine' FROM t
         p temporary_table CREATE TEMPORARY TABLE nosuch.x (id INT)
         p temporary_table CREATE TEMPORARY TABLE Mine (id INT)
         p temporary_table CREATE TEMPORARY TABLE also SELECT id + 10 AS id FROM t
         p temporary_table SELECT COUNT(*) FROM also
         p temporary_table DROP TABLE Mine
         r temporary_table SELECT COUNT(*) FROM t
         p temporary_table ALTER TABLE also ADD c INT, RENAME TO other
         p temporary_table SELECT COUNT(c) FROM other
         p temporary_table DROP TABLE other, nosuch
         p - DROP TEMPORARY TABLE IF EXISTS other
         r - SELECT COUNT(*) FROM t
         p temporary_table CREATE TEMPORARY TABLE t (id INT)
         p temporary_table SELECT COUNT(*) FROM t
         p - DROP TABLE t
         r - SELECT COUNT(*) FROM t
         p - CREATE TEMPORARY TABLE t SELECT nosuch FROM t
         r - SELECT COUNT(*) FROM t",
    )
    .await;
}

#[tokio::test]
async fn named_locks() {
    check(
        "pin_locks",
        "p named_lock SELECT GET_LOCK('hw_a', 0)
         r named_lock SELECT 1
         p named_lock SELECT GET_LOCK('hw_a', 0)
         p named_lock SELECT RELEASE_LOCK('hw_a')
         p - DO RELEASE_LOCK('hw_a')
         p named_lock DO GET_LOCK('hw_b', 0), GET_LOCK('hw_c', 0)
         p named_lock SELECT RELEASE_LOCK('hw_b')
         p - SELECT RELEASE_ALL_LOCKS()
         p named_lock SELECT GET_LOCK(CONCAT('hw_', 'd'), 0)
         p named_lock SELECT RELEASE_LOCK('hw_d')
         p - SELECT RELEASE_ALL_LOCKS()
         p - SELECT RELEASE_LOCK('hw_never')",
    )
    .await;
}

#[tokio::test]
async fn a_lock_that_was_not_given_does_not_pin() {
    let stage = stage().await;
    let mut other = stage.direct("app").await;
    assert_eq!(
        cell(&mut other, "SELECT GET_LOCK('hw_taken', 0)")
            .await
            .as_deref(),
        Some("1")
    );
    let mut client = stage.client("app").await;
    let got = cell(&mut client, "SELECT GET_LOCK('hw_taken', 0)").await;
    assert_eq!(got.as_deref(), Some("0"));
    client.ping().await.unwrap();
    assert_eq!(reasons(stage.setup), "-");
    other.disconnect().await.unwrap();
    leave(stage.setup, client).await;
}

#[tokio::test]
async fn user_variables() {
    check(
        "pin_variables",
        "p - SET @a = 1, @b = 'two'
         r - SELECT @a, @b, @never
         p user_variable SET @a = @a + 1
         p user_variable SELECT @a, @b
         r user_variable SELECT 1
         p user_variable SELECT @c := 5
         p user_variable SELECT 6 INTO @d
         p user_variable SET @a = 7
         p user_variable SET @c = NULL
         p user_variable SELECT @c
         p user_variable SET @c = 8, @c = NULL
         p - SET @d = 9
         r - SELECT @a, @b, @c, @d
         p user_variable SET @e = NOW()
         p user_variable SET @e = 1, nosuch = 2
         p - SET @e = 1
         p - SET @f = 1, nosuch = 2
         r - SELECT @e, @f
         p - SET autocommit = 1, @g = 0x41
         r - SELECT @g",
    )
    .await;
}

#[tokio::test]
async fn what_else_lives_on_a_connection() {
    check(
        "pin_others",
        "p - CREATE TABLE t (id INT PRIMARY KEY)
         p - INSERT INTO t VALUES (1)
         p handler HANDLER t OPEN AS h
         p handler HANDLER h READ FIRST
         r handler SELECT COUNT(*) FROM t
         p - HANDLER h CLOSE
         p text_prepared PREPARE s FROM 'SELECT COUNT(*) FROM t WHERE id = ?'
         p text_prepared SET @p = 1
         p text_prepared EXECUTE s USING @p
         p text_prepared PREPARE s2 FROM 'SET @x = NOW()'
         p text_prepared,user_variable EXECUTE s2
         p text_prepared,user_variable DEALLOCATE PREPARE nosuch
         p text_prepared SET @x = 1
         p text_prepared DEALLOCATE PREPARE s2
         p - DROP PREPARE s
         p - PREPARE s FROM 'no statement'
         p table_lock LOCK TABLES t WRITE
         p table_lock INSERT INTO t VALUES (2)
         p - UNLOCK TABLES
         p table_lock LOCK TABLES t WRITE
         p table_lock,temporary_table CREATE TEMPORARY TABLE tmp (id INT)
         p table_lock DROP TEMPORARY TABLE tmp
         p table_lock SELECT COUNT(*) FROM t
         p - START TRANSACTION
         p - ROLLBACK
         p table_lock FLUSH TABLES t WITH READ LOCK
         p - UNLOCK TABLES
         p xa XA START 'pins'
         p xa INSERT INTO t VALUES (3)
         p xa XA END 'pins'
         p - XA PREPARE 'pins'
         p - XA ROLLBACK 'pins'
         p xa XA BEGIN 'pins2'
         p xa XA END 'pins2'
         p - XA COMMIT 'pins2' ONE PHASE
         p setting SET timestamp = 1000
         p setting SELECT NOW() + INTERVAL 0 SECOND = FROM_UNIXTIME(1000)
         p - SET timestamp = DEFAULT
         r - SELECT COUNT(*) FROM t
         p - CREATE TABLE k (id INT AUTO_INCREMENT PRIMARY KEY)
         p setting SET sql_auto_is_null = 1
         p setting INSERT INTO k VALUES (7)
         p setting INSERT INTO k VALUES (NULL)
         p setting SELECT id FROM k WHERE id IS NULL
         p setting SELECT id FROM k WHERE id IS NULL
         p - SET sql_auto_is_null = OFF
         r - SELECT id FROM k WHERE id IS NULL",
    )
    .await;
}

#[tokio::test]
async fn routines_may_do_anything_and_typing_errors_nothing() {
    let stage_schema = "pin_routines";
    check(
        stage_schema,
        "p - CREATE TABLE t (id INT PRIMARY KEY)
         p - CREATE PROCEDURE p() BEGIN SELECT 5 INTO @p; DO 1; END
         p - SELEC 1
         p - CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @trigger = NEW.id
         p temporary_table,unknown INSERT INTO t VALUES (1)
         p temporary_table,unknown SELECT @trigger",
    )
    .await;
    check(
        "pin_calls",
        "p - CREATE PROCEDURE p() BEGIN SELECT 5 INTO @p; DO 1; END
         p unknown CALL p()
         p unknown SELECT @p
         r unknown SELECT 1",
    )
    .await;
    check(
        "pin_called_tables",
        "p - CREATE TABLE made (id INT PRIMARY KEY)
         p - CREATE PROCEDURE p() DO 1
         p - CREATE PROCEDURE q() CREATE TEMPORARY TABLE made AS SELECT 5 AS five
         p unknown CALL p()
         r unknown SELECT id FROM made
         p unknown CALL q()
         p temporary_table,unknown SELECT five FROM made",
    )
    .await;
}

#[tokio::test]
async fn several_statements_in_one_packet() {
    check(
        "pin_packets",
        "p - CREATE TABLE t (id INT PRIMARY KEY); SET @a = 1
         r - SELECT @a
         p temporary_table CREATE TEMPORARY TABLE x (id INT); SET @b = 2; SELECT nosuch; SET @c = NOW()
         r temporary_table SELECT @b, @c
         p - DROP TABLE x; SELECT 1",
    )
    .await;
}

#[tokio::test]
async fn a_reset_lets_everything_go() {
    let stage = stage().await;
    let mut client = stage.client("app").await;
    for sql in [
        "CREATE TEMPORARY TABLE gone (id INT)",
        "SET @gone = NOW()",
        "SET @constant = 5",
        "PREPARE s FROM 'SELECT 1'",
        "DO GET_LOCK('hw_reset', 0)",
    ] {
        run(&mut client, sql).await;
    }
    client.ping().await.unwrap();
    assert_eq!(
        reasons(stage.setup),
        "named_lock,temporary_table,text_prepared,user_variable"
    );
    let pins = stage.setup.proxy.pins();
    let id = cell(&mut client, "SELECT 1").await;
    assert_eq!(id.as_deref(), Some("1"));
    assert!(
        pins.iter()
            .all(|it| it.pin.fingerprint != 0 && it.user == "app")
    );
    client.reset().await.unwrap();
    client.ping().await.unwrap();
    assert_eq!(reasons(stage.setup), "-");
    assert_eq!(cell(&mut client, "SELECT @constant").await, None);
    assert_eq!(cell(&mut client, "SELECT @gone").await, None);
    leave(stage.setup, client).await;
}

#[tokio::test]
async fn prepared_statements_are_looked_at_like_texts() {
    let stage = stage().await;
    stage.schema("pin_prepared").await;
    let mut client = stage.client("pin_prepared").await;
    run(&mut client, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut client, "INSERT INTO t VALUES (1)").await;
    let read = client.prep("SELECT id FROM t").await.unwrap();
    let found: Option<u32> = client.exec_first(&read, ()).await.unwrap();
    assert_eq!(found, Some(1));
    let make = client
        .prep("CREATE TEMPORARY TABLE t (id INT)")
        .await
        .unwrap();
    client.ping().await.unwrap();
    assert_eq!(reasons(stage.setup), "-", "preparing makes nothing");
    client.exec_drop(&make, ()).await.unwrap();
    client.ping().await.unwrap();
    assert_eq!(reasons(stage.setup), "temporary_table");
    let found: Option<u32> = client.exec_first(&read, ()).await.unwrap();
    assert_eq!(found, None, "the temporary table hides the other");
    run(&mut client, "DROP TEMPORARY TABLE t").await;
    let found: Option<u32> = client.exec_first(&read, ()).await.unwrap();
    assert_eq!(found, Some(1));
    let set = client.prep("SET @v = 5").await.unwrap();
    client.exec_drop(&set, ()).await.unwrap();
    assert_eq!(cell(&mut client, "SELECT @v").await.as_deref(), Some("5"));
    assert_eq!(reasons(stage.setup), "-");
    let set = client.prep("SET @v = ?").await.unwrap();
    client.exec_drop(&set, (6,)).await.unwrap();
    assert_eq!(cell(&mut client, "SELECT @v").await.as_deref(), Some("6"));
    assert_eq!(reasons(stage.setup), "user_variable");
    leave(stage.setup, client).await;
}
