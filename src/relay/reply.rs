//! Relays the reply of one command from a server to the client.
//!
//! Bytes that end nothing are passed on as they come. A packet that ends a result is first taken in
//! by the session, then given to the client as that client may see it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::changes::tell_changes;
use super::groups::acknowledge;
use super::links::Links;
use super::reload::InForce;
use super::session::{End, Relay};
use crate::backend::Identity;
use crate::domain::ids::{ClientStmtId, ServerStmtId};
use crate::domain::session::aftermath::Ending;
use crate::domain::session::{Applied, Outcome, Session, Side, Tracked, TrackerWish};
use crate::monitor::Watch;
use crate::net::Conn;
use crate::protocol::caps::CapabilityFlags;
use crate::protocol::frame::{self, FrameHeader, HEADER};
use crate::protocol::ok::{
    OkView, TrackEntry, change_status, rewrite_ok, set_warnings, strip_ok_in_place,
};
use crate::protocol::packets::{self, ErrView};
use crate::protocol::reply::{Event, EventKind, ReplyKind, ReplyTracker};
use crate::protocol::status::Status;

/// Refusals that prove that a statement did nothing: the server or the transaction is read only.
const REFUSED_AS_WRITE: [u16; 3] = [1290, 1792, 1836];
/// The server is going down, or a shutdown cut the statement off.
const GOING_DOWN: [u16; 2] = [1053, 1927];

/// A replica that is silent for so long may be down.
const SILENCE: Duration = Duration::from_millis(100);

/// How long a statement goes on whose client will send no more: a server itself would not notice that one
/// is gone before it has the answer, however long that takes.
const PARTING: Duration = Duration::from_secs(5);

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    /// The client has all of it.
    Done(Outcome),
    /// The replica refused the statement as a write; the client has seen nothing.
    RefusedAsWrite,
    /// The replica says that it goes down; the client has seen nothing.
    GoingDown,
    /// The connection broke, or the server is going down. `forwarded` says whether the client has
    /// seen part of the reply.
    Lost {
        /// Whether the client has seen part of the reply.
        forwarded: bool,
    },
}

/// What is to be relayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expect {
    pub(super) side: Side,
    pub(super) kind: ReplyKind,
    /// Whether an error that allows it may be kept from the client, to try elsewhere.
    pub(super) may_retry: bool,
    /// The prepared statement that it is about: that a COM_STMT_PREPARE's reply names, or that runs.
    pub(super) stmt: Option<ClientStmtId>,
}

