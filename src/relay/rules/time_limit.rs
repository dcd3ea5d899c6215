//! The time that a rule gives a statement.
//!
//! It begins when the statement's turn has come, so waiting for a replica or a connection counts. When it
//! is over, the statement is killed as KILL QUERY would: whatever waits in the proxy gives up, and a
//! server that runs it is told to stop, by another connection. Servers undo what a stopped write had
//! done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Active, bump};
use crate::backend::PoolKey;
use crate::domain::session::{Outcome, Side};
use crate::frontend::ClientError;
use crate::protocol::caps::{CapabilityFlags, backend_caps};
use crate::protocol::frame::{self, FrameHeader};
use crate::protocol::packets::ErrView;
use crate::protocol::reply::Event;
use crate::relay::kill::kill;
use crate::relay::reply::Relayed;
use crate::relay::session::{End, Relay};

/// A statement that was between two servers when it was killed, or about to be sent, is killed again.
const AGAIN: Duration = Duration::from_millis(200);

/// ER_QUERY_INTERRUPTED: what a server says of a statement that was killed.
const INTERRUPTED: u16 = 1317;

const BURNS: u8 = 0;
const OVER: u8 = 1;
const PUT_OUT: u8 = 2;

/// A limit that is in force.
#[derive(Debug)]
pub(in crate::relay) struct TimeLimit {
    rule: Box<str>,
    limit: Duration,
    fuse: Arc<Fuse>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Fuse {
    state: AtomicU8,
    ended: Notify,
}

impl TimeLimit {
    /// Begins to count for the statement at hand.
    pub(super) fn start(relay: &Relay, rule: &str, limit: Duration) -> Self {
        let fuse = Arc::<Fuse>::default();
        let burning = Arc::clone(&fuse);
        let shared = Arc::clone(&relay.shared);
        let session = relay.diary.id.0.into();
        let key = PoolKey {
            user: Arc::clone(&relay.who.user),
            profile: backend_caps(CapabilityFlags::empty()),
        };
        let task = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            let state = &burning.state;
            let relaxed = Ordering::Relaxed;
            if state
                .compare_exchange(BURNS, OVER, Ordering::AcqRel, relaxed)
                .is_err()
            {
                return;
            }
            loop {
                if let Err(error) = kill(&shared, &key, session, true).await {
                    tracing::debug!(%error, "stopping a statement whose time is over");
                }
                tokio::select! {
                    () = burning.ended.notified() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        });
        Self {
            rule: rule.into(),
            limit,
            fuse,
            task,
        }
    }

    /// Whether the time is over.
    fn is_over(&self) -> bool {
        self.fuse.state.load(Ordering::Acquire) == OVER
    }

    fn error(&self) -> ClientError {
        ClientError::StatementTimeout {
            rule: self.rule.clone().into(),
            limit: self.limit,
        }
    }

    /// The statement ended. Returns when nothing can hit the next one any more; says whether the time
    /// was over before.
    async fn end(mut self) -> bool {
        let state = &self.fuse.state;
        let relaxed = Ordering::Relaxed;
        let in_time = state.compare_exchange(BURNS, PUT_OUT, Ordering::AcqRel, relaxed);
        if in_time.is_ok() {
            self.task.abort();
            return false;
        }
        self.fuse.ended.notify_one();
        // An error is that of a task that was ended with its runtime.
        let _ = (&mut self.task).await;
        true
    }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        // A KILL that is under way comes to its end, so that it never hits what comes after.
        if self.fuse.state.fetch_max(OVER, Ordering::AcqRel) == BURNS {
            self.task.abort();
        }
        self.fuse.ended.notify_one();
    }
}

impl Relay {
    /// After a statement: its limit, if it had one, is no more.
    pub(super) async fn end_time_limit(&mut self, active: &Active) {
        let Some(limit) = self.time_limit.take() else {
            return;
        };
        if limit.end().await {
            bump(&active.counts.timed_out);
        }
    }

    /// What the client is told instead of an error that a time limit brought about.
    pub(in crate::relay) fn in_time(&self, error: ClientError) -> ClientError {
        match (&self.time_limit, &error) {
            (Some(limit), ClientError::Interrupted) if limit.is_over() => limit.error(),
            _ => error,
        }
    }

    /// Whether the packet at that place of a reply is the error of a statement whose time is over.
    pub(in crate::relay) fn is_out_of_time(&self, side: Side, at: usize, event: Event) -> bool {
        let over = |limit: &TimeLimit| limit.is_over();
        if !self.time_limit.as_ref().is_some_and(over) {
            return false;
        }
        let link = self.links.get(side);
        let packet = link.and_then(|link| link.conn.input.data().get(at..at + event.len));
        let error = packet.and_then(frame::payload).and_then(ErrView::parse);
        error.is_some_and(|error| error.code == INTERRUPTED)
    }

    /// Tells the client of it in the place of that packet, which was taken in. What stands before is part
    /// of the reply.
    pub(in crate::relay) async fn tell_out_of_time(
        &mut self,
        side: Side,
        at: usize,
        event: Event,
    ) -> Result<Relayed, End> {
        if at > 0 {
            self.forward(side, at).await?;
        }
        let mut theirs = Vec::new();
        if let Some(link) = self.links.get_mut(side) {
            let packet = link.conn.input.data().get(..event.len);
            theirs.extend_from_slice(packet.unwrap_or_default());
            link.conn.input.consume(event.len);
        }
        self.renumber.apply(&mut theirs);
        let seq = FrameHeader::parse(&theirs).map_or(self.reply_seq, |header| header.seq);
        if let Some(limit) = &self.time_limit {
            let error = limit.error();
            let mut packet = Vec::new();
            error.put(&mut packet, &mut { seq });
            self.shared.metrics.error(error.kind(), error.side());
            self.told.fails(&packet);
            self.out = packet;
            self.send_out().await?;
        }
        Ok(Relayed::Done(Outcome::Failed))
    }
}
