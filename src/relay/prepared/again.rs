//! Prepares a statement on one more connection, without the client's knowing.

use crate::domain::ids::{ClientStmtId, ServerStmtId};
use crate::domain::session::Side;
use crate::protocol::command::com_stmt_prepare;
use crate::protocol::frame::{FrameHeader, HEADER, append_packet};
use crate::protocol::packets::ErrView;
use crate::protocol::reply::{EventKind, ReplyKind, ReplyTracker};
use crate::relay::attempt::Tried;
use crate::relay::links::put_restore;
use crate::relay::reply::{Relayed, Swallowed};
use crate::relay::session::{End, Relay};
use crate::telemetry::PreparedEvent;

/// The connection broke, and the client has seen nothing of it.
const LOST: Tried = Tried::Relayed(Relayed::Lost { forwarded: false });

/// ER_MAX_PREPARED_STMT_COUNT_REACHED.
pub(in crate::relay) const NO_ROOM: u16 = 1461;

/// How preparing a statement on one more connection went.
#[derive(Debug)]
pub(in crate::relay) enum Prepared {
    /// The connection knows it.
    Ready,
    /// The server refused; this is its ERR packet, which fits as the answer to any command.
    Refused(Vec<u8>),
    /// The connection cannot be used further.
    Broken(Tried),
}

impl Relay {
    /// Has the statement on a connection of that side, to the primary if none is held. `false` when
    /// that cannot be had.
    pub(in crate::relay) async fn prepared_on(
        &mut self,
        side: Side,
        id: ClientStmtId,
    ) -> Result<bool, End> {
        if side == Side::Primary && self.hold_primary().await.is_err() {
            return Ok(false);
        }
        match self.prepare_here(side, id).await? {
            Prepared::Ready => Ok(true),
            Prepared::Refused(_) => Ok(false),
            // COM_STMT_SEND_LONG_DATA has no reply that could tell.
            Prepared::Broken(_) if side == Side::Primary && !self.drop_primary() => {
                Err(End::StateLost)
            }
            Prepared::Broken(_) => {
                self.links.discard(side, &self.registered);
                Ok(false)
            }
        }
    }

    /// Makes sure that a held connection knows a statement: prepares it there if need be, under what
    /// was in force at the client's PREPARE.
    pub(in crate::relay) async fn prepare_here(
        &mut self,
        side: Side,
        id: ClientStmtId,
    ) -> Result<Prepared, End> {
        let metrics = &self.shared.metrics;
        let (Some(link), Some(statement)) = (self.links.get_mut(side), self.statements.get_mut(id))
        else {
            return Ok(Prepared::Broken(Tried::NotSent));
        };
        if statement.find(side, link).is_some() {
            metrics.prepared.at(PreparedEvent::Reused).inc();
            return Ok(Prepared::Ready);
        }
        metrics.prepared.at(PreparedEvent::Again).inc();
        let first = self.prepare_once(side, id).await?;
        match &first {
            Prepared::Refused(error) if code_of(error) == Some(NO_ROOM) && self.shed(side) => {
                self.prepare_once(side, id).await
            }
            _ => Ok(first),
        }
    }

    async fn prepare_once(&mut self, side: Side, id: ClientStmtId) -> Result<Prepared, End> {
        let Some(replies) = self.put_past(side, id) else {
            return Ok(Prepared::Broken(Tried::NotRestored));
        };
        self.make_room(side, id);
        if let Some(statement) = self.statements.get(id) {
            let prepare = com_stmt_prepare(statement.text());
            append_packet(&mut self.out, &mut 0, &prepare);
        }
        // A PREPARE does nothing, so it may share a write with what it needs: where that fails, the
        // connection is not used further.
        if !self.send_to_server(side).await {
            return Ok(Prepared::Broken(LOST));
        }
        match self.swallow(side, replies).await? {
            Swallowed::Done => self.take_prepared(side, id).await,
            Swallowed::Refused(_) => Ok(Prepared::Broken(Tried::NotRestored)),
            Swallowed::Broken => Ok(Prepared::Broken(LOST)),
        }
    }

    /// Puts into `out` what makes true again on a connection what was at the client's PREPARE; gives
    /// the number of replies.
    fn put_past(&mut self, side: Side, id: ClientStmtId) -> Option<usize> {
        let Self {
            links,
            statements,
            state,
            shared,
            out,
            ..
        } = self;
        let (link, statement) = (links.get_mut(side)?, statements.get(id)?);
        let past = statement.text.under().again(&state.mirror);
        out.clear();
        let in_transaction = state.transaction.open_on() == Some(side);
        let commits = side == Side::Replica && !state.transaction.autocommit() && !in_transaction;
        put_restore(link, &past, in_transaction, commits, shared, out).ok()
    }

    /// Before a statement is prepared on a connection: closes an equal copy there, and as many others
    /// as there are too many.
    pub(in crate::relay) fn make_room(&mut self, side: Side, id: ClientStmtId) {
        let (Some(link), Some(statement)) = (self.links.get_mut(side), self.statements.get(id))
        else {
            return;
        };
        let bound = self.in_force.config.pool.prepared_per_connection;
        let evicted = link
            .copies
            .make_room(&statement.text, bound, &mut link.pending);
        let evicted = u64::try_from(evicted).unwrap_or_default();
        let metrics = &self.shared.metrics.prepared;
        metrics.at(PreparedEvent::Evicted).inc_by(evicted);
    }

