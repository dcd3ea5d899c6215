//! What bounds promise, held against what reads really see while several writers are busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use highwater::domain::ids::BackendId;
use highwater::domain::position::{GtidSet, Position};
use highwater::rig::{APP, Cluster, ROOT, Server};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::fixture::{FIRST, PRIMARY, Watched, uuid};

const WRITERS: u64 = 4;
const READS: usize = 1500;

/// Writer `k` counts up its own row, under its own tag: so row (k, n) stands for the transactions
/// `uuid:wk:1-n`.
fn demand(uuid: &str, rows: &[(u64, u64)]) -> Position {
    let written = rows.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> = written
        .map(|(writer, count)| format!("{uuid}:w{writer}:1-{count}"))
        .collect();
    parts.join(",").parse::<GtidSet>().unwrap().into()
}

async fn write(mut conn: Conn, writer: u64, stop: Arc<AtomicBool>) {
    conn.query_drop(format!("SET gtid_next = 'AUTOMATIC:w{writer}'"))
        .await
        .unwrap();
    let sql = format!("UPDATE app.counts SET n = n + 1 WHERE writer = {writer}");
    while !stop.load(Ordering::Relaxed) {
        conn.query_drop(&sql).await.unwrap();
    }
}

/// Reads and asks what can have been seen; gives how often the executed set alone, read after the
/// read, would have missed something.
async fn look(it: &Watched, id: BackendId, server: &Server, source: &str) -> usize {
    let mut reader = server.connect(&APP).await.unwrap();
    let mut asker = server.connect(&APP).await.unwrap();
    let generation = it.generation(id);
    let mut would_miss = 0;
    let mut floor = Position::Gtids(GtidSet::new());
    for _ in 0..READS {
        // Before the read: a lower bound of what it will see.
        let life = it.watch.lower_bound(id).unwrap();
        let rows: Vec<(u64, u64)> = reader
            .query("SELECT writer, n FROM app.counts")
            .await
            .unwrap();
        let seen = demand(source, &rows);
        let ended = Instant::now();
        let executed: Option<String> = asker
            .query_first("SELECT @@global.gtid_executed")
            .await
            .unwrap();
        let executed: GtidSet = executed.unwrap().parse().unwrap();
        would_miss += usize::from(!Position::Gtids(executed).covers(&seen));
        let upper = it
            .watch
            .upper_bound_of(id, generation, ended)
            .await
            .unwrap();
        assert!(upper.covers(&seen), "seen {seen}, upper bound {upper}");
        assert!(upper.covers(&floor), "an upper bound shrank");
        for (writer, count) in &rows {
            let next: GtidSet = format!("{source}:w{writer}:{}", count + 1).parse().unwrap();
            assert!(
                !life.covers(&next.clone().into()),
                "{next} is in the lower bound {life} but was not seen"
            );
        }
        floor = upper;
    }
    would_miss
}

#[tokio::test]
async fn reads_stay_between_the_bounds() {
    let it = Watched::start(Cluster::builder().replicas(1)).await;
    it.write("CREATE TABLE app.counts (writer INT PRIMARY KEY, n INT)")
        .await;
    let rows: Vec<String> = (0..WRITERS)
        .map(|writer| format!("({writer}, 0)"))
        .collect();
    let filled = it
        .write(&format!("INSERT INTO app.counts VALUES {}", rows.join(",")))
        .await;
    it.bound_reaches(FIRST, &filled).await;
    let source = uuid(it.cluster.primary()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let conn = it.cluster.primary().connect(&ROOT).await.unwrap();
        writers.spawn(write(conn, writer, Arc::clone(&stop)));
    }
    let on_replica = look(&it, FIRST, it.cluster.replica(0), &source).await;
    let on_primary = look(&it, PRIMARY, it.cluster.primary(), &source).await;
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    println!(
        "{READS} reads on each; the executed set alone missed {on_replica} on the replica, \
         {on_primary} on the primary"
    );
    let last: Vec<(u64, u64)> = it
        .cluster
        .primary()
        .connect(&APP)
        .await
        .unwrap()
        .query("SELECT writer, n FROM app.counts")
        .await
        .unwrap();
    assert!(last.iter().all(|(_, count)| *count > 0), "{last:?}");
    it.bound_reaches(FIRST, &demand(&source, &last)).await;
}