impl Relay {
    /// Relays one reply.
    ///
    /// # Errors
    /// When the client left; its statement is being stopped then.
    pub(super) async fn relay_reply(&mut self, expect: Expect) -> Result<Relayed, End> {
        let other_flags = self.flags_to_show(expect.side) != (0, 0) || expect.stmt.is_some();
        let mut tracker =
            ReplyTracker::new(expect.kind, self.who.profile).telling_columns_end(other_flags);
        let mut other_columns = false;
        self.told.expect(expect.kind);
        let mut forwarded = false;
        // The columns wait for the rows that came with them: one write to the client.
        let mut held = 0;
        let mut outcome = Outcome::Done {
            affected: 0,
            rows: false,
        };
        loop {
            let Some(link) = self.links.get_mut(expect.side) else {
                return Ok(Relayed::Lost { forwarded });
            };
            let input = link.conn.input.data();
            let scan = tracker.scan(input.get(held..).unwrap_or_default());
            let mut ready = held + scan.forward;
            if let Some(event) = scan.event {
                if event.kind == EventKind::Malformed {
                    return Ok(Relayed::Lost { forwarded });
                }
                if event.kind == EventKind::Err && self.is_out_of_time(expect.side, ready, event) {
                    self.take_in(expect, ready, event, outcome, 0);
                    return self.tell_out_of_time(expect.side, ready, event).await;
                }
                let Some(link) = self.links.get_mut(expect.side) else {
                    return Ok(Relayed::Lost { forwarded });
                };
                if event.kind == EventKind::Err
                    && expect.may_retry
                    && !forwarded
                    && let Some(verdict) = retry_verdict(link.conn.input.data(), ready, event)
                {
                    // With the columns before it, which were held back.
                    link.conn.input.consume(ready + event.len);
                    return Ok(verdict);
                }
                outcome = self.take_in(expect, ready, event, outcome, tracker.rows());
                if event.kind == EventKind::ResultEnd {
                    self.tally.rows += tracker.rows();
                }
                if matches!(event.kind, EventKind::ResultEnd | EventKind::ColumnsEnd)
                    && let Some(other) = self.is_told_otherwise(expect, tracker.columns())
                {
                    other_columns |= other;
                    self.tell_columns(expect, other_columns, ready, event);
                }
                let ends = matches!(event.kind, EventKind::Ok | EventKind::ResultEnd);
                if ends && tracker.is_done() {
                    self.flag_end(expect.side, ready, event.len);
                }
                ready += self.show(expect, ready, event);
                if event.kind == EventKind::ColumnsEnd && self.has_input(expect.side, ready) {
                    held = ready;
                    continue;
                }
            }
            if ready > 0 {
                self.forward(expect.side, ready).await?;
                self.tally.bytes += ready as u64;
                forwarded = true;
                held = 0;
                if scan
                    .event
                    .is_some_and(|event| event.kind == EventKind::LocalInfile)
                    && !self.relay_infile(expect.side).await?
                {
                    return Ok(Relayed::Lost { forwarded });
                }
            }
            if tracker.is_done() {
                return Ok(Relayed::Done(outcome));
            }
            if ready == 0 && !self.fill_from_server(expect.side, forwarded).await? {
                return Ok(Relayed::Lost { forwarded });
            }
        }
    }

    /// Whether more than `count` bytes of the server's are here.
    fn has_input(&self, side: Side, count: usize) -> bool {
        let link = self.links.get(side);
        link.is_some_and(|link| link.conn.input.data().len() > count)
    }

    /// Gives the session what an event says. `at` is where its packet begins.
    pub(super) fn take_in(
        &mut self,
        expect: Expect,
        at: usize,
        event: Event,
        before: Outcome,
        rows: u64,
    ) -> Outcome {
        let Self {
            links,
            state,
            shared,
            results,
            statement_group,
            group,
            open_groups,
            statements,
            told,
            ..
        } = self;
        let groups = (statement_group.as_ref().unwrap_or(group), &**open_groups);
        let Some(link) = links.get_mut(expect.side) else {
            return before;
        };
        let packet = link
            .conn
            .input
            .data()
            .get(at..at + event.len)
            .unwrap_or_default();
        let payload = frame::payload(packet).unwrap_or_default();
        match event.kind {
            EventKind::Ok | EventKind::ResultEnd => {
                let Some(ok) = OkView::parse(payload) else {
                    return before;
                };
                let on = TookIn {
                    side: expect.side,
                    identity: link.identity,
                    watch: &shared.watch,
                };
                on.state_block(&ok, state, &mut link.applied);
                state.on_status(expect.side, ok.status.0);
                *results += 1;
                self.ended_with = ok.status;
                told.ends(match event.kind {
                    EventKind::ResultEnd => Ending::Rows {
                        count: rows,
                        warnings: ok.warnings,
                    },
                    _ => Ending::Ok {
                        affected: ok.affected_rows,
                        insert_id: ok.last_insert_id,
                        warnings: ok.warnings,
                    },
                });
                let outcome = Outcome::Done {
                    affected: ok.affected_rows,
                    rows: event.kind == EventKind::ResultEnd,
                };
                acknowledge(shared, state, groups, expect.side, outcome, event.more);
                tell_changes(shared, state, link, (outcome, None), event.more);
                outcome
            }
            EventKind::Err => {
                told.fails(packet);
                let code = ErrView::parse(payload).map_or(0, |error| error.code);
                state.on_error(code);
                let outcome = Outcome::Failed;
                tell_changes(shared, state, link, (outcome, Some(code)), false);
                acknowledge(shared, state, groups, expect.side, outcome, false);
                outcome
            }
            EventKind::Prepared {
                stmt_id,
                params,
                columns,
            } => {
                let warnings = payload.get(10..).and_then(<[u8]>::first_chunk);
                told.ends(Ending::Ok {
                    affected: 0,
                    insert_id: 0,
                    warnings: warnings.map_or(0, |it| u16::from_le_bytes(*it)),
                });
                if let Some(statement) = expect.stmt.and_then(|id| statements.get_mut(id)) {
                    statement.params = params;
                    statement.columns = columns.into();
                    statement.on_prepared(expect.side, link, ServerStmtId(stmt_id));
                }
                before
            }
            EventKind::ColumnsEnd | EventKind::LocalInfile | EventKind::Malformed => before,
        }
    }

