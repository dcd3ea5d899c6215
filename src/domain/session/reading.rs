//! The text of a prepared statement, and what was in force when its client prepared it: by that the
//! server reads the text, whatever the session sets or chooses later.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Mirror;

/// Variables whose value counts even if the session never set them: SET GLOBAL must not make one text
/// of what reads differently.
const READ_BY: [&str; 3] = ["character_set_client", "collation_connection", "sql_mode"];

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Under {
    schema: Option<Box<[u8]>>,
    settings: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

impl Under {
    /// What the mirror holds now; `global` gives the values of what was never set.
    pub fn now(mirror: &Mirror, global: impl Fn(&str) -> Option<String>) -> Self {
        let told = |name: &str| name != "collation_connection" || !mirror.collation_untold();
        let never_set = READ_BY
            .iter()
            .filter(|name| told(name))
            .filter_map(|name| Some((name.as_bytes().into(), global(name)?.into_bytes().into())));
        let mut settings: BTreeMap<_, _> = never_set.collect();
        let set = mirror.variables().filter(|(name, _)| reads(name));
        settings.extend(set.map(|(name, value)| (name.into(), value.into())));
        if mirror.collation_untold() {
            settings.remove(b"collation_connection".as_slice());
        }
        Self {
            schema: mirror.schema().map(Into::into),
            settings,
        }
    }

    /// The mirror as it is now, but with this in force again. `global` is as for [`Self::now`].
    #[must_use]
    pub fn again(&self, mirror: &Mirror, global: impl Fn(&str) -> Option<String>) -> Mirror {
        let mut past = mirror.clone();
        if let Some(schema) = &self.schema {
            past.set_schema(schema);
        }
        for (name, now) in mirror.variables().filter(|(name, _)| reads(name)) {
            let then = self.settings.get(name);
            if then.is_some_and(|then| **then == *now) {
                continue;
            }
            // What the session had not set then was as a new session has it.
            let unset = || Some(global(std::str::from_utf8(name).ok()?)?.into_bytes().into());
            if let Some(then) = then.cloned().or_else(unset) {
                past.set(name, &then);
            }
        }
        past
    }
}

fn reads(name: &[u8]) -> bool {
    let runs = |it: &&str| it.as_bytes() == name;
    !RUN_BY.iter().any(|it| runs(&it)) && !name.starts_with(b"session_track_")
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

    fn global(name: &str) -> Option<String> {
        match name {
            "sql_mode" => Some("STRICT".to_owned()),
            "div_precision_increment" => Some("4".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn what_was_in_force_comes_back_and_nothing_else() {
        let mut mirror = Mirror::default();
        mirror.set_schema(b"a");
        mirror.set(b"time_zone", b"+01:00");
        let under = Under::now(&mirror, global);
        assert_eq!(under.again(&mirror, global).version(), mirror.version());
        mirror.set_schema(b"b");
        mirror.set(b"time_zone", b"+02:00");
        mirror.set(b"sql_mode", b"ANSI");
        mirror.set(b"div_precision_increment", b"9");
        mirror.set(b"wait_timeout", b"7");
        let past = under.again(&mirror, global);
        assert_eq!(past.schema(), Some(&b"a"[..]));
        for (name, value) in [
            ("time_zone", "+01:00"),
            ("sql_mode", "STRICT"),
            ("div_precision_increment", "4"),
            ("wait_timeout", "7"),
        ] {
            assert_eq!(past.get(name.as_bytes()), Some(value.as_bytes()), "{name}");
        }
    }

    #[test]
    fn texts_are_equal_if_a_server_reads_them_alike() {
        let under = |name: &str, value: &str| {
            let mut mirror = Mirror::default();
            mirror.set(name.as_bytes(), value.as_bytes());
            Arc::new(Under::now(&mirror, global))
        };
        let text = |text: &str, under, owner| PreparedText::new(text.as_bytes(), under, owner);
        let plain = Arc::new(Under::now(&Mirror::default(), global));
        let one = text("SELECT 1", Arc::clone(&plain), None);
        for (other, equal) in [
            (text("SELECT 1", under("wait_timeout", "5"), None), true),
            (text("SELECT 1", under("sql_mode", "STRICT"), None), true),
            (text("SELECT 1", under("sql_mode", "ANSI"), None), false),
            (text("SELECT 1", under("time_zone", "+01:00"), None), false),
            (text("SELECT 2", Arc::clone(&plain), None), false),
            (text("SELECT 1", Arc::clone(&plain), Some(1)), false),
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
