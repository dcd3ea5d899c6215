//! Positions: how much of the primary's history a server has, or a session has seen.
//!
//! Positions of one kind are partially ordered ([`Position::covers`]) and can be joined. Each kind
//! of server history is one variant, so that a new kind is a new variant and nothing else.

pub mod gtid;

pub use gtid::{GtidError, GtidSet};

/// How much of a primary's history somebody has or demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// MySQL: the set of transactions.
    Gtids(GtidSet),
}

/// Two positions of different kinds have nothing to do with each other. The caller's fault; a retry
/// cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these positions belong to different kinds of servers")]
pub struct MixedKinds;

impl Position {
    /// Whether everything in `other` is in `self`. Positions of different kinds never cover each
    /// other, not even when empty.
    pub fn covers(&self, other: &Self) -> bool {
        let (Self::Gtids(mine), Self::Gtids(theirs)) = (self, other);
        mine.covers(theirs)
    }

    /// Adds everything in `other`.
    pub fn join(&mut self, other: &Self) -> Result<(), MixedKinds> {
        let (Self::Gtids(mine), Self::Gtids(theirs)) = (self, other);
        mine.join(theirs);
        Ok(())
    }

    /// How many pieces it takes to write it down: its real size.
    pub fn fragments(&self) -> usize {
        let Self::Gtids(set) = self;
        set.fragments()
    }

    /// Whether it demands nothing.
    pub fn is_empty(&self) -> bool {
        let Self::Gtids(set) = self;
        set.is_empty()
    }
}

impl From<GtidSet> for Position {
    fn from(set: GtidSet) -> Self {
        Self::Gtids(set)
    }
}

/// The text form of the kind's own server: for MySQL what [`GtidSet`] prints.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Gtids(set) = self;
        set.fmt(f)
    }
}
