//! Errant transactions: executed under a replica's own uuid and unknown to the primary. No other
//! server will ever have them, so a read that has seen one must not demand it elsewhere.

use std::sync::Mutex;

use super::shared::lock;
use crate::domain::position::GtidSet;

/// The errant transactions found on one server in this life of it.
#[derive(Default)]
pub(super) struct Errant {
    found: Mutex<GtidSet>,
}

impl Errant {
    /// Adds some. Whether any of them is new.
    pub(super) fn add(&self, more: &GtidSet) -> bool {
        let mut found = lock(&self.found);
        let new = !found.covers(more);
        found.join(more);
        new
    }

    /// All that were found.
    pub(super) fn all(&self) -> GtidSet {
        lock(&self.found).clone()
    }

    /// Another life begins.
    pub(super) fn forget(&self) {
        *lock(&self.found) = GtidSet::new();
    }
}
