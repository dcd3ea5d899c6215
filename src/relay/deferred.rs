//! Transactions that are opened on the primary as late as at their first write
//! (`transaction_reads = "replica_until_write"`): until then Highwater answers for them.

use super::attempt::Task;
use super::reply::Swallowed;
use super::session::{End, Relay};
use super::statement::Statement;
use crate::domain::routing::Reason;
use crate::domain::session::{Deferred, Outcome, Side};
use crate::domain::sql::control::{ends_plainly, releases};
use crate::domain::sql::{Access, Effects, LexMode, StatementProfile};
use crate::protocol::frame::HEADER;
use crate::protocol::reply::ReplyKind;
use crate::telemetry::Wrote;

/// How opening such a transaction went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is open on the primary, or there was none.
    Yes,
    /// The connection broke before: another one may be tried, since nothing was done.
    Broken,
    /// The primary would not give the connection the session's state.
    Refused,
    /// The primary would not begin it, and says why in this ERR packet: such as one that is read only.
    Denied(Vec<u8>),
}

impl Relay {
    /// Answers BEGIN. A transaction that waited before is over: it did nothing.
    pub(super) async fn begin_deferred(&mut self, deferred: Deferred) -> Result<(), End> {
        self.state.transaction.defer(deferred);
        self.answer_ok().await
    }

    /// Answers COMMIT or ROLLBACK of a transaction that no server knows, if that is all it says.
    pub(super) async fn end_deferred(&mut self, statement: &Statement) -> Result<bool, End> {
        let plain = self.ends_plainly(statement);
        if plain {
            self.state.transaction.drop_deferred();
            self.answer_ok().await?;
        }
        Ok(plain)
    }

    /// Whether a statement is COMMIT or ROLLBACK and nothing more.
    fn ends_plainly(&mut self, statement: &Statement) -> bool {
        self.reads(statement, ends_plainly)
    }

    /// Whether a server closes the connection after this COMMIT or ROLLBACK.
    pub(super) fn releases(&mut self, statement: &Statement) -> bool {
        let by_itself = self.state.releases_by_itself();
        self.reads(statement, |text, mode| releases(text, mode, by_itself))
    }

    /// What a text says that is run, as text or prepared.
    fn reads(&mut self, statement: &Statement, says: impl Fn(&[u8], LexMode) -> bool) -> bool {
        let mode = self.lexer.mode(&self.state).unwrap_or_default();
        match statement.task {
            Task::AsIs(ReplyKind::Query) => says(self.text(statement.total), mode),
            Task::Execute(id) => {
                let prepared = self.statements.get(id);
                prepared.is_some_and(|prepared| says(prepared.text(), mode))
            }
            _ => false,
        }
    }

    /// A statement ran on the primary: with autocommit off it may have set a savepoint there for the
    /// transaction that the next one begins, or have failed in a transaction that it began, which an error
    /// does not tell.
    pub(super) fn note_savepoint(&mut self, statement: &Statement, outcome: Outcome) {
        let transaction = &self.state.transaction;
        let prepares = matches!(statement.task, Task::Prepare(_) | Task::PrepareRewritten(_));
        if transaction.autocommit() || transaction.is_open() || prepares {
            return;
        }
        let StatementProfile {
            access, effects, ..
        } = statement.profile;
        let failed = outcome == Outcome::Failed;
        if effects.contains(Effects::OPAQUE) || (failed && access != Access::TransactionEnd) {
            // Also where one of several failed.
            self.state.transaction.on_left_closed(true);
        } else if access == Access::TransactionEnd && !failed {
            let savepoint = !self.ends_plainly(statement);
            self.state.transaction.on_left_closed(savepoint);
        }
    }

    /// A read is about to be sent to a replica: with autocommit off it begins a transaction.
    pub(super) fn note_implicit_begin(&mut self, statement: &Statement) {
        let transaction = &mut self.state.transaction;
        let prepares = matches!(statement.task, Task::Prepare(_) | Task::PrepareRewritten(_));
        let reads = statement.profile.effects.contains(Effects::READS_TABLES);
        if !transaction.autocommit() && !transaction.is_open() && reads && !prepares {
            transaction.defer(Deferred { read_write: false });
        }
    }

    /// Counts a read that a replica could have answered but for its transaction.
    pub(super) fn note_lost_read(&self, access: Access, reason: Reason) {
        let lost = matches!(reason, Reason::InTransaction | Reason::AutocommitOff);
        if lost && access == Access::Read {
            let wrote = match self.state.transaction.may_have_written() {
                true => Wrote::Yes,
                false => Wrote::No,
            };
            self.shared.metrics.transaction_read(wrote);
        }
    }

    /// Before a statement runs on the primary's connection, which is held: opens the transaction there
    /// that waited for it.
    pub(super) async fn open_deferred(&mut self, statement: &Statement) -> Result<Opened, End> {
        let Some(deferred) = self.state.transaction.deferred() else {
            return Ok(Opened::Yes);
        };
        match (statement.task, statement.profile.access) {
            // To prepare is not to run.
            (Task::Prepare(_) | Task::PrepareRewritten(_), _) => Ok(Opened::Yes),
            (_, Access::Begin(_)) => {
                self.state.transaction.drop_deferred();
                Ok(Opened::Yes)
            }
            _ => self.open_now(deferred).await,
        }
    }

    /// The same, whatever the statement is.
    pub(super) async fn open_now(&mut self, deferred: Deferred) -> Result<Opened, End> {
        if self.links.died_idle(Side::Primary).await {
            return Ok(Opened::Broken);
        }
        if !self.restore(Side::Primary).await? {
            return Ok(Opened::Refused);
        }
        let sql = deferred.statement().as_bytes();
        match self.run_unseen(Side::Primary, sql).await? {
            Swallowed::Done => {
                self.state.transaction.on_deferred_opened();
                Ok(Opened::Yes)
            }
            Swallowed::Refused(packet) => {
                self.state.transaction.drop_deferred();
                Ok(Opened::Denied(packet))
            }
            Swallowed::Broken => Ok(Opened::Broken),
        }
    }

    /// Tells the client what a server said to something that it sent no command for: the error of the
    /// command at hand.
    pub(super) async fn pass_error(&mut self, mut packet: Vec<u8>) -> Result<(), End> {
        if let Some(seq) = packet.get_mut(HEADER - 1) {
            *seq = self.reply_seq;
        }
        self.diary.errors += 1;
        self.note_error(&packet);
        self.out = packet;
        self.send_out().await
    }
}
