//! Reads for which no replica is fresh enough: they wait without holding anything, and then the
//! primary takes no more of them than its budget.

use std::time::Duration;

use highwater::config::OnTimeout;
use highwater::domain::consistency::Share;
use highwater::domain::ids::BackendId;
use highwater::protocol::caps::CapabilityFlags;
use highwater::rig::{APP, Cluster, ROOT};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::measure::{Held, count, reason, until};
use super::support::{Setup, cell, run};
use super::wire::{Raw, only_cell};

/// Nobody hangs: a session that takes longer than this fails its test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A table on all servers, replicas that stand still, and the position of a write that they lack.
async fn standing_still(setup: &Setup) -> (Vec<Held>, String) {
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut held = Vec::new();
    for replica in setup.cluster.replicas() {
        held.push(Held::hold(replica).await);
    }
    run(&mut conn, "UPDATE t SET v = 1").await;
    let token = cell(&mut conn, "SELECT @@highwater_position").await;
    conn.disconnect().await.unwrap();
    (held, token.unwrap())
}

async fn session(setup: &Setup) -> Raw {
    Raw::connect(setup, CapabilityFlags::CLIENT_DEPRECATE_EOF).await
}

async fn after(setup: &Setup, token: &str) -> Raw {
    let mut raw = session(setup).await;
    let set = format!("SET highwater_read_after = '{token}'");
    raw.query(&set).await.unwrap();
    raw
}

/// One read; its answer, or the error's number.
async fn read(raw: &mut Raw) -> Result<String, u16> {
    let answer = timeout(PATIENCE, raw.query("SELECT v FROM t"))
        .await
        .expect("a read hangs");
    answer.map(|packets| only_cell(&packets))
}

