//! One try of one statement on one of the session's connections: restore, send, relay.

use super::bulk::GATHERED;
use super::links::put_restore;
use super::login::renumber;
use super::prepared::{NO_ROOM, Prepared};
use super::reply::{Expect, Relayed, Swallowed};
use super::session::{End, Relay};
use crate::domain::ids::ClientStmtId;
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::StatementProfile;
use crate::protocol::command::{StmtExecute, com_query, com_stmt_prepare, query_text};
use crate::protocol::frame::{self, HEADER, Renumber, append_packet};
use crate::protocol::packets::ErrView;
use crate::protocol::reply::ReplyKind;
use crate::protocol::status::Status;
use crate::telemetry::PreparedEvent;

/// What a statement is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The client's packet as it stands, and the kind of its reply.
    AsIs(ReplyKind),
    /// The text in [`Relay::rewritten`] as a COM_QUERY instead of the client's packet.
    Rewritten(ReplyKind),
    /// COM_STMT_PREPARE: the statement gets this id.
    Prepare(ClientStmtId),
    /// The text in [`Relay::rewritten`] as a COM_STMT_PREPARE instead of the client's packet.
    PrepareRewritten(ClientStmtId),
    /// COM_STMT_EXECUTE of this statement.
    Execute(ClientStmtId),
}

/// ER_UNKNOWN_STMT_HANDLER.
const UNKNOWN_STATEMENT: u16 = 1243;

/// What became of an error that Highwater may mend.
enum Mended {
    /// There was none, or it is the client's.
    Nothing,
    /// The command may be sent again.
    Again,
    /// It was mended in vain.
    Failed(Tried),
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// A reply was relayed, or broke off.
    Relayed(Relayed),
    /// The connection could not be given the session's state; the statement was not run there, or
    /// its result was dropped. The connection cannot be used further.
    NotRestored,
    /// Nothing was sent: the connection had died before.
    NotSent,
}

/// ER_DBACCESS_DENIED_ERROR and ER_BAD_DB_ERROR.
const ABOUT_SCHEMA: [u16; 2] = [1044, 1049];

/// Whether a schema cannot be chosen: it is gone, or the account has no right to it any more.
fn is_about_schema(packet: &[u8]) -> bool {
    let error = frame::payload(packet).and_then(ErrView::parse);
    error.is_some_and(|error| ABOUT_SCHEMA.contains(&error.code))
}

impl Relay {
    /// Tries the command that stands in the client's buffer (`total` bytes) on a held connection.
    ///
    /// Restore and command share one write only before a read on a replica (`pipelined`): each
    /// command of a pipeline runs whatever became of the one before it, so a write could otherwise
    /// run under the wrong schema.
    pub(super) async fn attempt(
        &mut self,
        side: Side,
        task: Task,
        total: usize,
        profile: &StatementProfile,
        pipelined: bool,
        may_retry: bool,
    ) -> Result<Tried, End> {
        if self.links.died_idle(side).await || !self.count_before_routine(side).await {
            return Ok(Tried::NotSent);
        }
        let lap = self.links.laps.start();
        self.note_before(side);
        self.recall_last_insert_id(side, profile).await?;
        if let Task::Execute(id) = task
            && let Some(tried) = self.unprepared(side, id).await?
        {
            return Ok(tried);
        }
        let kind = self.shared.watch.position_kind();
        self.state.own_writes_told = kind.tells_own_writes();
        self.state.on_start(profile);
        let mut replies = 0;
        if pipelined {
            self.out.clear();
            match self.put_restore(side) {
                Some(count) => replies = count,
                None => return Ok(Tried::NotRestored),
            }
        } else if !self.restore(side).await? {
            return Ok(Tried::NotRestored);
        }
        self.links.laps.restored(lap);
        self.ended_with = Status::default();
        self.begin_change(side, profile);
        self.registered.runs(Some(side));
        let tried = self
            .send_and_relay(side, task, total, replies, may_retry)
            .await;
        self.registered.runs(None);
        tried
    }

    /// Has a statement on a connection that is about to execute it; says how the try ended if it
    /// cannot be had.
    async fn unprepared(&mut self, side: Side, id: ClientStmtId) -> Result<Option<Tried>, End> {
        match self.prepare_here(side, id).await? {
            Prepared::Ready => Ok(None),
            Prepared::Refused(mut error) => {
                self.told.fails(&error);
                renumber(&mut error, self.reply_seq);
                self.out = error;
                self.send_out().await?;
                Ok(Some(Tried::Relayed(Relayed::Done(Outcome::Failed))))
            }
            Prepared::Broken(tried) => Ok(Some(tried)),
        }
    }

