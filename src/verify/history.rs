//! What happened: who wrote and read what, and when, by the one clock of the process that watched.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Holds a number that only grows; 0 at the beginning.
    Register(u32),
    /// Holds elements in the order in which they were appended; none at the beginning.
    List(u32),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Register(number) => write!(f, "register {number}"),
            Self::List(number) => write!(f, "list {number}"),
        }
    }
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Raised a register to a version that nobody else writes.
    Write {
        /// The version; larger than that of every write of this key that had begun before.
        version: u64,
        /// Whether the endpoint said that it is done. If not, it may have happened or not.
        acknowledged: bool,
    },
    /// Read a register; 0 where there was no row.
    Read {
        /// The version that was there.
        version: u64,
    },
    /// Appended an element that nobody else appends.
    Append {
        /// The element.
        element: u64,
        /// As for [`Action::Write`].
        acknowledged: bool,
    },
    /// Read a list.
    ReadList {
        /// What was there, first to last.
        elements: Box<[u64]>,
    },
}

/// One operation. Times are since the run began: `invoked` before the first byte of the request was
/// sent, `returned` after the last byte of the answer was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Index of its session in [`History::actors`].
    pub session: u32,
    /// What it was about.
    pub key: Key,
    /// Before it began.
    pub invoked: Duration,
    /// After it ended.
    pub returned: Duration,
    /// What it did.
    pub action: Action,
}

/// A session: one connection from its login to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Which sessions it forms a causal group with.
    pub group: u32,
    /// Whether it writes past the endpoint that is verified.
    pub past: bool,
}

/// Everything that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The sessions.
    pub actors: Vec<Actor>,
    /// The operations. A session's are in the order in which it did them.
    pub operations: Vec<Operation>,
    /// What every key held after the end, read where writes go; `None` if that could not be read.
    pub last: Option<BTreeMap<Key, Box<[u64]>>>,
}

impl History {
    /// The session of an operation; one of its own where the history does not tell.
    pub(super) fn actor(&self, session: u32) -> Actor {
        let unknown = Actor {
            group: u32::MAX,
            past: false,
        };
        usize::try_from(session)
            .ok()
            .and_then(|at| self.actors.get(at))
            .copied()
            .unwrap_or(unknown)
    }
}
