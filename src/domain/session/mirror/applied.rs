//! What is true on one connection, what it lacks of a session's mirror, and the commands that make
//! up for it.

use std::sync::Arc;

use super::user::UserVariables;
use super::{Globals, Mirror, Role, Variables, Wanted};

/// Counted by the server; nobody sets it.
const STATEMENT_ID: &[u8] = b"statement_id";
/// What the read-only guard of a replica's connection sets; not restored there.
const GUARD: [&[u8]; 2] = [b"transaction_read_only", b"tx_read_only"];
/// A collation is of one charset, so setting the second sets the first as well.
const CHARSET: &[u8] = b"character_set_connection";
const COLLATION: &[u8] = b"collation_connection";
/// The charset in which a server reads what a client sends.
const CLIENT: &str = "character_set_client";

/// Makes a server read UTF-8.
pub const READ_UTF8: &str = "SET @@session.character_set_client='utf8mb4'";

/// The state that one server connection is known to have. It travels with the connection from one
/// session to the next.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The global values when the connection was last reset.
    base: Globals,
    /// What was set here since.
    variables: Variables,
    schema: Option<Box<[u8]>>,
    users: UserVariables,
    /// No reset undoes these three.
    role: Option<Role>,
    in_resource_group: bool,
    prepared_xa: bool,
    /// What was last made true here, if nothing was changed since.
    met: Option<Arc<Wanted>>,
    /// The client changed what Highwater sets for itself here, a tracker or a replica's read-only
    /// guard: it must be set again.
    pub guard_changed: bool,
    /// The same of session_track_gtids, which cannot be set again before the transaction is over.
    pub gtids_changed: bool,
    /// The client may have set session_track_system_variables here: a list that does not name the
    /// variable itself is not reported, so it has to be asked for.
    pub list_untold: bool,
    /// SET NAMES was run here, which does not tell the collation: it has to be asked for.
    pub collation_untold: bool,
    /// Something may have been left here that nobody told: only a reset takes it away.
    pub untold: bool,
    /// How many tables the server had counted as made here when it was asked; 0 after a reset.
    pub tables_made: u64,
    /// Some may have been made since.
    pub tables_uncounted: bool,
    last_insert_id: LastInsertId,
}

/// What LAST_INSERT_ID() answers on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastInsertId {
    Is(u64),
    /// A statement may have changed it.
    Untold,
    /// It is to be this.
    Shall(u64),
}

impl Default for LastInsertId {
    fn default() -> Self {
        Self::Is(0)
    }
}

/// What a connection lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// SET ROLE, which gives rights to what comes next.
    pub role: Option<Vec<u8>>,
    /// A schema to be chosen with COM_INIT_DB.
    pub schema: Option<Box<[u8]>>,
    /// The schema's name is in UTF-8, as trackers tell it, and the connection reads another charset: [`READ_UTF8`]
    /// comes before the schema, and this after it.
    pub read_again: Option<Vec<u8>>,
    /// One SET statement.
    pub set: Option<Vec<u8>>,
    values: Variables,
    users: UserVariables,
    words: Option<Role>,
}

/// How a connection can get a mirror's state; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It has it.
    Nothing,
    /// By commands.
    Commands,
    /// By a reset, and commands after it: it has a value whose default nobody knows.
    Reset,
    /// Not at all: it has a schema and the session none, or a value cannot be written down.
    None,
}

fn set_role(role: &Role) -> Vec<u8> {
    match role {
        Role::Words(words, _) => [b"SET ROLE ", &**words].concat(),
        Role::Odd => Vec::new(),
    }
}

/// No command gives a connection this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotRestore;

/// A variable that has another value than it should, and that value; `None` when nobody knows it.
type Difference<'a> = (&'a [u8], Option<&'a [u8]>);

