//! Servers that die, hang or are full, and a proxy that is told to stop: what sessions notice of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "faults/cut.rs"]
mod cut;
#[path = "faults/load.rs"]
mod load;
#[path = "support/measure.rs"]
mod measure;
#[path = "faults/stop.rs"]
mod stop;

use std::time::{Duration, Instant};

use highwater::config::{Config, PoolMode};
use highwater::rig::{APP, Cluster, Server};
use load::Load;
use measure::{count, reads_on, reason, until};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts};
use support::{Setup, cell, run};

/// Reads that the application's sessions made on a server itself.
async fn app_reads(server: &Server) -> u64 {
    let sql = "SELECT SUM(count_star) FROM performance_schema.events_statements_summary_by_account_by_event_name \
               WHERE user = 'app' AND event_name = 'statement/sql/select'";
    server.value(sql).await.unwrap().unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_session_notices_that_a_replica_dies_hangs_or_leaves() {
    let setup = Setup::start().await;
    let replicas = setup.cluster.replicas();
    let load = Load::start(&setup).await;
    for victim in replicas {
        victim.kill();
        load.go_on().await;
        setup.replicas_usable(1).await;
        victim.restart().await.unwrap();
        setup.replicas_usable(2).await;
        load.go_on().await;
    }
    for victim in replicas {
        victim.freeze().await.unwrap();
        load.go_on().await;
        setup.replicas_usable(1).await;
        victim.thaw().unwrap();
        setup.replicas_usable(2).await;
        load.go_on().await;
    }
    for victim in replicas {
        victim.shut_down().await.unwrap();
        load.go_on().await;
        victim.restart().await.unwrap();
        setup.replicas_usable(2).await;
    }
    // Those that came back take reads again.
    for replica in replicas {
        let before = app_reads(replica).await;
        while app_reads(replica).await < before + 200 {
            let mut conn = setup.connect().await;
            for _ in 0..50 {
                run(&mut conn, "SELECT v FROM t WHERE id = 1").await;
            }
        }
    }
    // All gone: the primary answers.
    replicas.iter().for_each(Server::kill);
    load.go_on().await;
    until("reads on the primary", || {
        reason(&setup.proxy, "no_replica") > 100
    })
    .await;
    let slowest = load.end().await;
    println!(
        "reads on replicas {}, on the primary {}, replica lost {}; the slowest took {slowest:?}",
        reads_on(&setup.proxy, "replica"),
        reads_on(&setup.proxy, "primary"),
        reason(&setup.proxy, "replica_lost"),
    );
    setup.proxy.shut_down().await;
}

/// A statement that its server does not survive must not take all of them with it.
#[tokio::test]
async fn a_statement_costs_two_servers_at_most() {
    const LONG: &str = "SELECT COUNT(*) AS at_work FROM t a, t b, t c, t d, t e, t f";
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT)").await;
    let rows: Vec<_> = (0..200).map(|id| format!("({id})")).collect();
    run(
        &mut conn,
        &format!("INSERT INTO t VALUES {}", rows.join(",")),
    )
    .await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let asked = tokio::spawn(async move { (conn.query_drop(LONG).await, conn) });
    let mut left: Vec<&Server> = setup.cluster.replicas().iter().collect();
    while !left.is_empty() {
        let at = at_work(&left).await;
        left.remove(at).kill();
    }
    let asked = tokio::time::timeout(Duration::from_secs(60), asked).await;
    let (lost, mut conn) = asked.expect("it was tried on a third server").unwrap();
    assert_server_error(&lost, 2013, "2 servers were lost");
    let primary = setup.cluster.primary();
    let tried = "SELECT COUNT(*) FROM performance_schema.events_statements_summary_by_digest \
                 WHERE DIGEST_TEXT LIKE '%AS `at_work`%'";
    assert_eq!(primary.value(tried).await.unwrap().as_deref(), Some("0"));
    assert_eq!(
        cell(&mut conn, "SELECT COUNT(*) FROM t").await.as_deref(),
        Some("200")
    );
    setup.proxy.shut_down().await;
}

