//! Reads the corpus files: statements with what classification must say of them.
//!
//! `[access Doubt begin-words +EFFECT … unrunnable: reason] {mode}` heads a section; each line
//! below it is one statement; a mode is ansi_quotes, no_backslash_escapes or MariaDB's oracle. In it `⏎` stands for a line end and `⇥` for a tab. Comment lines
//! begin with `# ` and stand before the first header.

use highwater::domain::sql::{Access, Begin, Dialect, Doubt, Effects, LexMode};

/// A statement of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The file and line it stands in.
    pub(crate) place: String,
    /// The statement.
    pub(crate) sql: String,
    /// What is expected of it.
    pub(crate) expected: Expected,
}

/// What a section's header expects.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The class.
    pub(crate) access: Access,
    /// The doubt.
    pub(crate) doubt: Doubt,
    /// Effects that must be among those found.
    pub(crate) effects: Effects,
    /// The mode in which the statement is read.
    pub(crate) mode: LexMode,
    /// Why the statement cannot be run by the oracle.
    pub(crate) unrunnable: Option<String>,
}

/// The statements of MySQL's corpus.
pub(crate) fn mysql() -> Vec<Case> {
    [
        ("reads.txt", include_str!("reads.txt")),
        ("primary.txt", include_str!("primary.txt")),
        ("session.txt", include_str!("session.txt")),
        ("writes.txt", include_str!("writes.txt")),
    ]
    .into_iter()
    .flat_map(|(file, text)| read(file, text, Dialect::MYSQL))
    .collect()
}

/// The statements of MariaDB's corpus.
pub(crate) fn mariadb() -> Vec<Case> {
    [
        ("mariadb/reads.txt", include_str!("mariadb/reads.txt")),
        ("mariadb/primary.txt", include_str!("mariadb/primary.txt")),
        ("mariadb/session.txt", include_str!("mariadb/session.txt")),
        ("mariadb/writes.txt", include_str!("mariadb/writes.txt")),
    ]
    .into_iter()
    .flat_map(|(file, text)| read(file, text, Dialect::MARIADB))
    .collect()
}

fn read(file: &str, text: &str, dialect: Dialect) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut expected = None;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        if line.is_empty() || line.starts_with("# ") && expected.is_none() {
            continue;
        }
        if line.starts_with('[') {
            expected =
                Some(header(line, dialect).unwrap_or_else(|| panic!("{place}: bad header {line}")));
            continue;
        }
        let expected = expected
            .clone()
            .unwrap_or_else(|| panic!("{place}: no header above"));
        let sql = line.replace('⏎', "\n").replace('⇥', "\t");
        cases.push(Case {
            place,
            sql,
            expected,
        });
    }
    cases
}

fn header(line: &str, dialect: Dialect) -> Option<Expected> {
    let (head, mode) = line.strip_prefix('[')?.split_once(']')?;
    let (words, unrunnable) = match head.split_once("unrunnable:") {
        Some((words, reason)) => (words, Some(reason.trim().to_owned())),
        None => (head, None),
    };
    let mut words = words.split_whitespace();
    let mut expected = Expected {
        access: access(words.next()?)?,
        doubt: Doubt::None,
        effects: Effects::default(),
        mode: LexMode {
            ansi_quotes: mode.contains("ansi_quotes") || mode.contains("oracle"),
            no_backslash_escapes: mode.contains("no_backslash_escapes"),
            dialect: Dialect {
                oracle: mode.contains("oracle"),
                ..dialect
            },
            ..LexMode::default()
        },
        unrunnable,
    };
    for word in words {
        match (word, &mut expected.access) {
            ("read-only", Access::Begin(begin)) => begin.read_only = Some(true),
            ("read-write", Access::Begin(begin)) => begin.read_only = Some(false),
            ("snapshot", Access::Begin(begin)) => begin.snapshot = true,
            _ => match word.strip_prefix('+') {
                Some(name) => expected.effects = expected.effects.with(effect(name)?),
                None => expected.doubt = doubt(word)?,
            },
        }
    }
    Some(expected)
}

fn access(word: &str) -> Option<Access> {
    Some(match word {
        "read" => Access::Read,
        "primary-read" => Access::PrimaryRead,
        "diagnostics" => Access::Diagnostics,
        "write" => Access::Write,
        "session" => Access::Session,
        "begin" => Access::Begin(Begin::default()),
        "transaction-end" => Access::TransactionEnd,
        "kill" => Access::Kill,
        "own" => Access::Own,
        _ => return None,
    })
}

fn doubt(word: &str) -> Option<Doubt> {
    [
        Doubt::None,
        Doubt::Writes,
        Doubt::Locks,
        Doubt::Into,
        Doubt::UserVariable,
        Doubt::Function,
        Doubt::UnknownFunction,
        Doubt::ServerLocal,
        Doubt::MultiStatement,
        Doubt::VersionedComment,
        Doubt::NotUnderstood,
        Doubt::TooLarge,
    ]
    .into_iter()
    .find(|doubt| format!("{doubt:?}") == word)
}

fn effect(name: &str) -> Option<Effects> {
    Some(match name {
        "USER_VARIABLE" => Effects::USER_VARIABLE,
        "ASSIGNS_USER_VARIABLE" => Effects::ASSIGNS_USER_VARIABLE,
        "NAMED_LOCK" => Effects::NAMED_LOCK,
        "TEMPORARY_TABLE" => Effects::TEMPORARY_TABLE,
        "TABLE_LOCK" => Effects::TABLE_LOCK,
        "OPAQUE" => Effects::OPAQUE,
        "TEXT_PREPARE" => Effects::TEXT_PREPARE,
        "HANDLER" => Effects::HANDLER,
        "XA" => Effects::XA,
        "READS_TABLES" => Effects::READS_TABLES,
        "MENTIONS_MANAGED_VARIABLE" => Effects::MENTIONS_MANAGED_VARIABLE,
        "MULTI" => Effects::MULTI,
        "PASSING_SETTINGS" => Effects::PASSING_SETTINGS,
        "COMMITS" => Effects::COMMITS,
        "HISTORY" => Effects::HISTORY,
        _ => return None,
    })
}
