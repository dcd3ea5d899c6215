//! What a session gives back between two statements, what it keeps, and in whose turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use highwater::rig::{APP, Cluster};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use crate::lends;
use crate::measure::{count, until};
use crate::support::{Setup, cell, run, stage};

async fn one_connection(workers: usize) -> Setup {
    Setup::with(Cluster::builder().replicas(0), |config| {
        lends(1)(config);
        config.proxy.workers = workers;
    })
    .await
}

#[tokio::test]
async fn a_connection_is_called_back_from_other_threads() {
    let setup = one_connection(4).await;
    let mut conns = Vec::new();
    for number in 0..8 {
        let mut conn = setup.connect().await;
        run(
            &mut conn,
            &format!("SET group_concat_max_len = {}", 5_000 + number),
        )
        .await;
        conns.push(conn);
    }
    for _ in 0..5 {
        for (number, conn) in conns.iter_mut().enumerate() {
            let length = cell(conn, "SELECT @@group_concat_max_len").await.unwrap();
            assert_eq!(length, (5_000 + number).to_string());
        }
    }
    let recalls = count(&setup.proxy, "recalls_total", &[]);
    assert!(recalls > 0);
    // A session alone keeps its connection from one statement to the next.
    for _ in 0..10 {
        run(&mut conns[0], "SELECT 1").await;
    }
    assert!(count(&setup.proxy, "recalls_total", &[]) <= recalls + 1);
}

#[tokio::test]
async fn a_prepared_transaction_that_stays_takes_its_connection_along() {
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    let rights = format!("GRANT SESSION_VARIABLES_ADMIN ON *.* TO '{}'", APP.user);
    cluster.primary().value(&rights).await.unwrap();
    let setup = Setup::over(cluster, lends(1)).await;
    let mut one = setup.connect().await;
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "SET SESSION xa_detach_on_prepare = OFF",
        "XA START 'left'",
        "INSERT INTO t VALUES (1)",
        "XA END 'left'",
        "XA PREPARE 'left'",
    ] {
        run(&mut one, sql).await;
    }
    one.disconnect().await.unwrap();
    // On the same connection this is refused, also after a reset (1399).
    let mut other = setup.connect().await;
    for sql in ["XA START 'own'", "XA END 'own'", "XA ROLLBACK 'own'"] {
        run(&mut other, sql).await;
    }
    // Its end leaves the transaction to whoever ends it.
    stage::until("the transaction is free", async || {
        other.query_drop("XA ROLLBACK 'left'").await.is_ok()
    })
    .await;
    run(&mut other, "INSERT INTO t VALUES (1)").await;
}

#[tokio::test]
async fn a_session_that_never_pauses_starves_nobody() {
    let setup = one_connection(2).await;
    let mut greedy = setup.connect().await;
    run(
        &mut greedy,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)",
    )
    .await;
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let greedy = tokio::spawn(async move {
        let mut statements = 0;
        while !stop.load(Ordering::Relaxed) {
            run(&mut greedy, "INSERT INTO t VALUES ()").await;
            statements += 1;
        }
        statements
    });
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut conn = setup.connect().await;
        others.spawn(async move {
            for _ in 0..5 {
                run(&mut conn, "INSERT INTO t VALUES ()").await;
            }
        });
    }
    others.join_all().await;
    over.store(true, Ordering::Relaxed);
    assert!(greedy.await.unwrap() > 0);
}

#[tokio::test]
async fn connections_that_are_not_needed_go_back_by_themselves() {
    let setup = Setup::with(Cluster::builder().replicas(0), lends(10)).await;
    let mut conn = setup.connect().await;
    run(&mut conn, "SELECT 1").await;
    let state = |state: &str| {
        let label = format!("state=\"{state}\"");
        count(&setup.proxy, "backend_connections", &[&label])
    };
    until("the connection goes back", || {
        state("idle") == 1 && state("leased") == 0 && state("lent") == 0
    })
    .await;
    assert_eq!(
        count(&setup.proxy, "handovers_total", &["how=\"reset\""]),
        0
    );
}

fn is_exhausted(result: mysql_async::Result<()>) -> bool {
    match result {
        Ok(()) => false,
        Err(Error::Server(error)) => error.message.contains("connections"),
        Err(error) => panic!("{error}"),
    }
}

/// Whether another session gets the only connection.
async fn is_free(other: &mut Conn) -> bool {
    !is_exhausted(other.query_drop("DO 1").await)
}

