//! One client session, from its first byte to its last.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::AbortHandle;

use super::alarm::Alarm;
use super::budget::Permit;
use super::bulk::GATHERED;
use super::classify::Lexer;
use super::diagnostics::Told;
use super::groups::{group_of, settings_of};
use super::history::Tally;
use super::kill::Registered;
use super::links::{Links, SIDES};
use super::login::{self, Client};
use super::prepared::Statements;
use super::processlist::Captured;
use super::reload::InForce;
use super::rules::TimeLimit;
use super::shadow::Foresight;
use super::shared::Shared;
use super::staleness::StaleNote;
use crate::domain::consistency::GroupKey;
use crate::domain::ids::SessionId;
use crate::domain::routing::rules::Ruled;
use crate::domain::session::{ClientTraits, Session};
use crate::domain::sql::Hints;
use crate::domain::sql::state::Touches;
use crate::domain::topology::Leavings;
use crate::frontend::ClientError;
use crate::frontend::login::LoginError;
use crate::net::{Conn, Stream};
use crate::protocol::caps::CapabilityFlags;
use crate::protocol::command::CommandCode;
use crate::protocol::frame::{FrameHeader, HEADER, Renumber};
use crate::protocol::status::Status;
use crate::telemetry::{PinGauge, SessionGauge, SessionState};

/// Why a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said goodbye.
    Quit,
    /// The proxy is shutting down.
    ShuttingDown,
    /// COMMIT or ROLLBACK with RELEASE: a server closes the connection after its OK.
    Released,
    /// The client was silent for longer than the `wait_timeout` that it set.
    Inactive,
    /// The client's connection closed or broke.
    ClientGone,
    /// The login could not be completed; the client was told why.
    Refused,
    /// The client sent bytes that are no MySQL protocol.
    Malformed,
    /// The client killed its own session.
    Killed,
    /// The client replicated from the primary, and either of them closed.
    Replicated,
    /// The connection to the primary broke, and state of the session with it.
    StateLost,
    /// A reply broke off after part of it had been forwarded: the client cannot be told more.
    ReplyBroken,
}

impl End {
    /// The word for it in the log line of the session's end.
    fn name(&self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Released => "released at the end of a transaction",
            Self::ShuttingDown => "shutting down",
            Self::Inactive => "silent for longer than its own wait_timeout",
            Self::ClientGone => "client gone",
            Self::Refused => "login refused",
            Self::Malformed => "malformed packet",
            Self::Killed => "killed by itself",
            Self::Replicated => "replication ended",
            Self::StateLost => "session state lost with the primary's connection",
            Self::ReplyBroken => "reply broken off",
        }
    }
}

