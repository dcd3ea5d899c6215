//! What level `session` promises holds on MariaDB, and the same checks find stale reads where it is
//! not asked for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "mariadb/cases.rs"]
mod cases;
#[path = "support/measure.rs"]
mod measure;
#[path = "consistency/monotonic.rs"]
mod monotonic;
#[path = "consistency/pairs.rs"]
mod pairs;
#[path = "consistency/reads.rs"]
mod reads;
#[path = "consistency/wire.rs"]
mod wire;
#[path = "consistency/writes.rs"]
mod writes;

use std::time::Duration;

use highwater::daemon::Proxy;
use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::ok::{SessionTrack, TrackEntry};
use highwater::rig::{APP, Cluster, ClusterBuilder, Engine, Server};
use measure::Held;
use monotonic::{Watchers, counter};
use mysql_async::Error;
use mysql_async::prelude::Queryable;
use pairs::{make_tables, run_pairs, tell};
use support::raw::{ok_of, shown, usual};
use support::{Setup, cell, run};
use wire::KINDS;
use writes::{look, perform};

/// Pairs of a run.
const PAIRS: u32 = 2_000;

fn cluster() -> ClusterBuilder {
    Cluster::builder()
        .engine(Engine::MariaDb)
        .option("slave-parallel-threads=4")
}

/// Whether MariaDB knows a statement.
fn is_known(sql: &&str) -> bool {
    !sql.starts_with("TABLE ")
}

/// A proxy whose reads soon go to the primary when no replica is there.
async fn impatient() -> Setup {
    Setup::with(cluster(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
    })
    .await
}

