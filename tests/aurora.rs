//! Aurora's log sequence numbers, against a scripted cluster: what `session` promises, the guards
//! against rows that lie, and readers that see to consistency themselves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "support/aurora.rs"]
mod cluster;
#[path = "support/measure.rs"]
mod measure;

use std::time::{Duration, Instant};

use cluster::Aurora;
use highwater::config::{AuroraConsistency, Config};
use highwater::daemon::Proxy;
use highwater::domain::ids::BackendId;
use highwater::domain::position::PositionKind;
use highwater::domain::topology::Health;
use measure::reads_on;
use mysql_async::{Conn, Opts, OptsBuilder};
use support::{cell, run};

const READ: &str = "SELECT v FROM counter";
const HOUR: Duration = Duration::from_secs(3600);

async fn proxy(cluster: &Aurora, change: impl FnOnce(&mut Config)) -> Proxy {
    let _ = highwater::telemetry::log::init(
        highwater::telemetry::log::Format::Text,
        &std::env::var("HW_LOG").unwrap_or("off".into()),
    );
    let mut config = cluster.config();
    change(&mut config);
    let proxy = Proxy::start(config).await.unwrap();
    becomes(&proxy, Health::Up).await;
    proxy
}

/// Waits until every reader has this health.
async fn becomes(proxy: &Proxy, health: Health) {
    let watch = proxy.watch();
    let all = || {
        let topology = watch.topology();
        let mut readers = topology.backends.iter().skip(1);
        readers.all(|view| view.health == health && watch.facts(view.id).is_some())
    };
    measure::until("the readers' health", all).await;
}

async fn connect(proxy: &Proxy) -> Conn {
    let address = proxy.addresses().mysql;
    let opts = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some("app"))
        .pass(Some("pw"))
        .max_allowed_packet(Some(1 << 20))
        .wait_timeout(Some(3600))
        .prefer_socket(false);
    Conn::new(Opts::from(opts)).await.unwrap()
}

async fn counter(conn: &mut Conn) -> u64 {
    cell(conn, READ).await.unwrap().parse().unwrap()
}

/// Writes and reads back; how many reads were stale.
async fn pairs(conn: &mut Conn, values: std::ops::Range<u64>) -> u64 {
    let mut stale = 0;
    for value in values {
        run(conn, &format!("UPDATE counter SET v = {value}")).await;
        stale += u64::from(counter(conn).await != value);
    }
    stale
}

#[tokio::test]
async fn a_session_sees_its_own_writes_on_readers() {
    let aurora = Aurora::start(2).await;
    let proxy = proxy(&aurora, |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    assert_eq!(proxy.watch().position_kind(), PositionKind::Lsn);
    let mut conn = connect(&proxy).await;
    let before = reads_on(&proxy, "replica");
    assert_eq!(pairs(&mut conn, 1..60).await, 0);
    measure::until("readers answered", || {
        reads_on(&proxy, "replica") >= before + 59
    })
    .await;
    // The check can fail: the readers are late.
    run(&mut conn, "SET highwater_read_consistency = 'eventual'").await;
    assert!(pairs(&mut conn, 100..120).await > 0);
}

#[tokio::test]
async fn reads_do_not_go_back_in_time_when_a_reader_stands_still() {
    let aurora = Aurora::start(2).await;
    let proxy = proxy(&aurora, |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(300);
    })
    .await;
    let (mut writer, mut reader) = (connect(&proxy).await, connect(&proxy).await);
    counter(&mut reader).await;
    aurora.freeze(1, true);
    aurora.freeze(2, true);
    run(&mut writer, "UPDATE counter SET v = 7").await;
    // Nobody has it but the writer.
    assert_eq!(counter(&mut writer).await, 7);
    aurora.freeze(1, false);
    let deadline = Instant::now() + Duration::from_secs(30);
    while counter(&mut reader).await != 7 && Instant::now() < deadline {
        // Some other session may read from the one that moves.
        reader = connect(&proxy).await;
    }
    assert_eq!(counter(&mut reader).await, 7);
    // The one that has it leaves; the other is frozen in the past.
    aurora.freeze(1, true);
    for _ in 0..10 {
        assert_eq!(counter(&mut reader).await, 7);
    }
    let mut global = connect(&proxy).await;
    run(&mut writer, "UPDATE counter SET v = 8").await;
    run(
        &mut global,
        "SET aurora_replica_read_consistency = 'global'",
    )
    .await;
    assert_eq!(counter(&mut global).await, 8);
}

#[tokio::test]
async fn rows_that_cannot_be_believed_take_readers_out() {
    let aurora = Aurora::start(2).await;
    let proxy = proxy(&aurora, |_| {}).await;
    let mut conn = connect(&proxy).await;
    let on_writer = async |conn: &mut Conn, value: u64| {
        let before = reads_on(&proxy, "primary");
        assert_eq!(pairs(conn, value..value + 1).await, 0);
        measure::until("the writer answered", || {
            reads_on(&proxy, "primary") > before
        })
        .await;
    };
    // Two rows claim to be the writer's.
    aurora.claim(1, true);
    becomes(&proxy, Health::NotReplicating).await;
    on_writer(&mut conn, 1).await;
    aurora.claim(1, false);
    becomes(&proxy, Health::Up).await;
    // The configured primary is not the writer.
    aurora.claim(0, false);
    aurora.claim(2, true);
    let wrong = || {
        let topology = proxy.watch().topology();
        topology.get(BackendId(1)).unwrap().health == Health::WrongSource
    };
    measure::until("a reader of another writer is told", wrong).await;
    aurora.claim(2, false);
    aurora.claim(0, true);
    becomes(&proxy, Health::Up).await;
    // Rows that nobody refreshes.
    aurora.age(Duration::from_secs(200));
    becomes(&proxy, Health::NotReplicating).await;
    on_writer(&mut conn, 2).await;
    aurora.age(Duration::ZERO);
    becomes(&proxy, Health::Up).await;
    assert_eq!(pairs(&mut conn, 3..10).await, 0);
}

#[tokio::test]
async fn readers_may_see_to_consistency_themselves() {
    const SET: &str = "SET @@session.aurora_replica_read_consistency = 'global'";
    let aurora = Aurora::start(1).await;
    // By their numbers no read would ever be fresh there.
    aurora.lag(1, HOUR);
    let told = |aurora: &Aurora| aurora.statements(1).iter().any(|sql| sql == SET);
    let delegating = proxy(&aurora, |config| {
        config.cluster.aurora_consistency = AuroraConsistency::Delegate;
        config.consistency.max_lag = 2 * HOUR;
    })
    .await;
    let mut conn = connect(&delegating).await;
    run(&mut conn, "UPDATE counter SET v = 5").await;
    let before = reads_on(&delegating, "replica");
    for level in ["session", "global", "proxy"] {
        run(
            &mut conn,
            &format!("SET highwater_read_consistency = '{level}'"),
        )
        .await;
        // The scripted reader does not wait as Aurora's does: that it answers is what is seen.
        counter(&mut conn).await;
    }
    measure::until("the reader answered", || {
        reads_on(&delegating, "replica") == before + 3
    })
    .await;
    assert!(told(&aurora), "the reader was not told");
    let writer = aurora.statements(0);
    assert!(!writer.iter().any(|sql| sql == SET), "the writer was told");

    let aurora = Aurora::start(1).await;
    let own = proxy(&aurora, |_| {}).await;
    let mut conn = connect(&own).await;
    assert_eq!(pairs(&mut conn, 1..3).await, 0);
    assert!(!told(&aurora), "Highwater compares by itself");
}
