//! What MariaDB's positions promise, held against what reads really see while several writers are
//! busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use highwater::domain::ids::BackendId;
use highwater::domain::position::{Position, PositionKind};
use highwater::domain::topology::Health;
use highwater::monitor::{NotCovered, ProbeError};
use highwater::rig::{APP, Cluster, ClusterBuilder, Engine, ROOT, Server};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::fixture::{FIRST, PATIENCE, PRIMARY, SECOND, Watched, until};

const WRITERS: u64 = 4;
const READS: usize = 1500;

fn cluster() -> ClusterBuilder {
    Cluster::builder()
        .engine(Engine::MariaDb)
        .replicas(1)
        .option("slave-parallel-threads=4")
}

async fn position(server: &Server, variable: &str) -> Position {
    let sql = format!("SELECT @@global.{variable}");
    let text = server.value(&sql).await.unwrap();
    text.unwrap_or_default().parse().unwrap()
}

/// Writer `k` counts up its own row, in its own domain: so row (k, n) stands for the transaction
/// `k-1-n`.
fn demand(rows: &[(u64, u64)]) -> Position {
    let written = rows.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> = written
        .map(|(writer, count)| format!("{writer}-1-{count}"))
        .collect();
    parts.join(",").parse().unwrap()
}

async fn write(mut conn: Conn, writer: u64, stop: Arc<AtomicBool>) {
    let domain = format!("SET gtid_domain_id = {writer}");
    conn.query_drop(domain).await.unwrap();
    let sql = format!("UPDATE app.counts SET n = n + 1 WHERE writer = {writer}");
    while !stop.load(Ordering::Relaxed) {
        conn.query_drop(&sql).await.unwrap();
    }
}

/// How often a simpler way would have been wrong.
#[derive(Debug, Default)]
struct Wrong {
    /// The server's own position, asked for after a read, lacks what was seen.
    too_late: usize,
    /// The server's own position, asked for before a read, names what is not seen.
    too_early: usize,
}

async fn look(it: &Watched, id: BackendId, server: &Server, variable: &str) -> Wrong {
    let mut reader = server.connect(&APP).await.unwrap();
    let mut asker = server.connect(&APP).await.unwrap();
    let generation = it.generation(id);
    let (mut wrong, mut told) = (Wrong::default(), 0);
    let mut floor = Position::Nothing;
    let sql = format!("SELECT @@global.{variable}");
    let own = async |asker: &mut Conn| -> Position {
        let text: Option<String> = asker.query_first(&sql).await.unwrap();
        text.unwrap().parse().unwrap()
    };
    for _ in 0..READS {
        // Keeps the lower bound fresh, and fails where it does not get there.
        let deadline = Instant::now() + PATIENCE;
        let own_life = [(id, generation)];
        let there = it.watch.wait_covered(&own_life, &floor, deadline).await;
        assert_eq!(there, Ok(id));
        if id == PRIMARY {
            it.watch.executed(Instant::now()).await.unwrap();
        }
        let naive = own(&mut asker).await;
        let life = it.watch.lower_bound(id).unwrap();
        let sql = "SELECT writer, n FROM app.counts";
        let rows: Vec<(u64, u64)> = reader.query(sql).await.unwrap();
        let seen = demand(&rows);
        let ended = Instant::now();
        wrong.too_late += usize::from(!own(&mut asker).await.covers(&seen));
        let upper = it.watch.upper_bound(PRIMARY, ended).await.unwrap();
        assert!(upper.covers(&seen), "seen {seen}, upper bound {upper}");
        assert!(upper.covers(&floor), "an upper bound shrank");
        let next = |(writer, count): &(u64, u64)| -> Position {
            format!("{writer}-1-{}", count + 1).parse().unwrap()
        };
        for next in rows.iter().map(next) {
            told += usize::from(life.covers(&seen));
            assert!(!life.covers(&next), "{next} is in {life} but was not seen");
        }
        wrong.too_early += usize::from(rows.iter().any(|row| naive.covers(&next(row))));
        floor = seen;
    }
    assert!(told > 0, "the lower bound never got to what was seen");
    wrong
}

