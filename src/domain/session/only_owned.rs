//! What a session may have seen and perhaps never was: transactions that the primary only owned.
//!
//! A commit is visible before the executed set names it, so an upper bound has to count what is
//! owned. But whoever owns a GTID may roll back, or never commit under it, and then no server will ever
//! have it: demanded for good, it would keep the session from its replicas for good.
//!
//! What is seen was owned or executed at that moment, and stays so for as long as that life of the
//! primary lasts. So **every later answer of the same life bounds the same reads again**: what is
//! executed in it was committed, and what is neither executed nor owned any more was never visible.
//! Another life says nothing of that kind, for it may have lost what was seen.

use std::time::Instant;

use crate::domain::position::Position;
use crate::domain::topology::Generation;

/// An answer of the primary: which life gave it, and when the question was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaidBy {
    /// The life of the primary.
    pub life: Generation,
    /// When it was asked.
    pub sent: Instant,
}

/// An upper bound of what reads can have seen that were over when it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sights {
    /// What is or will be on the primary: what it has executed, and all that a replica names, which
    /// came out of the primary's log.
    pub certain: Position,
    /// What the primary owned and had not executed. It may be committed, or never.
    pub owned: Position,
    /// The primary's answer that this is, or `None` for that of a replica.
    pub said_by: Option<SaidBy>,
}

impl Sights {
    /// What a replica names, or any server of a kind that owns nothing.
    pub fn certain(position: Position) -> Self {
        Self {
            certain: position,
            ..Self::default()
        }
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> Position {
        let mut whole = self.certain.clone();
        // Both come from one server, which tells one kind.
        let _ = whole.join(&self.owned);
        whole
    }
}

/// What a session may have seen, if it was ever committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlyOwned {
    position: Position,
    /// The life of the primary that owned it, and when it said so last.
    said_by: SaidBy,
    /// Whether it may have been seen on a replica, before the primary shows it.
    elsewhere: bool,
}

impl OnlyOwned {
    /// What is in doubt of an answer, if anything. `elsewhere` says whether the reads that it bounds
    /// ran on replicas.
    pub fn of(sights: &Sights, elsewhere: bool) -> Option<Self> {
        let said_by = sights.said_by.filter(|_| !sights.owned.is_empty())?;
        Some(Self {
            position: sights.owned.clone(),
            said_by,
            elsewhere,
        })
    }

    /// The answer that says this much, and that `certain` is there.
    pub(super) fn with(&self, certain: Position) -> Sights {
        Sights {
            certain,
            owned: self.position.clone(),
            said_by: Some(self.said_by),
        }
    }

    /// The transactions.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The life of the primary that owned them.
    pub fn life(&self) -> Generation {
        self.said_by.life
    }

    /// Whether they may have been seen on a replica.
    pub fn elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Adds another doubt of the same life. The other one comes back if it is of another.
    pub(super) fn join(&mut self, other: Self) -> Option<Self> {
        if self.life() != other.life() || self.position.join(&other.position).is_err() {
            return Some(other);
        }
        self.said_by.sent = self.said_by.sent.max(other.said_by.sent);
        self.elsewhere |= other.elsewhere;
        None
    }

    /// Takes in a later answer of the primary: what it has executed meanwhile is returned, what is
    /// still owned stays, and the rest never was. Nothing follows from an earlier answer, or from that
    /// of another life.
    pub(super) fn reconsider(&mut self, sights: &Sights) -> Position {
        let later = |said: SaidBy| said.life == self.life() && said.sent >= self.said_by.sent;
        if !sights.said_by.is_some_and(later) {
            return Position::Nothing;
        }
        let committed = self.position.common_with(&sights.certain);
        self.position = self.position.common_with(&sights.owned);
        committed
    }
}