#[tokio::test]
async fn what_cannot_be_restored_keeps_its_connection() {
    let setup = Setup::with(Cluster::builder().replicas(0), |config| {
        lends(1)(config);
        config.pool.acquire_timeout = Duration::from_millis(200);
    })
    .await;
    let mut other = setup.connect().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    // What holds the connection, and what lets go of it; nothing stands for a reset.
    let cases: [(&[&str], &[&str]); 11] = [
        (&["BEGIN"], &["ROLLBACK"]),
        (&["START TRANSACTION READ ONLY"], &["COMMIT"]),
        (&["LOCK TABLES t READ"], &["UNLOCK TABLES"]),
        (&["SET TRANSACTION READ ONLY"], &["BEGIN", "COMMIT"]),
        (&["SET autocommit = 0", "SELECT * FROM t"], &["COMMIT"]),
        (&["CREATE TEMPORARY TABLE tt (id INT)"], &[]),
        (&["SELECT GET_LOCK('here', 1)"], &[]),
        (&["SET @x = (SELECT COUNT(*) FROM t)"], &[]),
        (&["PREPARE p FROM 'SELECT 1'"], &[]),
        (&["HANDLER t OPEN"], &[]),
        (&["XA START 'x'"], &[]),
    ];
    for (holds, ends) in cases {
        assert!(is_free(&mut other).await, "before {holds:?}");
        for hold in holds {
            run(&mut conn, hold).await;
        }
        assert!(!is_free(&mut other).await, "{holds:?}");
        for end in ends {
            run(&mut conn, end).await;
        }
        if ends.is_empty() {
            assert!(conn.reset().await.unwrap(), "{holds:?}");
        }
        assert!(is_free(&mut other).await, "after {holds:?} and {ends:?}");
        conn.reset().await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_that_failed_may_have_begun_a_transaction() {
    let setup = Setup::with(Cluster::builder().replicas(0), |config| {
        lends(1)(config);
        config.pool.acquire_timeout = Duration::from_millis(200);
    })
    .await;
    let mut other = setup.connect().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut conn, "SET autocommit = 0").await;
    assert!(is_free(&mut other).await);
    let failed = conn.query_drop("INSERT INTO t VALUES (1), (1)").await;
    assert!(failed.is_err());
    // It keeps others from changing the table.
    assert!(!is_free(&mut other).await);
    run(&mut conn, "ROLLBACK").await;
    assert!(is_free(&mut other).await);
    assert!(
        conn.query_drop("INSERT INTO t VALUES (1), (1)")
            .await
            .is_err()
    );
    conn.disconnect().await.unwrap();
    run(&mut other, "SET lock_wait_timeout = 5").await;
    run(&mut other, "DROP TABLE t").await;
}

#[tokio::test]
async fn prepared_statements_leave_nothing_to_others() {
    let setup = one_connection(1).await;
    let mut conns = [setup.connect().await, setup.connect().await];
    let statements: Vec<_> = {
        let mut statements = Vec::new();
        for (number, conn) in conns.iter_mut().enumerate() {
            let sql = format!("SELECT {number} + ?");
            statements.push(conn.prep(sql).await.unwrap());
        }
        statements
    };
    for round in 0..20_usize {
        for (number, conn) in conns.iter_mut().enumerate() {
            let sum: Option<usize> = conn
                .exec_first(&statements[number], (round,))
                .await
                .unwrap();
            assert_eq!(sum, Some(number + round));
        }
    }
    let known = "SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'";
    let mut root = setup
        .cluster
        .primary()
        .connect(&highwater::rig::ROOT)
        .await
        .unwrap();
    let (_, left): (String, usize) = root.query_first(known).await.unwrap().unwrap();
    assert!(left <= 2, "{left} statements are left on the server");
    root.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_reset_session_finds_a_connection_that_suits_it() {
    let setup = one_connection(1).await;
    let mut conn = setup.connect().await;
    // No command unsets a user variable: the connection that the session still has cannot be its own again.
    run(&mut conn, "SET @left = 1").await;
    conn.reset().await.unwrap();
    run(&mut conn, "PREPARE one FROM 'SELECT @left IS NULL'").await;
    assert_eq!(cell(&mut conn, "EXECUTE one").await.as_deref(), Some("1"));
    run(&mut conn, "DEALLOCATE PREPARE one").await;
    // Nor can it when it is asked about the statement before.
    run(&mut conn, "SET @left = 1").await;
    conn.reset().await.unwrap();
    let id = cell(&mut conn, "SELECT LAST_INSERT_ID() + ROW_COUNT()").await;
    assert_eq!(id.as_deref(), Some("0"));
}

/// A session whose connection goes to another one while it works elsewhere, and that gets the very same one
/// again: what it knew of it is the other one's now.
#[tokio::test]
async fn a_connection_that_others_had_is_another_one() {
    let setup = Setup::with(Cluster::builder().replicas(1), lends(1)).await;
    let mut conn = setup.connect().await;
    let mut reader = setup.connect().await;
    let mut other = setup.connect().await;
    for table in ["mine", "theirs"] {
        let columns = "(id INT AUTO_INCREMENT PRIMARY KEY)";
        run(&mut conn, &format!("CREATE TABLE {table} {columns}")).await;
    }
    run(&mut conn, "ALTER TABLE mine AUTO_INCREMENT = 100").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    // The replica's only connection is this session's for as long as its transaction is open.
    run(&mut reader, "START TRANSACTION READ ONLY").await;
    run(&mut reader, "SELECT * FROM mine").await;

    run(&mut conn, "INSERT INTO mine VALUES ()").await;
    let read = tokio::spawn(async move {
        let rows = cell(&mut conn, "SELECT COUNT(*) FROM mine").await;
        (conn, rows)
    });
    // It waits for the replica, and has no need of the primary meanwhile.
    until("the read is under way", || {
        let working = ["active", "catching_up"].map(|state| format!("state=\"{state}\""));
        let working = working.map(|state| count(&setup.proxy, "sessions", &[&state]));
        working.iter().sum::<u64>() == 1
    })
    .await;
    run(&mut other, "INSERT INTO theirs VALUES ()").await;
    run(&mut reader, "COMMIT").await;
    let (mut conn, rows) = read.await.unwrap();
    assert_eq!(rows.as_deref(), Some("1"));
    let id = cell(&mut conn, "SELECT id FROM mine WHERE id = LAST_INSERT_ID()").await;
    assert_eq!(id.as_deref(), Some("100"));
    let id = cell(&mut other, "SELECT LAST_INSERT_ID()").await;
    assert_eq!(id.as_deref(), Some("1"));
}
