//! The servers as the monitor last saw them.

pub mod aurora;
pub mod clean;
pub mod guarantee;
pub mod health;
pub mod lag;
pub mod leavings;
pub mod report;

use std::time::Duration;

use super::ids::BackendId;
use super::position::PositionKind;
pub use clean::Clean;
use guarantee::Flaws;
pub use lag::{Lag, Samples};
pub use leavings::Leavings;
pub use report::{Receiver, Replication, Report};

/// One life of one server process. A position learned from an incarnation says nothing about
/// another one: a restart with relaxed durability or a rebuilt server may have lost transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation {
    /// `@@server_uuid`.
    pub server_uuid: String,
    /// Start of the process in seconds since the epoch by the server's clock (now - Uptime); two
    /// readings of one life may differ by a second.
    pub started: u64,
}

impl Incarnation {
    /// Whether two readings are of the same life. Uptime has whole seconds, so a difference of one
    /// is the same.
    pub fn same_life(&self, other: &Self) -> bool {
        self.server_uuid == other.server_uuid && self.started.abs_diff(other.started) <= 1
    }
}

/// Which life of a server something belongs to: grows by one with each new incarnation seen behind
/// one address, so that connections and bounds compare a number. Only meaningful together with the
/// server's [`BackendId`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// What kind of server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// MySQL and its builds.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Engine {
    /// Tells the engine from `@@version`.
    pub fn from_version(version: &str) -> Self {
        match version.to_ascii_lowercase().contains("mariadb") {
            true => Self::MariaDb,
            false => Self::MySql,
        }
    }

    /// The name used in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
        }
    }
}

/// What the configuration makes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes the writes.
    Primary,
    /// Takes reads.
    Replica,
}

impl Role {
    /// The name used in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// Whether and why not a server may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not probed yet.
    Unknown,
    /// Usable.
    Up,
    /// Cannot be reached, or does not answer in time.
    Down,
    /// A replica that accepts writes from others (read_only is off).
    NotReadOnly,
    /// A replica whose receiver or applier does not run.
    NotReplicating,
    /// A replica of another primary, or of a history that its primary began anew.
    WrongSource,
    /// A replica whose lag is over `max_lag`.
    Lagging,
    /// A primary that is read-only.
    ReadOnlyPrimary,
    /// Two servers answer behind this address in turn, or this server is already configured under
    /// another address: nothing learned from one connection holds for the next.
    SharedIdentity,
}

impl Health {
    /// The name used in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::NotReadOnly => "not_read_only",
            Self::NotReplicating => "not_replicating",
            Self::WrongSource => "wrong_source",
            Self::Lagging => "lagging",
            Self::ReadOnlyPrimary => "read_only_primary",
            Self::SharedIdentity => "shared_identity",
        }
    }
}

/// One server in a [`Topology`].
#[derive(Clone, Debug)]
pub struct BackendView {
    /// Which server.
    pub id: BackendId,
    /// `host:port` as configured.
    pub address: String,
    /// Its configured role.
    pub role: Role,
    /// Whether it may be used.
    pub health: Health,
    /// The life of the server that was probed; `None` before the first answer.
    pub incarnation: Option<Incarnation>,
    /// The number of that life; `None` before the first answer.
    pub generation: Option<Generation>,
    /// What kind of server it is; `None` before the first answer.
    pub engine: Option<Engine>,
    /// The kind of history it tells.
    pub positions: PositionKind,
    /// At most this far behind the primary, from positions; `None` while unknown.
    pub lag: Option<Duration>,
    /// What its settings take away from the levels.
    pub flaws: Flaws,
}

impl BackendView {
    /// Whether statements may be sent to it. A primary that is read-only still answers reads.
    pub fn usable(&self) -> bool {
        matches!(self.health, Health::Up | Health::ReadOnlyPrimary)
    }
}

/// A snapshot of all servers. Replaced whole, never changed in place.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Grows with every change except of a lag alone.
    pub epoch: u64,
    /// The primary first, then the replicas in the order in which they came; none that was taken away.
    pub backends: Vec<BackendView>,
}

impl Topology {
    /// The server with that id, if it is configured.
    pub fn get(&self, id: BackendId) -> Option<&BackendView> {
        // As long as none was taken away, each stands at the place of its number.
        let there = self.backends.get(id.index());
        there
            .filter(|view| view.id == id)
            .or_else(|| self.backends.iter().find(|view| view.id == id))
    }

    /// The replicas that may take reads.
    pub fn usable_replicas(&self) -> impl Iterator<Item = &BackendView> {
        self.backends
            .iter()
            .filter(|view| view.role == Role::Replica && view.usable())
    }
}
