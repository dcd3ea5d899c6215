//! What a session holds on its primary connection that a replica cannot show.

use crate::domain::sql::Effects;

/// Reasons for which reads stay on the primary, or a read-only transaction does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// A temporary table exists, or something ran that may have made one.
    pub temporary_tables: bool,
    /// LOCK TABLES is in force.
    pub table_locks: bool,
    /// A named lock may be held.
    pub named_locks: bool,
    /// A user variable may be set.
    pub user_variables: bool,
}

impl Holds {
    /// A statement with these effects ran; `state_change` is the server's own word that some
    /// session state changed.
    pub fn on_effects(&mut self, effects: Effects, state_change: bool) {
        let opaque_change = effects.contains(Effects::OPAQUE) && state_change;
        if effects.contains(Effects::TEMPORARY_TABLE) || opaque_change {
            self.temporary_tables = true;
        }
        if effects.intersects(Effects::NAMED_LOCK.with(Effects::OPAQUE)) {
            self.named_locks = true;
        }
        if effects.contains(Effects::ASSIGNS_USER_VARIABLE) || opaque_change {
            self.user_variables = true;
        }
    }

    /// Whether anything is held.
    pub fn any(&self) -> bool {
        self.table_locks || self.bind_transactions()
    }

    /// Whether a read-only transaction must stay on the primary.
    pub fn bind_transactions(&self) -> bool {
        self.temporary_tables || self.named_locks || self.user_variables
    }
}
