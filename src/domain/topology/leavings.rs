//! What stored programs may leave on a connection although no tracker tells of it.
//!
//! A server tells that a trigger, or a function that a view calls, assigned a user variable with SET or made a
//! temporary table with columns of its own. It does not tell of SELECT … INTO @x, of GET_LOCK() and of CREATE
//! TEMPORARY TABLE … SELECT (tried on MySQL 9.7 and MariaDB 10.11). The text of the statement that runs it shows
//! nothing either: what may be left is found in the catalog.

use crate::domain::sql::Access;

/// A regular expression of both engines that finds it in the body of a program in lower case: named locks,
/// temporary tables, and user variables that are assigned otherwise than with SET. It stands inside of an SQL
/// string as it is.
pub const LEAVES: &str = "get_lock|temporary\
    |into[[:space:]]+([[:alnum:]_$`.]+[[:space:]]*,[[:space:]]*)*@\
    |call[^;]*[(,][[:space:]]*@\
    |(^|[^@[:alnum:]_$])@[[:alnum:]_.$`]+[[:space:]]*:=";

/// What the programs of a server may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leavings {
    /// A trigger leaves something: a statement that changes rows may have run it.
    pub by_triggers: bool,
    /// A function that a view calls leaves something: a statement that reads may have run it.
    pub by_views: bool,
    /// Temporary tables may be among it.
    pub tables: bool,
}

impl Leavings {
    /// Where nothing is found.
    pub const NOTHING: Self = Self {
        by_triggers: false,
        by_views: false,
        tables: false,
    };

    /// Where it is not known.
    pub const ANYTHING: Self = Self {
        by_triggers: true,
        by_views: true,
        tables: true,
    };

    /// Whether a statement with this access may have left something.
    pub fn after(self, access: Access, changes_rows: bool) -> bool {
        match access {
            Access::Write => self.by_views || self.by_triggers && changes_rows,
            _ => self.by_views && may_run_programs(access),
        }
    }

    /// What either may leave.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            by_triggers: self.by_triggers || other.by_triggers,
            by_views: self.by_views || other.by_views,
            tables: self.tables || other.tables,
        }
    }
}

/// Whether a statement with this access may run a trigger, or a function that its text does not show.
pub fn may_run_programs(access: Access) -> bool {
    matches!(
        access,
        Access::Read | Access::PrimaryRead | Access::Write | Access::Session
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_counts_where_it_may_have_run_a_program() {
        let triggers = Leavings {
            by_triggers: true,
            ..Leavings::NOTHING
        };
        let views = Leavings {
            by_views: true,
            ..Leavings::NOTHING
        };
        let cases = [
            (Leavings::NOTHING, Access::Write, true, false),
            (triggers, Access::Write, true, true),
            (triggers, Access::Write, false, false),
            (triggers, Access::Read, false, false),
            (views, Access::Write, false, true),
            (views, Access::Read, false, true),
            (views, Access::PrimaryRead, false, true),
            (views, Access::Session, false, true),
            (views, Access::TransactionEnd, false, false),
            (triggers.or(views), Access::Read, false, true),
            (Leavings::ANYTHING, Access::Write, true, true),
            (Leavings::ANYTHING, Access::Own, false, false),
        ];
        for (leavings, access, changes_rows, expected) in cases {
            let found = leavings.after(access, changes_rows);
            assert_eq!(found, expected, "{leavings:?} {access:?}");
        }
    }
}
