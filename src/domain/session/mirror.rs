//! The session variables and schema of a session, mirrored from the server's trackers; in
//! [`applied`], what is true on one connection, and what it lacks of a mirror.

pub mod applied;
pub mod user;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use applied::{Applied, CannotRestore, READ_UTF8, Restore, Way};
use user::{Charsets, UserVariables};

use crate::domain::sql::state::Constant;

type Variables = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// The global values of session variables, by name: what a connection starts with. Replaced whole
/// when one changes.
pub type Globals = Arc<BTreeMap<String, String>>;

/// What a session wants to be true, as one thing that is replaced and never changed: a connection
/// remembers which one was last made true on it, so that being equal is one comparison of
/// pointers.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// What variables that were never changed have.
    base: Globals,
    variables: Variables,
    schema: Option<Box<[u8]>>,
    users: UserVariables,
    /// `None` for what a login gives.
    role: Option<Role>,
    /// `character_set_connection` was told since `collation_connection` was.
    collation_untold: bool,
    /// A value for which no SET can be written that means the same in every sql_mode and charset.
    unwritable: bool,
}

/// What SET ROLE said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// These words, which are said again on every connection whenever they are said (the number tells
    /// which time it was): the role's privileges are read anew then.
    Words(Box<[u8]>, u64),
    /// Words that cannot be repeated elsewhere.
    Odd,
}

/// The state a session believes to have. Variables that were never changed are not in it: they
/// have the primary's global values of the time when the session began.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    wanted: Arc<Wanted>,
    version: u64,
}

impl Mirror {
    /// What was never changed has these values: those of the primary at a login or a reset.
    pub fn start_from(&mut self, globals: Globals) {
        if !Arc::ptr_eq(&self.wanted.base, &globals) {
            self.change().base = globals;
        }
    }

    /// A variable has this value.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        if self.get(name).is_none_or(|old| *old != *value) {
            let wanted = self.change();
            let name = name.to_ascii_lowercase().into();
            wanted.variables.insert(name, value.into());
            let unwritable = |value: &[u8]| !applied::is_writable(value);
            wanted.unwritable = wanted.variables.values().any(|value| unwritable(value));
        }
    }

    /// Takes in what the server's trackers say of a variable. SET NAMES reports the connection's
    /// charset but not its collation (tried on 9.7), which [`Self::collation_untold`] tells then.
    pub fn on_tracked(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"character_set_connection" => self.change().collation_untold = true,
            b"collation_connection" => self.change().collation_untold = false,
            _ => {}
        }
        self.set(name, value);
    }

    /// Whether the session's `collation_connection` has to be asked for before it can be restored.
    pub fn collation_untold(&self) -> bool {
        self.wanted.collation_untold
    }

    /// The answer to that question.
    pub fn on_collation(&mut self, value: &[u8]) {
        self.change().collation_untold = false;
        self.set(b"collation_connection", value);
    }

    /// The default schema is this one; empty stands for none.
    pub fn set_schema(&mut self, name: &[u8]) {
        let schema = (!name.is_empty()).then(|| name.into());
        if self.wanted.schema != schema {
            self.change().schema = schema;
        }
    }

    /// The default schema.
    pub fn schema(&self) -> Option<&[u8]> {
        self.wanted.schema.as_deref()
    }

    /// A variable's value, if the session ever changed it.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.wanted.variables.get(name).map(|value| &**value)
    }

    /// Every variable that the session changed, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let variables = self.wanted.variables.iter();
        variables.map(|(name, value)| (&**name, &**value))
    }

    /// What variables that were never changed have.
    pub fn base(&self) -> &Globals {
        &self.wanted.base
    }

    /// A variable is as if it had never been changed.
    pub fn unset(&mut self, name: &[u8]) {
        if self.get(name).is_some() {
            let wanted = self.change();
            wanted.variables.remove(name);
            let unwritable = |value: &[u8]| !applied::is_writable(value);
            wanted.unwritable = wanted.variables.values().any(|value| unwritable(value));
        }
    }

    /// Whether a variable was changed to this value (any case).
    pub fn is(&self, name: &[u8], value: &[u8]) -> bool {
        self.get(name)
            .is_some_and(|actual| actual.eq_ignore_ascii_case(value))
    }

    /// A variable's value, also if the session never changed it.
    pub fn value(&self, name: &str) -> &[u8] {
        let default = || Some(self.wanted.base.get(name)?.as_bytes());
        let set = self.get(name.as_bytes());
        set.or_else(default).unwrap_or_default()
    }

    /// A user variable was given a constant. `false` if it cannot be given to another connection.
    pub fn give(&mut self, name: &[u8], constant: &Constant) -> bool {
        let mut users = self.wanted.users.clone();
        let collation = match self.wanted.collation_untold {
            true => &[],
            false => self.value("collation_connection"),
        };
        let charsets = Charsets {
            client: self.value("character_set_client"),
            collation,
        };
        let known = users.give(name, constant, charsets);
        if users != self.wanted.users {
            self.change().users = users;
        }
        known
    }

    /// A user variable has a value that only the server knows.
    pub fn forget_variable(&mut self, name: &[u8]) {
        self.change().users.forget(name);
    }

    /// The user variables that are NULL, of a type that is to be asked for.
    pub fn nulls_untold(&self) -> impl Iterator<Item = &[u8]> {
        self.wanted.users.nulls_untold()
    }

    /// One of them has the type of this expression. `false` if that cannot be remembered.
    pub fn learn_null(&mut self, name: &[u8], of_type: Box<[u8]>) -> bool {
        self.change().users.learn_null(name, of_type)
    }

    /// SET ROLE succeeded.
    pub fn set_role(&mut self, role: Role) {
        self.change().role = Some(role);
    }

    /// Another user has another login's roles.
    pub fn on_other_user(&mut self) {
        self.change().role = None;
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether every value in it can be given to another connection.
    pub fn is_writable(&self) -> bool {
        !self.wanted.unwritable
    }

    /// The same state for a connection on which every read commits by itself.
    #[must_use]
    pub fn with_autocommit(&self) -> Self {
        let mut mirror = self.clone();
        mirror.set(b"autocommit", b"ON");
        mirror
    }

    /// The variables are the baseline again; schema and role stay (COM_RESET_CONNECTION keeps them).
    pub fn reset(&mut self) {
        let wanted = self.change();
        wanted.variables.clear();
        wanted.users = UserVariables::default();
        wanted.collation_untold = false;
        wanted.unwritable = false;
    }

    fn change(&mut self) -> &mut Wanted {
        self.version += 1;
        Arc::make_mut(&mut self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_keeps_the_schema() {
        let mut mirror = Mirror::default();
        mirror.set(b"sql_mode", b"ANSI");
        mirror.set_schema(b"app");
        mirror.reset();
        assert_eq!(mirror.schema(), Some(&b"app"[..]));
        assert_eq!(mirror.get(b"sql_mode"), None);
    }

    #[test]
    fn only_changes_count() {
        let mut mirror = Mirror::default();
        mirror.set(b"wait_timeout", b"77");
        let version = mirror.version();
        mirror.set(b"wait_timeout", b"77");
        mirror.set_schema(b"");
        assert_eq!(mirror.version(), version);
        mirror.set(b"wait_timeout", b"78");
        assert!(mirror.version() > version);
    }
}
