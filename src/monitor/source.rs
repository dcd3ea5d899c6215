//! What a server's history is asked for, by its kind: one question that serves the regular probe,
//! those who ask for bounds, and the waiting reads.
//!
//! | kind | a replica's lower bound | the primary's lower bound | everything acknowledged, everything seen |
//! |---|---|---|---|
//! | MySQL GTIDs | `gtid_executed` | the same | `gtid_executed`; `gtid_owned` then `gtid_executed`, of any server |
//! | MariaDB GTIDs | `gtid_slave_pos` | `gtid_binlog_pos` once the engines have committed it | the primary's `gtid_binlog_pos` |
//! | binary log places | what the applier has executed | `performance_schema.log_status` | the end of the primary's log |
//! | Aurora LSNs | its read point | the writer's durable LSN | the writer's durable LSN |

mod aurora;
mod binlog;
mod gtids;
mod mariadb;
mod words;

use std::time::Duration;

use super::ProbeError;
use super::life::Life;
use super::link::{Greeting, Link, Table};
use crate::domain::position::{Position, PositionKind};
use crate::domain::topology::Role;
pub(super) use aurora::replication as aurora_replication;
pub(super) use mariadb::Fence;
pub(super) use words::Words;

/// How a server of this kind and role is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) kind: PositionKind,
    pub(super) role: Role,
}

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Certain to be visible to a read that starts now.
    pub(super) visible: Option<Position>,
    /// Covers every write that was acknowledged before the question. Only the primary knows.
    pub(super) acknowledged: Option<Position>,
    /// Covers all that a read on this server can have seen which was over before the question; on
    /// the primary, also reads on its replicas.
    pub(super) seen: Option<Position>,
    /// How old the answer was already when it was given.
    pub(super) age: Duration,
}

impl Source {
    /// Whether such a server says what a read on it can have seen.
    pub(super) fn tells_seen(self) -> bool {
        match self.kind {
            PositionKind::Nothing => false,
            PositionKind::Gtids => true,
            PositionKind::MariaDb | PositionKind::Binlog | PositionKind::Lsn => {
                self.role == Role::Primary
            }
        }
    }

    /// The statements to ask; they come back as so many tables.
    pub(super) fn question(self, greeting: &Greeting) -> Option<String> {
        match self.kind {
            PositionKind::Nothing => None,
            PositionKind::Gtids => Some(gtids::QUESTION.to_owned()),
            PositionKind::MariaDb => Some(mariadb::question(self.role).to_owned()),
            PositionKind::Binlog => Some(binlog::question(self.role, greeting)),
            PositionKind::Lsn => Some(aurora::QUESTION.to_owned()),
        }
    }

    /// Reads the answer of `life` to [`Self::question`].
    ///
    /// # Errors
    /// When it is none, or the server has become another kind.
    pub(super) fn read(
        self,
        tables: &[Table],
        greeting: &Greeting,
        life: Option<&Life>,
    ) -> Result<Said, ProbeError> {
        match (self.kind, self.role) {
            (PositionKind::Nothing, _) => Err(ProbeError::Unsupported),
            (PositionKind::Gtids, _) => gtids::read(tables),
            (PositionKind::MariaDb, Role::Replica) => mariadb::read_replica(tables),
            (PositionKind::MariaDb, Role::Primary) => {
                mariadb::read_primary(tables, life.map(|life| &life.fence))
            }
            (PositionKind::Binlog, role) => binlog::read(role, tables, greeting),
            (PositionKind::Lsn, role) => aurora::read(role, tables, greeting),
        }
    }

    /// Waits on a server of `life` until it shows `missing`, for so long at most, and raises what
    /// is known of it.
    pub(super) async fn wait(
        self,
        link: &mut Link,
        life: &Life,
        missing: &Position,
        limit: Duration,
    ) -> Result<Said, ProbeError> {
        let greeting = link.greeting().await?;
        if let Some(question) = self.waiting(missing, limit, &greeting) {
            let tables = link.ask(&question).await?;
            return self.read(tables.get(1..).unwrap_or_default(), &greeting, Some(life));
        }
        // Nothing to wait with: it is asked again and again, at a pace.
        tokio::time::sleep(PACE.min(limit)).await;
        if self.is_unprovable() {
            return binlog::committed(link).await;
        }
        let question = self.question(&greeting).ok_or(ProbeError::Unsupported)?;
        let tables = link.ask(&question).await?;
        self.read(&tables, &greeting, Some(life))
    }

    /// Whether it takes a right of its own to ask what such a server shows.
    pub(super) fn is_unprovable(self) -> bool {
        (self.kind, self.role) == (PositionKind::Binlog, Role::Primary)
    }

    /// The question behind a statement that waits.
    fn waiting(self, missing: &Position, limit: Duration, greeting: &Greeting) -> Option<String> {
        let seconds = limit.as_secs_f32();
        let wait = match (self.kind, self.role, missing) {
            (PositionKind::Gtids, _, _) => {
                format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{missing}', {seconds})")
            }
            (PositionKind::MariaDb, Role::Replica, _) => {
                format!("SELECT MASTER_GTID_WAIT('{missing}', {seconds})")
            }
            (PositionKind::Binlog, Role::Replica, Position::Binlog(place)) => {
                return Some(binlog::waiting(place, seconds, greeting));
            }
            _ => return None,
        };
        Some(format!("{wait}; {}", self.question(greeting)?))
    }
}

/// Pause between two questions to a server that cannot be waited on.
const PACE: Duration = Duration::from_millis(2);
