//! The text of a prepared statement, and what was in force when its client prepared it: by that the
//! server reads the text, whatever the session sets or chooses later.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Mirror;
use super::mirror::Globals;

/// Variables that say how a statement runs and nothing of how its text is read. Any other counts:
/// since 8.0.22 a statement is resolved once, at its PREPARE, by settings such as sql_auto_is_null,
/// div_precision_increment or optimizer_switch.
const RUN_BY: [&str; 29] = [
    "autocommit",
    "completion_type",
    "foreign_key_checks",
    "gtid_next",
    "identity",
    "innodb_lock_wait_timeout",
    "insert_id",
    "interactive_timeout",
    "last_insert_id",
    "lock_wait_timeout",
    "long_query_time",
    "max_execution_time",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "profiling",
    "rand_seed1",
    "rand_seed2",
    "skip_replication",
    "sql_log_bin",
    "statement_id",
    "timestamp",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "unique_checks",
    "wait_timeout",
    "character_set_results",
];

/// What was in force at a client's PREPARE, as far as a text may be read by it.
#[derive(Clone, Debug)]
pub struct Under {
    schema: Option<Box<[u8]>>,
    settings: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// What all other variables had.
    base: Globals,
}

impl Under {
    /// What the mirror holds now.
    pub fn now(mirror: &Mirror) -> Self {
        let told = |name: &[u8]| name != b"collation_connection" || !mirror.collation_untold();
        let set = mirror.variables();
        let set = set.filter(|(name, _)| reads(name) && told(name));
        Self {
            schema: mirror.schema().map(Into::into),
            settings: set
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            base: Arc::clone(mirror.base()),
        }
    }

    /// The mirror as it is now, but with this in force again.
    #[must_use]
    pub fn again(&self, mirror: &Mirror) -> Mirror {
        let mut past = mirror.clone();
        if let Some(schema) = &self.schema {
            past.set_schema(schema);
        }
        for (name, _) in mirror.variables().filter(|(name, _)| reads(name)) {
            match self.settings.get(name) {
                Some(then) => past.set(name, then),
                None => past.unset(name),
            }
        }
        past
    }

    /// Whether variables that neither session set read alike.
    fn has_base_of(&self, other: &Self) -> bool {
        let read = |of: &Globals| {
            let read = of.iter().filter(|(name, _)| reads(name.as_bytes()));
            read.map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        Arc::ptr_eq(&self.base, &other.base) || read(&self.base) == read(&other.base)
    }
}

impl PartialEq for Under {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema && self.settings == other.settings && self.has_base_of(other)
    }
}

impl Eq for Under {}

impl Hash for Under {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.schema.hash(state);
        self.settings.hash(state);
    }
}

fn reads(name: &[u8]) -> bool {
    let runs = RUN_BY.iter().any(|it| it.as_bytes() == name);
    !runs && !name.starts_with(b"session_track_")
}

/// A text that a client prepared. Two that are equal are the same statement to a server, so that one
/// copy of it on a connection does for both.
#[derive(Debug)]
pub struct PreparedText {
    text: Box<[u8]>,
    under: Arc<Under>,
    owner: Option<u64>,
    hash: u64,
}

impl PreparedText {
    /// A text, prepared under this. `owner` names one statement of one session, if no other may share
    /// its copies.
    pub fn new(text: &[u8], under: Arc<Under>, owner: Option<u64>) -> Self {
        // Its keys are fixed, so that texts of all sessions compare; a map that holds them hashes this
        // once more.
        let mut hasher = DefaultHasher::new();
        (text, &under, owner).hash(&mut hasher);
        Self {
            text: text.into(),
            under,
            owner,
            hash: hasher.finish(),
        }
    }

    /// The text as the client sent it.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What was in force.
    pub fn under(&self) -> &Arc<Under> {
        &self.under
    }

    /// The only statement that may use it, if there is one.
    pub fn owner(&self) -> Option<u64> {
        self.owner
    }

    /// Whether a server may resolve the text by more of its session than [`Under`] holds: a user
    /// variable has in a prepared statement the type that it had when the server prepared it.
    pub fn is_personal(text: &[u8]) -> bool {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == b'@') {
            rest = rest.get(at + 1..).unwrap_or_default();
            match rest.strip_prefix(b"@") {
                Some(behind) => rest = behind,
                None => return true,
            }
        }
        false
    }
}

impl PartialEq for PreparedText {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.owner == other.owner
            && self.text == other.text
            && (Arc::ptr_eq(&self.under, &other.under) || self.under == other.under)
    }
}

impl Eq for PreparedText {}

impl Hash for PreparedText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(globals: &[(&str, &str)]) -> Mirror {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut mirror = Mirror::default();
        mirror.start_from(Arc::new(globals.iter().map(owned).collect()));
        mirror
    }

    #[test]
    fn what_was_in_force_comes_back_and_nothing_else() {
        let mut mirror = mirror(&[("sql_mode", "STRICT")]);
        mirror.set_schema(b"a");
        mirror.set(b"time_zone", b"+01:00");
        let under = Under::now(&mirror);
        assert_eq!(under.again(&mirror).version(), mirror.version());
        mirror.set_schema(b"b");
        mirror.set(b"time_zone", b"+02:00");
        mirror.set(b"sql_mode", b"ANSI");
        mirror.set(b"wait_timeout", b"7");
        let past = under.again(&mirror);
        assert_eq!(past.schema(), Some(&b"a"[..]));
        for (name, value) in [
            ("time_zone", Some("+01:00")),
            ("sql_mode", None),
            ("wait_timeout", Some("7")),
        ] {
            let value = value.map(str::as_bytes);
            assert_eq!(past.get(name.as_bytes()), value, "{name}");
        }
    }

    #[test]
    fn texts_are_equal_if_a_server_reads_them_alike() {
        let plain = || mirror(&[("sql_mode", "STRICT"), ("wait_timeout", "9")]);
        let with = |name: &str, value: &str| {
            let mut mirror = plain();
            mirror.set(name.as_bytes(), value.as_bytes());
            mirror
        };
        let text = |text: &str, mirror: Mirror, owner| {
            PreparedText::new(text.as_bytes(), Arc::new(Under::now(&mirror)), owner)
        };
        let one = text("SELECT 1", plain(), None);
        for (other, equal) in [
            (text("SELECT 1", plain(), None), true),
            (text("SELECT 1", with("wait_timeout", "5"), None), true),
            (text("SELECT 1", with("sql_mode", "ANSI"), None), false),
            (text("SELECT 1", with("time_zone", "+01:00"), None), false),
            (
                text("SELECT 1", mirror(&[("sql_mode", "STRICT")]), None),
                true,
            ),
            (
                text("SELECT 1", mirror(&[("sql_mode", "ANSI")]), None),
                false,
            ),
            (text("SELECT 2", plain(), None), false),
            (text("SELECT 1", plain(), Some(1)), false),
        ] {
            assert_eq!(one == other, equal, "{other:?}");
            assert!(!equal || one.hash == other.hash, "{other:?}");
        }
    }

    #[test]
    fn user_variables_are_personal() {
        for (text, personal) in [
            ("SELECT @@sql_mode", false),
            ("SELECT @a", true),
            ("SELECT @@x, @`y`", true),
            ("SELECT ?", false),
        ] {
            assert_eq!(
                PreparedText::is_personal(text.as_bytes()),
                personal,
                "{text}"
            );
        }
    }
}
