//! What the packets say that Highwater makes in a server's place: whether a transaction is open, how many
//! warnings there are. Where an error left that open, the server is asked.

use super::reply::TookIn;
use super::session::{End, Relay};
use crate::domain::session::Side;
use crate::protocol::frame::{self, append_packet};
use crate::protocol::ok::OkView;
use crate::protocol::reply::{EventKind, ReplyKind, ReplyTracker};
use crate::protocol::status::Status;

/// COM_PING.
const PING: [u8; 1] = [0x0E];

impl Relay {
    /// The status flags of a packet of Highwater's own.
    pub(super) fn status(&self) -> Status {
        let flags = self.state.transaction.status_flags();
        match self.more_follows {
            true => Status(flags | Status::MORE_RESULTS.0),
            false => Status(flags),
        }
    }

    /// Before a packet with [`Self::status`]: a statement that failed may have begun or ended a transaction,
    /// which only the next OK of its connection tells.
    pub(super) async fn learn_transaction(&mut self) -> Result<(), End> {
        let side = Side::Primary;
        if !self.state.transaction.is_unsure() || !self.links.claim(side, &self.registered) {
            return Ok(());
        }
        self.settle(side).await?;
        if self.links.get(side).is_some() && !self.ping(side).await? && !self.drop_primary() {
            return self.state_lost().await;
        }
        Ok(())
    }

    /// Takes in what the OK of a COM_PING says of the session. `false` when the connection broke.
    async fn ping(&mut self, side: Side) -> Result<bool, End> {
        if self.links.died_idle(side).await {
            return Ok(false);
        }
        self.out.clear();
        append_packet(&mut self.out, &mut 0, &PING);
        if !self.send_to_server(side).await {
            return Ok(false);
        }
        let mut tracker = ReplyTracker::new(ReplyKind::Simple, self.who.profile);
        loop {
            let Self {
                links,
                state,
                shared,
                ..
            } = self;
            let Some(link) = links.get_mut(side) else {
                return Ok(false);
            };
            let scan = tracker.scan(link.conn.input.data());
            if let Some(event) = scan.event {
                let input = link.conn.input.data();
                let packet = input.get(scan.forward..scan.forward + event.len);
                let ok = packet.and_then(frame::payload).and_then(OkView::parse);
                let Some(ok) = ok.filter(|_| event.kind == EventKind::Ok) else {
                    return Ok(false);
                };
                let on = TookIn {
                    side,
                    identity: link.identity,
                    watch: &shared.watch,
                };
                on.state_block(&ok, state, &mut link.applied);
                state.on_status(side, ok.status.0);
                link.conn.input.consume(scan.forward + event.len);
                return Ok(true);
            }
            if !self.fill_from_server(side, false).await? {
                return Ok(false);
            }
        }
    }

    /// Before the OK of a command that is no statement: MySQL's counts what the statement before left, and an
    /// error does not tell how many warnings came before it.
    pub(super) async fn count_conditions(&mut self) -> Result<(), End> {
        match self.state.aftermath.is_uncounted() {
            true => self.settle_all().await,
            false => Ok(()),
        }
    }
}