    /// The status flags that the client must see set, and those that it must not see, where the
    /// server's are not its own.
    fn flags_to_show(&self, side: Side) -> (u16, u16) {
        let (lacks, extra) = match side {
            Side::Replica => self.state.transaction.flags_on_replica(),
            Side::Primary => (self.state.transaction.flags_on_primary(), 0),
        };
        match self.more_follows {
            true => (lacks | Status::MORE_RESULTS.0, extra),
            false => (lacks, extra),
        }
    }

    /// Whether the result of an execution has another number of columns than the client was told last.
    /// From now on it was told this one. `None` when nothing was told, as of a CALL.
    fn is_told_otherwise(&mut self, expect: Expect, columns: u64) -> Option<bool> {
        let statement = expect.stmt.and_then(|id| self.statements.get_mut(id))?;
        let told = std::mem::replace(&mut statement.columns, columns);
        if told == 0 {
            statement.columns = 0;
            return None;
        }
        Some(told != columns)
    }

    /// Says in the packet at `at`, as one server does, whether there are other columns than before:
    /// of several servers each knows only its own copy of the statement.
    fn tell_columns(&mut self, expect: Expect, other: bool, at: usize, event: Event) {
        let flag = Status::METADATA_CHANGED;
        if other == event.status.contains(flag) {
            return;
        }
        if let Some(link) = self.links.get_mut(expect.side) {
            let packet = link.conn.input.data_mut().get_mut(at..at + event.len);
            let (set, clear) = if other { (flag.0, 0) } else { (0, flag.0) };
            change_status(packet.unwrap_or_default(), set, clear);
        }
    }

    /// Makes an event's packet what the client may see; gives its length, which may have changed.
    fn show(&mut self, expect: Expect, at: usize, event: Event) -> usize {
        let (lacks, extra) = self.flags_to_show(expect.side);
        let warnings = match (expect.kind, event.kind) {
            (ReplyKind::Simple, EventKind::Ok) => {
                let mariadb = self.mode().dialect.is_mariadb() || self.told.of_prepared;
                Some(self.state.aftermath.warnings_told(mariadb))
            }
            _ => None,
        };
        let Self {
            links, state, who, ..
        } = self;
        let Some(link) = links.get_mut(expect.side) else {
            return event.len;
        };
        let input = &mut link.conn.input;
        if event.kind == EventKind::Err && state.transaction.open_on() == Some(Side::Replica) {
            let packet = input.data_mut().get_mut(at..at + event.len);
            let len = as_in_read_only_transaction(packet.unwrap_or_default());
            input.remove(at + len..at + event.len);
            return len;
        }
        if let (EventKind::Prepared { .. }, Some(id)) = (event.kind, expect.stmt) {
            let place = input.data_mut().get_mut(at + HEADER + 1..);
            if let Some(place) = place.and_then(<[u8]>::first_chunk_mut) {
                *place = id.0.to_le_bytes();
            }
            return event.len;
        }
        if let Some(count) = warnings {
            let packet = input.data_mut().get_mut(at..at + event.len);
            set_warnings(packet.unwrap_or_default(), count);
        }
        if (lacks, extra) != (0, 0) && event.kind != EventKind::Err {
            let packet = input.data_mut().get_mut(at..at + event.len);
            change_status(packet.unwrap_or_default(), lacks, extra);
        }
        if !event.status.contains(Status::STATE_CHANGED) {
            return event.len;
        }
        let packet = input
            .data_mut()
            .get_mut(at..at + event.len)
            .unwrap_or_default();
        let wants = |entry: &TrackEntry<'_>| wanted(entry, expect.side, &state.wish);
        let asked = who.caps.contains(CapabilityFlags::CLIENT_SESSION_TRACK)
            && frame::payload(packet)
                .and_then(OkView::parse)
                .is_some_and(|ok| ok.session_track().any(|entry| wants(&entry)));
        let len = if asked {
            let mut shown = Vec::with_capacity(packet.len());
            rewrite_ok(packet, &mut shown, true, wants);
            // Entries are only ever dropped, so the packet fits into its own place.
            if let Some(place) = packet.get_mut(..shown.len()) {
                place.copy_from_slice(&shown);
            }
            shown.len()
        } else {
            strip_ok_in_place(packet)
        };
        input.remove(at + len..at + event.len);
        len
    }

