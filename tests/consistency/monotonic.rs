//! Readers of a counter that only grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::task::{JoinError, JoinSet};

use super::support::{Setup, cell, run};

/// How many sessions read.
const READERS: usize = 8;
/// What each reader must have read before a test goes on.
const ENOUGH: u64 = 30;

/// One writer and its readers, until [`Watchers::end`].
pub(crate) struct Watchers {
    readers: JoinSet<Findings>,
    writer: JoinSet<()>,
    progress: Arc<[AtomicU64]>,
    over: Arc<AtomicBool>,
}

/// What a reader found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Times that the counter was lower than before: (before, then, in which step).
    pub(crate) backwards: Vec<(u64, u64, u64)>,
    pub(crate) lost_transactions: u64,
    pub(crate) reads: u64,
}

impl Watchers {
    /// Starts them; `level` is the readers'.
    pub(crate) async fn start(setup: &Setup, level: &str) -> Self {
        let mut conn = setup.connect().await;
        run(
            &mut conn,
            "CREATE TABLE IF NOT EXISTS counter (v BIGINT UNSIGNED)",
        )
        .await;
        run(&mut conn, "DELETE FROM counter").await;
        run(&mut conn, "INSERT INTO counter VALUES (1)").await;
        setup.cluster.wait_all_caught_up().await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let progress: Arc<[AtomicU64]> = (0..READERS).map(|_| AtomicU64::new(0)).collect();
        let mut writer = JoinSet::new();
        let stop = Arc::clone(&over);
        writer.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                run(&mut conn, "UPDATE counter SET v = v + 1").await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut readers = JoinSet::new();
        for reader in 0..READERS {
            let mut conn = setup.connect().await;
            run(
                &mut conn,
                &format!("SET highwater_read_consistency = '{level}'"),
            )
            .await;
            readers.spawn(read(conn, reader, Arc::clone(&progress), Arc::clone(&over)));
        }
        let mut watchers = Self {
            readers,
            writer,
            progress,
            over,
        };
        watchers.go_on().await;
        watchers
    }

    /// Returns once every reader has read a good deal more; fails when one of them has failed.
    pub(crate) async fn go_on(&mut self) {
        let from: Vec<_> = self
            .progress
            .iter()
            .map(|reads| reads.load(Ordering::Relaxed))
            .collect();
        let far =
            |(reads, from): (&AtomicU64, &u64)| reads.load(Ordering::Relaxed) >= from + ENOUGH;
        while !self.progress.iter().zip(&from).all(far) {
            for ended in [
                self.readers.try_join_next().map(drop_found),
                self.writer.try_join_next(),
            ] {
                ended.transpose().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them all and gives what they found, together.
    pub(crate) async fn end(mut self) -> Findings {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Findings::default();
        while let Some(found) = self.readers.join_next().await {
            let found = found.unwrap();
            all.backwards.extend(found.backwards);
            all.lost_transactions += found.lost_transactions;
            all.reads += found.reads;
        }
        while let Some(written) = self.writer.join_next().await {
            written.unwrap();
        }
        all
    }
}

fn drop_found(ended: Result<Findings, JoinError>) -> Result<(), JoinError> {
    ended.map(drop)
}

async fn read(
    mut conn: Conn,
    reader: usize,
    progress: Arc<[AtomicU64]>,
    over: Arc<AtomicBool>,
) -> Findings {
    let mut found = Findings::default();
    let mut last = 0;
    while !over.load(Ordering::Relaxed) {
        let around = match found.reads % 16 {
            3 => Some("BEGIN"),
            7 => Some("START TRANSACTION READ ONLY"),
            11 => Some("START TRANSACTION WITH CONSISTENT SNAPSHOT"),
            _ => None,
        };
        let seen = match around {
            None => Some(
                see(&mut conn)
                    .await
                    .unwrap_or_else(|error| panic!("reader {reader}: {error}")),
            ),
            Some(begin) => match in_transaction(&mut conn, begin).await {
                Ok(seen) => Some(seen),
                // The replica of a READ ONLY transaction may go away, and the transaction with it.
                Err(Error::Server(error)) if error.code == 2013 && begin.ends_with("READ ONLY") => {
                    found.lost_transactions += 1;
                    None
                }
                Err(error) => panic!("reader {reader}, {begin}: {error}"),
            },
        };
        if let Some(seen) = seen {
            if seen < last {
                found.backwards.push((last, seen, found.reads));
            }
            last = seen;
        }
        found.reads += 1;
        if let Some(reads) = progress.get(reader) {
            reads.fetch_add(1, Ordering::Relaxed);
        }
    }
    found
}

async fn see(conn: &mut Conn) -> mysql_async::Result<u64> {
    Ok(conn.query_first("SELECT v FROM counter").await?.unwrap())
}

async fn in_transaction(conn: &mut Conn, begin: &str) -> mysql_async::Result<u64> {
    conn.query_drop(begin).await?;
    let seen = see(conn).await?;
    conn.query_drop("COMMIT").await?;
    Ok(seen)
}

/// The counter as one session sees it now.
pub(crate) async fn counter(conn: &mut Conn) -> u64 {
    cell(conn, "SELECT v FROM counter")
        .await
        .unwrap()
        .parse()
        .unwrap()
}
