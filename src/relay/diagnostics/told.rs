//! What the replies of a statement tell of what it leaves to be asked for.

use super::super::session::{End, Relay};
use crate::domain::session::Side;
use crate::domain::session::aftermath::{Condition, Ended, Ending, Kind, Look, Place, Severity};
use crate::domain::sql::StatementProfile;
use crate::frontend::ClientError;
use crate::protocol::frame;
use crate::protocol::packets::ErrView;
use crate::protocol::reply::ReplyKind;
use crate::protocol::status::Status;

/// What the reply under way has told.
#[derive(Debug, Default)]
pub(in crate::relay) struct Told {
    pub(in crate::relay) before: Option<Place>,
    pub(in crate::relay) had_last_insert_id: bool,
    kind: Option<ReplyKind>,
    ending: Option<Ending>,
    /// Whether rows came before the last result.
    rows_before: bool,
    /// What the statement looks at, if it is a diagnostic one.
    pub(in crate::relay) look: Option<Look>,
    /// Whether it is a command about a prepared statement, no execution.
    pub(in crate::relay) of_prepared: bool,
}

impl Told {
    /// A reply of this kind is expected.
    pub(in crate::relay) fn expect(&mut self, kind: ReplyKind) {
        self.kind = Some(kind);
        self.ending = None;
        self.rows_before = false;
    }

    /// It is this ERR packet.
    pub(in crate::relay) fn fails(&mut self, packet: &[u8]) {
        let error = frame::payload(packet).and_then(ErrView::parse);
        self.rows_before |= matches!(self.ending, Some(Ending::Rows { .. }));
        self.ending = error.map(|error| Ending::Error(condition_of(&error)));
    }

    /// One of its results ended.
    pub(in crate::relay) fn ends(&mut self, ending: Ending) {
        self.rows_before |= matches!(self.ending, Some(Ending::Rows { .. }));
        self.ending = Some(ending);
    }
}

impl Relay {
    /// Takes note of where a connection stands before anything is sent for a statement.
    pub(in crate::relay) fn note_before(&mut self, side: Side) {
        self.told.before = self.place(side);
        self.told.kind = None;
        self.told.ending = None;
        self.told.rows_before = false;
    }

    /// A reply was relayed to its end: what it leaves to be asked for.
    pub(in crate::relay) fn note_aftermath(&mut self, side: Side, profile: &StatementProfile) {
        let Some(ending) = self.told.ending.take() else {
            return;
        };
        let of_prepared = std::mem::take(&mut self.told.of_prepared);
        let kind = match (self.told.kind, self.told.look.take()) {
            (Some(ReplyKind::Query | ReplyKind::Execute { .. }) | None, Some(look)) => {
                Kind::Look(look)
            }
            (Some(ReplyKind::Query | ReplyKind::Execute { .. }) | None, None) => Kind::Statement,
            (Some(ReplyKind::Prepare), _) => Kind::Prepare,
            (Some(ReplyKind::FieldList), _) => Kind::FieldList,
            (Some(_), _) if of_prepared => Kind::OfPrepared,
            (Some(_), _) => Kind::Command,
        };
        let ended = Ended {
            kind,
            profile,
            ending,
            before: self.told.before,
            had_last_insert_id: self.told.had_last_insert_id,
            rows_before: self.told.rows_before,
            cursor: self.ended_with.contains(Status::CURSOR_EXISTS),
            after: self.place(side),
            mariadb: self.mode().dialect.is_mariadb(),
        };
        self.state.aftermath.on_end(&ended);
        if let Some(link) = self.links.get_mut(side)
            && !self.state.aftermath.last_insert_id.exact
            && self.state.aftermath.is_last_insert_id_at(link.lease)
        {
            link.applied.last_insert_id_changed();
        }
    }

    /// Highwater answers the statement at hand with an error of its own.
    pub(in crate::relay) fn note_refusal(&mut self, error: &ClientError) {
        self.state.aftermath.on_own_error(condition_of_own(error));
    }

    /// Answers a command with an error of Highwater's own, before anything could run: on MySQL what the statement
    /// before left is still there. `of_prepared` says that it is about a prepared statement.
    pub(in crate::relay) async fn refuse_command(
        &mut self,
        error: ClientError,
        of_prepared: bool,
    ) -> Result<(), End> {
        if self.mode().dialect.is_mariadb() {
            return self.refuse(error).await;
        }
        self.settle_all().await?;
        let (condition, most) = (condition_of_own(&error), self.most_conditions());
        let mut aftermath = self.state.aftermath.clone();
        aftermath.on_own_command_error(condition, most, of_prepared);
        self.refuse(error).await?;
        self.state.aftermath = aftermath;
        Ok(())
    }

    /// The client is told what a server said to something else.
    pub(in crate::relay) fn note_error(&mut self, packet: &[u8]) {
        if let Some(error) = frame::payload(packet).and_then(ErrView::parse) {
            self.state.aftermath.on_own_error(condition_of(&error));
        }
    }

    /// Highwater answers the statement at hand with OK, or with so many rows.
    pub(in crate::relay) fn note_own_answer(&mut self, rows: Option<usize>) {
        let mariadb = self.mode().dialect.is_mariadb();
        let rows = rows.map(|rows| rows as u64);
        self.state.aftermath.on_own_answer(rows, mariadb);
    }
}

/// The condition that an error of Highwater's own is.
fn condition_of_own(error: &ClientError) -> Condition {
    Condition {
        severity: Severity::Error,
        code: error.code(),
        state: Some(error.state()),
        message: error.to_string().into_bytes().into(),
    }
}

/// An error packet's condition.
fn condition_of(error: &ErrView<'_>) -> Condition {
    Condition {
        severity: Severity::Error,
        code: error.code,
        state: Some(error.state),
        message: error.message.into(),
    }
}
