//! Sessions that write a row and re-read it at once, and whether they saw what they wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::stage::Stage;
use crate::cli::failure::Failure;
use crate::domain::consistency::Level;
use crate::rig::APP;

/// Sessions of each way.
const SESSIONS: u32 = 4;
/// What an application does between two statements' pairs.
const THINK: Duration = Duration::from_millis(5);

/// How a session's statements reach the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Writes to the primary, re-reads from the replicas in turn, without Highwater.
    Naive,
    /// Through Highwater.
    Highwater(Level),
}

impl Way {
    /// Every way, in the order of [`Seen`].
    pub(super) const ALL: [Self; 3] = [
        Self::Naive,
        Self::Highwater(Level::Eventual),
        Self::Highwater(Level::Session),
    ];
}

/// What the sessions of one way saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Writes that were acknowledged and then re-read.
    pub(super) pairs: u64,
    /// Re-reads that did not show the write.
    pub(super) stale: u64,
}

/// What each of [`Way::ALL`] saw.
pub(super) type Seen = [Count; 3];

/// Counts while sessions run.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    /// The last value that anybody wrote; each is written once.
    last: Arc<AtomicU64>,
    ways: [Arc<Tally>; 3],
}

#[derive(Debug, Default)]
struct Tally {
    pairs: AtomicU64,
    stale: AtomicU64,
}

impl Tallies {
    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.ways.each_ref().map(|tally| Count {
            pairs: tally.pairs.load(Ordering::Relaxed),
            stale: tally.stale.load(Ordering::Relaxed),
        })
    }
}

/// Makes the table, with a row for every session, and waits until it is everywhere.
pub(super) async fn prepare(stage: &Stage) -> Result<(), Failure> {
    let rows: Vec<String> = (0..SESSIONS * 3).map(|id| format!("({id}, 0)")).collect();
    let work = async {
        let mut conn = Conn::new(stage.app()).await?;
        conn.query_drop("CREATE TABLE demo (id INT PRIMARY KEY, v BIGINT NOT NULL)")
            .await?;
        conn.query_drop(format!("INSERT INTO demo VALUES {}", rows.join(", ")))
            .await?;
        conn.disconnect().await
    };
    work.await.map_err(|error| failure(&error))?;
    stage.settle().await
}

/// Runs the sessions of every way for so long.
pub(super) async fn run(stage: &Stage, tallies: &Tallies, length: Duration) -> Result<(), Failure> {
    let until = Instant::now() + length;
    let mut sessions = JoinSet::new();
    for (way, (tally, base)) in Way::ALL.into_iter().zip(tallies.ways.iter().zip(0..)) {
        for session in 0..SESSIONS {
            let routes = Routes::of(stage, way);
            let session = Session {
                row: base * SESSIONS + session,
                last: Arc::clone(&tallies.last),
                tally: Arc::clone(tally),
            };
            sessions.spawn(async move { session.run(routes.open().await?, until).await });
        }
    }
    while let Some(joined) = sessions.join_next().await {
        let ended = joined.map_err(|error| {
            Failure::no(
                format!("a session ended early: {error}"),
                "please report it",
            )
        })?;
        ended.map_err(|error| failure(&error))?;
    }
    Ok(())
}

fn failure(error: &mysql_async::Error) -> Failure {
    Failure::no(
        format!("the workload failed: {error}"),
        "the machine may be too busy: try again, and report it if it stays",
    )
}

/// Where a session's connections go.
struct Routes {
    write: Opts,
    /// None of its own: reads go where writes go.
    read: Vec<Opts>,
    level: Option<Level>,
}

impl Routes {
    fn of(stage: &Stage, way: Way) -> Self {
        match way {
            // Without a schema, by which the servers tell these statements from Highwater's.
            Way::Naive => {
                let direct = |server: &crate::rig::Server| -> Opts {
                    let opts = OptsBuilder::from_opts(server.opts(&APP));
                    opts.db_name(None::<String>).into()
                };
                Self {
                    write: direct(stage.cluster.primary()),
                    read: stage.cluster.replicas().iter().map(direct).collect(),
                    level: None,
                }
            }
            Way::Highwater(level) => Self {
                write: stage.app(),
                read: Vec::new(),
                level: Some(level),
            },
        }
    }

    async fn open(self) -> mysql_async::Result<Connections> {
        let mut write = Conn::new(self.write).await?;
        if let Some(level) = self.level {
            let sql = format!("SET highwater_read_consistency = '{}'", level.name());
            write.query_drop(sql).await?;
        }
        let mut read = Vec::new();
        for opts in self.read {
            read.push(Conn::new(opts).await?);
        }
        Ok(Connections {
            write,
            read,
            turn: 0,
        })
    }
}

struct Connections {
    write: Conn,
    read: Vec<Conn>,
    turn: usize,
}

impl Connections {
    /// The connection for the next read.
    fn reader(&mut self) -> &mut Conn {
        self.turn += 1;
        let turn = self.turn.checked_rem(self.read.len()).unwrap_or(0);
        self.read.get_mut(turn).unwrap_or(&mut self.write)
    }

    async fn close(self) -> mysql_async::Result<()> {
        for conn in self.read {
            conn.disconnect().await?;
        }
        self.write.disconnect().await
    }
}

/// One session with a row of its own, which nobody else writes.
struct Session {
    row: u32,
    last: Arc<AtomicU64>,
    tally: Arc<Tally>,
}

impl Session {
    async fn run(self, mut connections: Connections, until: Instant) -> mysql_async::Result<()> {
        let row = self.row;
        let read = format!("SELECT v FROM app.demo WHERE id = {row}");
        while Instant::now() < until {
            let value = self.last.fetch_add(1, Ordering::Relaxed) + 1;
            let write = format!("UPDATE app.demo SET v = {value} WHERE id = {row}");
            connections.write.query_drop(write).await?;
            let seen: Option<u64> = connections.reader().query_first(&read).await?;
            self.tally.pairs.fetch_add(1, Ordering::Relaxed);
            if seen != Some(value) {
                self.tally.stale.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(THINK).await;
        }
        connections.close().await
    }
}
