//! The variables by which a session chooses, and what each choice does.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};

use super::measure::{Held, reads_on, reason, until};
use super::support::{Setup, cell, run};

/// Ways to write one assignment; `{}` is the level.
const SPELLINGS: &[&str] = &[
    "SET aurora_replica_read_consistency = '{}'",
    "SET SESSION aurora_replica_read_consistency = \"{}\"",
    "set session AURORA_REPLICA_READ_CONSISTENCY={}",
    "SET @@aurora_replica_read_consistency = '{}'",
    "SET @@session.aurora_replica_read_consistency := '{}'",
    "SET highwater_read_consistency = '{}'",
    "SET LOCAL highwater_read_consistency = {}",
    "SET @@SESSION.highwater_read_consistency = '{}'",
    "SET @x = 1, highwater_read_consistency = '{}'",
    "SET highwater_read_consistency = '{}', sql_mode = DEFAULT",
    "/* by a framework */ SET highwater_read_consistency = '{}';",
];

async fn assert_level(conn: &mut Conn, level: &str, context: &str) {
    for name in [
        "highwater_read_consistency",
        "aurora_replica_read_consistency",
    ] {
        for prefix in ["@@", "@@session.", "@@SESSION."] {
            let shown = cell(conn, &format!("SELECT {prefix}{name}")).await;
            assert_eq!(shown.as_deref(), Some(level), "{context}: {prefix}{name}");
        }
        for show in ["SHOW VARIABLES LIKE", "show session variables like"] {
            let row: Option<(String, String)> =
                conn.query_first(format!("{show} '{name}'")).await.unwrap();
            assert_eq!(
                row,
                Some((name.to_owned(), level.to_owned())),
                "{context}: {show}"
            );
        }
    }
}

#[tokio::test]
async fn a_session_chooses_its_level() {
    let setup = Setup::start().await;
    let mut other = setup.connect().await;
    for spelling in SPELLINGS {
        let mut conn = setup.connect().await;
        assert_level(&mut conn, "session", spelling).await;
        for level in ["EVENTUAL", "session", "Global", "Eventual"] {
            run(&mut conn, &spelling.replace("{}", level)).await;
            assert_level(&mut conn, &level.to_lowercase(), spelling).await;
        }
        assert_level(&mut other, "session", "another session").await;
        conn.reset().await.unwrap();
        assert_level(&mut conn, "session", "after a reset").await;
        run(&mut conn, &spelling.replace("{}", "eventual")).await;
        run(
            &mut conn,
            &spelling
                .replace("{}", "DEFAULT")
                .replace("'DEFAULT'", "DEFAULT")
                .replace("\"DEFAULT\"", "DEFAULT"),
        )
        .await;
        assert_level(&mut conn, "session", "after DEFAULT").await;
        run(&mut conn, &spelling.replace("{}", "eventual")).await;
        for unknown in ["strong", ""] {
            let refused = conn
                .query_drop(
                    spelling
                        .replace("'{}'", "{}")
                        .replace("\"{}\"", "{}")
                        .replace("{}", &format!("'{unknown}'")),
                )
                .await;
            assert!(
                matches!(&refused, Err(Error::Server(error)) if error.code == 1231),
                "{spelling}, {unknown}: {refused:?}"
            );
        }
        assert_level(&mut conn, "eventual", "after errors").await;
    }
    for (sql, code) in [
        ("SET highwater_catch_up_timeout = 'soon'", 1231),
        ("SET highwater_catch_up_timeout = -1", 1231),
        ("SET highwater_max_staleness = -1", 1231),
        ("SET highwater_on_timeout = 'retry'", 1231),
        ("SET aurora_replica_read_consistency = 'bounded'", 1231),
        ("SET highwater_position = 'x'", 1238),
        (
            "SET no_such_variable = 1, highwater_read_consistency = 'eventual'",
            1193,
        ),
    ] {
        let refused = other.query_drop(sql).await;
        assert!(
            matches!(&refused, Err(Error::Server(error)) if error.code == code),
            "{sql}: {refused:?}"
        );
    }
    assert_level(&mut other, "session", "a SET list that failed").await;
    run(&mut other, "SET highwater_catch_up_timeout = 250").await;
    assert_eq!(
        cell(&mut other, "SELECT @@highwater_catch_up_timeout")
            .await
            .as_deref(),
        Some("250")
    );
    let row: Option<Row> = other
        .query_first("SHOW VARIABLES LIKE 'highwater_catch_up_timeout'")
        .await
        .unwrap();
    assert_eq!(row.unwrap().get::<String, _>(1).as_deref(), Some("250"));
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_read_that_waited_in_vain_goes_to_the_primary() {
    const PATIENCE: Duration = Duration::from_millis(400);
    let setup = Setup::with(highwater::rig::Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = PATIENCE;
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let proxy = &setup.proxy;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let replicas = setup.cluster.replicas();
    let held = [
        Held::hold(&replicas[0]).await,
        Held::hold(&replicas[1]).await,
    ];

    run(&mut conn, "UPDATE t SET v = 1").await;
    let started = Instant::now();
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("1")
    );
    assert!(started.elapsed() >= PATIENCE);
    until("the timeout", || reason(proxy, "catch_up_timeout") == 1).await;

    // At once, with a timeout of nothing; or of ten seconds it would take ten.
    run(&mut conn, "SET highwater_catch_up_timeout = 0").await;
    let started = Instant::now();
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("1")
    );
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    until("no timeout", || reason(proxy, "catch_up_timeout") == 2).await;

    // The same session, with and without the promise.
    let before = reads_on(proxy, "replica");
    run(
        &mut conn,
        "SET aurora_replica_read_consistency = 'eventual'",
    )
    .await;
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("0")
    );
    until("the eventual read", || {
        reads_on(proxy, "replica") == before + 1
    })
    .await;
    run(&mut conn, "SET aurora_replica_read_consistency = 'session'").await;
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("1")
    );

    // A session that wrote nothing takes a replica as it is.
    let mut other = setup.connect().await;
    assert_eq!(
        cell(&mut other, "SELECT v FROM t").await.as_deref(),
        Some("0")
    );

    // One that waits when the first replica gets there reads from that one.
    run(&mut conn, "SET highwater_catch_up_timeout = 60000").await;
    assert_eq!(reason(proxy, "waited"), 0);
    let [first, second] = held;
    let (seen, ()) = tokio::join!(cell(&mut conn, "SELECT v FROM t"), second.release());
    assert_eq!(seen.as_deref(), Some("1"));
    until("the last read", || reason(proxy, "waited") == 1).await;
    first.release().await;
    setup.proxy.shut_down().await;
}

