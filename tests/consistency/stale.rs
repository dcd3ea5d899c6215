//! `on_timeout = stale`: an older answer comes, and its client can see that it is one.

use std::time::Duration;

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::ok::OkView;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;

use super::measure::{Held, count, until};
use super::support::{Setup, cell, run};
use super::wire::{Raw, only_cell};

type Warning = (String, u32, String);

const SHOW: &str = "SHOW WARNINGS";

#[tokio::test]
async fn an_older_answer_carries_a_warning() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let held = [
        Held::hold(&setup.cluster.replicas()[0]).await,
        Held::hold(&setup.cluster.replicas()[1]).await,
    ];
    run(&mut conn, "SET highwater_on_timeout = 'stale'").await;
    run(&mut conn, "UPDATE t SET v = 1").await;

    let seen: Option<i64> = conn.query_first("SELECT v FROM t").await.unwrap();
    assert_eq!(seen, Some(0), "the answer is a replica's");
    assert_eq!(conn.get_warnings(), 1);
    for _ in 0..2 {
        let warnings: Vec<Warning> = conn.query(SHOW).await.unwrap();
        let [(level, code, text)] = &*warnings else {
            panic!("{warnings:?}");
        };
        assert_eq!((&**level, *code), ("Warning", 51_000));
        assert!(text.contains("older"), "{text}");
    }
    // Next to the server's own, also of a prepared statement.
    let sql = "SELECT v, CAST('x' AS SIGNED) FROM t";
    let seen: Option<(i64, i64)> = conn.query_first(sql).await.unwrap();
    assert_eq!((seen, conn.get_warnings()), (Some((0, 0)), 2));
    let warnings: Vec<Warning> = conn.query(SHOW).await.unwrap();
    let codes: Vec<_> = warnings.iter().map(|warning| warning.1).collect();
    assert_eq!(codes, [1292, 51_000]);
    let seen: Option<(i64, i64)> = conn.exec_first(sql, ()).await.unwrap();
    assert_eq!((seen, conn.get_warnings()), (Some((0, 0)), 2));
    // What follows is as it would be without.
    run(&mut conn, "UPDATE t SET v = 2").await;
    assert_eq!(conn.get_warnings(), 0);
    assert_eq!(conn.query::<Warning, _>(SHOW).await.unwrap(), []);

    // Every kind of client, and one that reads nothing but the flags.
    for kind in [
        CapabilityFlags::empty(),
        CapabilityFlags::CLIENT_DEPRECATE_EOF,
    ] {
        let mut raw = Raw::connect(&setup, kind).await;
        raw.query("SET highwater_on_timeout = 'stale'")
            .await
            .unwrap();
        raw.query("UPDATE t SET v = v + 1").await.unwrap();
        let packets = raw.query("SELECT v FROM t").await.unwrap();
        assert_eq!(only_cell(&packets), "0");
        assert_eq!(OkView::parse(packets.last().unwrap()).unwrap().warnings, 1);
        let packets = raw.query(SHOW).await.unwrap();
        let row = &packets[packets.len() - 2];
        assert!(row.windows(5).any(|part| part == b"51000"), "{packets:?}");
        // The connection is in step.
        raw.query("SELECT v FROM t").await.unwrap();
    }
    // Preparing a read reads the tables' definitions, and counts as well.
    let outcome = ["level=\"session\"", "outcome=\"stale\""];
    until("the count", || {
        count(&setup.proxy, "consistency_outcome_total", &outcome) == 8
    })
    .await;

    // An older answer was seen like any other: once the primary answers, nobody goes back.
    run(&mut conn, "SET highwater_on_timeout = 'primary'").await;
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("4")
    );
    assert_eq!(conn.get_warnings(), 0);
    for held in held {
        held.release().await;
    }
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("4")
    );
    setup.proxy.shut_down().await;
}