#[tokio::test]
async fn waiting_reads_hold_no_connection() {
    const WAITING: usize = 500;
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(3600);
        config.consistency.max_lag = Duration::from_secs(3600);
        config.pool.max_connections = 10;
        config.pool.min_idle = 0;
        config.pool.acquire_timeout = PATIENCE;
    })
    .await;
    let (held, token) = standing_still(&setup).await;
    let mut reads = JoinSet::new();
    for number in 0..WAITING {
        let mut raw = session(&setup).await;
        if number < 20 {
            // These have all connections to the replicas that there may be.
            assert_eq!(read(&mut raw).await, Ok("0".to_owned()));
        }
        let token = token.clone();
        reads.spawn(async move {
            let set = format!("SET highwater_read_after = '{token}'");
            raw.query(&set).await.unwrap();
            read(&mut raw).await
        });
    }
    until("all wait", || {
        count(&setup.proxy, "sessions", &["state=\"catching_up\""]) == WAITING as u64
    })
    .await;
    // Others read meanwhile, from the same replicas, more of them than there are connections.
    let mut others = Vec::new();
    for _ in 0..20 {
        let mut other = session(&setup).await;
        assert_eq!(read(&mut other).await, Ok("0".to_owned()));
        others.push(other);
    }
    assert_eq!(reads.len(), WAITING);
    drop(others);
    for held in held {
        held.release().await;
    }
    while let Some(answer) = reads.join_next().await {
        assert_eq!(answer.unwrap(), Ok("1".to_owned()));
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_client_that_leaves_waits_no_longer() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(3600);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let (held, token) = standing_still(&setup).await;
    let waiting = || count(&setup.proxy, "sessions", &["state=\"catching_up\""]);
    let mut raw = after(&setup, &token).await;
    raw.send(&["SELECT v FROM t"]).await;
    until("it waits", || waiting() == 1).await;
    drop(raw);
    until("it is gone", || waiting() == 0).await;
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn the_primary_takes_no_more_than_its_budget() {
    const SESSIONS: usize = 200;
    const BUDGET: usize = 4;
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(50);
        config.consistency.max_lag = Duration::from_secs(3600);
        config.consistency.primary_budget = Share::percent(20);
        config.pool.max_connections = 5 * BUDGET;
    })
    .await;
    let (held, token) = standing_still(&setup).await;
    // A read that reaches the primary stays there until this lock is gone.
    let mut lock = setup.cluster.primary().connect(&ROOT).await.unwrap();
    run(&mut lock, "LOCK TABLES app.t WRITE").await;
    let mut reads = JoinSet::new();
    for _ in 0..SESSIONS {
        let mut raw = after(&setup, &token).await;
        reads.spawn(async move { (read(&mut raw).await, raw) });
    }
    let mut sessions = Vec::new();
    while sessions.len() < SESSIONS - BUDGET {
        let (answer, raw) = reads.join_next().await.unwrap().unwrap();
        assert_eq!(answer, Err(1205));
        sessions.push(raw);
    }
    until_running(&setup, BUDGET).await;
    assert_eq!(reads.len(), BUDGET);
    let over_budget = || reason(&setup.proxy, "over_budget");
    until("each refusal is counted", || {
        over_budget() >= (SESSIONS - BUDGET) as u64
    })
    .await;
    assert_eq!(over_budget(), (SESSIONS - BUDGET) as u64);
    run(&mut lock, "UNLOCK TABLES").await;
    while let Some(answer) = reads.join_next().await {
        let (answer, raw) = answer.unwrap();
        assert_eq!(answer, Ok("1".to_owned()));
        sessions.push(raw);
    }
    // One after the other all get there, and none of them keeps a connection of the primary.
    for raw in &mut sessions {
        assert_eq!(read(raw).await, Ok("1".to_owned()));
    }
    let errors = ["level=\"session\"", "outcome=\"error\""];
    let refused = count(&setup.proxy, "consistency_outcome_total", &errors);
    assert_eq!(refused, (SESSIONS - BUDGET) as u64);
    let mut writer = setup.connect().await;
    run(&mut writer, "UPDATE t SET v = 2").await;
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// All of such a transaction runs on the primary, so it has its permit until it ends.
#[tokio::test]
async fn read_only_transactions_stay_within_the_budget() {
    const BUDGET: usize = 4;
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
        config.consistency.primary_budget = Share::percent(20);
        config.pool.max_connections = 5 * BUDGET;
    })
    .await;
    let (held, token) = standing_still(&setup).await;
    let begin = async || {
        let mut raw = after(&setup, &token).await;
        let begun = raw.query("START TRANSACTION READ ONLY").await;
        begun.map(|_| raw)
    };
    let mut open = Vec::new();
    for _ in 0..BUDGET {
        open.push(begin().await.unwrap());
    }
    for raw in &mut open {
        assert_eq!(read(raw).await, Ok("1".to_owned()));
    }
    assert_eq!(begin().await.err(), Some(1205));
    for end in ["COMMIT", "ROLLBACK"] {
        assert!(open.remove(0).query(end).await.is_ok());
        let mut next = begin().await.unwrap();
        assert_eq!(read(&mut next).await, Ok("1".to_owned()), "{end}");
        assert_eq!(begin().await.err(), Some(1205), "{end}");
        open.push(next);
    }
    // One that leaves gives its permit back as well.
    drop(open);
    until("the permits are free", || {
        count(&setup.proxy, "sessions", &["state="]) == 0
    })
    .await;
    let mut again = Vec::new();
    for _ in 0..BUDGET {
        again.push(begin().await.unwrap());
    }
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// Waits on the way to the primary end with their client as well.
#[tokio::test]
async fn a_client_that_leaves_waits_no_longer_for_the_primary() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(3600);
        config.consistency.primary_budget = Share::percent(0);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    conn.disconnect().await.unwrap();
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut raw = session(&setup).await;
    assert_eq!(read(&mut raw).await, Ok("1".to_owned()));
    // What is under way on the primary for as long as this one likes.
    let mut owner = setup.cluster.primary().connect(&ROOT).await.unwrap();
    let uuid = cell(&mut owner, "SELECT @@server_uuid").await.unwrap();
    run(&mut owner, &format!("SET gtid_next = '{uuid}:1000000'")).await;
    setup.cluster.replicas()[0].stop_applier().await.unwrap();
    setup.replicas_usable(0).await;
    let sessions = |state: &str| count(&setup.proxy, "sessions", &[state]);
    let mut queued = session(&setup).await;
    queued.send(&["SELECT v FROM t"]).await;
    until("it queues", || sessions("state=\"catching_up\"") == 1).await;
    drop(queued);
    until("it has left the queue", || sessions("state=") == 1).await;
    assert!(raw.query("BEGIN").await.is_ok());
    let asked = || setup.proxy.watch().counters(BackendId::PRIMARY).waits_sent;
    let before = asked();
    raw.send(&["SELECT v FROM t"]).await;
    until("it waits for the primary", || asked() > before).await;
    drop(raw);
    until("it is gone", || sessions("state=") == 0).await;
    setup.proxy.shut_down().await;
}

