//! Answers that are older than was asked for (`on_timeout = stale`): their client is told, by one
//! warning more in the packet that ends the answer, and by a condition among those that the answer left.

use super::session::Relay;
use super::trace::TraceNote;
use crate::domain::session::Side;
use crate::domain::session::aftermath::{Condition, Severity};
use crate::protocol::ok::add_warning;

/// The warning's code. 50000 to 51999 are left to third parties by MySQL's numbering.
const CODE: u16 = 51_000;
const MESSAGE: &[u8] =
    b"Highwater: no replica caught up in time; this answer may be older than the \
                         consistency level allows (highwater_on_timeout = stale)";

/// What a session owes its client about an answer that is older than asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StaleNote {
    /// Nothing.
    #[default]
    None,
    /// The answer under way is to be flagged.
    Flag,
    /// It was.
    Flagged,
}

impl Relay {
    /// After a statement: what its client can ask for.
    pub(super) fn after_staleness(&mut self) {
        if std::mem::take(&mut self.stale) == StaleNote::Flagged {
            self.state.aftermath.add_own(Condition {
                severity: Severity::Warning,
                code: CODE,
                state: Some(*b"01000"),
                message: MESSAGE.into(),
            });
        }
    }

    /// Flags the packet at `at` that ends an answer of which its client is to be told something: that it is
    /// older than asked for, or its way.
    pub(super) fn flag_end(&mut self, side: Side, at: usize, len: usize) {
        let stale = self.stale == StaleNote::Flag;
        let traced = self.tally.trace == TraceNote::Flag;
        if (stale || traced)
            && let Some(link) = self.links.get_mut(side)
            && let Some(packet) = link.conn.input.data_mut().get_mut(at..at + len)
        {
            if stale {
                add_warning(packet);
                self.stale = StaleNote::Flagged;
            }
            if traced {
                add_warning(packet);
                self.tally.trace = TraceNote::Flagged;
            }
        }
    }
}