    /// Sends the first `count` bytes that came from the server to the client.
    pub(super) async fn forward(&mut self, side: Side, count: usize) -> Result<(), End> {
        let Self {
            links,
            client,
            captured,
            renumber,
            ..
        } = self;
        let Some(link) = links.get_mut(side) else {
            return Ok(());
        };
        if renumber.changes() {
            let bytes = link.conn.input.data_mut().get_mut(..count);
            renumber.apply(bytes.unwrap_or_default());
        }
        let bytes = link.conn.input.data().get(..count).unwrap_or_default();
        match captured.take(bytes) {
            Ok(true) => {
                link.conn.input.consume(count);
                return Ok(());
            }
            Ok(false) => {}
            // It became too long to be kept.
            Err(kept) => {
                link.conn.input.consume(count);
                let sent = client.send(&kept).await;
                return sent.map_err(|_| self.client_left(side));
            }
        }
        if link.conn.pass_on(count, &client.stream).await.is_err() {
            return Err(self.client_left(side));
        }
        Ok(())
    }

    /// Reads more from the server, while listening whether the client leaves. `false` when the
    /// server's connection broke; or when a replica of whose reply the client has seen nothing
    /// (`forwarded` is false) is found to be down, which a server that hangs never says itself.
    pub(super) async fn fill_from_server(
        &mut self,
        side: Side,
        forwarded: bool,
    ) -> Result<bool, End> {
        let lap = self.links.laps.start();
        let ahead = ahead_of(&self.in_force);
        let mut parting = Parting::default();
        let mut silent = false;
        let woke = loop {
            let Self {
                links,
                client,
                shared,
                alarm,
                ..
            } = self;
            let replica = match (side, forwarded) {
                (Side::Replica, false) => links.get(side).map(|link| link.identity),
                _ => None,
            };
            let heard = |cx: &mut Context<'_>| {
                let client = (&mut *client, ahead);
                poll_both(cx, links, side, client, &mut parting)
            };
            let woke = match replica {
                None => poll_fn(heard).await,
                Some(replica) if silent => {
                    unless_down(&shared.watch, replica, poll_fn(heard)).await
                }
                // Nearly every answer is there before anybody has to look at the topology.
                Some(_) => {
                    let over = Instant::now() + SILENCE;
                    let silent = |cx: &mut Context<'_>| alarm.poll(cx, over).map(|()| Woke::Silent);
                    poll_first(heard, silent).await
                }
            };
            match woke {
                Woke::Silent => {
                    silent = true;
                    self.free_other(side).await;
                }
                Woke::Recalled => links.give_back_recalled(&self.registered),
                woke => break woke,
            }
        };
        self.links.laps.served(lap);
        match woke {
            // Taken care of above.
            Woke::Recalled | Woke::Silent => Ok(true),
            Woke::Server(Ok(count)) => Ok(count > 0),
            Woke::Server(Err(_)) => Ok(false),
            Woke::ClientLeft => Err(self.client_left(side)),
            Woke::ServerDown => {
                // It may come back and find the statement still to be run.
                self.links.stop(side, &self.registered);
                Ok(false)
            }
        }
    }

    /// The client left in the middle of a statement: the server stops it, and the connection is
    /// not used again.
    fn client_left(&mut self, side: Side) -> End {
        self.links.stop(side, &self.registered);
        End::ClientGone
    }

    /// Reads the replies of so many commands that the client knows nothing of, up to the first
    /// that failed: what was pipelined behind it is unread then.
    pub(super) async fn swallow(&mut self, side: Side, replies: usize) -> Result<Swallowed, End> {
        for _ in 0..replies {
            let mut tracker = ReplyTracker::new(ReplyKind::Query, self.who.profile);
            while !tracker.is_done() {
                let Some(link) = self.links.get_mut(side) else {
                    return Ok(Swallowed::Broken);
                };
                let scan = tracker.scan(link.conn.input.data());
                let mut used = scan.forward;
                if let Some(event) = scan.event {
                    let packet = link.conn.input.data().get(used..used + event.len);
                    match event.kind {
                        EventKind::Err => {
                            let packet = packet.unwrap_or_default().to_vec();
                            link.conn.input.consume(used + event.len);
                            return Ok(Swallowed::Refused(packet));
                        }
                        EventKind::Malformed => return Ok(Swallowed::Broken),
                        _ => used += event.len,
                    }
                }
                link.conn.input.consume(used);
                if used == 0 && !self.fill_from_server(side, false).await? {
                    return Ok(Swallowed::Broken);
                }
            }
        }
        Ok(Swallowed::Done)
    }
}

