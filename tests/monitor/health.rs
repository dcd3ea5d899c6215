//! Who may be used, and in which life.

use std::time::{Duration, Instant};

use highwater::domain::topology::Health;
use highwater::monitor::ProbeError;
use highwater::rig::Cluster;

use crate::fixture::{FIRST, PRIMARY, SECOND, Watched, executed, until};

#[tokio::test]
async fn a_replica_is_usable_while_it_replicates_read_only() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let replica = it.cluster.replica(0);

    replica.stop_applier().await.unwrap();
    it.becomes(FIRST, Health::NotReplicating).await;
    replica.start_applier().await.unwrap();
    it.becomes(FIRST, Health::Up).await;

    replica.stop_receiver().await.unwrap();
    it.becomes(FIRST, Health::NotReplicating).await;
    replica.start_receiver().await.unwrap();
    it.becomes(FIRST, Health::Up).await;

    replica.exec("SET GLOBAL read_only = 0").await.unwrap();
    it.becomes(FIRST, Health::NotReadOnly).await;
    replica
        .exec("SET GLOBAL super_read_only = 1")
        .await
        .unwrap();
    it.becomes(FIRST, Health::Up).await;

    it.cluster
        .primary()
        .exec("SET GLOBAL read_only = 1")
        .await
        .unwrap();
    it.becomes(PRIMARY, Health::ReadOnlyPrimary).await;
    it.cluster
        .primary()
        .exec("SET GLOBAL read_only = 0")
        .await
        .unwrap();
    it.becomes(PRIMARY, Health::Up).await;
}

#[tokio::test]
async fn a_frozen_or_killed_server_is_down_and_delays_nobody() {
    let it = Watched::start(Cluster::builder().replicas(2)).await;
    let frozen = it.cluster.replica(0);

    let start = Instant::now();
    frozen.freeze().await.unwrap();
    it.becomes(FIRST, Health::Down).await;
    println!("a frozen server is down after {:?}", start.elapsed());
    let probes = it.watch.counters(SECOND).probes;
    until("the other replica is probed on", || {
        it.watch.counters(SECOND).probes >= probes + 5
    })
    .await;
    assert_eq!(it.health(FIRST), Health::Down);
    assert_eq!(it.health(SECOND), Health::Up);
    let life = it.generation(FIRST);
    frozen.thaw().unwrap();
    it.becomes(FIRST, Health::Up).await;
    assert_eq!(
        it.generation(FIRST),
        life,
        "a thawed server lives the same life"
    );

    let start = Instant::now();
    it.cluster.replica(1).kill();
    it.watch.suspect(SECOND);
    it.becomes(SECOND, Health::Down).await;
    println!("a killed server is down after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_restart_begins_a_life_without_bounds() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let replica = it.cluster.replica(0);
    let position = it.write("CREATE TABLE app.t (a INT PRIMARY KEY)").await;
    it.bound_reaches(FIRST, &position).await;
    let (old, incarnation) = {
        let topology = it.watch.topology();
        let view = topology.get(FIRST).unwrap();
        (view.generation.unwrap(), view.incarnation.clone().unwrap())
    };
    let (uuid, started) = (incarnation.server_uuid, incarnation.started);
    assert_eq!(it.watch.identify(FIRST, &uuid, started), Some(old));
    assert_eq!(it.watch.identify(FIRST, &uuid, started + 1), Some(old));
    assert_eq!(it.watch.identify(FIRST, &uuid, started + 60), None);

    // Starts are told apart by whole seconds.
    let second = Duration::from_secs(2);
    let age = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).unwrap() - Duration::from_secs(started)
    };
    until("the first life is old enough to tell", || age() > second).await;
    replica.kill();
    replica.restart().await.unwrap();
    until("the new life is seen", || it.generation(FIRST) > old).await;
    assert!(!it.watch.bound_covers(FIRST, old, &position));
    it.watch
        .note_executed(FIRST, old, position.to_string().as_bytes());
    assert!(!it.watch.bound_covers(FIRST, old, &position));
    assert_eq!(it.watch.identify(FIRST, &uuid, started), None);
    it.becomes(FIRST, Health::Up).await;
    it.bound_reaches(FIRST, &position).await;
    let bound = it.watch.upper_bound_of(FIRST, old, Instant::now()).await;
    assert_eq!(bound, Err(ProbeError::OtherLife));
}

#[tokio::test]
async fn two_servers_behind_one_address_are_not_used() {
    let it = Watched::start(Cluster::builder().replicas(2)).await;
    // A data connection reached another server there, and the monitor still reaches the first.
    let view = it.watch.topology().get(FIRST).unwrap().clone();
    let started = view.incarnation.unwrap().started;
    let other = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    assert_eq!(it.watch.identify(FIRST, other, started), None);
    it.becomes(FIRST, Health::SharedIdentity).await;
    assert_eq!(it.health(SECOND), Health::Up);
}

#[tokio::test]
async fn one_server_behind_two_addresses_counts_once() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let replica = cluster.replica(0);
    let name = format!("localhost:{}", replica.port());
    let it = Watched::of(cluster, |settings| settings.replicas.push(name)).await;
    it.becomes(SECOND, Health::SharedIdentity).await;
    assert_eq!(it.health(FIRST), Health::Up);
}

#[tokio::test]
async fn replicas_stay_usable_without_their_primary() {
    let it = Watched::start_with(Cluster::builder().replicas(1), |settings| {
        settings.max_lag = Duration::from_secs(600);
    })
    .await;
    let position = executed(it.cluster.primary()).await;
    it.cluster.primary().kill();
    it.becomes(PRIMARY, Health::Down).await;
    let bound = it.watch.upper_bound(PRIMARY, Instant::now()).await;
    assert!(
        matches!(bound, Err(ProbeError::Unreachable(_))),
        "{bound:?}"
    );
    // Its receiver notices, and that changes nothing.
    let probes = it.watch.counters(FIRST).probes;
    until("the replica is probed on", || {
        it.watch.counters(FIRST).probes >= probes + 10
    })
    .await;
    assert_eq!(it.health(FIRST), Health::Up);
    it.bound_reaches(FIRST, &position).await;
    it.cluster.primary().restart().await.unwrap();
    it.becomes(PRIMARY, Health::Up).await;
    it.becomes(FIRST, Health::Up).await;
    assert!(it.watch.upper_bound(PRIMARY, Instant::now()).await.is_ok());
}

#[tokio::test]
async fn lag_comes_from_positions() {
    let it = Watched::start_with(Cluster::builder().replicas(1), |settings| {
        settings.max_lag = Duration::from_millis(1500);
    })
    .await;
    let lag = || it.watch.topology().get(FIRST).unwrap().lag;
    it.write("CREATE TABLE app.t (a INT PRIMARY KEY)").await;
    until("the replica is close", || {
        lag().is_some_and(|lag| lag < Duration::from_secs(1))
    })
    .await;
    it.cluster.replica(0).delay(4).await.unwrap();
    it.write("INSERT INTO app.t VALUES (1)").await;
    it.becomes(FIRST, Health::Lagging).await;
    let seen = lag().unwrap();
    println!("lagging at {seen:?}");
    assert!(seen > Duration::from_millis(1500), "{seen:?}");
    it.becomes(FIRST, Health::Up).await;
}