/// A session that is logged in.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) shared: Arc<Shared>,
    /// The configuration that it goes by.
    pub(super) in_force: InForce,
    pub(super) client: Conn,
    pub(super) who: Client,
    pub(super) state: Session,
    pub(super) links: Links,
    pub(super) statements: Statements,
    pub(super) lexer: Lexer,
    pub(super) registered: Registered,
    pub(super) gauge: SessionGauge,
    /// What is being put together for a server or the client; reused.
    pub(super) out: Vec<u8>,
    /// The text that is sent instead of the client's, where its own is partly for us.
    pub(super) rewritten: Vec<u8>,
    /// Results that the statement at hand has had so far.
    pub(super) results: usize,
    /// Whether the answer at hand is that of a packet's first statement: others follow.
    pub(super) more_follows: bool,
    /// The sequence id with which a reply to the command at hand begins: one for each of its frames.
    pub(super) reply_seq: u8,
    /// How the reply at hand is numbered for the client, where its command went on in more or fewer frames.
    pub(super) renumber: Renumber,
    /// The payload of a command of several frames.
    pub(super) gathered: Vec<u8>,
    /// Bytes of the command at hand that stand in the client's buffer until it is answered; 0 for
    /// one that was streamed or gathered.
    pub(super) standing: usize,
    /// The causal group that the session is in.
    pub(super) group: GroupKey,
    /// The one of the statement at hand, if it names one itself.
    pub(super) statement_group: Option<GroupKey>,
    /// Other groups that the open transaction wrote for: its commit is for them, too.
    pub(super) open_groups: Vec<GroupKey>,
    /// Whether the client set `pseudo_thread_id`, by which a server answers CONNECTION_ID() from then on.
    pub(super) renamed: bool,
    /// The primary's history that the session's positions are of.
    pub(super) history: u64,
    /// What `highwater_read_after` was set to last.
    pub(super) read_after: String,
    /// What the reply under way has told.
    pub(super) told: Told,
    /// The status flags of the packet that ended the last result.
    pub(super) ended_with: Status,
    /// What the client is still to be told of an answer that was older than asked for.
    pub(super) stale: StaleNote,
    /// The right to run on the primary the READ ONLY transaction that is open there, if it was meant
    /// for a replica.
    pub(super) permit: Option<Permit>,
    /// Why the statement at hand cannot run in the session's schema, as the server's ERR packet.
    pub(super) denied: Option<Vec<u8>>,
    /// The version of the mirror whose schema others were told.
    told_version: Option<u64>,
    /// A reply that is kept from the client, where one is.
    pub(super) captured: Captured,
    /// What the text of the statement at hand says that it does to the session's state.
    pub(super) touches: Option<Touches>,
    /// Whether the statement at hand may run a trigger.
    pub(super) may_trigger: bool,
    /// What that may leave untold.
    pub(super) leavings: Leavings,
    /// Which named locks are held has to be asked.
    pub(super) locks_unsure: bool,
    /// Whether a routine that the session ran may have made temporary tables that nobody told of.
    pub(super) tables_unsure: bool,
    /// User variables were set to NULL: what types they keep may have to be asked.
    pub(super) nulls_unsure: bool,
    /// For waits that are nearly always over before.
    pub(super) alarm: Alarm,
    /// The session's pins, as far as metrics and registry know of them.
    pub(super) pinned: PinGauge,
    /// Their version.
    pub(super) told_pins: u64,
    /// Whether the client is told of the way of each of its statements.
    pub(super) trace: bool,
    /// Where the client comes from, if that is known.
    pub(super) from: Option<IpAddr>,
    /// The time that a rule gives the statement at hand.
    pub(super) time_limit: Option<TimeLimit>,
    /// What the client asked to be prepared, where a rule made another text of it.
    pub(super) asked_text: Option<Box<[u8]>>,
    /// What is counted of the command at hand.
    pub(super) tally: Tally,
    /// What shadow mode remembers.
    pub(super) foresight: Foresight,
    pub(super) diary: Diary,
}

/// What the log line of a session's end tells.
#[derive(Debug)]
pub(super) struct Diary {
    pub(super) id: SessionId,
    peer: String,
    pub(super) user: Arc<str>,
    started: Instant,
    end: &'static str,
    pub(super) on_primary: u64,
    pub(super) on_replicas: u64,
    pub(super) by_proxy: u64,
    pub(super) errors: u64,
}

/// Runs a client's session until it ends. `task` ends it from outside (KILL, shutdown).
pub async fn serve(shared: Arc<Shared>, stream: Stream, id: SessionId, task: Option<AbortHandle>) {
    let started = Instant::now();
    let peer = stream.peer();
    let mut client = Conn::new(stream);
    let gauge = shared.metrics.session(SessionState::LoggingIn);
    let seat = shared.seat();
    let accepted = match login::accept(&shared, &mut client, id, seat.as_ref()).await {
        Ok(accepted) => accepted,
        Err(error) => {
            if let LoginError::Rejected(error) = &error {
                shared.metrics.error(error.kind(), error.side());
            }
            tracing::info!(session = id.0, %peer, %error, "login failed");
            return;
        }
    };
    let diary = Diary {
        id,
        peer,
        user: Arc::clone(&accepted.user),
        started,
        end: "killed or shut down",
        on_primary: 0,
        on_replicas: 0,
        by_proxy: 0,
        errors: 0,
    };
    let mut relay = Relay::new(shared, client, accepted, task, gauge, diary);
    let end = match relay.begin().await {
        Ok(()) => relay.run().await,
        Err(end) => end,
    };
    relay.close(&end).await;
    relay.diary.end = end.name();
}

