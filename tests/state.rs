//! What a session holds survives the loss of a connection, or its loss is told: never half of it,
//! and nothing under other settings than before.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "state/init_connect.rs"]
mod init_connect;
#[path = "state/late.rs"]
mod late;
#[path = "support/measure.rs"]
mod measure;
#[path = "state/names.rs"]
mod names;

use std::time::Duration;

use highwater::rig::{APP, Cluster, ROOT, Server};
use measure::Held;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};
use support::{Setup, cell, run};

/// Closes every connection of the application at that server, and returns once they are gone.
async fn cut(server: &Server) {
    let mut root = server.connect(&ROOT).await.unwrap();
    let threads = "SELECT id FROM performance_schema.processlist WHERE user = 'app'";
    let cut: Vec<u64> = root.query(threads).await.unwrap();
    for id in &cut {
        // One that is already gone is what we want.
        let _ = root.query_drop(format!("KILL {id}")).await;
    }
    // The pool may have opened others in their place.
    let left = async |root: &mut Conn| -> Vec<u64> { root.query(threads).await.unwrap() };
    while left(&mut root).await.iter().any(|id| cut.contains(id)) {}
    root.disconnect().await.unwrap();
}

fn code(result: mysql_async::Result<()>) -> Option<u16> {
    match result {
        Err(Error::Server(error)) => Some(error.code),
        _ => None,
    }
}

async fn count(conn: &mut Conn, table: &str) -> Option<String> {
    cell(conn, &format!("SELECT COUNT(*) FROM {table}")).await
}

