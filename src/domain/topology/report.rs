//! What one probe of a server said.

use super::{Engine, Incarnation};
use crate::domain::position::{Position, PositionKind};

/// A server's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which life answered.
    pub incarnation: Incarnation,
    /// What kind of server it is.
    pub engine: Engine,
    /// `@@server_id`.
    pub server_id: u64,
    /// Whether `read_only` or `super_read_only` is on.
    pub read_only: bool,
    /// Its replication from the configured primary if there is such a channel, else from anybody;
    /// `None` if it replicates from nobody.
    pub replication: Option<Replication>,
    /// The kind of history it tells.
    pub positions: PositionKind,
    /// A lower bound of what a read that starts later will see; `None` where none is known.
    pub executed: Option<Position>,
    /// On the primary, what covers every write that was acknowledged before it was asked.
    pub acknowledged: Option<Position>,
}

/// One replication channel of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// The thread that receives the source's events.
    pub receiver: Receiver,
    /// Whether the thread that applies them runs.
    pub applier_running: bool,
    /// The source's `@@server_uuid`, where known.
    pub source_uuid: Option<String>,
    /// The source's `@@server_id`; 0 where unknown.
    pub source_id: u64,
    /// The replica's own estimate of its lag: whole seconds by the clocks of two machines. Only a
    /// hint while nothing better is known.
    pub seconds_behind: Option<u64>,
}

impl Replication {
    /// Whether its source is the server that gave this report.
    pub fn is_from(&self, source: &Report) -> bool {
        match &self.source_uuid {
            Some(uuid) => uuid.eq_ignore_ascii_case(&source.incarnation.server_uuid),
            None => self.source_id == source.server_id,
        }
    }
}

/// The state of a replica's receiver thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Connected to its source.
    Running,
    /// Trying to connect.
    Connecting,
    /// Not running.
    Stopped,
}