#[tokio::test]
async fn reads_stay_between_the_bounds() {
    let it = Watched::start(cluster()).await;
    assert_eq!(it.watch.position_kind(), PositionKind::MariaDb);
    let primary = it.cluster.primary();
    for sql in [
        "CREATE TABLE app.counts (writer INT PRIMARY KEY, n INT)",
        "INSERT INTO app.counts VALUES (1, 0), (2, 0), (3, 0), (4, 0)",
    ] {
        primary.exec(sql).await.unwrap();
    }
    let filled = position(primary, "gtid_binlog_pos").await;
    it.bound_reaches(FIRST, &filled).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 1..=WRITERS {
        let conn = primary.connect(&ROOT).await.unwrap();
        writers.spawn(write(conn, writer, Arc::clone(&stop)));
    }
    let on_replica = look(&it, FIRST, it.cluster.replica(0), "gtid_slave_pos").await;
    let on_primary = look(&it, PRIMARY, primary, "gtid_binlog_pos").await;
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    println!(
        "{READS} reads on each; gtid_slave_pos on the replica: {on_replica:?}, gtid_binlog_pos on \
         the primary: {on_primary:?}"
    );
    it.bound_reaches(FIRST, &position(primary, "gtid_binlog_pos").await)
        .await;
}

#[tokio::test]
async fn an_acknowledged_write_is_in_what_is_asked_for_later() {
    let it = Watched::start(cluster().replicas(0)).await;
    let primary = it.cluster.primary();
    let sql = "CREATE TABLE app.t (writer INT, n INT)";
    primary.exec(sql).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 1..=6 {
        let mut conn = primary.connect(&ROOT).await.unwrap();
        let watch = it.watch.clone();
        writers.spawn(async move {
            // All in one domain, as applications write.
            for number in 0..200 {
                let sql = format!("INSERT INTO app.t VALUES ({writer}, {number})");
                conn.query_drop(sql).await.unwrap();
                let arrived = Instant::now();
                let written: Option<String> = conn.query_first("SELECT @@last_gtid").await.unwrap();
                let written: Position = written.unwrap().parse().unwrap();
                let probed = watch.executed(arrived).await.unwrap();
                assert!(probed.position.covers(&written), "{written} is missing");
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn health_lag_and_waits_come_from_mariadbs_positions() {
    let it = Watched::start_with(cluster().replicas(2), |settings| {
        settings.max_lag = Duration::from_millis(1500);
    })
    .await;
    let primary = it.cluster.primary();
    primary.exec("CREATE TABLE app.t (a INT)").await.unwrap();
    let created = position(primary, "gtid_binlog_pos").await;
    it.bound_reaches(FIRST, &created).await;
    it.bound_reaches(SECOND, &created).await;

    // Only the primary says what can have been seen.
    let now = Instant::now();
    let of_replica = it.watch.upper_bound(FIRST, now).await;
    assert_eq!(of_replica, Err(ProbeError::Unsupported));
    assert!(
        it.watch
            .upper_bound(PRIMARY, now)
            .await
            .unwrap()
            .covers(&created)
    );

    // One that stands still leaves a wait to the other.
    it.cluster.replica(0).stop_applier().await.unwrap();
    it.becomes(FIRST, Health::NotReplicating).await;
    primary.exec("INSERT INTO app.t VALUES (1)").await.unwrap();
    let written = position(primary, "gtid_binlog_pos").await;
    let both = [it.present(FIRST), it.present(SECOND)];
    let deadline = Instant::now() + PATIENCE;
    let there = it.watch.wait_covered(&both, &written, deadline).await;
    assert_eq!(there, Ok(SECOND));
    it.cluster.replica(0).start_applier().await.unwrap();
    it.becomes(FIRST, Health::Up).await;

    // What nobody has written yet, in a known domain and in an unknown one, delays nobody.
    for never in ["0-1-1000000", "77-1-1"] {
        let never: Position = never.parse().unwrap();
        let soon = Instant::now() + Duration::from_millis(100);
        let waited = it.watch.wait_covered(&both, &never, soon);
        let written = async {
            primary.exec("INSERT INTO app.t VALUES (2)").await.unwrap();
            let written = position(primary, "gtid_binlog_pos").await;
            it.watch.wait_covered(&both, &written, deadline).await
        };
        let (waited, written) = tokio::join!(waited, written);
        assert_eq!(waited, Err(NotCovered::Timeout));
        assert!(written.is_ok());
    }

    it.cluster.replica(0).delay(4).await.unwrap();
    primary.exec("INSERT INTO app.t VALUES (3)").await.unwrap();
    it.becomes(FIRST, Health::Lagging).await;
    it.becomes(FIRST, Health::Up).await;
    let replica = it.cluster.replica(0);
    replica.exec("SET GLOBAL read_only = 0").await.unwrap();
    it.becomes(FIRST, Health::NotReadOnly).await;
    replica.exec("SET GLOBAL read_only = 1").await.unwrap();
    until("a sample is young enough for bounded reads", || {
        let sample = it.watch.sample(Duration::from_secs(1), Instant::now());
        sample.is_some_and(|sample| sample.covers(&written))
    })
    .await;
}
