//! Level `session`: every session reads its own writes, whatever wrote them.

use std::time::Duration;

use highwater::protocol::reply::ReplyKind;
use highwater::rig::Cluster;

use super::measure::Held;
use super::pairs::{make_tables, run_pairs, tell};
use super::support::{Setup, run};
use super::wire::{KINDS, Raw, only_cell};
use super::writes::{BEFORE, CASES, look, perform};

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

/// The rights that some of the writes need, which applications seldom have.
const RIGHTS: &str = "GRANT TRANSACTION_GTID_TAG, SYSTEM_VARIABLES_ADMIN, REPLICATION_APPLIER, \
                      XA_RECOVER_ADMIN ON *.* TO app";

/// Replicas that stand still make a miss certain: whatever the session did not learn of its own
/// write, it does not see.
#[tokio::test]
async fn every_kind_of_write_is_seen_by_its_session() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
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

pub(crate) async fn prepare_writes(setup: &Setup) {
    let primary = setup.cluster.primary();
    primary.exec(RIGHTS).await.unwrap();
    let mut conn = setup.connect().await;
    for sql in BEFORE {
        run(&mut conn, sql).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
}
