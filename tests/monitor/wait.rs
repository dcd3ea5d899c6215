//! Waiting for a position.

use std::time::{Duration, Instant};

use highwater::domain::position::{GtidSet, Position};
use highwater::monitor::NotCovered;
use highwater::rig::{APP, Cluster};
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::fixture::{FIRST, PATIENCE, SECOND, Watched, gtids, uuid};

fn position(text: &str) -> Position {
    text.parse::<GtidSet>().unwrap().into()
}

/// Writes once and gives the GTID of that write.
struct Writer {
    conn: mysql_async::Conn,
    uuid: String,
    next: u64,
}

impl Writer {
    async fn new(it: &Watched) -> Self {
        let created = it
            .write("CREATE TABLE app.t (a INT PRIMARY KEY AUTO_INCREMENT)")
            .await;
        Self {
            conn: it.cluster.primary().connect(&APP).await.unwrap(),
            uuid: uuid(it.cluster.primary()).await,
            next: gtids(created).count() + 1,
        }
    }

    async fn write(&mut self) -> Position {
        self.conn
            .query_drop("INSERT INTO t VALUES ()")
            .await
            .unwrap();
        let written = position(&format!("{}:{}", self.uuid, self.next));
        self.next += 1;
        written
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn show(what: &str, mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    let median = percentile(&waits, 50);
    println!(
        "{what}: {} waits, median {median:?}, p99 {:?}, longest {:?}",
        waits.len(),
        percentile(&waits, 99),
        percentile(&waits, 100),
    );
    median
}

#[tokio::test]
async fn a_write_is_on_a_replica_within_milliseconds() {
    let it = Watched::start(Cluster::builder().replicas(2)).await;
    let replicas = [it.present(FIRST), it.present(SECOND)];
    let mut writer = Writer::new(&it).await;
    let mut readers = [
        it.cluster.replica(0).connect(&APP).await.unwrap(),
        it.cluster.replica(1).connect(&APP).await.unwrap(),
    ];
    let mut waits = Vec::new();
    for count in 1..=1000 {
        let written = writer.write().await;
        let start = Instant::now();
        let id = it
            .watch
            .wait_covered(&replicas, &written, start + PATIENCE)
            .await
            .unwrap();
        waits.push(start.elapsed());
        let life = it.generation(id);
        assert!(it.watch.bound_covers(id, life, &written));
        let seen = readers[id.index() - 1].query_first("SELECT COUNT(*) FROM t");
        let seen: Option<u64> = seen.await.unwrap();
        assert_eq!(seen, Some(count), "a read after the wait is stale");
    }
    let median = show("after a write", waits);
    assert!(median < Duration::from_millis(50), "{median:?}");
    // Nobody waits, so nothing runs.
    let sent = it.watch.counters(FIRST).waits_sent;
    let probes = it.watch.counters(FIRST).probes;
    crate::fixture::until("some probes later", || {
        it.watch.counters(FIRST).probes > probes + 3
    })
    .await;
    assert_eq!(it.watch.counters(FIRST).waits_sent, sent);
}

#[tokio::test]
async fn an_unreachable_position_delays_nobody_else() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let replicas = [it.present(FIRST)];
    let mut writer = Writer::new(&it).await;
    let nobody = "3e11fa47-71ca-11e1-9e33-c80aa942956";
    let mut unreachable = JoinSet::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    for digit in 0..8 {
        let watch = it.watch.clone();
        let demand = match digit % 2 {
            // A source that nobody has, and a number that is far ahead.
            0 => position(&format!("{nobody}{digit}:1")),
            _ => position(&format!("{}:{}", writer.uuid, 1_000_000 + digit)),
        };
        unreachable.spawn(async move { watch.wait_covered(&replicas, &demand, deadline).await });
    }
    let mut waits = Vec::new();
    while Instant::now() < deadline && waits.len() < 300 {
        let written = writer.write().await;
        let start = Instant::now();
        it.watch
            .wait_covered(&replicas, &written, start + PATIENCE)
            .await
            .unwrap();
        waits.push(start.elapsed());
    }
    let median = show("next to unreachable ones", waits);
    assert!(median < Duration::from_millis(50), "{median:?}");
    for outcome in unreachable.join_all().await {
        assert_eq!(outcome, Err(NotCovered::Timeout));
    }
}

#[tokio::test]
async fn many_waiting_reads_share_a_query() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    let mut writer = Writer::new(&it).await;
    it.delay(2).await;
    let replicas = [it.present(FIRST)];
    let sent = it.watch.counters(FIRST).waits_sent;
    let start = Instant::now();
    let mut waiting = JoinSet::new();
    for _ in 0..400 {
        let written = writer.write().await;
        let watch = it.watch.clone();
        waiting.spawn(async move {
            watch
                .wait_covered(&replicas, &written, Instant::now() + PATIENCE)
                .await
        });
    }
    for outcome in waiting.join_all().await {
        assert_eq!(outcome, Ok(FIRST));
    }
    let took = start.elapsed();
    let sent = it.watch.counters(FIRST).waits_sent - sent;
    println!("400 waiting reads, {took:?}: {sent} queries");
    assert!(
        took > Duration::from_millis(500),
        "nobody had to wait: {took:?}"
    );
    // Each read on its own would ask at least once every 20 ms that it waits.
    assert!(sent < 2000, "{sent} queries");
}

#[tokio::test]
async fn a_wait_ends_when_no_server_is_left() {
    let it = Watched::start(Cluster::builder().replicas(2)).await;
    let demand = position("3e11fa47-71ca-11e1-9e33-c80aa9429562:1");
    let far = Instant::now() + PATIENCE;
    assert_eq!(
        it.watch.wait_covered(&[], &demand, far).await,
        Err(NotCovered::Lost)
    );
    let now = Instant::now();
    let present = it.present(FIRST);
    let outcome = it.watch.wait_covered(&[present], &demand, now).await;
    assert_eq!(outcome, Err(NotCovered::Timeout));

    let both = [it.present(FIRST), it.present(SECOND)];
    let watch = it.watch.clone();
    let of_both = tokio::spawn(async move { watch.wait_covered(&both, &demand, far).await });
    it.cluster.replica(0).kill();
    it.becomes(FIRST, highwater::domain::topology::Health::Down)
        .await;
    assert!(!of_both.is_finished(), "one replica is left");
    it.cluster.replica(1).kill();
    assert_eq!(of_both.await.unwrap(), Err(NotCovered::Lost));
    assert!(Instant::now() < far);
}
