//! The session variables and schema of a session, mirrored from the server's trackers, and what a
//! connection lacks of them.

use std::collections::BTreeMap;

/// Counted by the server; nobody sets it.
const STATEMENT_ID: &[u8] = b"statement_id";
/// What the read-only guard of a replica's connection sets; not restored there.
const GUARD: [&[u8]; 2] = [b"transaction_read_only", b"tx_read_only"];

type Variables = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// The state a session believes to have. Variables that were never changed are not in it: they
/// have the primary's global values, which are every connection's baseline.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    variables: Variables,
    schema: Option<Box<[u8]>>,
    version: u64,
    collation_untold: bool,
}

/// The state that one server connection is known to have, on top of the baseline.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    variables: Variables,
    schema: Option<Box<[u8]>>,
    /// The mirror's version when both were last found equal.
    version: Option<u64>,
    /// The client changed what Highwater sets for itself here, a tracker or a replica's read-only
    /// guard: it must be set again.
    pub guard_changed: bool,
    /// The same of session_track_gtids, which cannot be set again before the transaction is over.
    pub gtids_changed: bool,
    /// The client may have set session_track_system_variables here: a list that does not name the
    /// variable itself is not reported, so it has to be asked for.
    pub list_untold: bool,
}

/// What a connection lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// A schema to be chosen with COM_INIT_DB.
    pub schema: Option<Box<[u8]>>,
    /// One SET statement.
    pub set: Option<Vec<u8>>,
}

/// A mirror holds a value that no SET can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotRestore;

impl Mirror {
    /// A variable has this value.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        if self.variables.get(name).is_none_or(|old| **old != *value) {
            self.variables
                .insert(name.to_ascii_lowercase().into(), value.into());
            self.version += 1;
        }
    }

    /// Takes in what the server's trackers say of a variable. SET NAMES reports the connection's
    /// charset but not its collation (tried on 9.7), which [`Self::collation_untold`] tells then.
    pub fn on_tracked(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"character_set_connection" => self.collation_untold = true,
            b"collation_connection" => self.collation_untold = false,
            _ => {}
        }
        self.set(name, value);
    }

    /// Whether the session's `collation_connection` has to be asked for before it can be restored.
    pub fn collation_untold(&self) -> bool {
        self.collation_untold
    }

    /// The answer to that question.
    pub fn on_collation(&mut self, value: &[u8]) {
        self.collation_untold = false;
        self.set(b"collation_connection", value);
    }

    /// The default schema is this one; empty stands for none.
    pub fn set_schema(&mut self, name: &[u8]) {
        let schema = (!name.is_empty()).then(|| name.into());
        if self.schema != schema {
            self.schema = schema;
            self.version += 1;
        }
    }

    /// The default schema.
    pub fn schema(&self) -> Option<&[u8]> {
        self.schema.as_deref()
    }

    /// A variable's value, if the session ever changed it.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.get(name).map(|value| &**value)
    }

    /// Every variable that the session changed, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let variables = self.variables.iter();
        variables.map(|(name, value)| (&**name, &**value))
    }

    /// Whether a variable was changed to this value (any case).
    pub fn is(&self, name: &[u8], value: &[u8]) -> bool {
        self.get(name)
            .is_some_and(|actual| actual.eq_ignore_ascii_case(value))
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether a connection already has this state, as far as a number can tell.
    pub fn is_applied(&self, applied: &Applied) -> bool {
        applied.version == Some(self.version)
    }

    /// The same state for a connection on which every read commits by itself. It has the same
    /// version, so keep it to one connection.
    #[must_use]
    pub fn with_autocommit(&self) -> Self {
        let mut mirror = self.clone();
        let on: Box<[u8]> = b"ON".as_slice().into();
        mirror.variables.insert(b"autocommit".as_slice().into(), on);
        mirror
    }

    /// What the connection lacks; `None` when nothing. `guarded` says whether it has a replica's
    /// read-only guard.
    ///
    /// # Errors
    /// When a value cannot be written as a literal that means the same in every sql_mode, or the
    /// connection has a schema and the session none.
    pub fn missing(
        &self,
        applied: &Applied,
        guarded: bool,
    ) -> Result<Option<Restore>, CannotRestore> {
        if self.schema.is_none() && applied.schema.is_some() {
            // No command takes a schema away: the session's was dropped, or it never had one.
            return Err(CannotRestore);
        }
        let mut set = Vec::new();
        for (name, value) in &self.variables {
            let managed = **name == *STATEMENT_ID || (guarded && GUARD.contains(&&**name));
            if managed || applied.variables.get(name) == Some(value) {
                continue;
            }
            set.extend_from_slice(if set.is_empty() { b"SET " } else { b", " });
            set.extend_from_slice(b"@@session.");
            set.extend_from_slice(name);
            set.push(b'=');
            literal(name, value, &mut set)?;
        }
        let schema = self
            .schema
            .clone()
            .filter(|_| self.schema != applied.schema);
        if set.is_empty() && schema.is_none() {
            return Ok(None);
        }
        Ok(Some(Restore {
            schema,
            set: (!set.is_empty()).then_some(set),
        }))
    }

    /// The variables are the baseline again; the schema stays (COM_RESET_CONNECTION keeps it).
    pub fn reset(&mut self) {
        self.variables.clear();
        self.collation_untold = false;
        self.version += 1;
    }
}

