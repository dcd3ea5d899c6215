//! Level `session`: no read goes back in time, whatever becomes of the servers.

use std::path::Path;
use std::time::Duration;

use highwater::config::Account;
use highwater::domain::ids::BackendId;
use highwater::domain::topology::BackendView;
use highwater::rig::{APP, Cluster, ROOT, Server};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts};

use super::measure::{Held, until};
use super::monotonic::{Watchers, counter};
use super::support::{Setup, cell, run};

/// Reads never go back in time while their servers change, and each change is made when the other
/// replica stands still: whoever goes there without asking sees the past.
#[tokio::test]
async fn reads_never_go_back_in_time() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let replicas = setup.cluster.replicas();
    let mut watchers = Watchers::start(&setup, "session").await;
    for (one, other) in [(0, 1), (1, 0)] {
        // Stopped: it takes no reads; those of its readers must not go to the other.
        let held = Held::hold(&replicas[other]).await;
        watchers.go_on().await;
        replicas[one].stop_applier().await.unwrap();
        setup.replicas_usable(1).await;
        watchers.go_on().await;
        replicas[one].start_applier().await.unwrap();
        setup.replicas_usable(2).await;
        watchers.go_on().await;
        // Frozen: nothing answers, and nothing breaks.
        replicas[one].freeze().await.unwrap();
        watchers.go_on().await;
        replicas[one].thaw().unwrap();
        setup.replicas_usable(2).await;
        watchers.go_on().await;
        // Killed, and back in another life.
        replicas[one].kill();
        watchers.go_on().await;
        replicas[one].restart().await.unwrap();
        setup.replicas_usable(2).await;
        held.release().await;
        watchers.go_on().await;
    }
    // Both gone: the primary, and back.
    replicas.iter().for_each(Server::kill);
    watchers.go_on().await;
    for replica in replicas {
        replica.restart().await.unwrap();
    }
    setup.replicas_usable(2).await;
    watchers.go_on().await;
    let found = watchers.end().await;
    println!(
        "session: {} reads, {} transactions lost",
        found.reads, found.lost_transactions
    );
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

/// With a semi-synchronous primary that waits for nobody's word, a replica shows a transaction well
/// before the primary does.
#[tokio::test]
async fn a_read_on_the_primary_waits_for_what_a_replica_showed() {
    let _ = highwater::telemetry::log::init(
        highwater::telemetry::log::Format::Text,
        &std::env::var("HW_LOG").unwrap_or("off".into()),
    );
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    let primary = setup.cluster.primary();
    let mut writer = setup.connect().await;
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "INSERT INTO counter VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    for sql in [
        "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
        "SET GLOBAL rpl_semi_sync_source_timeout = 1500",
        "SET GLOBAL rpl_semi_sync_source_wait_no_replica = ON",
    ] {
        primary.exec(sql).await.unwrap();
    }
    let mut reader = setup.connect().await;
    let mut behind = primary.connect(&APP).await.unwrap();
    let ways: [&[&str]; 4] = [
        &["BEGIN"],
        &["START TRANSACTION WITH CONSISTENT SNAPSHOT"],
        &["SET autocommit = 0"],
        &[
            "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "BEGIN",
        ],
    ];
    for (expected, way) in (1..).zip(ways) {
        // It gives up waiting after one timeout; this makes it wait again.
        for on in ["OFF", "ON"] {
            primary
                .exec(&format!("SET GLOBAL rpl_semi_sync_source_enabled = {on}"))
                .await
                .unwrap();
        }
        let writing = tokio::spawn(async move {
            run(&mut writer, "UPDATE counter SET v = v + 1").await;
            writer
        });
        while counter(&mut reader).await != expected {}
        assert_eq!(
            counter(&mut behind).await,
            expected - 1,
            "the primary is not behind"
        );
        for sql in way {
            run(&mut reader, sql).await;
        }
        assert_eq!(counter(&mut reader).await, expected, "{way:?}");
        run(&mut reader, "COMMIT").await;
        reader.reset().await.unwrap();
        writer = writing.await.unwrap();
    }
    // It does not wait for ever: an error that says so, never the past.
    for sql in [
        "SET GLOBAL rpl_semi_sync_source_timeout = 60000",
        "SET GLOBAL rpl_semi_sync_source_enabled = OFF",
        "SET GLOBAL rpl_semi_sync_source_enabled = ON",
    ] {
        primary.exec(sql).await.unwrap();
    }
    let writing = tokio::spawn(async move {
        run(&mut writer, "UPDATE counter SET v = 100").await;
    });
    while counter(&mut reader).await != 100 {}
    run(&mut reader, "SET highwater_catch_up_timeout = 0").await;
    run(&mut reader, "BEGIN").await;
    let refused = reader.query_drop("SELECT v FROM counter").await;
    assert!(
        matches!(&refused, Err(Error::Server(error)) if error.code == 1205),
        "{refused:?}"
    );
    primary
        .exec("SET GLOBAL rpl_semi_sync_source_enabled = OFF")
        .await
        .unwrap();
    writing.await.unwrap();
    assert_eq!(counter(&mut reader).await, 100);
    run(&mut reader, "COMMIT").await;
    setup.proxy.shut_down().await;
}