#[tokio::test]
async fn no_session_misses_its_own_write() {
    let setup = Setup::with(cluster(), |_| {}).await;
    make_tables(&setup).await;
    let replicas = setup.cluster.replicas();
    let tally = run_pairs(&setup, "session", 1, PAIRS).await;
    tell(&setup, "session", &tally);
    assert_eq!(tally.stale, 0);

    replicas[1].delay(1).await.unwrap();
    let tally = run_pairs(&setup, "session", PAIRS, PAIRS).await;
    tell(&setup, "session, one replica delayed", &tally);
    assert_eq!(tally.stale, 0);
    replicas[1].delay(0).await.unwrap();
    setup.replicas_usable(2).await;

    // The check can fail: both replicas are healthy and stand still.
    let held = [
        Held::hold(&replicas[0]).await,
        Held::hold(&replicas[1]).await,
    ];
    let tally = run_pairs(&setup, "eventual", 2 * PAIRS, 320).await;
    tell(&setup, "eventual, replicas stand still", &tally);
    assert_eq!(tally.stale, tally.pairs);
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// Replicas that stand still make a miss certain. They are delayed, not locked: under a lock what
/// they are about to apply would hang their readers.
#[tokio::test]
async fn every_kind_of_write_is_seen_by_its_session() {
    let cluster = cluster().option("replicate-events-marked-for-skip=FILTER_ON_SLAVE");
    let cluster = cluster.start().await.unwrap();
    // Before the proxy has connections, which keep the rights they began with.
    cluster.primary().exec(cases::RIGHTS).await.unwrap();
    let mut config = support::config(&cluster);
    config.consistency.catch_up_timeout = Duration::from_millis(20);
    config.consistency.max_lag = Duration::from_secs(7200);
    let proxy = Proxy::start(config).await.unwrap();
    let setup = Setup { proxy, cluster };
    setup.replicas_usable(2).await;
    let mut conn = setup.connect().await;
    for sql in cases::before() {
        run(&mut conn, &sql).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let delay = async |seconds| {
        for replica in setup.cluster.replicas() {
            replica.delay(seconds).await.unwrap();
            replica.wait_replicating().await.unwrap();
        }
        setup.replicas_usable(2).await;
    };
    delay(3600).await;
    let mut wrong = Vec::new();
    for (n, case) in (1..).zip(&cases::cases()) {
        for (n, prepared) in [(2 * n, false), (2 * n + 1, true)] {
            let mut conn = setup.connect().await;
            perform(&mut conn, case, n).await;
            let seen = look(&mut conn, case, n, prepared).await;
            if seen != case.sees {
                wrong.push(format!("{} (prepared read: {prepared}): {seen}", case.name));
            }
            // The check can fail: another session, which promises nothing, sees the replica.
            let mut other = setup.connect().await;
            run(&mut other, "SET highwater_read_consistency = 'eventual'").await;
            let stale = look(&mut other, case, n, prepared).await;
            assert_ne!(stale, case.sees, "{}: no replica stands still", case.name);
        }
        for (kind, (name, flags)) in (1..).zip(KINDS) {
            let n = 100_000 * kind + n;
            let mut raw = wire::Raw::connect(&setup, flags).await;
            if raw.perform(case, n).await {
                let seen = raw.look(case, n).await;
                if seen != case.sees {
                    wrong.push(format!("{} ({name}): {seen}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not seen: {wrong:#?}");
    delay(0).await;
    // And with replicas that move, where a position that is known in part would show.
    setup.cluster.wait_all_caught_up().await.unwrap();
    for round in 1..=5 {
        for (n, case) in (1..).zip(&cases::cases()) {
            let n = 1_000 * round + n;
            let mut conn = setup.connect().await;
            perform(&mut conn, case, n).await;
            let seen = look(&mut conn, case, n, false).await;
            assert_eq!(seen, case.sees, "{}", case.name);
        }
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn reads_never_go_back_in_time() {
    let setup = impatient().await;
    let replicas = setup.cluster.replicas();
    let mut watchers = Watchers::start(&setup, "session").await;
    for (one, other) in [(0, 1), (1, 0)] {
        let held = Held::hold(&replicas[other]).await;
        watchers.go_on().await;
        replicas[one].stop_applier().await.unwrap();
        setup.replicas_usable(1).await;
        watchers.go_on().await;
        replicas[one].start_applier().await.unwrap();
        setup.replicas_usable(2).await;
        watchers.go_on().await;
        replicas[one].kill();
        watchers.go_on().await;
        replicas[one].restart().await.unwrap();
        setup.replicas_usable(2).await;
        held.release().await;
        watchers.go_on().await;
    }
    replicas.iter().for_each(Server::kill);
    watchers.go_on().await;
    for replica in replicas {
        replica.restart().await.unwrap();
    }
    setup.replicas_usable(2).await;
    watchers.go_on().await;
    let found = watchers.end().await;
    println!("session: {} reads", found.reads);
    assert!(found.backwards.is_empty(), "{:?}", found.backwards);

    // The check can fail: the same at eventual, across one replica that stands still.
    let mut watchers = Watchers::start(&setup, "eventual").await;
    let held = Held::hold(&replicas[1]).await;
    watchers.go_on().await;
    replicas[0].stop_applier().await.unwrap();
    setup.replicas_usable(1).await;
    watchers.go_on().await;
    let found = watchers.end().await;
    assert!(!found.backwards.is_empty());
    held.release().await;
    setup.proxy.shut_down().await;
}

/// A semi-synchronous primary that waits before the engines commit: a replica shows a transaction
/// well before the primary does, whose `gtid_binlog_pos` already names it.
#[tokio::test]
async fn a_read_on_the_primary_waits_for_what_a_replica_showed() {
    let setup = Setup::with(cluster(), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    let primary = setup.cluster.primary();
    let mut writer = setup.connect().await;
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "INSERT INTO counter VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    for sql in [
        "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
        "SET GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
    ] {
        primary.exec(sql).await.unwrap();
    }
    let wait = async |millis: u32| {
        for sql in [
            "SET GLOBAL rpl_semi_sync_master_enabled = OFF".to_owned(),
            format!("SET GLOBAL rpl_semi_sync_master_timeout = {millis}"),
            "SET GLOBAL rpl_semi_sync_master_enabled = ON".to_owned(),
        ] {
            primary.exec(&sql).await.unwrap();
        }
    };
    let mut reader = setup.connect().await;
    let mut behind = primary.connect(&APP).await.unwrap();
    let ways: [&[&str]; 3] = [
        &["BEGIN"],
        &["START TRANSACTION WITH CONSISTENT SNAPSHOT"],
        &["SET autocommit = 0"],
    ];
    for (expected, way) in (1..).zip(ways) {
        // It gives up waiting after one timeout; this makes it wait again.
        wait(1500).await;
        let writing = tokio::spawn(async move {
            run(&mut writer, "UPDATE counter SET v = v + 1").await;
            writer
        });
        while counter(&mut reader).await != expected {}
        let token = cell(&mut reader, "SELECT @@highwater_position").await;
        let told = format!("SET highwater_read_after = '{}'", token.unwrap());
        let before = counter(&mut behind).await;
        assert_eq!(before, expected - 1, "the primary is not behind");
        // A session that was only told of it.
        let mut other = setup.connect().await;
        for sql in std::iter::once(&&*told).chain(way) {
            run(&mut other, sql).await;
        }
        assert_eq!(counter(&mut other).await, expected, "told: {way:?}");
        for sql in way {
            run(&mut reader, sql).await;
        }
        assert_eq!(counter(&mut reader).await, expected, "{way:?}");
        run(&mut reader, "COMMIT").await;
        reader.reset().await.unwrap();
        writer = writing.await.unwrap();
    }
    // It does not wait for ever: an error that says so, never the past.
    wait(60_000).await;
    let writing = tokio::spawn(async move {
        run(&mut writer, "UPDATE counter SET v = 100").await;
    });
    while counter(&mut reader).await != 100 {}
    run(&mut reader, "SET highwater_catch_up_timeout = 0").await;
    run(&mut reader, "BEGIN").await;
    let refused = reader.query_drop("SELECT v FROM counter").await;
    let timed_out = matches!(&refused, Err(Error::Server(error)) if error.code == 1205);
    assert!(timed_out, "{refused:?}");
    let off = "SET GLOBAL rpl_semi_sync_master_enabled = OFF";
    primary.exec(off).await.unwrap();
    writing.await.unwrap();
    assert_eq!(counter(&mut reader).await, 100);
    run(&mut reader, "COMMIT").await;
    setup.proxy.shut_down().await;
}

/// The GTIDs that Highwater asks for are shown to those who ask for them, and to nobody else; they
/// are no state of a session.
#[tokio::test]
async fn a_client_is_told_of_gtids_if_it_wants_to_be() {
    let setup = Setup::with(cluster().replicas(1), |_| {}).await;
    let address = setup.proxy.addresses().mysql.to_string();
    let login = (APP.user, APP.password);
    let mut raw = support::raw::Raw::connect(&address, login, APP.database, usual())
        .await
        .unwrap();
    raw.query("CREATE TABLE t (a INT)").await;
    let gtid = |frames: &[Vec<u8>]| -> Option<Vec<u8>> {
        SessionTrack::new(ok_of(frames).state).find_map(|entry| match entry {
            TrackEntry::SystemVariable { name, value } if name == b"last_gtid" => {
                Some(value.to_owned())
            }
            _ => None,
        })
    };
    let untold = raw.query("INSERT INTO t VALUES (1)").await;
    assert_eq!(gtid(&untold), None, "{}", shown(&untold));
    let list = "SET session_track_system_variables = 'autocommit,last_gtid'";
    raw.query(list).await;
    let told = raw.query("INSERT INTO t VALUES (2)").await;
    let told = String::from_utf8(gtid(&told).unwrap()).unwrap();
    let primary = setup.cluster.primary();
    let actual = primary.value("SELECT @@global.gtid_binlog_pos").await;
    assert_eq!(Some(told), actual.unwrap());
    // Read on a replica, whose connection is made equal to the session.
    assert_eq!(raw.cell("SELECT COUNT(*) FROM t").await, "2");
    let flags = usual() - CapabilityFlags::CLIENT_SESSION_TRACK;
    let mut plain = support::raw::Raw::connect(&address, login, APP.database, flags)
        .await
        .unwrap();
    let written = plain.query("INSERT INTO t VALUES (3)").await;
    assert!(ok_of(&written).state.is_empty(), "{}", shown(&written));
    assert_eq!(plain.cell("SELECT COUNT(*) FROM t").await, "3");
    setup.proxy.shut_down().await;
}

/// A write of a replica's own, which the primary will never have, keeps no session on the primary.
#[tokio::test]
async fn an_errant_transaction_is_not_demanded_elsewhere() {
    let setup = Setup::with(cluster(), |_| {}).await;
    let mut writer = setup.connect().await;
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "INSERT INTO counter VALUES (1)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let replicas = setup.cluster.replicas();
    let own = "SET SESSION gtid_domain_id = 9; CREATE TABLE app.errant (a INT)";
    let mut root = replicas[0].connect(&highwater::rig::ROOT).await.unwrap();
    root.query_drop(own).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = setup.connect().await;
        assert_eq!(counter(&mut reader).await, 1);
        readers.push(reader);
    }
    replicas[0].kill();
    setup.replicas_usable(1).await;
    let before = measure::reads_on(&setup.proxy, "primary");
    for reader in &mut readers {
        assert_eq!(
            cell(reader, "SELECT v FROM counter").await.as_deref(),
            Some("1")
        );
    }
    assert_eq!(measure::reads_on(&setup.proxy, "primary"), before);
    setup.proxy.shut_down().await;
}
