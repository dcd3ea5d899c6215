//! Commands that are too long to be held: a long text streams to the primary unread; the long
//! parameters of a prepared statement are gathered, for its id has to be rewritten, and so is a KILL.

use super::attempt::Task;
use super::freshness;
use super::hints;
use super::history::Went;
use super::reply::{Expect, Relayed};
use super::session::{End, Relay};
use super::staleness::StaleNote;
use super::statement::Statement;
use crate::backend::ServerConn;
use crate::domain::consistency::Level;
use crate::domain::routing::{Reason, Route, route};
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::control::begins_with_kill;
use crate::domain::sql::{Doubt, StatementProfile};
use crate::frontend::ClientError;
use crate::net::Conn;
use crate::net::conn::send_all;
use crate::protocol::command::{CommandCode, query_text};
use crate::protocol::frame::{FrameHeader, HEADER, Renumber};
use crate::protocol::reply::ReplyKind;
use crate::telemetry::Target;

use super::deferred::Opened;
use super::errors::client_error;

/// The protocol's own bound of a packet (the largest max_allowed_packet).
const MAX_PACKET: usize = 1 << 30;

/// How much of a text that is streamed unread is looked at for KILL and for hints.
const LOOKED_AT: usize = 64 * 1024;

/// Stands for the length of a command that was gathered from several frames.
pub(super) const GATHERED: usize = usize::MAX;

/// Why a command is not sent.
enum NotStreamed {
    Refused(ClientError),
    /// The primary would not begin the transaction that waited for it; its ERR packet.
    Denied(Vec<u8>),
}

impl From<ClientError> for NotStreamed {
    fn from(error: ClientError) -> Self {
        Self::Refused(error)
    }
}

impl Relay {
    /// Answers a command that is longer than what is held of a text, or has several frames. Only its
    /// header and first byte are known to be in the buffer.
    pub(super) async fn large_command(
        &mut self,
        code: CommandCode,
        header: FrameHeader,
    ) -> Result<(), End> {
        if code == CommandCode::Query && !self.begins_with_kill(header).await? {
            return self.stream_query(header).await;
        }
        if header.continues() {
            if !self.gather(header).await? {
                return self.refuse(ClientError::PacketTooLong).await;
            }
            let result = self.command(code, GATHERED).await;
            self.gathered = Vec::new();
            return result;
        }
        self.fill_client(header.frame_len()).await?;
        self.standing = header.frame_len();
        let result = self.command(code, header.frame_len()).await;
        self.standing = 0;
        self.client.input.consume(header.frame_len());
        result
    }

    /// Collects the payload of a packet of several frames. `false` when it is longer than any server
    /// takes; it is skipped then.
    async fn gather(&mut self, mut header: FrameHeader) -> Result<bool, End> {
        self.gathered.clear();
        loop {
            if self.gathered.len() + header.len > MAX_PACKET {
                self.gathered = Vec::new();
                self.skip_packet(header).await?;
                return Ok(false);
            }
            self.fill_client(header.frame_len()).await?;
            let payload = self.client.input.data().get(HEADER..header.frame_len());
            self.gathered.extend_from_slice(payload.unwrap_or_default());
            self.client.input.consume(header.frame_len());
            if !header.continues() {
                return Ok(true);
            }
            self.fill_client(HEADER).await?;
            header = FrameHeader::parse(self.client.input.data()).ok_or(End::Malformed)?;
            self.reply_seq = header.seq.wrapping_add(1);
        }
    }

    /// Streams a COM_QUERY to the primary, or to the replica that holds the open READ ONLY
    /// transaction. It was not read, so anything may have happened; the trackers will tell.
    async fn stream_query(&mut self, header: FrameHeader) -> Result<(), End> {
        let started = std::time::Instant::now();
        self.stale = StaleNote::None;
        let profile = StatementProfile::unread(Doubt::TooLarge);
        let statement = Statement {
            task: Task::AsIs(ReplyKind::Query),
            profile,
            total: 0,
            bound: None,
        };
        let terms = match self.look_at_beginning(header).await? {
            Ok(()) => self.terms(&statement, started).await,
            Err(error) => Err(error),
        };
        let terms = match terms {
            Ok(terms) => terms,
            Err(error) => {
                self.skip_packet(header).await?;
                return self.refuse(error).await;
            }
        };
        let side = match route(&self.state, &profile) {
            Route::HeldReplica(_) => Side::Replica,
            _ => Side::Primary,
        };
        match self.ready_for_stream(side, terms.level).await? {
            Ok(()) => {}
            Err(NotStreamed::Denied(packet)) => {
                self.skip_packet(header).await?;
                return self.pass_error(packet).await;
            }
            Err(NotStreamed::Refused(error)) => {
                self.skip_packet(header).await?;
                let over = matches!(error, ClientError::PrimaryLostIdle);
                self.refuse(error).await?;
                return if over { Err(End::StateLost) } else { Ok(()) };
            }
        }
        let kind = self.shared.watch.position_kind();
        self.state.own_writes_told = kind.tells_own_writes();
        self.touches = None;
        self.results = 0;
        self.state.on_start(&profile);
        self.note_before(side);
        self.renumber = Renumber::default();
        self.registered.runs(Some(side));
        let sent = self.stream_packet(side, header).await;
        let kind = ReplyKind::Query;
        // Also after a failed write: a server that finds the packet too long says so before it
        // closes.
        let expect = Expect {
            side,
            kind,
            may_retry: false,
            stmt: None,
        };
        let relayed = match sent {
            Ok(()) => self.relay_reply(expect).await,
            Err(end) => Err(end),
        };
        self.registered.runs(None);
        let relayed = relayed?;
        match relayed {
            Relayed::Done(outcome) => {
                self.ended(side, &profile, outcome);
                if side == Side::Primary {
                    self.note_savepoint(&statement, outcome);
                }
            }
            // Only kept from a client that it may be tried elsewhere for.
            Relayed::RefusedAsWrite | Relayed::GoingDown => {}
            Relayed::Lost { forwarded } => {
                self.ended(side, &profile, Outcome::Lost);
                self.links.discard(side, &self.registered);
                if !forwarded {
                    self.refuse(ClientError::PrimaryLost).await?;
                }
                return Err(End::StateLost);
            }
        }
        let target = match side {
            Side::Primary => Target::Primary,
            Side::Replica => Target::Replica,
        };
        let went = Went {
            access: profile.access,
            fingerprint: 0,
            target,
            reason: Reason::TooLarge,
            failed: relayed == Relayed::Done(Outcome::Failed),
        };
        self.note_went(went, started);
        self.settle_groups();
        Ok(())
    }