/// Servers that are too busy to say how far a session's reads reach are asked again: their silence alone
/// fails no read.
#[tokio::test]
async fn a_read_on_the_primary_asks_busy_servers_again() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(60);
    })
    .await;
    let (primary, replica) = (setup.cluster.primary(), setup.cluster.replica(0));
    let mut reader = setup.connect().await;
    run(&mut reader, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut reader, "INSERT INTO counter VALUES (7)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    assert_eq!(counter(&mut reader).await, 7);
    let watch = setup.proxy.watch();
    let asked = || {
        let of = |id| watch.counters(id).upper_bounds_asked;
        of(BackendId::PRIMARY) + of(BackendId(1))
    };
    for server in [primary, replica] {
        server.freeze().await.unwrap();
    }
    let before = asked();
    let reading =
        tokio::spawn(async move { cell(&mut reader, "SELECT v FROM counter FOR UPDATE").await });
    until("it asks again", || {
        reading.is_finished() || asked() > before + 4
    })
    .await;
    for server in [primary, replica] {
        server.thaw().unwrap();
    }
    assert_eq!(reading.await.unwrap().as_deref(), Some("7"));
    setup.proxy.shut_down().await;
}

/// What an application read at a level that promises nothing counts once it asks for more.
#[tokio::test]
async fn what_was_read_at_eventual_counts_at_session() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let replicas = setup.cluster.replicas();
    let mut writer = setup.connect().await;
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "INSERT INTO counter VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let held = Held::hold(&replicas[1]).await;
    run(&mut writer, "UPDATE counter SET v = 1").await;
    setup.cluster.wait_caught_up(0).await.unwrap();
    let (mut readers, mut others) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let mut reader = setup.connect().await;
        run(&mut reader, "SET highwater_read_consistency = 'eventual'").await;
        match counter(&mut reader).await {
            1 => readers.push(reader),
            _ => others.push(reader),
        }
    }
    assert!(readers.len() > 1, "nobody reads from the first replica");
    replicas[0].kill();
    setup.replicas_usable(1).await;
    for (number, reader) in readers.iter_mut().enumerate() {
        if number % 2 == 0 {
            // Back in time, as it was asked for.
            assert_eq!(counter(reader).await, 0);
        }
        run(reader, "SET highwater_read_consistency = 'session'").await;
        assert_eq!(counter(reader).await, 1);
    }
    held.release().await;
    setup.proxy.shut_down().await;
}