/// How commands went that the client knows nothing of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Swallowed {
    /// All succeeded.
    Done,
    /// One failed, with this ERR packet.
    Refused(Vec<u8>),
    /// The connection broke.
    Broken,
}

/// Where a state block came from.
pub(super) struct TookIn<'a> {
    pub(super) side: Side,
    pub(super) identity: Identity,
    pub(super) watch: &'a Watch,
}

impl TookIn<'_> {
    pub(super) fn state_block(&self, ok: &OkView<'_>, state: &mut Session, applied: &mut Applied) {
        for entry in ok.session_track() {
            let tracked = match entry {
                TrackEntry::SystemVariable { name, value } => Tracked::Variable(name, value),
                TrackEntry::Schema(name) => Tracked::Schema(name),
                TrackEntry::StateChange(true) => Tracked::StateChange,
                TrackEntry::Gtids(text) if self.side == Side::Replica => {
                    if let Some(generation) = self.identity.generation {
                        self.watch
                            .note_executed(self.identity.backend, generation, text);
                    }
                    continue;
                }
                TrackEntry::Gtids(text) => Tracked::OwnGtids(text),
                TrackEntry::TransactionCharacteristics(sql) => Tracked::Characteristics(sql),
                TrackEntry::TransactionState(letters) => Tracked::TransactionState(letters),
                TrackEntry::StateChange(false) | TrackEntry::Other { .. } => continue,
            };
            state.on_tracked(self.side, tracked, applied);
        }
    }
}

/// Whether a client with this wish is told of an entry. A replica's executed set is ours alone.
fn wanted(entry: &TrackEntry<'_>, side: Side, wish: &TrackerWish) -> bool {
    match entry {
        TrackEntry::SystemVariable { name, .. } => wish.variable(name),
        TrackEntry::Schema(_) => wish.schema,
        TrackEntry::StateChange(_) => wish.state_change,
        TrackEntry::Gtids(_) => wish.gtids && side == Side::Primary,
        TrackEntry::TransactionCharacteristics(_) => wish.characteristics,
        TrackEntry::TransactionState(_) => wish.transaction_state,
        TrackEntry::Other { .. } => false,
    }
}