/// A server that is only silent was not ended by the statement: it does not count.
#[tokio::test]
async fn a_server_that_falls_silent_is_no_toll() {
    const LONG: &str = "SELECT COUNT(*) AS at_work FROM t a, t b, t c, t d, s e";
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    for (table, rows) in [("t", 60), ("s", 20)] {
        run(&mut conn, &format!("CREATE TABLE {table} (id INT)")).await;
        let rows: Vec<_> = (0..rows).map(|id| format!("({id})")).collect();
        let insert = format!("INSERT INTO {table} VALUES {}", rows.join(","));
        run(&mut conn, &insert).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let asked = tokio::spawn(async move { cell(&mut conn, LONG).await });
    let mut left: Vec<&Server> = setup.cluster.replicas().iter().collect();
    left.remove(at_work(&left).await).kill();
    let silent = left.remove(at_work(&left).await);
    silent.freeze().await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(120), asked).await;
    assert_eq!(answer.unwrap().unwrap().as_deref(), Some("259200000"));
    silent.thaw().unwrap();
    setup.proxy.shut_down().await;
}

/// Which of these servers runs the long statement; waits until one does.
async fn at_work(servers: &[&Server]) -> usize {
    let running = "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_INFO LIKE 'SELECT COUNT(*) AS at_work%'";
    loop {
        for (at, server) in servers.iter().enumerate() {
            if server.value(running).await.unwrap().as_deref() == Some("1") {
                return at;
            }
        }
    }
}

#[tokio::test]
async fn without_the_primary_replicas_go_on_and_writes_fail_clearly() {
    let setup = Setup::start().await;
    let primary = setup.cluster.primary();
    let mut writer = setup.connect().await;
    run(&mut writer, "CREATE TABLE t (v INT)").await;
    run(&mut writer, "INSERT INTO t VALUES (1)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut eventual = setup.connect().await;
    run(&mut eventual, "SET highwater_read_consistency = 'eventual'").await;
    let mut session = setup.connect().await;
    for conn in [&mut writer, &mut eventual, &mut session] {
        assert_eq!(cell(conn, "SELECT v FROM t").await.as_deref(), Some("1"));
    }
    let mut on_primary = setup.connect().await;
    run(&mut on_primary, "BEGIN").await;
    run(&mut on_primary, "SELECT v FROM t").await;
    run(&mut on_primary, "COMMIT").await;
    let mut idle = setup.connect().await;

    primary.kill();
    for conn in [&mut writer, &mut eventual, &mut session] {
        for _ in 0..20 {
            assert_eq!(cell(conn, "SELECT v FROM t").await.as_deref(), Some("1"));
        }
    }
    let started = Instant::now();
    let refused = idle.query_drop("INSERT INTO t VALUES (2)").await;
    assert_server_error(&refused, 2003, "nothing was done");
    // Nobody can say what it saw there, so it is not shown anything older.
    let refused = on_primary.query_drop("SELECT v FROM t").await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );

    primary.restart().await.unwrap();
    setup.replicas_usable(2).await;
    for mut conn in [idle, eventual, session, setup.connect().await] {
        run(&mut conn, "UPDATE t SET v = v + 1").await;
        let seen = cell(&mut conn, "SELECT v FROM t").await;
        assert!(seen.is_some());
    }
    let mut last = setup.connect().await;
    run(&mut last, "UPDATE t SET v = v + 1").await;
    assert_eq!(
        cell(&mut last, "SELECT v FROM t").await.as_deref(),
        Some("6")
    );
    setup.proxy.shut_down().await;
}