/// A replica that comes back with less than it had: what was known of its former life is void.
#[tokio::test]
async fn a_replica_that_lost_its_past_is_not_believed() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let replica = setup.cluster.replica(0);
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut conn, "INSERT INTO counter VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    // A copy of its data, in which it applies nothing for half a minute.
    replica.delay(25).await.unwrap();
    replica.shut_down().await.unwrap();
    let folder = replica.error_log().parent().unwrap().to_owned();
    copy(&folder.join("data"), &folder.join("copy"));
    replica.restart().await.unwrap();
    replica.delay(0).await.unwrap();
    setup.replicas_usable(1).await;
    run(&mut conn, "UPDATE counter SET v = 1").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut reader = setup.connect().await;
    for conn in [&mut conn, &mut reader] {
        assert_eq!(counter(conn).await, 1);
    }
    replica.kill();
    std::fs::remove_dir_all(folder.join("data")).unwrap();
    std::fs::rename(folder.join("copy"), folder.join("data")).unwrap();
    replica.restart().await.unwrap();
    setup.replicas_usable(1).await;
    let mut other = setup.connect().await;
    assert_eq!(counter(&mut other).await, 0, "the replica has lost nothing");
    for conn in [&mut conn, &mut reader] {
        assert_eq!(counter(conn).await, 1);
    }
    setup.proxy.shut_down().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (
            entry.as_ref().unwrap(),
            to.join(entry.as_ref().unwrap().file_name()),
        );
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// A replica that is filled anew from an older copy while it runs: what was known of it is void,
/// though it never restarted.
#[tokio::test]
async fn a_replica_whose_history_was_reset_is_not_taken_for_what_it_was() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(7200);
    })
    .await;
    let replica = &setup.cluster.replicas()[0];
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut conn, "INSERT INTO counter VALUES (0)").await;
    let copied = cell(&mut conn, "SELECT @@highwater_position")
        .await
        .unwrap();
    run(&mut conn, "UPDATE counter SET v = 1").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    assert_eq!(counter(&mut conn).await, 1);
    let mut root = replica.connect(&ROOT).await.unwrap();
    run(&mut root, "STOP REPLICA").await;
    setup.replicas_usable(0).await;
    for sql in [
        "SET sql_log_bin = OFF",
        "SET GLOBAL super_read_only = OFF",
        "RESET BINARY LOGS AND GTIDS",
        "UPDATE app.counter SET v = 0",
        &format!("SET GLOBAL gtid_purged = '{copied}'"),
        "SET GLOBAL super_read_only = ON",
        "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 3600",
        "START REPLICA",
    ] {
        run(&mut root, sql).await;
    }
    setup.replicas_usable(1).await;
    for _ in 0..3 {
        assert_eq!(counter(&mut conn).await, 1);
    }
    // It is a replica like any other: who asks for nothing sees what it has.
    assert_eq!(counter(&mut setup.connect().await).await, 0);
    setup.proxy.shut_down().await;
}

/// A server that begins its history anew numbers other transactions as those that its replicas have.
#[tokio::test]
async fn what_is_written_after_the_history_was_reset_is_seen() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        // Nobody looks at the servers before the next reads, unless asked.
        config.monitor.interval = Duration::from_secs(2);
        config.consistency.max_staleness = Duration::from_secs(8);
        config.users.push(Account::new(ROOT.user, ROOT.password));
    })
    .await;
    let as_root = setup.opts().user(Some(ROOT.user));
    let as_root = as_root.pass(Some(ROOT.password)).db_name(APP.database);
    let mut conn = Conn::new(Opts::from(as_root)).await.unwrap();
    let mut other = setup.connect().await;
    run(&mut conn, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut conn, "INSERT INTO counter VALUES (0)").await;
    for level in ["session", "group", "proxy"] {
        let level = format!("SET highwater_read_consistency = '{level}'");
        for reset in ["RESET REPLICA", "RESET BINARY LOGS AND GTIDS"] {
            for conn in [&mut conn, &mut other] {
                run(conn, &level).await;
                for _ in 0..20 {
                    run(conn, "UPDATE counter SET v = v + 1").await;
                    counter(conn).await;
                }
            }
            run(&mut conn, reset).await;
            for conn in [&mut conn, &mut other] {
                let before = counter(conn).await;
                run(conn, "UPDATE counter SET v = v + 1").await;
                assert_eq!(counter(conn).await, before + 1, "{level} {reset}");
            }
            // Who begins afterwards.
            let mut fresh = setup.connect().await;
            run(&mut fresh, "UPDATE counter SET v = 0").await;
            assert_eq!(counter(&mut fresh).await, 0, "{level} {reset}");
        }
        follow_anew(&setup).await;
        until("a replica in use", || {
            let watch = setup.proxy.watch();
            let servers = watch.topology().backends.clone();
            servers.iter().for_each(|server| watch.suspect(server.id));
            servers.iter().all(BackendView::usable)
        })
        .await;
    }
    setup.proxy.shut_down().await;
}

/// The replica has the same rows as the primary and follows it from here.
async fn follow_anew(setup: &Setup) {
    let replica = &setup.cluster.replicas()[0];
    let mut root = replica.connect(&ROOT).await.unwrap();
    let mut primary = setup.cluster.primary().connect(&ROOT).await.unwrap();
    let executed = cell(&mut primary, "SELECT @@global.gtid_executed").await;
    let counted = cell(&mut primary, "SELECT v FROM app.counter").await;
    for sql in [
        "STOP REPLICA",
        "RESET REPLICA",
        "SET sql_log_bin = OFF",
        "SET GLOBAL super_read_only = OFF",
        "RESET BINARY LOGS AND GTIDS",
        &format!("UPDATE app.counter SET v = {}", counted.unwrap()),
        &format!("SET GLOBAL gtid_purged = '{}'", executed.unwrap()),
        "SET GLOBAL super_read_only = ON",
        "START REPLICA",
    ] {
        run(&mut root, sql).await;
    }
}