/// A write that is in no binary log is the primary's alone.
#[tokio::test]
async fn an_unlogged_write_is_read_back_from_the_primary() {
    let setup = Setup::start().await;
    setup
        .cluster
        .primary()
        .exec("GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO app")
        .await
        .unwrap();
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(
        &mut conn,
        "CREATE PROCEDURE unlogged(n INT) \
        BEGIN SET sql_log_bin = 0; INSERT INTO t VALUES (n); SET sql_log_bin = 1; END",
    )
    .await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let ways: [&[&str]; 4] = [
        &[
            "SET sql_log_bin = 0",
            "INSERT INTO t VALUES (7)",
            "SET sql_log_bin = 1",
        ],
        &[
            "SET sql_log_bin = 0",
            "BEGIN",
            "INSERT INTO t VALUES (7)",
            "COMMIT",
        ],
        &["SET sql_log_bin = 0; INSERT INTO t VALUES (7); SET sql_log_bin = 1"],
        &["CALL unlogged(7)"],
    ];
    for (rows, way) in (1..).zip(ways) {
        let mut conn = setup.connect().await;
        for sql in way {
            run(&mut conn, sql).await;
        }
        for _ in 0..5 {
            let seen = cell(&mut conn, "SELECT COUNT(*) FROM t").await;
            assert_eq!(seen, Some(rows.to_string()), "{way:?}");
        }
        // From then on it is nobody's own.
        conn.reset().await.unwrap();
        run(&mut conn, "INSERT INTO t VALUES (1)").await;
        run(&mut conn, "DELETE FROM t WHERE v = 1").await;
        assert_eq!(
            cell(&mut conn, "SELECT COUNT(*) FROM t").await.as_deref(),
            Some("0"),
            "{way:?}"
        );
    }
    setup.proxy.shut_down().await;
}

/// The trackers are Highwater's: a client that turns them off only stops hearing of them itself.
#[tokio::test]
async fn a_session_that_turns_trackers_off_is_offloaded_as_before() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    for (rows, sql) in (1..).zip([
        "SET session_track_gtids = 'OFF'",
        "SET session_track_gtids = DEFAULT, session_track_system_variables = ''",
        "SET session_track_transaction_info = 'OFF', session_track_state_change = 0",
        "SET @@session.session_track_gtids = 'ALL_GTIDS'",
        "SET SESSION TRANSACTION READ WRITE",
    ]) {
        run(&mut conn, sql).await;
        run(&mut conn, "INSERT INTO t VALUES (1)").await;
        let before = reads_on(&setup.proxy, "replica");
        let seen = cell(&mut conn, "SELECT COUNT(*) FROM t").await;
        assert_eq!(seen, Some(rows.to_string()), "{sql}");
        until(sql, || reads_on(&setup.proxy, "replica") > before).await;
    }
    assert_eq!(reads_on(&setup.proxy, "primary"), 0);
    setup.proxy.shut_down().await;
}
