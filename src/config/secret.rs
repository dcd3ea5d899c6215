//! Passwords: held so that they cannot be shown by accident, and forgotten when dropped.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::domain::consistency::{Level, OnTimeout, TransactionReads};

/// A password. Debug and Display hide it; its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a password over.
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    /// The password itself, for a login and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the password is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Where a password was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds the password and nothing else.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// Made in code, by `demo` or a test.
    Code,
}

/// Reads a password file. One line end at its end is not part of the password.
///
/// # Errors
/// A sentence that says what is wrong with the file, never what is in it.
pub(super) fn read_file(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\r', '\0']) {
        return Err(format!("{} holds more than one line", path.display()));
    }
    Ok(Secret::new(line))
}

/// A name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// Where the password came from.
    pub source: SecretSource,
    /// What its sessions start with instead of what `[consistency]` says.
    pub consistency: UserConsistency,
}

/// What the sessions of one user start with; `None` stands for what `[consistency]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserConsistency {
    /// The level.
    pub level: Option<Level>,
    /// How long a read waits for a replica.
    pub catch_up_timeout: Option<Duration>,
    /// How old the answer of a `bounded` read may be.
    pub max_staleness: Option<Duration>,
    /// What a read does when no replica caught up in time.
    pub on_timeout: Option<OnTimeout>,
    /// Where the reads of a transaction go before its first write.
    pub transaction_reads: Option<TransactionReads>,
    /// The group of its sessions that name none themselves.
    pub group: Option<String>,
}

impl Account {
    /// An account made in code.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: Secret::new(password),
            source: SecretSource::Code,
            consistency: UserConsistency::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_printing_shows_the_password() {
        let account = Account::new("app", "tr0ub4dor");
        let shown = format!("{account:?} {:#?} {}", account, account.password);
        assert!(!shown.contains("tr0ub4dor"), "{shown}");
        assert_eq!(account.password.expose(), "tr0ub4dor");
    }
}