impl Applied {
    /// A variable has this value here.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.variables
            .insert(name.to_ascii_lowercase().into(), value.into());
        self.version = None;
    }

    /// The default schema here.
    pub fn set_schema(&mut self, name: &[u8]) {
        self.schema = (!name.is_empty()).then(|| name.into());
        self.version = None;
    }

    /// The default schema here.
    pub fn schema(&self) -> Option<&[u8]> {
        self.schema.as_deref()
    }

    /// Everything of the mirror was made true here.
    pub fn on_restored(&mut self, mirror: &Mirror) {
        self.variables.clone_from(&mirror.variables);
        if mirror.schema.is_some() {
            self.schema.clone_from(&mirror.schema);
        }
        self.version = Some(mirror.version);
    }

    /// The connection was reset: baseline variables, the same schema.
    pub fn on_reset(&mut self) {
        self.variables.clear();
        self.version = None;
        self.guard_changed = false;
        self.gtids_changed = false;
        self.list_untold = false;
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

    /// The connection goes to another session: versions of different mirrors do not compare.
    pub fn forget_version(&mut self) {
        self.version = None;
    }
}

/// Writes a value as the server's trackers report it as a literal for SET.
fn literal(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), CannotRestore> {
    if value.is_empty() && name == b"character_set_results" {
        out.extend_from_slice(b"NULL");
    } else if is_number(value) {
        out.extend_from_slice(value);
    } else if value
        .iter()
        .any(|byte| matches!(byte, b'\\' | 0) || !byte.is_ascii())
    {
        // A backslash reads differently under NO_BACKSLASH_ESCAPES, other bytes by charset.
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

    #[test]
    fn a_connection_lacks_exactly_the_difference() {
        let mut mirror = Mirror::default();
        let mut applied = Applied::default();
        assert_eq!(mirror.missing(&applied, true), Ok(None));
        mirror.set(b"sql_mode", b"ANSI,'x'");
        mirror.set(b"wait_timeout", b"77");
        mirror.set(b"transaction_read_only", b"ON");
        mirror.set_schema(b"app");
        let restore = mirror.missing(&applied, true).unwrap().unwrap();
        assert_eq!(restore.schema.as_deref(), Some(&b"app"[..]));
        assert_eq!(
            String::from_utf8(restore.set.unwrap()).unwrap(),
            "SET @@session.sql_mode='ANSI,''x''', @@session.wait_timeout=77"
        );
        applied.on_restored(&mirror);
        assert!(mirror.is_applied(&applied));
        mirror.set(b"wait_timeout", b"77");
        assert!(mirror.is_applied(&applied), "the same value is no change");
        mirror.set(b"wait_timeout", b"78");
        assert!(!mirror.is_applied(&applied));
        assert_eq!(
            mirror
                .missing(&applied, true)
                .unwrap()
                .unwrap()
                .set
                .unwrap(),
            b"SET @@session.wait_timeout=78"
        );
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
        assert_eq!(
            Mirror::default().missing(&applied, true),
            Err(CannotRestore)
        );
    }

    #[test]
    fn a_value_without_a_safe_literal_is_refused() {
        let mut mirror = Mirror::default();
        mirror.set(b"x", b"a\\b");
        assert_eq!(
            mirror.missing(&Applied::default(), true),
            Err(CannotRestore)
        );
    }

    #[test]
    fn reset_keeps_the_schema() {
        let mut mirror = Mirror::default();
        mirror.set(b"sql_mode", b"ANSI");
        mirror.set_schema(b"app");
        mirror.reset();
        assert_eq!(mirror.schema(), Some(&b"app"[..]));
        assert_eq!(mirror.get(b"sql_mode"), None);
    }
}