impl Mirror {
    /// Whether a connection is known to have this state without a look at it.
    pub fn is_applied(&self, applied: &Applied) -> bool {
        applied
            .met
            .as_ref()
            .is_some_and(|met| Arc::ptr_eq(met, &self.wanted))
    }

    /// How a connection can get this state. `guarded` says whether it has a replica's read-only
    /// guard.
    pub fn way(&self, applied: &Applied, guarded: bool) -> Way {
        if self.is_applied(applied) {
            return Way::Nothing;
        }
        if self.wanted.schema.is_none() && applied.schema.is_some() || !self.can_have_role(applied)
        {
            // No command takes a schema away, or gives back the roles of a login.
            return Way::None;
        }
        let of = |(_, value): Difference<'_>| match value {
            Some(value) if is_writable(value) => Way::Commands,
            Some(_) => Way::None,
            None => Way::Reset,
        };
        let equal = self.wanted.schema == applied.schema && self.wanted.role == applied.role;
        let schema = match equal {
            true => Way::Nothing,
            false => Way::Commands,
        };
        let users = match &applied.users {
            users if users.exceed(&self.wanted.users) => Way::Reset,
            users if users.lack(&self.wanted.users) => Way::Commands,
            _ => Way::Nothing,
        };
        let variables = self.differences(applied, guarded).map(of).max();
        schema.max(users).max(variables.unwrap_or(Way::Nothing))
    }

    /// What the connection lacks; `None` when nothing. `guarded` says whether it has a replica's
    /// read-only guard.
    ///
    /// # Errors
    /// When no command can do it, as [`Self::way`] says.
    pub fn missing(
        &self,
        applied: &Applied,
        guarded: bool,
    ) -> Result<Option<Restore>, CannotRestore> {
        let Wanted {
            schema: wanted,
            users,
            role,
            ..
        } = &*self.wanted;
        let too_much = wanted.is_none() && applied.schema.is_some();
        if too_much || !self.can_have_role(applied) || applied.users.exceed(users) {
            return Err(CannotRestore);
        }
        let mut set = Vec::new();
        let mut values = Variables::new();
        for (name, value) in self.differences(applied, guarded) {
            let value = value.ok_or(CannotRestore)?;
            set.extend_from_slice(if set.is_empty() { b"SET " } else { b", " });
            set.extend_from_slice(b"@@session.");
            set.extend_from_slice(name);
            set.push(b'=');
            literal(name, value, &mut set)?;
            values.insert(name.into(), value.into());
        }
        users.put_missing(&applied.users, &mut set);
        let schema = wanted.clone().filter(|_| *wanted != applied.schema);
        let words = role.clone().filter(|_| *role != applied.role);
        if set.is_empty() && schema.is_none() && words.is_none() {
            return Ok(None);
        }
        Ok(Some(Restore {
            role: words.as_ref().map(set_role),
            read_again: self.read_again(applied, schema.as_deref())?,
            schema,
            set: (!set.is_empty()).then_some(set),
            values,
            users: users.clone(),
            words,
        }))
    }

    fn read_again(
        &self,
        applied: &Applied,
        schema: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, CannotRestore> {
        let set = applied.variables.get(CLIENT.as_bytes());
        let set = set.map(|value| &**value);
        let there = set.or_else(|| get(&applied.base, CLIENT.as_bytes()));
        let reads_utf8 = there.is_none_or(|charset| charset.starts_with(b"utf8"));
        if reads_utf8 || schema.is_none_or(<[u8]>::is_ascii) {
            return Ok(None);
        }
        let mut set = format!("SET @@session.{CLIENT}=").into_bytes();
        literal(CLIENT.as_bytes(), self.value(CLIENT), &mut set)?;
        Ok(Some(set))
    }

    /// Whether the connection has the session's role or can take it.
    fn can_have_role(&self, applied: &Applied) -> bool {
        match &self.wanted.role {
            role if *role == applied.role => true,
            Some(Role::Words(..)) => true,
            _ => false,
        }
    }

    /// Three kinds: what the session changed; what others left here; and what was a default of
    /// another value when the session began.
    fn differences<'a>(
        &'a self,
        applied: &'a Applied,
        guarded: bool,
    ) -> impl Iterator<Item = Difference<'a>> {
        let Wanted {
            base, variables, ..
        } = &*self.wanted;
        let changed = variables.iter().filter(|(name, value)| {
            // A default may have changed unnoticed, so only what was set here is sure to be here.
            applied.variables.get(*name) != Some(value)
        });
        let changed = changed.map(|(name, value)| (&**name, Some(&**value)));
        let leftover = applied.variables.iter().filter_map(|(name, value)| {
            let default = get(base, name);
            let kept = variables.contains_key(name) || default == Some(value);
            (!kept).then_some((&**name, default))
        });
        let same_base = Arc::ptr_eq(base, &applied.base) || base == &applied.base;
        let other_base = (!same_base).then_some(base).into_iter();
        let moved = other_base.flat_map(|base| base.iter());
        let moved = moved.filter_map(|(name, value)| {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            let set = variables.contains_key(name) || applied.variables.contains_key(name);
            let there = get(&applied.base, name)?;
            (!set && there != value).then_some((name, Some(value)))
        });
        changed
            .chain(leftover)
            .chain(moved)
            .filter(move |(name, _)| !self.is_managed(name, guarded))
    }

    /// Whether a variable is none of the mirror's business, or follows from another one.
    fn is_managed(&self, name: &[u8], guarded: bool) -> bool {
        let collation = self.wanted.variables.contains_key(COLLATION)
            || self.wanted.base.contains_key("collation_connection");
        match name {
            STATEMENT_ID => true,
            CHARSET => collation && !self.wanted.collation_untold,
            COLLATION => self.wanted.collation_untold,
            _ => guarded && GUARD.contains(&name),
        }
    }
}