#[tokio::test]
async fn trackers_that_a_client_turns_off_hide_nothing() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(
        &mut conn,
        "CREATE PROCEDURE quiet() BEGIN SET SESSION session_track_gtids = OFF; \
         INSERT INTO t VALUES (3); END",
    )
    .await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    run(&mut conn, "SET session_track_system_variables = ''").await;
    run(&mut conn, "SET sql_mode = 'PIPES_AS_CONCAT'").await;
    let joined = cell(
        &mut conn,
        "SELECT MAX('a' || 'b') FROM t RIGHT JOIN (SELECT 1 AS x) u ON 1",
    )
    .await;
    assert_eq!(
        joined.as_deref(),
        Some("ab"),
        "a mode that no tracker told of"
    );

    // session_track_gtids cannot be set in a transaction, so not by Highwater either.
    run(&mut conn, "BEGIN").await;
    run(&mut conn, "INSERT INTO t VALUES (-1)").await;
    run(&mut conn, "SET session_track_schema = OFF").await;
    run(&mut conn, "SET session_track_system_variables = ''").await;
    run(&mut conn, "SET sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES'").await;
    run(&mut conn, "DELETE FROM t").await;
    run(&mut conn, "COMMIT").await;
    run(&mut conn, "START TRANSACTION READ ONLY").await;
    run(&mut conn, "SET session_track_schema = ON").await;
    run(&mut conn, "SET SESSION TRANSACTION READ ONLY").await;
    assert_eq!(count(&mut conn, "t").await.as_deref(), Some("0"));
    run(&mut conn, "COMMIT").await;
    run(&mut conn, "SET SESSION TRANSACTION READ WRITE").await;

    // What is set together with the list is not reported either.
    run(&mut conn, "SET sql_mode = ''").await;
    run(
        &mut conn,
        "SET session_track_system_variables = 'autocommit', sql_mode = 'PIPES_AS_CONCAT'",
    )
    .await;
    let joined = cell(
        &mut conn,
        "SELECT MAX('a' || 'c') FROM t RIGHT JOIN (SELECT 1 AS x) u ON 1",
    )
    .await;
    assert_eq!(joined.as_deref(), Some("ac"));
    let kept_away = measure::reason(&setup.proxy, "cannot_restore");
    assert_eq!(
        kept_away, 0,
        "all that was set can be restored on a replica"
    );

    let mut held = Vec::new();
    for replica in setup.cluster.replicas() {
        held.push(Held::hold(replica).await);
    }
    let mut wrong = Vec::new();
    for (rows, sql) in [
        (1, "SET session_track_gtids = OFF; INSERT INTO t VALUES (1)"),
        (
            2,
            "SET session_track_transaction_info = OFF, session_track_gtids = OFF; INSERT INTO t VALUES (2)",
        ),
        (3, "CALL quiet()"),
    ] {
        run(&mut conn, sql).await;
        if count(&mut conn, "t").await != Some(rows.to_string()) {
            wrong.push(sql);
        }
        conn.reset().await.unwrap();
        run(&mut conn, "USE app").await;
    }
    assert!(wrong.is_empty(), "own writes not seen after {wrong:?}");
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn state_of_a_read_only_transaction_outlives_it() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut conn, "INSERT INTO t VALUES (7)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut wrong = Vec::new();
    for (set, get) in [
        ("SET @x = 7", "SELECT @x"),
        ("SELECT id INTO @y FROM t", "SELECT @y"),
        ("PREPARE s FROM 'SELECT 7'", "EXECUTE s"),
        (
            "SELECT GET_LOCK('l', 0)",
            "SELECT 7 * (IS_USED_LOCK('l') = CONNECTION_ID())",
        ),
    ] {
        let mut conn = setup.connect().await;
        run(&mut conn, "START TRANSACTION READ ONLY").await;
        run(&mut conn, set).await;
        let _ = count(&mut conn, "t").await;
        let inside = cell(&mut conn, get).await;
        run(&mut conn, "COMMIT").await;
        let after: mysql_async::Result<Option<Option<String>>> = conn.query_first(get).await;
        let after = after.ok().flatten().flatten();
        let seven = Some("7".to_owned());
        if (&inside, &after) != (&seven, &seven) {
            wrong.push(format!("{set}: {inside:?} inside, {after:?} after"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A lock is held where everybody asks for it.
    run(&mut conn, "START TRANSACTION READ ONLY").await;
    assert_eq!(count(&mut conn, "t").await.as_deref(), Some("1"));
    assert_eq!(
        cell(&mut conn, "SELECT GET_LOCK('m', 0)").await.as_deref(),
        Some("1")
    );
    let mut other = setup.connect().await;
    assert_eq!(
        cell(&mut other, "SELECT GET_LOCK('m', 0)").await.as_deref(),
        Some("0")
    );
    setup.proxy.shut_down().await;
}

/// What a server refuses as a text commits nothing; other DDL ends the transaction, also where it fails.
#[tokio::test]
async fn ddl_ends_a_read_only_transaction_as_on_one_server() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let bare = OptsBuilder::from_opts(setup.cluster.primary().opts(&APP));
    let mut seen = Vec::new();
    for (number, opts) in [bare, setup.opts()].into_iter().enumerate() {
        let opts = Opts::from(opts.db_name(None::<String>));
        let mut conn = Conn::new(opts).await.unwrap();
        let mut codes = Vec::new();
        for ddl in [
            "DROP TABLE t",
            "CREATE TABLE n (a INT)",
            "ALTER TABLE app.t ADD",
            "TRUNCATE",
            "DROP TABLE app.nosuch",
            "ALTER TABLE app.nosuch ADD COLUMN a INT",
            "CREATE TABLE IF NOT EXISTS app.t (id INT)",
        ] {
            run(&mut conn, "START TRANSACTION READ ONLY").await;
            let _ = count(&mut conn, "app.t").await;
            let refused = code(conn.query_drop(ddl).await);
            let insert = format!("INSERT INTO app.t VALUES ({number}{})", codes.len());
            codes.push((ddl, refused, code(conn.query_drop(insert).await)));
            run(&mut conn, "ROLLBACK").await;
        }
        seen.push(codes);
    }
    assert_eq!(seen[1], seen[0]);
    setup.proxy.shut_down().await;
}

/// What a SET takes from the server in a READ ONLY transaction is the primary's.
#[tokio::test]
async fn a_default_isolation_level_is_the_primarys() {
    let setup = Setup::start().await;
    for replica in setup.cluster.replicas() {
        let set = "SET GLOBAL transaction_isolation = 'READ-COMMITTED'";
        replica.exec(set).await.unwrap();
    }
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    for set in [
        "SET SESSION transaction_isolation = DEFAULT",
        "SET @@session.transaction_isolation = DEFAULT",
    ] {
        run(
            &mut conn,
            "SET SESSION transaction_isolation = 'READ-UNCOMMITTED'",
        )
        .await;
        run(&mut conn, "START TRANSACTION READ ONLY").await;
        assert_eq!(count(&mut conn, "t").await.as_deref(), Some("0"));
        run(&mut conn, set).await;
        run(&mut conn, "COMMIT").await;
        let level = cell(&mut conn, "SELECT @@transaction_isolation").await;
        assert_eq!(level.as_deref(), Some("REPEATABLE-READ"), "{set}");
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_prepared_statement_keeps_its_meaning() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    run(&mut conn, "SET sql_mode = 'PIPES_AS_CONCAT'").await;
    let concat = conn.prep("SELECT 'a' || 'b' FROM t").await.unwrap();
    run(&mut conn, "SET sql_mode = ''").await;
    let or = conn.prep("SELECT  'a' || 'b' FROM t").await.unwrap();
    for round in 0..2 {
        let joined: Option<String> = conn.exec_first(&concat, ()).await.unwrap();
        assert_eq!(joined.as_deref(), Some("ab"), "round {round}");
        let either: Option<u8> = conn.exec_first(&or, ()).await.unwrap();
        assert_eq!(either, Some(0), "round {round}");
        for replica in setup.cluster.replicas() {
            cut(replica).await;
        }
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_lost_connection_takes_no_part_of_a_session_with_it() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(
        &mut conn,
        "CREATE TABLE t (id INT PRIMARY KEY, pad LONGTEXT)",
    )
    .await;
    let primary = setup.cluster.primary();

    run(&mut conn, "SET SESSION TRANSACTION READ ONLY").await;
    cut(primary).await;
    let written = conn.query_drop("INSERT INTO t VALUES (1, '')").await;
    assert_eq!(
        code(written),
        Some(1792),
        "a read-only session stays read-only"
    );

    // A long statement that nothing depends on survives the loss of an idle connection.
    let pad = "x".repeat(4 << 20);
    let mut conn = setup.connect().await;
    run(&mut conn, "INSERT INTO t VALUES (1, '')").await;
    cut(primary).await;
    run(&mut conn, &format!("INSERT INTO t VALUES (2, '{pad}')")).await;

    // In a transaction it does not, and nothing of what follows is taken for a part of it.
    run(&mut conn, "BEGIN").await;
    run(&mut conn, "INSERT INTO t VALUES (3, '')").await;
    run(&mut conn, "SET session_track_schema = OFF").await;
    cut(primary).await;
    let long = conn
        .query_drop(format!("INSERT INTO t VALUES (4, '{pad}')"))
        .await;
    assert!(long.is_err());
    let after = conn.query_drop("INSERT INTO t VALUES (5, '')").await;
    let mut root = primary.connect(&ROOT).await.unwrap();
    let rows = cell(&mut root, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t").await;
    assert_eq!(rows.as_deref(), Some("1,2"), "{after:?}");

    // The dropped schema is no schema, on every server.
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE DATABASE short").await;
    run(&mut conn, "USE short").await;
    run(&mut conn, "CREATE TABLE t (id INT)").await;
    assert_eq!(count(&mut conn, "t").await.as_deref(), Some("0"));
    run(&mut conn, "DROP DATABASE short").await;
    let read = conn.query_drop("SELECT COUNT(*) FROM t").await;
    assert_eq!(code(read), Some(1046), "no database selected");

    // Replies that Highwater makes itself count all frames of the command.
    run(&mut conn, "USE app").await;
    primary.kill();
    let long = "y".repeat(17 << 20);
    let refused = conn
        .query_drop(format!("INSERT INTO t VALUES (6, '{long}')"))
        .await;
    assert!(matches!(refused, Err(Error::Server(_))), "{refused:?}");
}

#[tokio::test]
async fn a_reset_keeps_the_servers_own_defaults() {
    let setup = Setup::with(
        Cluster::builder().option("transaction_isolation=SERIALIZABLE"),
        |_| {},
    )
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    for _ in 0..2 {
        let _ = count(&mut conn, "t").await;
        conn.reset().await.unwrap();
        run(&mut conn, "USE app").await;
    }
    let _ = count(&mut conn, "t").await;
    conn.ping().await.unwrap();
    assert_eq!(measure::reads_on(&setup.proxy, "replica"), 0);
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_read_that_waits_can_be_killed() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(600);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    assert_eq!(count(&mut conn, "t").await.as_deref(), Some("0"));
    let mut held = Vec::new();
    for replica in setup.cluster.replicas() {
        held.push(Held::hold(replica).await);
    }
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    let mut killer = setup.connect().await;
    let kill = format!("KILL QUERY {}", conn.id());
    let read = {
        let mut read = std::pin::pin!(conn.query_drop("SELECT COUNT(*) FROM t"));
        loop {
            tokio::select! {
                read = &mut read => break read,
                () = run(&mut killer, &kill) => {}
            }
        }
    };
    assert_eq!(code(read), Some(1317));
    for held in held {
        held.release().await;
    }
    assert_eq!(count(&mut conn, "t").await.as_deref(), Some("1"));
    setup.proxy.shut_down().await;
}
