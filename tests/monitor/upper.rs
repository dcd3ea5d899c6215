//! Upper bounds: what a read can have seen.

use std::time::{Duration, Instant};

use highwater::domain::position::{GtidSet, Position};
use highwater::rig::{Cluster, ROOT};
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::fixture::{FIRST, PRIMARY, Watched, executed, gtids, until, uuid};

#[tokio::test]
async fn what_is_being_committed_belongs_to_the_upper_bound() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let before = it.write("CREATE TABLE app.t (a INT PRIMARY KEY)").await;
    it.bound_reaches(FIRST, &before).await;

    // The applier holds a GTID and cannot go on.
    let mut locker = it.cluster.replica(0).connect(&ROOT).await.unwrap();
    locker.query_drop("LOCK TABLES app.t READ").await.unwrap();
    let after = it.write("INSERT INTO app.t VALUES (1)").await;
    let replica = it.cluster.replica(0);
    let start = Instant::now();
    loop {
        let owned = replica.value("SELECT @@global.gtid_owned").await.unwrap();
        if owned.is_some_and(|owned| !owned.is_empty()) {
            break;
        }
        assert!(start.elapsed() < crate::fixture::PATIENCE);
    }
    let upper = it.watch.upper_bound(FIRST, Instant::now()).await.unwrap();
    assert!(upper.covers(&after), "{upper} lacks what {after} has");
    let life = it.generation(FIRST);
    assert!(!it.watch.bound_covers(FIRST, life, &after));
    locker.query_drop("UNLOCK TABLES").await.unwrap();
    it.bound_reaches(FIRST, &after).await;

    // A tagged one on the primary.
    let mut holder = it.cluster.primary().connect(&ROOT).await.unwrap();
    let held = "3e11fa47-71ca-11e1-9e33-c80aa9429562:some_tag:7";
    holder
        .query_drop(format!("SET gtid_next = '{held}'"))
        .await
        .unwrap();
    holder.query_drop("BEGIN").await.unwrap();
    let owned = it
        .cluster
        .primary()
        .value("SELECT @@global.gtid_owned")
        .await
        .unwrap();
    println!("owned: {owned:?}");
    let held: GtidSet = held.parse().unwrap();
    let upper = it.watch.upper_bound(PRIMARY, Instant::now()).await.unwrap();
    assert!(gtids(upper).covers(&held));
    let life = it.generation(PRIMARY);
    assert!(!it.watch.bound_covers(PRIMARY, life, &Position::Gtids(held)));
}

#[tokio::test]
async fn upper_bounds_are_shared_by_those_who_asked_before() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let counters = || it.watch.counters(PRIMARY);
    let before = counters();
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let watch = it.watch.clone();
        asking.spawn(async move { watch.upper_bound(PRIMARY, Instant::now()).await });
    }
    for bound in asking.join_all().await {
        assert!(bound.unwrap().covers(&executed(it.cluster.primary()).await));
    }
    let (asked, sent) = (
        counters().upper_bounds_asked - before.upper_bounds_asked,
        counters().upper_bounds_sent - before.upper_bounds_sent,
    );
    println!("{asked} upper bounds asked for, {sent} questions sent");
    assert_eq!(asked, 200);
    assert!(sent <= 4, "{sent} questions");

    // An answer is never older than what it is asked for.
    let past = Instant::now();
    it.watch.upper_bound(PRIMARY, past).await.unwrap();
    let sent = counters().upper_bounds_sent;
    it.watch.upper_bound(PRIMARY, past).await.unwrap();
    assert_eq!(
        counters().upper_bounds_sent,
        sent,
        "the last answer would have done"
    );
    let written = it.write("CREATE TABLE app.t (a INT PRIMARY KEY)").await;
    let bound = it.watch.upper_bound(PRIMARY, Instant::now()).await.unwrap();
    assert_eq!(counters().upper_bounds_sent, sent + 1);
    assert!(bound.covers(&written));
}

#[tokio::test]
async fn an_upper_bound_takes_about_a_round_trip() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let mut times = Vec::new();
    for _ in 0..300 {
        let start = Instant::now();
        it.watch.upper_bound(PRIMARY, start).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("upper bound: median {:?}, p99 {:?}", times[150], times[297]);
    assert!(times[150] < Duration::from_millis(20), "{:?}", times[150]);
}

#[tokio::test]
async fn errant_transactions_are_dropped_and_reported() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let replica = it.cluster.replica(0);
    let clean = it.watch.upper_bound(FIRST, Instant::now()).await.unwrap();
    replica
        .exec("SET GLOBAL super_read_only = 0")
        .await
        .unwrap();
    replica.exec("CREATE DATABASE errant").await.unwrap();
    replica
        .exec("SET GLOBAL super_read_only = 1")
        .await
        .unwrap();
    let errant: GtidSet = format!("{}:1", uuid(replica).await).parse().unwrap();
    assert!(gtids(executed(replica).await).covers(&errant));

    let upper = it.watch.upper_bound(FIRST, Instant::now()).await.unwrap();
    assert!(!gtids(upper.clone()).covers(&errant), "{upper}");
    assert!(upper.covers(&clean));
    assert_eq!(it.watch.errant(FIRST), errant);
    assert_eq!(it.watch.counters(FIRST).errant_transactions, 1);

    // Known by now, so the primary need not be asked again.
    let sent = it.watch.counters(PRIMARY).upper_bounds_sent;
    it.watch.upper_bound(FIRST, Instant::now()).await.unwrap();
    assert_eq!(it.watch.counters(PRIMARY).upper_bounds_sent, sent);
    until("the primary's own are no errant ones", || {
        it.watch.errant(PRIMARY).is_empty()
    })
    .await;
}