/// In a READ ONLY transaction a single server that takes writes refuses one with 1792; a replica says
/// first that it is read only itself. Gives the packet's length, which may have shrunk.
fn as_in_read_only_transaction(packet: &mut [u8]) -> usize {
    let unchanged = packet.len();
    let Some(err) = frame::payload(packet).and_then(ErrView::parse) else {
        return unchanged;
    };
    // 1290 names the option that is in the way, and there are others than these.
    let read_only = err.message.windows(9).any(|part| part == b"read-only");
    if err.code != 1290 || !read_only {
        return unchanged;
    }
    let mut seq = FrameHeader::parse(packet).map_or(1, |header| header.seq);
    let mut told = Vec::with_capacity(packet.len());
    packets::put_err(
        1792,
        *b"25006",
        "Cannot execute statement in a READ ONLY transaction.",
        &mut told,
        &mut seq,
    );
    match packet.get_mut(..told.len()) {
        Some(place) => {
            place.copy_from_slice(&told);
            told.len()
        }
        None => unchanged,
    }
}

fn retry_verdict(input: &[u8], at: usize, event: Event) -> Option<Relayed> {
    let code = frame::payload(input.get(at..)?.get(..event.len)?)
        .and_then(ErrView::parse)?
        .code;
    if REFUSED_AS_WRITE.contains(&code) {
        Some(Relayed::RefusedAsWrite)
    } else if GOING_DOWN.contains(&code) {
        Some(Relayed::GoingDown)
    } else {
        None
    }
}

enum Woke {
    Server(io::Result<usize>),
    ClientLeft,
    ServerDown,
    /// Others wait for the connection of the other side.
    Recalled,
    /// The answer takes its time.
    Silent,
}

/// What is ready first; the first of the two if both are.
async fn poll_first<T>(
    mut one: impl FnMut(&mut Context<'_>) -> Poll<T>,
    mut other: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> T {
    poll_fn(|cx| match one(cx) {
        Poll::Pending => other(cx),
        ready => ready,
    })
    .await
}

/// Waits for a replica's answer until that replica is down.
async fn unless_down(watch: &Watch, replica: Identity, heard: impl Future<Output = Woke>) -> Woke {
    tokio::select! {
        biased;
        woke = heard => woke,
        () = watch.down(replica.backend, replica.generation) => Woke::ServerDown,
    }
}

fn poll_both(
    cx: &mut Context<'_>,
    links: &mut Links,
    side: Side,
    (client, ahead): (&mut Conn, usize),
    parting: &mut Parting,
) -> Poll<Woke> {
    let Some(link) = links.get_mut(side) else {
        return Poll::Ready(Woke::Server(Ok(0)));
    };
    if let Poll::Ready(read) = link.conn.poll_fill(cx) {
        return Poll::Ready(Woke::Server(read));
    }
    if links.poll_recalled(cx).is_ready() {
        return Poll::Ready(Woke::Recalled);
    }
    parting.poll(cx, client, ahead).map(|()| Woke::ClientLeft)
}

/// How much of what a client sends is taken while a command of its runs: the command itself stands in
/// its buffer, and as much again may come ahead.
pub(super) fn ahead_of(in_force: &InForce) -> usize {
    2 * in_force.config.limits.max_command_held
}

/// Returns when the client leaves while its command waits; as much may come ahead.
pub(super) async fn left(client: &mut Conn, ahead: usize) {
    let mut parting = Parting::default();
    poll_fn(|cx| parting.poll(cx, client, ahead)).await;
}

/// How a client is known to have left. One that says that it will send no more may still read: nothing
/// on the wire tells it from one that is gone, so it gets [`PARTING`] for its answer.
#[derive(Default)]
struct Parting(Option<Pin<Box<Sleep>>>);

impl Parting {
    fn poll(&mut self, cx: &mut Context<'_>, client: &mut Conn, ahead: usize) -> Poll<()> {
        if let Some(over) = &mut self.0 {
            return over.as_mut().poll(cx);
        }
        while client.input.len() < ahead {
            match client.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => {
                    let over = self.0.insert(Box::pin(sleep(PARTING)));
                    return over.as_mut().poll(cx);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }
}