fn get<'a>(globals: &'a Globals, name: &[u8]) -> Option<&'a [u8]> {
    let value = globals.get(std::str::from_utf8(name).ok()?)?;
    Some(value.as_bytes())
}

impl Applied {
    /// A variable has this value here.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.variables
            .insert(name.to_ascii_lowercase().into(), value.into());
        self.met = None;
    }

    /// The trackers say that a variable has this value here.
    pub fn on_tracked(&mut self, name: &[u8], value: &[u8]) {
        match name {
            CHARSET => self.collation_untold = true,
            COLLATION => self.collation_untold = false,
            _ => {}
        }
        self.set(name, value);
    }

    /// The answer to the question which collation SET NAMES chose.
    pub fn on_collation(&mut self, value: &[u8]) {
        self.collation_untold = false;
        self.set(COLLATION, value);
    }

    /// The default schema here.
    pub fn set_schema(&mut self, name: &[u8]) {
        self.schema = (!name.is_empty()).then(|| name.into());
        self.met = None;
    }

    /// The default schema here.
    pub fn schema(&self) -> Option<&[u8]> {
        self.schema.as_deref()
    }

    /// What [`Mirror::missing`] said was made true here.
    pub fn on_restored(&mut self, restore: Restore) {
        self.variables.extend(restore.values);
        self.users.on_restored(&restore.users);
        if restore.words.is_some() {
            self.role = restore.words;
        }
        if restore.schema.is_some() {
            self.schema = restore.schema;
        }
        self.met = None;
    }

    /// Nothing is missing of this mirror.
    pub fn on_met(&mut self, mirror: &Mirror) {
        self.met = Some(Arc::clone(&mirror.wanted));
    }

    /// The connection was reset: the global values, which are these, and the same schema.
    pub fn on_reset(&mut self, globals: Globals) {
        *self = Self {
            base: globals,
            schema: self.schema.take(),
            role: self.role.take(),
            in_resource_group: self.in_resource_group,
            prepared_xa: self.prepared_xa,
            ..Self::default()
        };
    }

    /// A statement may have changed LAST_INSERT_ID() here.
    pub fn last_insert_id_changed(&mut self) {
        self.last_insert_id = LastInsertId::Untold;
    }

    /// LAST_INSERT_ID() answers this here.
    pub fn on_last_insert_id(&mut self, id: u64) {
        self.last_insert_id = LastInsertId::Is(id);
    }

    /// LAST_INSERT_ID() has to answer this here. Says whether it does not yet.
    pub fn want_last_insert_id(&mut self, id: u64) -> bool {
        let lacks = self.last_insert_id != LastInsertId::Is(id);
        if lacks {
            self.last_insert_id = LastInsertId::Shall(id);
        }
        lacks
    }

    /// Whether LAST_INSERT_ID() answers 0 here.
    pub fn has_no_last_insert_id(&self) -> bool {
        self.last_insert_id == LastInsertId::Is(0)
    }

    /// What LAST_INSERT_ID() has to be made to answer here.
    pub fn lacks_last_insert_id(&self) -> Option<u64> {
        match self.last_insert_id {
            LastInsertId::Shall(id) => Some(id),
            LastInsertId::Is(_) | LastInsertId::Untold => None,
        }
    }

    /// A user variable has the value here that the mirror says.
    pub fn copy_variable(&mut self, name: &[u8], mirror: &Mirror) {
        self.users.copy(name, &mirror.wanted.users);
        self.met = None;
    }

    /// Whether a user variable is NULL here, of a type that nobody was told.
    pub fn has_null_untold(&self, name: &[u8]) -> bool {
        self.users.nulls_untold().any(|untold| untold == name)
    }

    /// SET ROLE was run here.
    pub fn set_role(&mut self, role: Role) {
        self.role = Some(role);
        self.met = None;
    }

    /// SET RESOURCE GROUP was run here.
    pub fn joined_resource_group(&mut self) {
        self.in_resource_group = true;
    }

    /// Whether a prepared XA transaction stays on the connection (`xa_detach_on_prepare` is OFF): until it
    /// ends there, or the connection does, nothing else can be written here.
    pub fn has_prepared_xa(&self) -> bool {
        self.prepared_xa
    }

    /// An XA transaction was prepared here and stays, or is over.
    pub fn set_prepared_xa(&mut self, stays: bool) {
        self.prepared_xa = stays;
    }

    /// Whether something was done here that no reset undoes (tried on MySQL 9.7 and MariaDB 10.11), so
    /// that no other session may have the connection.
    pub fn is_spoiled(&self) -> bool {
        self.role.is_some() || self.in_resource_group || self.prepared_xa
    }

    /// Whether something of what Highwater sets for itself has to be set again and can be.
    pub fn lacks_guard(&self, in_transaction: bool) -> bool {
        self.guard_changed || (self.gtids_changed && !in_transaction)
    }

    /// It was set again, as far as that can be done in a transaction if one is open.
    pub fn on_guarded(&mut self, in_transaction: bool) {
        self.guard_changed = false;
        self.gtids_changed &= in_transaction;
    }
}

