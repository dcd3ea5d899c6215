//! What level `session` promises on MySQL servers without GTIDs, by places in the primary's binary
//! log; and where not even these are told, by time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "support/measure.rs"]
mod measure;
#[path = "consistency/pairs.rs"]
#[allow(dead_code, reason = "shared")]
mod pairs;

use std::time::Duration;

use highwater::config::Config;
use highwater::daemon::Proxy;
use highwater::domain::ids::BackendId;
use highwater::domain::position::PositionKind;
use highwater::domain::topology::Health;
use highwater::rig::{Cluster, MONITOR, Server};
use measure::{Held, reads_on};
use pairs::{SESSIONS, run_pairs, tell};
use support::{Setup, cell, run};

const PAIRS: u32 = 640;

/// Turns a cluster's GTIDs off, in the steps that MySQL wants.
async fn without_gtids() -> Cluster {
    let cluster = Cluster::builder().start().await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let primary = cluster.primary();
    let place = "SELECT CONCAT('SOURCE_LOG_FILE=', QUOTE(LOCAL->>'$.binary_log_file'), \
                 ', SOURCE_LOG_POS=', LOCAL->>'$.binary_log_position') \
                 FROM performance_schema.log_status";
    let place = primary.value(place).await.unwrap().unwrap();
    let set = async |server: &Server, mode: &str| {
        let sql = format!("SET GLOBAL gtid_mode = {mode}");
        server.exec(&sql).await.unwrap();
    };
    let follow = format!("CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=0, {place}");
    for replica in cluster.replicas() {
        replica.exec("STOP REPLICA").await.unwrap();
        replica.exec(&follow).await.unwrap();
    }
    for mode in ["ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"] {
        set(primary, mode).await;
        for replica in cluster.replicas() {
            set(replica, mode).await;
        }
    }
    for replica in cluster.replicas() {
        replica.exec("START REPLICA").await.unwrap();
        replica.wait_replicating().await.unwrap();
    }
    cluster
}

async fn proxied(cluster: Cluster, change: impl FnOnce(&mut Config)) -> Setup {
    let _ = highwater::telemetry::log::init(
        highwater::telemetry::log::Format::Text,
        &std::env::var("HW_LOG").unwrap_or("off".into()),
    );
    let mut config = support::config(&cluster);
    change(&mut config);
    let proxy = Proxy::start(config).await.unwrap();
    let setup = Setup { proxy, cluster };
    setup.replicas_usable(2).await;
    setup
}

#[tokio::test]
async fn no_session_misses_its_own_write() {
    let cluster = without_gtids().await;
    let setup = proxied(cluster, |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    assert_eq!(setup.proxy.watch().position_kind(), PositionKind::Binlog);
    let mut conn = setup.connect().await;
    for sql in [
        "CREATE TABLE counters (id INT PRIMARY KEY, v INT NOT NULL)",
        "CREATE TABLE entries (id INT, v INT, PRIMARY KEY (id, v))",
    ] {
        run(&mut conn, sql).await;
    }
    for id in 0..SESSIONS {
        run(&mut conn, &format!("INSERT INTO counters VALUES ({id}, 0)")).await;
    }
    let tally = run_pairs(&setup, "session", 1, PAIRS).await;
    tell(&setup, "session, by places in the binary log", &tally);
    assert_eq!(tally.stale, 0);
    assert!(reads_on(&setup.proxy, "replica") >= u64::from(PAIRS));

    // To the primary and back, with and without the right to ask what it shows.
    for right in ["BACKUP_ADMIN", "none"] {
        if right != "none" {
            let grant = format!("GRANT {right} ON *.* TO '{}'", MONITOR.user);
            setup.cluster.primary().exec(&grant).await.unwrap();
        }
        for value in 1..20 {
            let (write, read) = (
                format!("UPDATE counters SET v = {value} WHERE id = 0"),
                "SELECT v FROM counters WHERE id = 0",
            );
            run(&mut conn, &write).await;
            let expected = Some(value.to_string());
            assert_eq!(cell(&mut conn, read).await, expected);
            run(&mut conn, "BEGIN").await;
            assert_eq!(cell(&mut conn, read).await, expected);
            run(&mut conn, "COMMIT").await;
        }
    }

    // The check can fail: both replicas are healthy and stand still.
    let replicas = setup.cluster.replicas();
    let held = [
        Held::hold(&replicas[0]).await,
        Held::hold(&replicas[1]).await,
    ];
    let tally = run_pairs(&setup, "eventual", 2 * PAIRS, 160).await;
    assert_eq!(tally.stale, tally.pairs);
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// The monitor may not ask where the primary's log ends.
#[tokio::test]
async fn reads_stay_on_the_primary_for_a_time_where_nothing_is_told() {
    let cluster = without_gtids().await;
    let primary = cluster.primary();
    let mut root = primary.connect(&highwater::rig::ROOT).await.unwrap();
    for sql in [
        "SET sql_log_bin = 0".to_owned(),
        format!("REVOKE REPLICATION CLIENT ON *.* FROM '{}'", MONITOR.user),
    ] {
        run(&mut root, &sql).await;
    }
    let sticky = Duration::from_secs(3);
    let setup = proxied(cluster, |config| {
        config.consistency.sticky_after_write = sticky;
    })
    .await;
    let watch = setup.proxy.watch();
    assert_eq!(watch.position_kind(), PositionKind::Nothing);
    let health = watch.topology().get(BackendId::PRIMARY).unwrap().health;
    assert_eq!(health, Health::Up);
    let on = |target| reads_on(&setup.proxy, target);

    // Nothing was written: the replicas answer.
    let mut conn = setup.connect().await;
    let read = "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 't'";
    let before = on("replica");
    assert_eq!(cell(&mut conn, read).await.as_deref(), Some("0"));
    measure::until("a replica answered", || on("replica") == before + 1).await;
    // After a write the primary does, even for one who would wait long.
    let wait = "SET highwater_catch_up_timeout = 60000";
    run(&mut conn, wait).await;
    run(&mut conn, "CREATE TABLE t (a INT)").await;
    let written = std::time::Instant::now();
    let before = on("primary");
    assert_eq!(cell(&mut conn, read).await.as_deref(), Some("1"));
    if written.elapsed() < sticky {
        measure::until("the primary answered", || on("primary") == before + 1).await;
    }
    // And after the time a replica again.
    let before = on("replica");
    measure::until("the time is over", || written.elapsed() > sticky * 2).await;
    assert_eq!(cell(&mut conn, read).await.as_deref(), Some("1"));
    measure::until("a replica answered again", || on("replica") == before + 1).await;
    setup.proxy.shut_down().await;
}
