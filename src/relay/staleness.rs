//! Answers that are older than was asked for (`on_timeout = stale`): their client is told, by one
//! warning more in the packet that ends the answer, and by a row in SHOW WARNINGS after it.

use super::reply::Relayed;
use super::session::{End, Relay};
use super::statement::Statement;
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::Access;
use crate::domain::sql::control::asks_for_warnings;
use crate::protocol::frame::{self, FrameHeader, HEADER};
use crate::protocol::ok::add_warning;
use crate::protocol::resultset::put_text_row;

/// The warning's code. 50000 to 51999 are left to third parties by MySQL's numbering.
const CODE: &[u8] = b"51000";
const MESSAGE: &[u8] =
    b"Highwater: no replica caught up in time; this answer may be older than the \
                         consistency level allows (highwater_on_timeout = stale)";

/// What a session owes its client about an answer that was older than asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StaleNote {
    /// Nothing.
    #[default]
    None,
    /// The answer under way is to be flagged.
    Flag,
    /// The last answer was flagged; SHOW WARNINGS has a row about it.
    Flagged,
    /// That row is to be added to the answer under way.
    Row,
}

impl Relay {
    /// Before a statement: whether its answer has a row about the answer before.
    pub(super) fn note_staleness(&mut self, statement: &Statement) {
        if statement.profile.access != Access::Diagnostics {
            self.stale = StaleNote::None;
        } else if self.stale == StaleNote::Flagged {
            let mode = self.lexer.mode(&self.state).unwrap_or_default();
            if asks_for_warnings(self.text(statement.total), mode) {
                self.stale = StaleNote::Row;
            }
        }
    }

    /// After a statement: what is left to be told.
    pub(super) fn after_staleness(&mut self) {
        self.stale = match self.stale {
            StaleNote::None => StaleNote::None,
            _ => StaleNote::Flagged,
        };
    }

    /// Flags the packet at `at` that ends an answer which is older than asked for.
    pub(super) fn flag_end(&mut self, side: Side, at: usize, len: usize) {
        if self.stale == StaleNote::Flag
            && let Some(link) = self.links.get_mut(side)
            && let Some(packet) = link.conn.input.data_mut().get_mut(at..at + len)
        {
            add_warning(packet);
        }
    }

    /// Sends our row, then the end of the warnings' rows, which stands at the start of what came from
    /// the server.
    pub(super) async fn add_row(
        &mut self,
        side: Side,
        len: usize,
        outcome: Outcome,
    ) -> Result<Relayed, End> {
        let Some(link) = self.links.get_mut(side) else {
            return Ok(Relayed::Lost { forwarded: true });
        };
        let packet = link.conn.input.data().get(..len).unwrap_or_default();
        let mut seq = FrameHeader::parse(packet).map_or(1, |header| header.seq);
        self.out.clear();
        let row = [Some(&b"Warning"[..]), Some(CODE), Some(MESSAGE)];
        frame::append_with(&mut self.out, &mut seq, |out| put_text_row(out, &row));
        let end = self.out.len();
        self.out.extend_from_slice(packet);
        if let Some(place) = self.out.get_mut(end + HEADER - 1) {
            *place = seq;
        }
        link.conn.input.consume(len);
        self.send_out().await?;
        Ok(Relayed::Done(outcome))
    }
}