/// Writes a value as the server's trackers report it as a literal for SET.
fn literal(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), CannotRestore> {
    if value.is_empty() && name == b"character_set_results" {
        out.extend_from_slice(b"NULL");
    } else if is_number(value) {
        out.extend_from_slice(value);
    } else if !is_writable(value) {
        return Err(CannotRestore);
    } else {
        out.push(b'\'');
        for byte in value {
            if *byte == b'\'' {
                out.push(b'\'');
            }
            out.push(*byte);
        }
        out.push(b'\'');
    }
    Ok(())
}

/// A backslash reads differently under NO_BACKSLASH_ESCAPES, other bytes by charset.
pub(super) fn is_writable(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii() && !matches!(byte, b'\\' | 0))
}

/// Numeric variables refuse a quoted value, so numbers go bare.
fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn globals(pairs: &[(&str, &str)]) -> Globals {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Arc::new(pairs.collect())
    }

    fn session_from(base: &Globals) -> Mirror {
        let mut mirror = Mirror::default();
        mirror.start_from(Arc::clone(base));
        mirror
    }

    fn text(mirror: &Mirror, applied: &Applied) -> Option<String> {
        let restore = mirror.missing(applied, true).unwrap()?;
        restore.set.map(|set| String::from_utf8(set).unwrap())
    }

    fn restore(mirror: &Mirror, applied: &mut Applied) {
        if let Some(restore) = mirror.missing(applied, true).unwrap() {
            applied.on_restored(restore);
        }
        applied.on_met(mirror);
    }

    #[test]
    fn a_schema_is_named_in_utf8() {
        let base = globals(&[("character_set_client", "utf8mb4")]);
        let mut mirror = session_from(&base);
        let mut applied = Applied::default();
        applied.on_reset(Arc::clone(&base));
        mirror.set(b"character_set_client", b"koi8r");
        let read_again = |mirror: &Mirror, applied: &Applied| {
            let restore = mirror.missing(applied, false).unwrap().unwrap();
            restore
                .read_again
                .map(|set| String::from_utf8(set).unwrap())
        };
        mirror.set_schema("бд".as_bytes());
        assert_eq!(read_again(&mirror, &applied), None, "it reads UTF-8");
        applied.set(b"character_set_client", b"koi8r");
        let expected = "SET @@session.character_set_client='koi8r'";
        assert_eq!(read_again(&mirror, &applied).as_deref(), Some(expected));
        mirror.set_schema(b"app");
        assert_eq!(read_again(&mirror, &applied), None, "the same in both");
    }

    #[test]
    fn a_connection_lacks_exactly_the_difference() {
        let mut mirror = Mirror::default();
        let mut applied = Applied::default();
        assert_eq!(mirror.missing(&applied, true), Ok(None));
        mirror.set(b"sql_mode", b"ANSI,'x'");
        mirror.set(b"wait_timeout", b"77");
        mirror.set(b"transaction_read_only", b"ON");
        mirror.set_schema(b"app");
        let lacks = mirror.missing(&applied, true).unwrap().unwrap();
        assert_eq!(lacks.schema.as_deref(), Some(&b"app"[..]));
        assert_eq!(
            text(&mirror, &applied).as_deref(),
            Some("SET @@session.sql_mode='ANSI,''x''', @@session.wait_timeout=77")
        );
        restore(&mirror, &mut applied);
        assert!(mirror.is_applied(&applied));
        mirror.set(b"wait_timeout", b"77");
        assert!(mirror.is_applied(&applied), "the same value is no change");
        mirror.set(b"wait_timeout", b"78");
        assert!(!mirror.is_applied(&applied));
        let expected = "SET @@session.wait_timeout=78";
        assert_eq!(text(&mirror, &applied).as_deref(), Some(expected));
    }

    #[test]
    fn what_one_session_left_is_put_back_for_the_next() {
        let base = globals(&[("sql_mode", "STRICT"), ("wait_timeout", "9")]);
        let mut first = session_from(&base);
        let mut second = first.clone();
        let mut applied = Applied::default();
        applied.on_reset(base);
        first.set(b"sql_mode", b"ANSI");
        first.set(b"sql_log_bin", b"OFF");
        restore(&first, &mut applied);
        assert_eq!(second.way(&applied, true), Way::Reset, "no known default");
        assert_eq!(second.missing(&applied, true), Err(CannotRestore));
        second.set(b"sql_log_bin", b"ON");
        assert_eq!(second.way(&applied, true), Way::Commands);
        let expected = "SET @@session.sql_log_bin='ON', @@session.sql_mode='STRICT'";
        assert_eq!(text(&second, &applied).as_deref(), Some(expected));
        restore(&second, &mut applied);
        assert!(!first.is_applied(&applied));
        let expected = "SET @@session.sql_log_bin='OFF', @@session.sql_mode='ANSI'";
        assert_eq!(text(&first, &applied).as_deref(), Some(expected));
        // Equal wishes of another session are met without a word.
        let mut third = second.clone();
        third.set(b"sql_log_bin", b"OFF");
        third.set(b"sql_log_bin", b"ON");
        assert!(!third.is_applied(&applied));
        assert_eq!(third.way(&applied, true), Way::Nothing);
    }

    #[test]
    fn a_global_value_that_changed_is_restored_as_it_was() {
        let old = globals(&[("sql_mode", "OLD"), ("a", "1"), ("b", "2")]);
        let new = globals(&[("sql_mode", "NEW"), ("a", "1"), ("c", "3")]);
        let mirror = session_from(&old);
        let mut applied = Applied::default();
        applied.on_reset(Arc::clone(&new));
        let expected = "SET @@session.sql_mode='OLD'";
        assert_eq!(text(&mirror, &applied).as_deref(), Some(expected));
        restore(&mirror, &mut applied);
        let equal = session_from(&old);
        assert_eq!(equal.way(&applied, true), Way::Nothing);
        let expected = "SET @@session.sql_mode='NEW'";
        assert_eq!(
            text(&session_from(&new), &applied).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn the_collation_stands_for_its_charset() {
        let base = globals(&[
            ("character_set_connection", "utf8mb4"),
            ("collation_connection", "utf8mb4_0900_ai_ci"),
        ]);
        let mut mirror = session_from(&base);
        let mut applied = Applied::default();
        applied.on_reset(base);
        let fresh = applied.clone();
        mirror.on_tracked(CHARSET, b"latin1");
        applied.on_tracked(CHARSET, b"latin1");
        assert!(applied.collation_untold);
        assert_eq!(text(&mirror, &applied), None);
        let expected = "SET @@session.character_set_connection='latin1'";
        assert_eq!(text(&mirror, &fresh).as_deref(), Some(expected));
        mirror.on_collation(b"latin1_bin");
        applied.on_collation(b"latin1_bin");
        assert_eq!(text(&mirror, &applied), None);
        let expected = "SET @@session.collation_connection='latin1_bin'";
        assert_eq!(text(&mirror, &fresh).as_deref(), Some(expected));
        let mut plain = mirror.clone();
        plain.reset();
        let expected = "SET @@session.collation_connection='utf8mb4_0900_ai_ci'";
        assert_eq!(text(&plain, &applied).as_deref(), Some(expected));
    }

    #[test]
    fn a_new_connection_to_the_primary_stays_read_only() {
        let mut mirror = Mirror::default();
        mirror.set(b"transaction_read_only", b"ON");
        let lacks = |guarded| mirror.missing(&Applied::default(), guarded).unwrap();
        assert_eq!(lacks(true), None);
        assert_eq!(
            lacks(false).unwrap().set.unwrap(),
            b"SET @@session.transaction_read_only='ON'"
        );
    }

    #[test]
    fn a_schema_cannot_be_taken_away() {
        let mut applied = Applied::default();
        applied.set_schema(b"gone");
        let mirror = Mirror::default();
        assert_eq!(mirror.missing(&applied, true), Err(CannotRestore));
        assert_eq!(mirror.way(&applied, true), Way::None);
    }

    #[test]
    fn a_value_without_a_safe_literal_is_refused() {
        let mut mirror = Mirror::default();
        assert!(mirror.is_writable());
        mirror.set(b"x", b"a\\b");
        let applied = Applied::default();
        assert_eq!(mirror.missing(&applied, true), Err(CannotRestore));
        assert_eq!(mirror.way(&applied, true), Way::None);
        assert!(!mirror.is_writable());
        mirror.set(b"x", b"ab");
        assert!(mirror.is_writable());
    }
}
