//! The trace of a session: with `highwater_trace` on, each statement's answer carries a note that says
//! where it went and why, for SHOW WARNINGS.

use std::time::Duration;

use super::history::Went;
use super::session::Relay;
use crate::domain::session::aftermath::{Condition, Severity};
use crate::domain::sql::{Access, StatementProfile};
use crate::telemetry::{AccessLabel, Label};

/// The note's code. 50000 to 51999 are left to third parties by MySQL's numbering.
const CODE: u16 = 51_002;

/// What a session owes its client of the statement at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TraceNote {
    /// Nothing.
    #[default]
    None,
    /// The answer under way is to be flagged.
    Flag,
    /// It was.
    Flagged,
}

impl Relay {
    /// Before a statement is routed: whether it is traced. What asks about the statement before is not,
    /// or it would take the place of what it asks for.
    pub(super) fn trace_from(&mut self, profile: &StatementProfile) {
        let traced =
            self.trace && profile.fingerprint != 0 && profile.access != Access::Diagnostics;
        self.tally.trace = match traced {
            true => TraceNote::Flag,
            false => TraceNote::None,
        };
    }

    /// After a statement: what SHOW WARNINGS says of its way.
    pub(super) fn tell_trace(&mut self, went: &Went, backend: Option<&str>, took: Duration) {
        if std::mem::take(&mut self.tally.trace) != TraceNote::Flagged {
            return;
        }
        let message = format!(
            "Highwater: {} at {} answered by {}{}: {} ({}); waited {} us, took {} us; needed {}; digest {:016x}",
            AccessLabel::from(went.access).name(),
            self.state.read_level().name(),
            went.target.name(),
            backend.map(|it| format!(" {it}")).unwrap_or_default(),
            went.reason.name(),
            went.reason.text(),
            self.tally.waited.as_micros(),
            took.as_micros(),
            self.tally.needed,
            went.fingerprint,
        );
        self.state.aftermath.add_own(Condition {
            severity: Severity::Note,
            code: CODE,
            state: Some(*b"00000"),
            message: message.into_bytes().into(),
        });
    }
}
