//! What can go wrong with real servers, said so that a person can act on it.

use std::fmt;
use std::io;
use std::path::Path;

/// Why the rig could not do what was asked. `Display` gives one line of what happened and, where
/// there is something to do or to read, the lines after it. `Debug` gives the same text, because a
/// test that panics with it is read by a person too.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// There is no server program, and none could be fetched.
    #[error("{what}\n{advice}")]
    Install {
        /// What happened, one line.
        what: String,
        /// What to do about it, one line.
        advice: String,
    },
    /// A server did not start, or stopped while it was waited for.
    #[error("{server}: {what}\n{log}")]
    Server {
        /// `primary`, `replica 0`, …
        server: String,
        /// What happened, one line.
        what: String,
        /// The end of the server's error log.
        log: String,
    },
    /// A server refused a statement, or the connection to it broke.
    #[error("{server}: {statement}: {source}")]
    Sql {
        /// `primary`, `replica 0`, …
        server: String,
        /// The statement.
        statement: String,
        /// The server's or the driver's words.
        source: Box<mysql_async::Error>,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, to which path.
        what: String,
        /// The operating system's words.
        source: io::Error,
    },
}

impl RigError {
    pub(super) fn install(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Install {
            what: what.into(),
            advice: advice.into(),
        }
    }
}

impl fmt::Debug for RigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names the action and the path of an I/O error.
pub(super) trait IoContext<T> {
    fn during(self, action: &str, path: &Path) -> Result<T, RigError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, action: &str, path: &Path) -> Result<T, RigError> {
        self.map_err(|source| RigError::Io {
            what: format!("cannot {action} {}", path.display()),
            source,
        })
    }
}

/// The last lines of a log file, or why there are none.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    match std::fs::read(path) {
        Ok(bytes) => tail_of(&String::from_utf8_lossy(&bytes), lines),
        Err(error) => format!("(no log at {}: {error})", path.display()),
    }
}

/// The last lines of a text.
pub(super) fn tail_of(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