    /// The server has no room for one more statement: closes all on this connection that nobody needs
    /// at the moment. `false` when there were none.
    pub(in crate::relay) fn shed(&mut self, side: Side) -> bool {
        let Some(link) = self.links.get_mut(side) else {
            return false;
        };
        let closed = link.copies.shed(&mut link.pending);
        let metrics = &self.shared.metrics.prepared;
        let evicted = u64::try_from(closed).unwrap_or_default();
        metrics.at(PreparedEvent::Evicted).inc_by(evicted);
        closed > 0
    }

    /// Takes in the reply of a COM_STMT_PREPARE that the client knows nothing of.
    async fn take_prepared(&mut self, side: Side, id: ClientStmtId) -> Result<Prepared, End> {
        let mut tracker = ReplyTracker::new(ReplyKind::Prepare, self.who.profile);
        let mut result = Prepared::Broken(LOST);
        while !tracker.is_done() {
            let Some(link) = self.links.get_mut(side) else {
                return Ok(Prepared::Broken(LOST));
            };
            let scan = tracker.scan(link.conn.input.data());
            let mut used = scan.forward;
            if let Some(event) = scan.event {
                let packet = link.conn.input.data().get(used..used + event.len);
                match (event.kind, self.statements.get_mut(id)) {
                    (
                        EventKind::Prepared {
                            stmt_id, params, ..
                        },
                        Some(statement),
                    ) => {
                        statement.on_prepared(side, link, ServerStmtId(stmt_id));
                        result = match params == statement.params {
                            true => Prepared::Ready,
                            // It is not what the client prepared: the server read it differently.
                            false => Prepared::Broken(Tried::NotRestored),
                        };
                    }
                    (EventKind::Err, _) => {
                        result = Prepared::Refused(packet.unwrap_or_default().to_vec());
                    }
                    _ => return Ok(Prepared::Broken(LOST)),
                }
                used += event.len;
            }
            link.conn.input.consume(used);
            if used == 0 && !tracker.is_done() && !self.fill_from_server(side, false).await? {
                return Ok(Prepared::Broken(LOST));
            }
        }
        Ok(result)
    }

    /// Whether the error with which the reply to an execution begins is about a copy that the server
    /// has forgotten, and that nothing was sent ahead to.
    pub(in crate::relay) fn is_unknown(&mut self, side: Side, id: ClientStmtId) -> bool {
        let (Some(link), Some(statement)) = (self.links.get_mut(side), self.statements.get_mut(id))
        else {
            return false;
        };
        let Some(server_id) = statement.find(side, link).and_then(|at| link.copies.id(at)) else {
            return false;
        };
        let input = link.conn.input.data();
        let len = FrameHeader::parse(input).map_or(0, FrameHeader::frame_len);
        let error = input.get(HEADER..len).and_then(ErrView::parse);
        statement.long_data.is_empty()
            && error.is_some_and(|error| is_about_command(&error, server_id))
    }

    /// The server does not know the copy on this connection.
    pub(in crate::relay) fn forget_copy(&mut self, side: Side, id: ClientStmtId) {
        if let (Some(link), Some(statement)) =
            (self.links.get_mut(side), self.statements.get_mut(id))
            && let Some(at) = statement.find(side, link)
        {
            link.copies.forget(at);
            statement.untie(None);
        }
    }

    /// An execution failed: perhaps before the server took in the types that came with it.
    pub(in crate::relay) fn unbind(&mut self, side: Side, id: ClientStmtId) {
        if let (Some(link), Some(statement)) =
            (self.links.get_mut(side), self.statements.get_mut(id))
            && let Some(at) = statement.find(side, link)
        {
            link.copies.unbind(at);
        }
    }

    /// The error code with which a reply begins, once the packet is there; `None` when it begins
    /// with anything else, or the connection broke. Nothing of it is taken.
    pub(in crate::relay) async fn first_error(&mut self, side: Side) -> Result<Option<u16>, End> {
        loop {
            let Some(link) = self.links.get_mut(side) else {
                return Ok(None);
            };
            let input = link.conn.input.data();
            let whole = FrameHeader::parse(input).is_some_and(|it| input.len() >= it.frame_len());
            match input.get(HEADER) {
                Some(0xFF) if whole => return Ok(code_of(input)),
                Some(0xFF) | None => {}
                Some(_) => return Ok(None),
            }
            if !self.fill_from_server(side, false).await? {
                return Ok(None);
            }
        }
    }
}

/// What MySQL and MariaDB call the command where they do not know its statement. EXECUTE inside a
/// procedure fails with the same error and other words, when the procedure may have done much.
const BY_COMMAND: [&[u8]; 3] = [
    b"mysql_stmt_precheck",
    b"mysqld_stmt_execute",
    b"mysql_stmt_execute",
];

/// Whether an error says that the server does not know the statement of the command itself.
fn is_about_command(error: &ErrView<'_>, id: ServerStmtId) -> bool {
    let says = |part: &[u8]| error.message.windows(part.len()).any(|it| it == part);
    let named = format!("({})", id.0);
    says(named.as_bytes()) && BY_COMMAND.iter().any(|name| says(name))
}

/// The code of the ERR packet at the start of these bytes.
fn code_of(input: &[u8]) -> Option<u16> {
    let code = input.get(HEADER + 1..HEADER + 3)?.first_chunk()?;
    Some(u16::from_le_bytes(*code))
}
