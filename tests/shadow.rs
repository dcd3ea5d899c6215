//! Shadow mode on real servers: the primary gets everything, and what the split would have done is told.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::time::Duration;

use highwater::config::Mode;
use highwater::domain::consistency::Level;
use highwater::domain::routing::Reason;
use highwater::rig::{Cluster, Server};
use highwater::telemetry::{AccessLabel, Foreseen, Metrics, Outcome, Target};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use support::{Setup, run};

/// Statements and logins of application accounts that a server saw.
async fn seen(server: &Server) -> (u64, u64) {
    let number = async |sql: &str| {
        let value = server.value(sql).await.unwrap().unwrap();
        value.parse::<u64>().unwrap()
    };
    let statements = "SELECT COALESCE(SUM(COUNT_STAR), 0) FROM \
                      performance_schema.events_statements_summary_by_account_by_event_name \
                      WHERE USER = 'app'";
    let logins = "SELECT COALESCE(SUM(TOTAL_CONNECTIONS), 0) FROM \
                  performance_schema.accounts WHERE USER = 'app'";
    (number(statements).await, number(logins).await)
}

/// Waits until so many reads were measured at every level.
async fn measured(metrics: &Metrics, reads: u64) {
    let levels = || Level::ALL.iter().filter(|level| **level != Level::Eventual);
    let eventual = || -> u64 {
        let answers = [Foreseen::Fresh, Foreseen::Stale, Foreseen::Unsure];
        answers
            .iter()
            .map(|it| metrics.shadow_eventual.at(*it).get())
            .sum()
    };
    while eventual() < reads || levels().any(|level| metrics.foreseen_waits(*level).0 < reads) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn count(conn: &mut Conn) -> u64 {
    conn.query_first("SELECT COUNT(*) FROM t")
        .await
        .unwrap()
        .unwrap()
}

async fn start(delay: u32) -> Setup {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.proxy.mode = Mode::Shadow;
        config.consistency.catch_up_timeout = Duration::from_secs(1);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (a INT PRIMARY KEY)").await;
    conn.disconnect().await.unwrap();
    setup.cluster.wait_all_caught_up().await.unwrap();
    if delay > 0 {
        setup.cluster.replica(0).delay(delay).await.unwrap();
    }
    setup.replicas_usable(1).await;
    setup
}

#[tokio::test]
async fn with_a_late_replica_the_primary_gets_everything_and_nothing_waits() {
    const WRITES: u64 = 5;
    let setup = start(600).await;
    let metrics = setup.proxy.metrics();
    let mut conn = setup.connect().await;
    let replica_before = seen(setup.cluster.replica(0)).await;
    let (reads_before, other_before) = (
        shadowed_reads(metrics),
        metrics.foreseen_waits(Level::Session).0,
    );
    for write in 1..=WRITES {
        run(&mut conn, &format!("INSERT INTO t VALUES ({write})")).await;
        // Never an older answer, though no replica has the row.
        assert_eq!(count(&mut conn).await, write);
    }
    measured(metrics, other_before + WRITES).await;

    assert_eq!(seen(setup.cluster.replica(0)).await, replica_before);
    assert_eq!(shadowed_reads(metrics) - reads_before, WRITES);
    let on = |target| metrics.statements.sum(|_, at, _| at == target);
    assert_eq!(on(Target::Replica), 0);
    let writes = metrics
        .shadow_statements
        .at3(AccessLabel::Write, Target::Primary, Reason::Write);
    assert_eq!(writes.get(), WRITES + 1);
    // Each read would have missed its session's last row, and would have waited in vain.
    assert_eq!(metrics.shadow_eventual.at(Foreseen::Stale).get(), WRITES);
    for level in [Level::Session, Level::Group, Level::Proxy, Level::Global] {
        let in_vain = metrics.shadow_outcome.at2(level, Outcome::Primary).get();
        assert!(in_vain >= WRITES, "{level:?}: {in_vain}");
        let (_, seconds) = metrics.foreseen_waits(level);
        assert!(seconds > 0.0, "{level:?}");
    }
    let page = metrics.render().unwrap();
    for family in [
        r#"highwater_shadow_statements_total{access="read",reason="waited",target="replica"} 5"#,
        r#"highwater_shadow_eventual_total{answer="stale"} 5"#,
        // The reads themselves did not wait.
        r#"highwater_consistency_wait_seconds_count{level="session"} 0"#,
        r#"highwater_shadow_wait_seconds_count{level="session"}"#,
        r#"highwater_statements_total{access="read",reason="shadow",target="primary"}"#,
    ] {
        assert!(page.contains(family), "{family} is not in\n{page}");
    }
}

fn shadowed_reads(metrics: &Metrics) -> u64 {
    let waited = |access, target, reason| {
        access == AccessLabel::Read && target == Target::Replica && reason == Reason::Waited
    };
    metrics.shadow_statements.sum(waited)
}

#[tokio::test]
async fn what_a_split_would_send_where_is_counted() {
    let setup = start(0).await;
    let metrics = setup.proxy.metrics();
    let mut conn = setup.connect().await;
    let before =
        |access, target, reason| metrics.shadow_statements.at3(access, target, reason).get();
    let read = AccessLabel::Read;
    let fresh = before(read, Target::Replica, Reason::Fresh);
    for _ in 0..7 {
        count(&mut conn).await;
    }
    assert_eq!(before(read, Target::Replica, Reason::Fresh), fresh + 7);
    run(&mut conn, "BEGIN").await;
    count(&mut conn).await;
    run(&mut conn, "COMMIT").await;
    assert_eq!(before(read, Target::Primary, Reason::InTransaction), 1);
    run(&mut conn, "START TRANSACTION READ ONLY").await;
    count(&mut conn).await;
    count(&mut conn).await;
    run(&mut conn, "COMMIT").await;
    let inside = Reason::ReadOnlyTransaction;
    assert_eq!(before(read, Target::Replica, inside), 2);
    assert_eq!(before(AccessLabel::Begin, Target::Replica, inside), 1);
    assert_eq!(
        before(AccessLabel::TransactionEnd, Target::Replica, inside),
        1
    );
    let _: Option<u64> = conn
        .query_first("SELECT a FROM t FOR UPDATE")
        .await
        .unwrap();
    let locking = metrics
        .shadow_statements
        .sum(|_, target, reason| target == Target::Primary && reason == Reason::LockingRead);
    assert_eq!(locking, 1);
    // After a statement that failed, which may have committed something, a search asks the primary
    // once; what it learns is kept, and reads are fresh again.
    let twice = conn.query_drop("INSERT INTO t VALUES (1), (1)").await;
    assert!(twice.is_err());
    let before_all = metrics.foreseen_waits(Level::Session).0;
    let again = async {
        for reads in 1.. {
            let fresh = before(read, Target::Replica, Reason::Fresh);
            count(&mut conn).await;
            measured(metrics, before_all + reads).await;
            if before(read, Target::Replica, Reason::Fresh) > fresh {
                break;
            }
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, again)
        .await
        .expect("no read is fresh again");
    assert_eq!(metrics.shadow_eventual.at(Foreseen::Stale).get(), 0);
    let in_vain = metrics
        .shadow_outcome
        .at2(Level::Session, Outcome::Primary)
        .get();
    assert_eq!(in_vain, 0);
    assert_eq!(seen(setup.cluster.replica(0)).await, (0, 0));
    setup.proxy.shut_down().await;
}
