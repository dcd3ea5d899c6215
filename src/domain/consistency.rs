//! Read consistency: the levels, what each demands of the server that answers, and the way to a
//! server that has it.
//!
//! Everything here decides and nothing here acts: time, positions and the state of servers are
//! arguments. [`Search`] and [`PrimaryGate`] say step by step what to ask and what to wait for;
//! whoever drives them performs the steps.

pub mod acknowledged;
pub mod fallback;
pub mod groups;
pub mod primary;
pub mod requirement;
pub mod search;
pub mod sticky;
pub mod watermark;

use std::time::Duration;

pub use acknowledged::Acknowledged;
pub use fallback::{Fallback, OnTimeout, Share};
pub use groups::{GroupKey, Groups};
pub use primary::PrimaryGate;
pub use requirement::Requirement;
pub use search::{Executed, GiveUp, Search, Server, Servers, Step, Waited};
pub use watermark::Watermark;

/// What a read is promised. The order is by strength.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Whatever a healthy replica has.
    Eventual,
    /// The primary as it was at most `max_staleness` ago.
    Bounded,
    /// This session's own acknowledged writes, and everything it already read.
    #[default]
    Session,
    /// The same for the acknowledged writes of all sessions of its group on this proxy.
    Group,
    /// The same for every write that this proxy acknowledged.
    Proxy,
    /// The same for every write that anybody acknowledged before the read arrived.
    Global,
}

impl Level {
    /// Every level, weakest first.
    pub const ALL: [Self; 6] = [
        Self::Eventual,
        Self::Bounded,
        Self::Session,
        Self::Group,
        Self::Proxy,
        Self::Global,
    ];

    /// The levels that `aurora_replica_read_consistency` can name.
    pub const AURORA: [Self; 3] = [Self::Eventual, Self::Session, Self::Global];

    /// The name used in configuration, SQL, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Bounded => "bounded",
            Self::Session => "session",
            Self::Group => "group",
            Self::Proxy => "proxy",
            Self::Global => "global",
        }
    }

    /// Reads a level's name, any case. `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// The strongest of Aurora's levels that this one keeps.
    pub const fn in_aurora(self) -> Self {
        match self {
            Self::Eventual | Self::Bounded => Self::Eventual,
            Self::Session | Self::Group | Self::Proxy => Self::Session,
            Self::Global => Self::Global,
        }
    }

    /// Whether it promises what `session` does: own writes, and never back in time.
    pub fn keeps_session(self) -> bool {
        self >= Self::Session
    }
}

/// What a session chose for its reads, or was given by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What its reads are promised.
    pub level: Level,
    /// How long a read waits for a replica; zero does not wait.
    pub catch_up_timeout: Duration,
    /// How old the answer of a `bounded` read may be.
    pub max_staleness: Duration,
    /// What a read does when no replica got there in time.
    pub on_timeout: OnTimeout,
    /// Where the reads of a transaction go that has written nothing yet.
    pub transaction_reads: TransactionReads,
}

/// Where the reads of a read-write transaction go before its first write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransactionReads {
    /// To the primary, where the transaction is.
    #[default]
    Primary,
    /// To replicas, one by one at the session's level, at READ COMMITTED: the transaction is opened on
    /// the primary with its first write. It holds no metadata locks until then.
    ReplicaUntilWrite,
}

impl TransactionReads {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Primary, Self::ReplicaUntilWrite];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::ReplicaUntilWrite => "replica_until_write",
        }
    }

    /// Reads a name, any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|reads| reads.name().eq_ignore_ascii_case(name))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Level::default(),
            catch_up_timeout: Duration::from_secs(1),
            max_staleness: Duration::from_millis(500),
            on_timeout: OnTimeout::default(),
            transaction_reads: TransactionReads::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_auroras_never_promise_more() {
        for level in Level::ALL {
            assert_eq!(Level::from_name(&level.name().to_uppercase()), Some(level));
            assert!(level.in_aurora() <= level);
            assert!(Level::AURORA.contains(&level.in_aurora()));
            assert!(!level.in_aurora().keeps_session() || level.keeps_session());
        }
        assert_eq!(Level::from_name("strong"), None);
    }
}