    /// Whether a COM_QUERY is a KILL, whose id is never relayed as it is.
    async fn begins_with_kill(&mut self, header: FrameHeader) -> Result<bool, End> {
        let (_, text) = self.beginning(header).await?;
        Ok(text.is_some_and(begins_with_kill))
    }

    /// Takes the hints in the beginning of the COM_QUERY that is about to be streamed.
    async fn look_at_beginning(
        &mut self,
        header: FrameHeader,
    ) -> Result<Result<(), ClientError>, End> {
        let attributes = self.who.profile.query_attributes();
        let (payload, text) = self.beginning(header).await?;
        let Some(text) = text else {
            // Attributes longer than that: whatever they say is not known.
            return Ok(Ok(()));
        };
        let hints = match hints::of_query(payload, text, attributes) {
            Ok(hints) => hints,
            Err(error) => return Ok(Err(error)),
        };
        self.state.hints = hints;
        if !self.shared.rules.any() {
            return Ok(Ok(()));
        }
        let (_, text) = self.beginning(header).await?;
        let text = text.unwrap_or_default().to_vec();
        let profile = StatementProfile::unread(Doubt::TooLarge);
        Ok(self.denied_unread(&profile, &text))
    }

    /// As much of a COM_QUERY as is looked at, and its text if that begins there.
    async fn beginning(&mut self, header: FrameHeader) -> Result<(&[u8], Option<&[u8]>), End> {
        let looked_at = header.frame_len().min(HEADER + LOOKED_AT);
        self.fill_client(looked_at).await?;
        let payload = self.payload(looked_at);
        let text = query_text(payload, self.who.profile.query_attributes());
        Ok((payload, text.and_then(|range| payload.get(range))))
    }

    /// Holds a connection with the session's state on it, that can show what the session has seen.
    async fn ready_for_stream(
        &mut self,
        side: Side,
        level: Level,
    ) -> Result<Result<(), NotStreamed>, End> {
        if side == Side::Replica {
            return Ok(match self.is_restored(side).await? {
                true => Ok(()),
                false => {
                    self.links.discard(side, &self.registered);
                    self.state.transaction.on_lost();
                    Err(ClientError::ReadOnlyTransactionLost.into())
                }
            });
        }
        let ready = freshness::primary_ready(&self.shared, &mut self.state, level).await;
        if let Err(why) = ready {
            return Ok(Err(ClientError::from(why).into()));
        }
        if self.links.died_idle(side).await && !self.drop_primary() {
            return Ok(Err(ClientError::PrimaryLostIdle.into()));
        }
        if let Err(error) = self.hold_primary().await {
            return Ok(Err(client_error(&error).into()));
        }
        if self.is_restored(side).await? {
            let opened = match self.state.transaction.deferred() {
                Some(deferred) => self.open_now(deferred).await?,
                None => Opened::Yes,
            };
            match opened {
                Opened::Yes => return Ok(Ok(())),
                Opened::Denied(packet) => return Ok(Err(NotStreamed::Denied(packet))),
                Opened::Broken | Opened::Refused => {}
            }
        }
        let error = match self.drop_primary() {
            true => ClientError::NotRestored,
            false => ClientError::PrimaryLostIdle,
        };
        Ok(Err(error.into()))
    }

    async fn is_restored(&mut self, side: Side) -> Result<bool, End> {
        Ok(self.links.get(side).is_some() && self.restore(side).await?)
    }

    /// Passes the frames of one packet on as they come. A server that stops taking them is no error
    /// here; its reply says why.
    async fn stream_packet(&mut self, side: Side, mut header: FrameHeader) -> Result<(), End> {
        let mut open = true;
        loop {
            let mut left = header.frame_len();
            while left > 0 {
                let Self { links, client, .. } = self;
                if client.input.is_empty() && client.fill().await.is_err() {
                    links.stop(side, &self.registered);
                    return Err(End::ClientGone);
                }
                let part = left.min(client.input.len());
                if let (true, Some(link)) = (open, links.get_mut(side)) {
                    open = pass(client, part, link).await;
                }
                client.input.consume(part);
                left -= part;
            }
            if !header.continues() {
                return Ok(());
            }
            if let Err(end) = self.fill_client(HEADER).await {
                self.links.stop(side, &self.registered);
                return Err(end);
            }
            header = FrameHeader::parse(self.client.input.data()).ok_or(End::Malformed)?;
            self.reply_seq = header.seq.wrapping_add(1);
        }
    }
}

async fn pass(client: &Conn, count: usize, link: &mut ServerConn) -> bool {
    let bytes = client.input.data().get(..count).unwrap_or_default();
    if link.pending.is_empty() {
        send_all(&link.conn.stream, bytes).await.is_ok()
    } else {
        link.send(bytes).await.is_ok()
    }
}