/// Waits until so many reads of the application run on the primary; more is a failure.
async fn until_running(setup: &Setup, expected: usize) {
    let mut root: Conn = setup.cluster.primary().connect(&ROOT).await.unwrap();
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.processlist \
         WHERE user = '{}' AND info = 'SELECT v FROM t'",
        APP.user
    );
    loop {
        let running: usize = root.query_first(&sql).await.unwrap().unwrap();
        assert!(running <= expected, "{running} reads run on the primary");
        if running == expected {
            return;
        }
    }
}

#[tokio::test]
async fn without_replicas_reads_queue_for_the_budget() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = PATIENCE;
        config.consistency.primary_budget = Share::percent(10);
        config.pool.max_connections = 20;
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    for replica in setup.cluster.replicas() {
        replica.stop_applier().await.unwrap();
    }
    setup.replicas_usable(0).await;
    let mut sessions = Vec::new();
    for _ in 0..60 {
        sessions.push(session(&setup).await);
    }
    let mut reads = JoinSet::new();
    for mut raw in sessions {
        reads.spawn(async move { (read(&mut raw).await, raw) });
    }
    while let Some(answer) = reads.join_next().await {
        assert_eq!(answer.unwrap().0, Ok("1".to_owned()));
    }
    // Who wants an error then gets one that says so, and nothing is held back of what belongs to
    // the primary.
    let mut raw = session(&setup).await;
    raw.query("SET highwater_on_timeout = 'error'")
        .await
        .unwrap();
    assert_eq!(read(&mut raw).await, Err(1205));
    assert!(raw.query("UPDATE t SET v = 2").await.is_ok());
    raw.query("BEGIN").await.unwrap();
    assert_eq!(read(&mut raw).await, Ok("2".to_owned()));
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn without_any_replica_configured_there_is_no_budget() {
    let setup = Setup::with(Cluster::builder().replicas(0), |config| {
        config.consistency.primary_budget = Share::percent(0);
        config.consistency.on_timeout = OnTimeout::Error;
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("1")
    );
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn an_error_on_timeout_says_what_to_do() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let (held, token) = standing_still(&setup).await;
    let mut conn = setup.connect().await;
    run(
        &mut conn,
        &format!("SET highwater_on_timeout = 'error', highwater_read_after = '{token}'"),
    )
    .await;
    for timeout in [0, 20] {
        let set = format!("SET highwater_catch_up_timeout = {timeout}");
        run(&mut conn, &set).await;
        match conn.query_drop("SELECT v FROM t").await {
            Err(mysql_async::Error::Server(error)) => {
                assert_eq!((error.code, &*error.state), (1205, "HY000"));
                for word in ["session", "a retry is safe", "highwater_catch_up_timeout"] {
                    assert!(error.message.contains(word), "{}", error.message);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    for held in held {
        held.release().await;
    }
    // The session goes on.
    run(&mut conn, "SET highwater_catch_up_timeout = 60000").await;
    assert_eq!(
        cell(&mut conn, "SELECT v FROM t").await.as_deref(),
        Some("1")
    );
    setup.proxy.shut_down().await;
}