/// The address of a client that is known as `host`; a unix socket's is this machine's own.
fn address_of(host: &str) -> Option<IpAddr> {
    if host == "localhost" {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let address = host.parse::<SocketAddr>().ok()?;
    Some(address.ip().to_canonical())
}

impl Drop for Diary {
    /// One line per session, also for one that is ended from outside.
    fn drop(&mut self) {
        let Self {
            on_primary,
            on_replicas,
            by_proxy,
            errors,
            ..
        } = *self;
        tracing::info!(
            session = self.id.0, peer = %self.peer, user = %self.user, end = self.end,
            seconds = self.started.elapsed().as_secs_f64(),
            on_primary, on_replicas, by_proxy, errors,
            "session ended"
        );
    }
}

impl Relay {
    fn new(
        shared: Arc<Shared>,
        client: Conn,
        who: Client,
        task: Option<AbortHandle>,
        mut gauge: SessionGauge,
        diary: Diary,
    ) -> Self {
        let host = match &*diary.peer {
            "unix" => "localhost",
            peer => peer,
        };
        let known_as = (Arc::clone(&who.user), host);
        let from = address_of(host);
        let registered = Registered::enter(Arc::clone(&shared), diary.id, known_as, task);
        let in_force = InForce::new(&shared);
        let settings = settings_of(&in_force.config, &who.user);
        let group = group_of(&in_force.config, &who);
        let traits = ClientTraits {
            found_rows: who.caps.contains(CapabilityFlags::CLIENT_FOUND_ROWS),
            state_after_rows: who.profile.deprecate_eof(),
        };
        gauge.set(SessionState::Idle);
        let state = Session::new(settings, traits);
        let history = shared.watch.history();
        Self {
            links: Links::new(Arc::clone(&shared), &who),
            lexer: Lexer::default(),
            statements: Statements::new(diary.id),
            out: Vec::new(),
            rewritten: Vec::new(),
            results: 0,
            reply_seq: 1,
            renumber: Renumber::default(),
            gathered: Vec::new(),
            standing: 0,
            group,
            statement_group: None,
            open_groups: Vec::new(),
            more_follows: false,
            renamed: false,
            history,
            read_after: String::new(),
            told: Told::default(),
            ended_with: Status::default(),
            stale: StaleNote::None,
            permit: None,
            denied: None,
            told_version: None,
            captured: Captured::default(),
            touches: None,
            may_trigger: false,
            leavings: Leavings::NOTHING,
            locks_unsure: false,
            tables_unsure: false,
            nulls_unsure: false,
            alarm: Alarm::default(),
            pinned: shared.metrics.pin_gauge(),
            told_pins: 0,
            trace: false,
            from,
            time_limit: None,
            asked_text: None,
            tally: Tally::default(),
            foresight: Foresight::default(),
            diary,
            in_force,
            shared,
            client,
            who,
            state,
            registered,
            gauge,
        }
    }

    /// Up to the first command.
    async fn begin(&mut self) -> Result<(), End> {
        self.open().await?;
        self.run_init_connect().await
    }

    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.one_command().await {
                return end;
            }
        }
    }

    /// Reads one command and answers it.
    async fn one_command(&mut self) -> Result<(), End> {
        self.tell_schema();
        let interruptible = !self.state.transaction.is_open();
        if interruptible {
            self.registered.waits();
        }
        let header = self.next_header().await?;
        self.reply_seq = 1;
        self.take_config();
        self.state.hints = Hints::default();
        self.state.ruled = Ruled::default();
        self.begin_tally();
        self.begin_laps();
        if interruptible && !self.registered.wakes() {
            return Err(End::ShuttingDown);
        }
        if header.len == 0 || header.seq != 0 {
            return self.refuse_and_end(ClientError::Malformed).await;
        }
        let held = self.in_force.config.limits.max_command_held;
        let code = self
            .client
            .input
            .data()
            .get(HEADER)
            .copied()
            .unwrap_or_default();
        let Some(code) = CommandCode::from_byte(code) else {
            self.skip_packet(header).await?;
            return self
                .refuse_command(ClientError::UnknownCommand, false)
                .await;
        };
        self.gauge.set(SessionState::Active);
        self.learn_lists().await?;
        self.keep_tellers().await;
        let result = if header.continues() || header.len > held {
            self.large_command(code, header).await
        } else {
            self.fill_client(header.frame_len()).await?;
            self.standing = header.frame_len();
            let result = self.command(code, header.frame_len()).await;
            self.standing = 0;
            self.client.input.consume(header.frame_len());
            result
        };
        self.gauge.set(SessionState::Idle);
        result?;
        self.rest().await;
        Ok(())
    }

    /// Tells others the session's default schema, where it may have changed.
    fn tell_schema(&mut self) {
        let version = self.state.mirror.version();
        if self.told_version != Some(version) {
            self.told_version = Some(version);
            self.registered.in_schema(self.state.mirror.schema());
        }
    }

    /// The header of the next command, and its first byte if it has one.
    async fn next_header(&mut self) -> Result<FrameHeader, End> {
        self.await_next_command(HEADER).await?;
        let header = FrameHeader::parse(self.client.input.data()).ok_or(End::Malformed)?;
        if header.len > 0 {
            self.fill_client(HEADER + 1).await?;
        }
        Ok(header)
    }

    pub(super) async fn fill_client(&mut self, total: usize) -> Result<(), End> {
        if self.client.input.len() >= total {
            return Ok(());
        }
        self.client
            .fill_to(total)
            .await
            .map_err(|_| End::ClientGone)
    }

    /// The payload of the command at hand, whose frame has `total` bytes, or which was gathered.
    pub(super) fn payload(&self, total: usize) -> &[u8] {
        if total == GATHERED {
            return &self.gathered;
        }
        self.client
            .input
            .data()
            .get(HEADER..total)
            .unwrap_or_default()
    }

    /// Drops a packet that nobody will read.
    pub(super) async fn skip_packet(&mut self, mut header: FrameHeader) -> Result<(), End> {
        loop {
            let mut left = header.frame_len();
            while left > 0 {
                if self.client.input.is_empty() {
                    self.client.fill().await.map_err(|_| End::ClientGone)?;
                }
                let now = left.min(self.client.input.len());
                self.client.input.consume(now);
                left -= now;
            }
            if !header.continues() {
                return Ok(());
            }
            self.fill_client(HEADER).await?;
            header = FrameHeader::parse(self.client.input.data()).ok_or(End::Malformed)?;
            self.reply_seq = header.seq.wrapping_add(1);
        }
    }

    /// Answers the command with an error; the session goes on.
    pub(super) async fn refuse(&mut self, error: ClientError) -> Result<(), End> {
        let error = self.in_time(error);
        let mut seq = self.reply_seq;
        self.diary.errors += 1;
        self.shared.metrics.error(error.kind(), error.side());
        self.note_refusal(&error);
        self.out.clear();
        error.put(&mut self.out, &mut seq);
        self.send_out().await
    }

    /// Answers with an error and ends the session.
    pub(super) async fn refuse_and_end(&mut self, error: ClientError) -> Result<(), End> {
        self.refuse(error).await?;
        Err(End::Malformed)
    }

    /// Sends what was put together in `out` to the client.
    pub(super) async fn send_out(&mut self) -> Result<(), End> {
        let sent: io::Result<()> = self.client.send(&self.out).await;
        self.out.clear();
        sent.map_err(|_| End::ClientGone)
    }

    /// Lets go of the server connections.
    async fn close(&mut self, end: &End) {
        self.registered.runs(None);
        for side in SIDES {
            match end {
                End::Quit if self.links.lends() => self.part_with(side).await,
                // The server closed the connection that it came over.
                End::Released | End::ReplyBroken => self.links.discard(side, &self.registered),
                End::Quit
                | End::Refused
                | End::ShuttingDown
                | End::Inactive
                | End::ClientGone
                | End::Malformed
                | End::Killed
                | End::Replicated
                | End::StateLost => {
                    self.links.release(side, &self.registered);
                }
            }
        }
    }
}
