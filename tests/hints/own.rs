//! Variables of Highwater's own in every spelling: lists, packets, prepared statements, mixed SELECTs.

use highwater::protocol::command::{CommandCode, com_stmt_prepare};
use highwater::protocol::reply::ReplyKind;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::support::raw::{self, Param, error_of, ok_of, shown, usual};
use crate::support::script::observed;
use crate::support::stage::stage;
use crate::support::{cell, run};

const LEVEL: &str = "SELECT @@highwater_read_consistency";

async fn level(conn: &mut Conn) -> String {
    cell(conn, LEVEL).await.unwrap()
}

fn code(error: mysql_async::Error) -> u16 {
    match error {
        mysql_async::Error::Server(error) => error.code,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn every_spelling_sets_the_level() {
    let stage = stage().await;
    let mut conn = stage.client("app").await;
    for sql in [
        "SET highwater_read_consistency = 'eventual'",
        "set session HIGHWATER_READ_CONSISTENCY := \"eventual\"",
        "SET LOCAL `highwater_read_consistency` = eventual;",
        "SET @@`session`.`highwater_read_consistency`=`eventual`",
        "/* pool */ SET @@local.aurora_replica_read_consistency = 'EVENTUAL' -- set",
        "SET NAMES utf8mb4, highwater_read_consistency = 'eventual', @x = (1), sql_mode = DEFAULT",
        "SET highwater_catch_up_timeout = 30000, highwater_read_consistency = 'eventual'",
        "SET highwater_read_consistency = 'eventual'; SELECT 1",
        "SET highwater_read_consistency = 'session'; SET highwater_read_consistency = 'eventual'; DO 1; DO 2",
        "SET highwater_read_consistency = 'eventual'; DO 1; SELECT no_such_column; DO 2",
    ] {
        assert_eq!(level(&mut conn).await, "session", "before {sql}");
        let mut results = conn.query_iter(sql).await.unwrap();
        while !results.is_empty() {
            let _: Result<Vec<mysql_async::Row>, _> = results.collect().await;
        }
        let _ = results.drop_result().await;
        assert_eq!(level(&mut conn).await, "eventual", "{sql}");
        run(&mut conn, "SET highwater_read_consistency = DEFAULT").await;
    }
    run(&mut conn, "SET highwater_read_consistency = 'eventual'").await;
    let copied = "SET aurora_replica_read_consistency = @@session.highwater_read_consistency";
    run(&mut conn, copied).await;
    assert_eq!(level(&mut conn).await, "eventual");
}

/// What cannot be done is an error, and neither our part nor the server's is done then.
#[tokio::test]
async fn no_spelling_is_silently_missed() {
    let stage = stage().await;
    let mut conn = stage.client("app").await;
    run(&mut conn, "SET @done = 0").await;
    for (sql, expected) in [
        ("SET highwater_read_consistency = 'gobal'", 1231),
        (
            "SET highwater_read_consistency = CONCAT('event', 'ual')",
            1235,
        ),
        ("SET highwater_read_consistency = (SELECT 'eventual')", 1193),
        ("SET highwater_read_consistency = @x", 1235),
        ("SET highwater_read_consistency = ?", 1231),
        ("SET GLOBAL highwater_read_consistency = 'eventual'", 1193),
        ("SET PERSIST highwater_read_consistency = 'eventual'", 1193),
        (
            "/*!80000 SET highwater_read_consistency = 'eventual' */",
            1235,
        ),
        (
            "/*!99999 SET highwater_read_consistency = 'eventual' */",
            1235,
        ),
        ("SET /*! highwater_read_consistency = 'eventual' */", 1235),
        (
            "SET @done = 1; SET highwater_read_consistency = 'eventual'",
            1235,
        ),
        ("SET @done = 1; SELECT @@highwater_position", 1235),
        (
            "SET highwater_read_consistency = 'eventual'; SET @done = 1; SET highwater_read_consistency = 'session'; SET sql_mode = ''; SET highwater_group = 'a'",
            1235,
        ),
        (
            "SET highwater_read_consistency = 'eventual', @done = 1; SELECT 1",
            1235,
        ),
        (
            "SET highwater_read_consistency = 'eventual', @done = 1, no_such_variable = 1",
            1193,
        ),
        ("PREPARE s FROM 'SET highwater_read_consistency = ?'", 1193),
        (
            "PREPARE s FROM 'SET highwater_read_consistency = \\'eventual\\''",
            1193,
        ),
        ("PREPARE s FROM 'SELECT @@highwater_read_consistency'", 1193),
        ("CREATE VIEW v AS SELECT @@highwater_read_consistency", 1351),
        ("SELECT @@global.highwater_read_consistency", 1193),
    ] {
        let error = conn.query_drop(sql).await.expect_err(sql);
        assert_eq!(code(error), expected, "{sql}");
        assert_eq!(level(&mut conn).await, "session", "{sql}");
        assert_eq!(
            cell(&mut conn, "SELECT @done").await.as_deref(),
            Some("0"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn mixed_selects_go_where_the_rest_belongs() {
    let stage = stage().await;
    stage.schema("own_mixed").await;
    let mut conn = stage.client("own_mixed").await;
    run(&mut conn, "CREATE TABLE t (a VARCHAR(20))").await;
    run(
        &mut conn,
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
    )
    .await;
    for (sql, place, columns, row) in [
        (
            "SELECT @@session.highwater_read_consistency, @@aurora_replica_read_consistency AS a",
            "proxy",
            ["@@session.highwater_read_consistency", "a"],
            Some(["session", "session"]),
        ),
        (
            "SELECT @@highwater_read_consistency, DATABASE()",
            "replica",
            ["@@highwater_read_consistency", "DATABASE()"],
            Some(["session", "own_mixed"]),
        ),
        (
            "SELECT @@highwater_read_consistency x, @@global.read_only",
            "primary",
            ["x", "@@global.read_only"],
            Some(["session", "0"]),
        ),
        (
            "INSERT INTO t VALUES (@@highwater_read_consistency)",
            "primary",
            ["", ""],
            None,
        ),
        (
            "SELECT a, @@highwater_read_consistency FROM t WHERE a = @@highwater_read_consistency",
            "replica",
            ["a", "@@highwater_read_consistency"],
            Some(["session", "session"]),
        ),
    ] {
        let (answer, went) = observed(stage.setup, &mut conn, sql).await;
        assert_eq!(answer.error, None, "{sql}");
        assert_eq!(went.len(), 1, "{sql}: {went:?}");
        assert_eq!(went[0].target, place, "{sql}");
        if let Some(row) = row {
            let set = &answer.sets[0];
            assert_eq!(
                (&set.columns[..], &set.rows[0][..]),
                (&columns.map(String::from)[..], &row.map(String::from)[..]),
                "{sql}"
            );
        }
    }
}

#[tokio::test]
async fn show_variables_in_every_spelling() {
    let stage = stage().await;
    let mut conn = stage.client("app").await;
    for sql in [
        "SHOW VARIABLES LIKE 'highwater_read_consistency'",
        "SHOW SESSION VARIABLES LIKE 'highwater_read%cy'",
        "SHOW VARIABLES WHERE Variable_name = 'HIGHWATER_READ_CONSISTENCY'",
        "SHOW VARIABLES WHERE `Variable_name` LIKE 'highwater\\_read\\_consistenc_'",
    ] {
        let rows: Vec<(String, String)> = conn.query(sql).await.unwrap();
        let expected = (
            "highwater_read_consistency".to_owned(),
            "session".to_owned(),
        );
        assert_eq!(rows, std::slice::from_ref(&expected), "{sql}");
        let prepared: Vec<(String, String)> = conn.exec(sql, ()).await.unwrap();
        assert_eq!(prepared, [expected], "prepared: {sql}");
    }
    let all: Vec<(String, String)> = conn
        .query("SHOW VARIABLES LIKE 'highwater%'")
        .await
        .unwrap();
    assert!(all.len() > 1 && all.is_sorted(), "{all:?}");
    let others: Vec<(String, String)> = conn.query("SHOW VARIABLES LIKE 'high%'").await.unwrap();
    assert_eq!(others, []);
}

#[tokio::test]
async fn prepared_statements_set_and_show() {
    let stage = stage().await;
    stage.schema("own_prepared").await;
    let mut conn = stage.client("own_prepared").await;
    let set = conn
        .prep("SET SESSION highwater_read_consistency = ?, highwater_catch_up_timeout = ?")
        .await
        .unwrap();
    assert_eq!((set.num_params(), set.num_columns()), (2, 0));
    let show = conn
        .prep("SELECT @@highwater_read_consistency, @@session.sql_mode, ?")
        .await
        .unwrap();
    assert_eq!((show.num_params(), show.num_columns()), (1, 3));
    let plain = conn
        .prep("SET highwater_read_consistency = 'session'")
        .await
        .unwrap();
    let mixed = conn
        .prep("SET highwater_read_consistency = 'eventual', sql_mode = ?")
        .await
        .unwrap();
    assert_eq!(mixed.num_params(), 1);
    for _ in 0..2 {
        conn.exec_drop(&set, ("eventual", 250)).await.unwrap();
        assert_eq!(level(&mut conn).await, "eventual");
        let timeout = cell(&mut conn, "SELECT @@highwater_catch_up_timeout").await;
        assert_eq!(timeout.as_deref(), Some("250"));
        let row: Option<(String, String, i32)> = conn.exec_first(&show, (7,)).await.unwrap();
        let row = row.unwrap();
        assert_eq!((&*row.0, row.2), ("eventual", 7));

        conn.exec_drop(&plain, ()).await.unwrap();
        let row: Option<(String, String, i32)> = conn.exec_first(&show, (8,)).await.unwrap();
        assert_eq!(
            row.unwrap().0,
            "session",
            "the value at the execution counts"
        );

        for sql_mode in ["ANSI", "NO_SUCH_MODE"] {
            let done = conn.exec_drop(&mixed, (sql_mode,)).await;
            let ansi = sql_mode == "ANSI";
            assert_eq!(done.is_ok(), ansi);
            let expected = if ansi { "eventual" } else { "session" };
            assert_eq!(level(&mut conn).await, expected, "{sql_mode}");
            run(
                &mut conn,
                "SET highwater_read_consistency = 'session', sql_mode = ''",
            )
            .await;
        }
    }
    for wrong in [mysql_async::Value::from("gobal"), mysql_async::Value::NULL] {
        let error = conn.exec_drop(&set, (wrong, 5)).await.unwrap_err();
        assert_eq!(code(error), 1231);
    }
    let error = conn
        .prep("SET highwater_read_consistency = ?, sql_mode = ?")
        .await;
    assert_eq!(code(error.unwrap_err()), 1235);
    for statement in [set, show, plain, mixed] {
        conn.close(statement).await.unwrap();
    }
    assert_eq!(level(&mut conn).await, "session");
}

/// The reply to a PREPARE that no server sees, packet for packet as the server gives one.
#[tokio::test]
async fn a_set_of_ours_is_prepared_as_a_server_does() {
    let stage = stage().await;
    let eof = highwater::protocol::caps::CapabilityFlags::CLIENT_DEPRECATE_EOF;
    for flags in [usual(), usual() - eof] {
        let mut client = stage.raw("app", flags).await;
        let mut direct = stage.raw_direct("app", flags).await;
        let prepare = |sql: &str| com_stmt_prepare(sql.as_bytes());
        let ours = client
            .ask(
                &prepare("SET highwater_read_consistency = ?"),
                ReplyKind::Prepare,
            )
            .await;
        let theirs = direct
            .ask(&prepare("SET sql_mode = ?"), ReplyKind::Prepare)
            .await;
        assert_eq!(ours.len(), theirs.len(), "{}", shown(&ours));
        assert_eq!(
            ours[0][5..],
            theirs[0][5..],
            "columns, parameters, warnings"
        );
        assert_eq!(ours[1][..11], theirs[1][..11], "the parameter's names");
        let id = u32::from_le_bytes(ours[0][1..5].try_into().unwrap());
        let kind = ReplyKind::Execute { cursor: false };
        let eventual = [Param::Text(b"eventual")];
        let done = client
            .ask(&raw::execute(id, 0, &eventual, true, false), kind)
            .await;
        assert_eq!(ok_of(&done).affected_rows, 0);
        assert_eq!(client.cell(LEVEL).await, "eventual");
        // The types were bound before.
        let session = [Param::Text(b"session")];
        client
            .ask(&raw::execute(id, 0, &session, false, false), kind)
            .await;
        assert_eq!(client.cell(LEVEL).await, "session");
        // In parts it is an error, and the next execution is as if they had not been sent.
        client.send(&raw::long_data(id, 0, b"eventual")).await;
        let reply = client
            .ask(&raw::execute(id, 0, &[Param::Sent], true, false), kind)
            .await;
        assert_eq!(error_of(&reply), Some(1231), "{}", shown(&reply));
        client
            .ask(&raw::execute(id, 0, &eventual, true, false), kind)
            .await;
        assert_eq!(client.cell(LEVEL).await, "eventual");
        let reset = raw::about(CommandCode::StmtReset as u8, id);
        ok_of(&client.ask(&reset, ReplyKind::Simple).await);
        client
            .send(&raw::about(CommandCode::StmtClose as u8, id))
            .await;
        let gone = client
            .ask(&raw::execute(id, 0, &session, true, false), kind)
            .await;
        assert_eq!(error_of(&gone), Some(1243));
    }
}