/// A transaction that loses its primary must not go on elsewhere as if nothing had been.
#[tokio::test]
async fn a_transaction_ends_with_its_server() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let replica = setup.cluster.replica(0);
    setup.cluster.replica(1).kill();
    setup.replicas_usable(1).await;
    let mut reader = setup.connect().await;
    run(&mut reader, "START TRANSACTION READ ONLY").await;
    run(&mut reader, "SELECT COUNT(*) FROM t").await;
    run(&mut conn, "BEGIN").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;

    replica.freeze().await.unwrap();
    let lost = reader.query_drop("SELECT COUNT(*) FROM t");
    let lost = tokio::time::timeout(Duration::from_secs(30), lost).await;
    let lost = lost.expect("the read waits for a replica that hangs");
    assert_server_error(&lost, 2013, "the transaction is over");
    run(&mut reader, "SELECT COUNT(*) FROM t").await;
    replica.thaw().unwrap();

    setup.cluster.primary().kill();
    let lost = conn.query_drop("INSERT INTO t VALUES (2)").await;
    assert_server_error(&lost, 2013, "lost");
    setup.cluster.primary().restart().await.unwrap();
    setup.replicas_usable(1).await;
    let mut conn = setup.connect().await;
    assert_eq!(
        cell(&mut conn, "SELECT COUNT(*) FROM t").await.as_deref(),
        Some("0")
    );
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_full_pool_is_a_clear_error_or_another_server() {
    const PATIENCE: Duration = Duration::from_millis(300);
    let setup = Setup::with(Cluster::builder(), |config| {
        config.pool.mode = PoolMode::Session;
        config.pool.max_connections = 2;
        config.pool.min_idle = 0;
        config.pool.acquire_timeout = PATIENCE;
    })
    .await;
    let mut first = setup.connect().await;
    run(&mut first, "CREATE TABLE t (v INT)").await;
    run(&mut first, "BEGIN").await;
    let mut second = setup.connect().await;
    run(&mut second, "BEGIN").await;
    let started = Instant::now();
    let refused = plain(&setup).await;
    let mut third = refused.unwrap();
    let refused = third.query_drop("BEGIN").await;
    assert_server_error(&refused, 1040, "nothing was done");
    assert!(started.elapsed() >= PATIENCE);
    // The session goes on, and so does it once a place is free.
    first.disconnect().await.unwrap();
    while let Err(error) = third.query_drop("INSERT INTO app.t VALUES (1)").await {
        assert_server_error(&Err(error), 1040, "nothing was done");
    }
    second.disconnect().await.unwrap();
    third.disconnect().await.unwrap();

    // Five readers, two replicas with two places each. Each reads twice: the library asks for two
    // variables first.
    setup.cluster.wait_all_caught_up().await.unwrap();
    let before = ["replica", "primary"].map(|target| reads_on(&setup.proxy, target));
    let mut readers = Vec::new();
    for _ in 0..5 {
        let mut reader = setup.connect().await;
        let seen = cell(&mut reader, "SELECT COUNT(*) FROM t").await;
        assert_eq!(seen.as_deref(), Some("1"));
        readers.push(reader);
    }
    let after = [before[0] + 8, before[1] + 2];
    until("four read from replicas, one from the primary", || {
        ["replica", "primary"].map(|target| reads_on(&setup.proxy, target)) == after
    })
    .await;
    drop(readers);
    setup.proxy.shut_down().await;
}

/// A client without a default schema, which needs no server to log in.
async fn plain(setup: &Setup) -> mysql_async::Result<Conn> {
    Conn::new(Opts::from(setup.opts().db_name(None::<&str>))).await
}

#[tokio::test]
async fn no_more_sessions_than_allowed() {
    let setup = Setup::with(Cluster::builder().replicas(0), |config: &mut Config| {
        config.limits.max_sessions = 2;
    })
    .await;
    let first = setup.connect().await;
    let mut second = setup.connect().await;
    let refused = Conn::new(Opts::from(setup.opts())).await;
    let Err(Error::Server(error)) = refused else {
        panic!("a third was let in")
    };
    assert_eq!(error.code, 1040);
    run(&mut second, "SELECT 1").await;
    first.disconnect().await.unwrap();
    while let Err(error) = Conn::new(Opts::from(setup.opts())).await {
        assert!(
            matches!(&error, Error::Server(error) if error.code == 1040),
            "{error}"
        );
    }
    // Many at once are no way around it.
    drop(second);
    let many = (0..20).map(|_| Conn::new(Opts::from(setup.opts())));
    let mut tasks: tokio::task::JoinSet<_> = many.collect();
    let mut inside = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        inside.extend(joined.unwrap().ok());
    }
    assert!(inside.len() <= 2, "{} got in", inside.len());
    assert!(count(&setup.proxy, "errors_total", &[]) > 0);
    setup.proxy.shut_down().await;
}

fn assert_server_error(result: &mysql_async::Result<()>, code: u16, says: &str) {
    match result {
        Err(Error::Server(error)) => {
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(says), "{error}");
            assert!(!error.message.contains(APP.password), "{error}");
        }
        other => panic!("expected error {code}, got {other:?}"),
    }
}
