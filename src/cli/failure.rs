//! How a command that failed ends: what happened, what to do, and the exit code.

use std::io::Write as _;
use std::process::ExitCode;

/// Why a command ends with a code other than 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: u8,
    what: String,
    advice: String,
}

impl Failure {
    /// The answer is no (exit code 1). `what` happened; `advice` says what to do.
    pub(super) fn no(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: 1,
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// The command was used wrongly (exit code 2).
    pub(super) fn usage(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::no(what, advice)
        }
    }

    /// `run` was given a bad configuration (exit code 64).
    pub(super) fn configuration(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: 64,
            ..Self::no(what, advice)
        }
    }

    /// Prints what happened and what to do to standard error.
    pub(super) fn report(&self) -> ExitCode {
        let mut text = String::new();
        for line in self.what.lines() {
            text.push_str(&format!("highwater: {line}\n"));
        }
        text.push_str(&format!("  {}\n", self.advice));
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        ExitCode::from(self.code)
    }
}
