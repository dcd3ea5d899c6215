//! The primary's executed position, asked for and sampled.

use std::time::{Duration, Instant};

use highwater::domain::position::{GtidSet, Position, PositionKind};
use highwater::rig::{APP, Cluster, ROOT};
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::fixture::{PATIENCE, PRIMARY, Watched, until, uuid};

const WRITERS: u64 = 6;
const WRITES: u64 = 300;

#[tokio::test]
async fn an_acknowledged_write_is_in_what_is_asked_for_later() {
    let it = Watched::start(Cluster::builder().replicas(0)).await;
    assert_eq!(it.watch.position_kind(), PositionKind::Gtids);
    it.write("CREATE TABLE app.counts (writer INT PRIMARY KEY, n INT)")
        .await;
    let source = uuid(it.cluster.primary()).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut conn = it.cluster.primary().connect(&ROOT).await.unwrap();
        let mut asker = it.cluster.primary().connect(&APP).await.unwrap();
        let (watch, source) = (it.watch.clone(), source.clone());
        writers.spawn(async move {
            let mut missing = 0;
            conn.query_drop(format!("SET gtid_next = 'AUTOMATIC:w{writer}'"))
                .await
                .unwrap();
            for number in 1..=WRITES {
                let sql = format!("REPLACE INTO app.counts VALUES ({writer}, {number})");
                conn.query_drop(sql).await.unwrap();
                let text = format!("{source}:w{writer}:1-{number}");
                let written: Position = text.parse::<GtidSet>().unwrap().into();
                let arrived = Instant::now();
                let sql = "SELECT @@global.gtid_executed";
                let text: Option<String> = asker.query_first(sql).await.unwrap();
                let executed: Position = text.unwrap().parse::<GtidSet>().unwrap().into();
                missing += usize::from(!executed.covers(&written));
                let probed = watch.executed(arrived).await.unwrap();
                assert!(
                    probed.sent >= arrived,
                    "the question is older than the asker"
                );
                assert!(probed.position.covers(&written), "{written} is missing");
            }
            missing
        });
    }
    let missing: usize = writers.join_all().await.into_iter().sum();
    let counters = it.watch.counters(PRIMARY);
    println!(
        "{} acknowledged writes, {missing} missing from gtid_executed alone; {} asked for, {} sent",
        WRITERS * WRITES,
        counters.executed_asked,
        counters.upper_bounds_sent
    );
    assert_eq!(counters.executed_asked, WRITERS * WRITES);
    assert_eq!(missing, 0);
}

#[tokio::test]
async fn many_who_ask_at_once_share_a_question() {
    let it = Watched::start(Cluster::builder().replicas(0)).await;
    let before = it.watch.counters(PRIMARY);
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let watch = it.watch.clone();
        asking.spawn(async move {
            let arrived = Instant::now();
            assert!(watch.executed(arrived).await.unwrap().sent >= arrived);
        });
    }
    asking.join_all().await;
    let after = it.watch.counters(PRIMARY);
    let asked = after.executed_asked - before.executed_asked;
    let sent = after.upper_bounds_sent - before.upper_bounds_sent;
    println!("{asked} asked for, {sent} questions sent");
    assert_eq!(asked, 200);
    assert!(sent <= 4, "{sent} questions");
}

#[tokio::test]
async fn samples_are_as_old_as_they_are_wanted() {
    // Slow probes but for the primary, whose pace follows the staleness.
    let it = Watched::start_with(Cluster::builder().replicas(0), |settings| {
        settings.interval = Duration::from_secs(5);
        settings.max_staleness = Duration::from_millis(40);
    })
    .await;
    let probes = it.watch.counters(PRIMARY).probes;
    until("the primary is probed at the pace of the staleness", || {
        it.watch.counters(PRIMARY).probes > probes + 3
    })
    .await;
    let now = Instant::now();
    assert_eq!(it.watch.sample(Duration::ZERO, now), None);
    let before = it.watch.sample(PATIENCE, now).unwrap();
    let written = it.write("CREATE TABLE app.t (a INT)").await;
    let acknowledged = Instant::now();
    assert!(!before.covers(&written));
    // The oldest of the last minute is still the same, and a young one has the write.
    until("a sample younger than the write", || {
        let now = Instant::now();
        let young = it.watch.sample(now - acknowledged, now);
        young.is_some_and(|young| young.covers(&written))
    })
    .await;
    let old = it.watch.sample(PATIENCE, Instant::now());
    assert_eq!(old, Some(before));
}
