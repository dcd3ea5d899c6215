//! Level `session` holds on real servers, and the same checks find stale reads where it is not asked
//! for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "consistency/levels.rs"]
mod levels;
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

use std::path::Path;
use std::time::Duration;

use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster, ClusterBuilder, Server};
use measure::Held;
use monotonic::{Watchers, counter};
use mysql_async::Error;
use mysql_async::prelude::Queryable;
use pairs::{make_tables, run_pairs, tell};
use support::{Setup, run};
use wire::{KINDS, Raw, only_cell};
use writes::{BEFORE, CASES, look, perform};

/// Pairs of the long run; the figure.
const PAIRS: u32 = 20_000;
/// Pairs of each run under a fault.
const FEWER: u32 = 4_000;
/// Rounds over all kinds of writes.
const ROUNDS: u32 = 10;

#[tokio::test]
async fn no_session_misses_its_own_write() {
    let setup = Setup::start().await;
    make_tables(&setup).await;
    let tally = run_pairs(&setup, "session", 1, PAIRS).await;
    tell(&setup, "session", &tally);
    assert_eq!(tally.stale, 0);
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn no_session_misses_its_own_write_while_replicas_lag() {
    let setup = Setup::start().await;
    make_tables(&setup).await;
    let replicas = setup.cluster.replicas();

    replicas[1].delay(1).await.unwrap();
    let tally = run_pairs(&setup, "session", 1, FEWER).await;
    tell(&setup, "session, one replica delayed", &tally);
    assert_eq!(tally.stale, 0);
    replicas[1].delay(0).await.unwrap();

    let (tally, ()) = tokio::join!(run_pairs(&setup, "session", FEWER, FEWER), async {
        for _ in 0..5 {
            replicas[0].stop_applier().await.unwrap();
            setup.replicas_usable(1).await;
            replicas[0].start_applier().await.unwrap();
            setup.replicas_usable(2).await;
        }
    });
    tell(&setup, "session, one applier stopped and started", &tally);
    assert_eq!(tally.stale, 0);

    // The check can fail: both replicas are healthy and stand still.
    let held = [
        Held::hold(&replicas[0]).await,
        Held::hold(&replicas[1]).await,
    ];
    let tally = run_pairs(&setup, "eventual", 2 * FEWER, 320).await;
    tell(&setup, "eventual, replicas stand still", &tally);
    assert_eq!(
        tally.stale, tally.pairs,
        "every read went to a replica that had not applied"
    );
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// The servers of the tests that run on both engines.
fn cluster() -> ClusterBuilder {
    Cluster::builder()
}

/// Whether these servers know a statement.
fn is_known(_: &&str) -> bool {
    true
}

/// The rights that some of the writes need, which applications seldom have.
const RIGHTS: &str = "GRANT TRANSACTION_GTID_TAG, SYSTEM_VARIABLES_ADMIN, REPLICATION_APPLIER, \
                      XA_RECOVER_ADMIN ON *.* TO app";

/// Replicas that stand still make a miss certain: whatever the session did not learn of its own
/// write, it does not see.
#[tokio::test]
async fn every_kind_of_write_is_seen_by_its_session() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
    })
    .await;
    prepare_writes(&setup).await;
    let mut held = Vec::new();
    for replica in setup.cluster.replicas() {
        held.push(Held::hold(replica).await);
    }
    let mut wrong = Vec::new();
    for (n, case) in (1..).zip(CASES) {
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
            assert_ne!(
                stale, case.sees,
                "{}: the replicas do not stand still",
                case.name
            );
        }
        for (kind, (name, flags)) in (1..).zip(KINDS) {
            let n = 100_000 * kind + n;
            let mut raw = Raw::connect(&setup, flags).await;
            if raw.perform(case, n).await {
                let seen = raw.look(case, n).await;
                if seen != case.sees {
                    wrong.push(format!("{} ({name}): {seen}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not seen: {wrong:#?}");
    for (n, (name, flags)) in (500..).zip(KINDS) {
        let mut raw = Raw::connect(&setup, flags).await;
        let (write, read) = (
            format!("INSERT INTO t VALUES ({n}, 1)"),
            format!("SELECT COUNT(*) FROM t WHERE id = {n}"),
        );
        raw.send(&[&read, &write, &read]).await;
        raw.reply(ReplyKind::Query).await.unwrap();
        raw.reply(ReplyKind::Query).await.unwrap();
        let seen = raw.reply(ReplyKind::Query).await.unwrap();
        assert_eq!(only_cell(&seen), "1", "pipelined ({name})");
    }
    for held in held {
        held.release().await;
    }
    // And with replicas that move, where a position that is known in part would show.
    setup.cluster.wait_all_caught_up().await.unwrap();
    for round in 1..=ROUNDS {
        for (n, case) in (1..).zip(CASES) {
            let n = 1_000 * round + n;
            let mut conn = setup.connect().await;
            perform(&mut conn, case, n).await;
            assert_eq!(
                look(&mut conn, case, n, false).await,
                case.sees,
                "{}",
                case.name
            );
        }
    }
    setup.proxy.shut_down().await;
}

async fn prepare_writes(setup: &Setup) {
    let primary = setup.cluster.primary();
    primary.exec(RIGHTS).await.unwrap();
    let mut conn = setup.connect().await;
    for sql in BEFORE {
        run(&mut conn, sql).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
}

/// Reads never go back in time while their servers change, and each change is made when the other
/// replica stands still: whoever goes there without asking sees the past.
#[tokio::test]
async fn reads_never_go_back_in_time() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
    })
    .await;
    let replicas = setup.cluster.replicas();
    let watchers = Watchers::start(&setup, "session").await;
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
    let watchers = Watchers::start(&setup, "eventual").await;
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

/// What an application read at a level that promises nothing counts once it asks for more.
#[tokio::test]
async fn what_was_read_at_eventual_counts_at_session() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
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
