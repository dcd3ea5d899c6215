//! Sessions that read one row over and over, as text and prepared, and must not see any error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use super::support::{Setup, run};

const SESSIONS: usize = 8;
/// What each session must have read before a test goes on.
const ENOUGH: u64 = 200;

pub(crate) struct Load {
    sessions: JoinSet<Duration>,
    progress: Arc<[AtomicU64]>,
    over: Arc<AtomicBool>,
}

impl Load {
    pub(crate) async fn start(setup: &Setup) -> Self {
        let mut conn = setup.connect().await;
        run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
        run(&mut conn, "INSERT INTO t VALUES (1, 10)").await;
        setup.cluster.wait_all_caught_up().await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let progress: Arc<[AtomicU64]> = (0..SESSIONS).map(|_| AtomicU64::new(0)).collect();
        let mut sessions = JoinSet::new();
        for session in 0..SESSIONS {
            let mut conn = setup.connect().await;
            let (progress, over) = (Arc::clone(&progress), Arc::clone(&over));
            sessions.spawn(async move {
                let mut slowest = Duration::ZERO;
                while !over.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    let seen: mysql_async::Result<Option<i32>> = match session % 2 {
                        0 => conn.query_first("SELECT v FROM t WHERE id = 1").await,
                        _ => conn.exec_first("SELECT v FROM t WHERE id = ?", (1,)).await,
                    };
                    match seen {
                        Ok(seen) => assert_eq!(seen, Some(10)),
                        Err(error) => panic!("session {session}: {error}"),
                    }
                    slowest = slowest.max(started.elapsed());
                    progress[session].fetch_add(1, Ordering::Relaxed);
                }
                slowest
            });
        }
        Self {
            sessions,
            progress,
            over,
        }
    }

    /// Returns once every session has read a good deal more.
    pub(crate) async fn go_on(&self) {
        let from: Vec<_> = self
            .progress
            .iter()
            .map(|reads| reads.load(Ordering::Relaxed))
            .collect();
        let deadline = Instant::now() + Duration::from_secs(60);
        let far =
            |(reads, from): (&AtomicU64, &u64)| reads.load(Ordering::Relaxed) >= from + ENOUGH;
        while !self.progress.iter().zip(&from).all(far) {
            let now: Vec<_> = self
                .progress
                .iter()
                .map(|reads| reads.load(Ordering::Relaxed))
                .collect();
            assert!(
                Instant::now() < deadline,
                "a session stands still: {from:?} {now:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends all; gives the time of the slowest read.
    pub(crate) async fn end(mut self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        let mut slowest = Duration::ZERO;
        while let Some(session) = self.sessions.join_next().await {
            slowest = slowest.max(session.unwrap());
        }
        slowest
    }
}