    /// Gives the connection the session's state and waits for the server's word that it has it.
    pub(super) async fn restore(&mut self, side: Side) -> Result<bool, End> {
        self.out.clear();
        let replies = match self.put_restore(side) {
            Some(0) => return Ok(true),
            Some(replies) => replies,
            None => return Ok(false),
        };
        if !self.send_to_server(side).await {
            return Ok(false);
        }
        match self.swallow(side, replies).await? {
            Swallowed::Done => Ok(true),
            Swallowed::Refused(packet) => {
                self.denied = is_about_schema(&packet).then_some(packet);
                Ok(false)
            }
            Swallowed::Broken => Ok(false),
        }
    }

    async fn send_and_relay(
        &mut self,
        side: Side,
        task: Task,
        total: usize,
        replies: usize,
        may_retry: bool,
    ) -> Result<Tried, End> {
        let Some(kind) = self.send_task(side, task, total).await? else {
            return Ok(Tried::Relayed(Relayed::Lost { forwarded: false }));
        };
        let lap = self.links.laps.start();
        let restored = self.swallow(side, replies).await?;
        if replies > 0 {
            self.links.laps.restored(lap);
        }
        match restored {
            Swallowed::Done => {}
            Swallowed::Refused(_) => return Ok(Tried::NotRestored),
            Swallowed::Broken => return Ok(Tried::Relayed(Relayed::Lost { forwarded: false })),
        }
        match self.mended(side, task).await? {
            Mended::Nothing => {}
            Mended::Failed(tried) => return Ok(tried),
            Mended::Again => {
                if self.send_task(side, task, total).await?.is_none() {
                    return Ok(Tried::Relayed(Relayed::Lost { forwarded: false }));
                }
            }
        }
        let stmt = match task {
            Task::Prepare(id) | Task::PrepareRewritten(id) | Task::Execute(id) => Some(id),
            _ => None,
        };
        let relayed = self
            .relay_reply(Expect {
                side,
                kind,
                may_retry,
                stmt,
            })
            .await?;
        if let (Task::Execute(id), Relayed::Done(Outcome::Failed)) = (task, relayed) {
            self.unbind(side, id);
        }
        Ok(Tried::Relayed(relayed))
    }

    /// Looks at the first packet of a reply for two errors that prove that nothing was done, and that
    /// are ours to mend: the server does not know a copy that was believed in, or it has no room for one
    /// more while this connection has some to spare.
    async fn mended(&mut self, side: Side, task: Task) -> Result<Mended, End> {
        let code = match task {
            Task::Execute(_) => UNKNOWN_STATEMENT,
            Task::Prepare(_) | Task::PrepareRewritten(_) => NO_ROOM,
            _ => return Ok(Mended::Nothing),
        };
        if self.first_error(side).await? != Some(code) {
            return Ok(Mended::Nothing);
        }
        match task {
            Task::Execute(id) if self.is_unknown(side, id) => {
                self.swallow(side, 1).await?;
                self.forget_copy(side, id);
                self.shared.metrics.prepared.at(PreparedEvent::Lost).inc();
                if let Some(tried) = self.unprepared(side, id).await? {
                    return Ok(Mended::Failed(tried));
                }
                match self.restore(side).await? {
                    true => Ok(Mended::Again),
                    false => Ok(Mended::Failed(Tried::NotRestored)),
                }
            }
            Task::Prepare(_) | Task::PrepareRewritten(_) if self.shed(side) => {
                self.swallow(side, 1).await?;
                Ok(Mended::Again)
            }
            _ => Ok(Mended::Nothing),
        }
    }

    /// Sends `out` and the command behind it. `None` when the connection broke.
    async fn send_task(
        &mut self,
        side: Side,
        task: Task,
        total: usize,
    ) -> Result<Option<ReplyKind>, End> {
        self.renumber = Renumber::default();
        let kind = match task {
            Task::AsIs(kind) => kind,
            Task::Prepare(id) => {
                self.make_room(side, id);
                ReplyKind::Prepare
            }
            Task::Rewritten(kind) => {
                self.put_rewritten();
                return Ok(self.send_to_server(side).await.then_some(kind));
            }
            Task::PrepareRewritten(id) => {
                self.make_room(side, id);
                let prepare = com_stmt_prepare(&self.rewritten);
                let mut seq = 0;
                append_packet(&mut self.out, &mut seq, &prepare);
                self.renumber = Renumber::new(self.reply_seq, seq);
                let sent = self.send_to_server(side).await;
                return Ok(sent.then_some(ReplyKind::Prepare));
            }
            Task::Execute(id) => {
                let Some(kind) = self.put_execute(side, id, total) else {
                    return Err(End::Malformed);
                };
                return Ok(self.send_to_server(side).await.then_some(kind));
            }
        };
        let Self {
            links,
            client,
            out,
            gathered,
            ..
        } = self;
        let Some(link) = links.get_mut(side) else {
            return Ok(None);
        };
        if total == GATHERED {
            append_packet(out, &mut 0, gathered);
            return Ok(self.send_to_server(side).await.then_some(kind));
        }
        let command = client.input.data().get(..total).unwrap_or_default();
        let sent = if out.is_empty() {
            link.send(command).await
        } else {
            out.extend_from_slice(command);
            link.send(out).await
        };
        Ok(sent.is_ok().then_some(kind))
    }

    /// Appends to `out` the text in `rewritten`, with the query attributes of the client's own.
    fn put_rewritten(&mut self) {
        let Self {
            client,
            who,
            out,
            rewritten,
            standing,
            renumber,
            reply_seq,
            ..
        } = self;
        let mut seq = 0;
        let attributes = who.profile.query_attributes();
        let theirs = client.input.data().get(HEADER..*standing);
        let before = theirs.and_then(|theirs| {
            let text = query_text(theirs, attributes)?;
            theirs.get(..text.start)
        });
        match before {
            Some(before) => frame::append_with(out, &mut seq, |out| {
                out.extend_from_slice(before);
                out.extend_from_slice(rewritten);
            }),
            None => append_packet(out, &mut seq, &com_query(rewritten, attributes)),
        }
        *renumber = Renumber::new(*reply_seq, seq);
    }

    /// Sends what was put together in `out`; `false` when the connection broke.
    pub(super) async fn send_to_server(&mut self, side: Side) -> bool {
        let Some(link) = self.links.get_mut(side) else {
            return false;
        };
        let sent = link.send(&self.out).await.is_ok();
        self.out.clear();
        sent
    }

    /// Appends to `out` what gives the connection the session's state; `None` when that cannot be
    /// written down.
    fn put_restore(&mut self, side: Side) -> Option<usize> {
        let Self {
            links,
            state,
            shared,
            out,
            ..
        } = self;
        let link = links.get_mut(side)?;
        let in_transaction = state.transaction.open_on() == Some(side);
        let commits = side == Side::Replica && !state.transaction.autocommit() && !in_transaction;
        put_restore(link, &state.mirror, in_transaction, commits, shared, out).ok()
    }

    /// Appends COM_STMT_EXECUTE with the statement's id on that connection, and with the parameter
    /// types if the client bound them earlier and the connection has not seen them.
    fn put_execute(&mut self, side: Side, id: ClientStmtId, total: usize) -> Option<ReplyKind> {
        let keeps_kinds = !self.mode().dialect.is_mariadb();
        let Self {
            links,
            client,
            statements,
            who,
            out,
            gathered,
            renumber,
            reply_seq,
            ..
        } = self;
        let link = links.get_mut(side)?;
        let payload = match total {
            GATHERED => gathered,
            _ => client.input.data().get(HEADER..total)?,
        };
        let statement = statements.get_mut(id)?;
        let execute =
            StmtExecute::parse(payload, statement.params, who.profile.query_attributes())?;
        if let Some(types) = execute.types() {
            statement.bind(types);
        }
        let cursor = execute.asks_cursor();
        let at = match cursor {
            true => statement.tie(side, link)?,
            false => statement.find(side, link)?,
        };
        let server_id = link.copies.id(at)?;
        let earlier = execute.needs_types() && !statement.types.is_empty();
        let missing = earlier && !link.copies.has_bound(at, &statement.types);
        let types = missing.then_some(&*statement.types);
        let mut seq = 0;
        frame::append_with(out, &mut seq, |out| {
            execute.rewrite(out, server_id.0, types)
        });
        *renumber = Renumber::new(*reply_seq, seq);
        link.copies.bind(at, &statement.types);
        if keeps_kinds {
            let types = execute.bound(&statement.types);
            link.copies.runs_with(at, types, &mut link.pending);
        }
        Some(ReplyKind::Execute { cursor })
    }
}
