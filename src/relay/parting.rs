//! Between two statements: a session that holds nothing on a connection lends it to those who wait
//! (`[pool] mode = "transaction"`), and takes it back, or another one, for its next statement.
//!
//! A connection is offered once nothing about its state is untold, so that it can be given back at
//! any time without a question to its server.

use std::future::poll_fn;
use std::task::Poll;

use super::links::SIDES;
use super::session::{End, Relay};
use crate::domain::session::{Lease, Side, Way};

/// What ends a wait for the client's next command.
enum Woke {
    Client(bool),
    Recalled,
}

impl Relay {
    /// After a command: offers what the session has no need of until the next.
    pub(super) async fn rest(&mut self) {
        if !self.links.lends() {
            return;
        }
        for side in SIDES {
            match self.links.get(side) {
                None => {}
                // Nobody else could have it.
                Some(link) if link.confined => {}
                // It was not needed for this command.
                Some(link) if link.is_offered() && !link.is_recalled() => {}
                Some(_) => self.rest_on(side).await,
            }
        }
    }

    async fn rest_on(&mut self, side: Side) {
        if matches!(self.lease(side), Lease::Keep(_)) {
            return;
        }
        if !self.learn_untold(side).await {
            self.links.discard(side, &self.registered);
            return;
        }
        let at_once = self.links.switches_always() || !self.suits(side);
        if at_once || !self.links.offer(side) {
            self.part_with(side).await;
        }
    }

    /// What may become of a held connection.
    pub(super) fn lease(&self, side: Side) -> Lease {
        let Some(link) = self.links.get(side) else {
            return Lease::Reset;
        };
        let is_home = link.copies.is_tied();
        self.state.lease(side, &link.applied, is_home)
    }

    /// Whether a held connection can still be given the session's state by commands.
    fn suits(&self, side: Side) -> bool {
        let suits = |link: &crate::backend::ServerConn| {
            let guarded = side == Side::Replica;
            self.state.mirror.way(&link.applied, guarded) <= Way::Commands
        };
        self.links.get(side).is_some_and(suits)
    }

    /// Gives a connection back that no command can give the session's state, which was made anew.
    pub(super) async fn part_if_unsuited(&mut self, side: Side) {
        if !self.suits(side) && self.links.claim(side, &self.registered) {
            self.part_with(side).await;
        }
    }

    /// Asks for what the server did not tell. `false` when the connection failed.
    async fn learn_untold(&mut self, side: Side) -> bool {
        let Some(link) = self.links.get_mut(side) else {
            return false;
        };
        let applied = &mut link.applied;
        let collation = applied.collation_untold;
        let list = std::mem::take(&mut applied.list_untold);
        (!list || self.learn_list(side).await) && (!collation || self.learn_collation(side).await)
    }

    /// Gives a connection back on which the session holds nothing.
    pub(super) async fn part_with(&mut self, side: Side) {
        match self.lease(side) {
            // Also what the session would need if it went on.
            Lease::Keep(_) => self.links.release(side, &self.registered),
            lease => {
                if self.settle_for_parting(side).await {
                    self.links.part(side, lease, &self.registered);
                } else {
                    self.links.discard(side, &self.registered);
                }
            }
        }
    }

    /// Holds the connection of the session's last statement on that side, if nobody had it since.
    pub(super) fn hold_again(&mut self, side: Side) -> bool {
        let Self {
            links, registered, ..
        } = self;
        if links.claim(side, registered) {
            return true;
        }
        if !links.regain(side, registered) {
            return false;
        }
        // The session may have been reset since.
        let suits = self.suits(side);
        if !suits {
            self.links.part(side, Lease::AsIs, &self.registered);
        }
        suits
    }

    /// Before something that may take long on this side, so that others can have the connection of the
    /// other side meanwhile, if the session holds nothing there: it is kept from them only for what it
    /// could tell of the statement before.
    pub(super) async fn free_other(&mut self, side: Side) {
        let other = match side {
            Side::Primary => Side::Replica,
            Side::Replica => Side::Primary,
        };
        let kept = |link: &crate::backend::ServerConn| !link.is_offered();
        let kept = self.links.lends() && self.links.get(other).is_some_and(kept);
        if !kept || matches!(self.lease(other), Lease::Keep(_)) {
            return;
        }
        if !self.save_aftermath(other).await {
            self.links.discard(other, &self.registered);
        } else if !self.links.offer(other) {
            self.part_with(other).await;
        }
    }

    /// The same where this side needs a connection that the session does not hold.
    pub(super) async fn free_other_to_lease(&mut self, side: Side) {
        if self.links.get(side).is_none() {
            self.free_other(side).await;
        }
    }

    /// Waits until the client has sent so many bytes of its next command. Meanwhile others may have
    /// what the session has no need of.
    pub(super) async fn await_command(&mut self, total: usize) -> Result<(), End> {
        while self.client.input.len() < total {
            let Self { client, links, .. } = self;
            client.input.reserve_total(total);
            let woke = poll_fn(|cx| match client.poll_fill(cx) {
                Poll::Ready(read) => Poll::Ready(Woke::Client(matches!(read, Ok(1..)))),
                Poll::Pending => links.poll_recalled(cx).map(|()| Woke::Recalled),
            });
            match woke.await {
                Woke::Client(true) => {}
                Woke::Client(false) => return Err(End::ClientGone),
                Woke::Recalled => self.give_back_recalled().await,
            }
        }
        Ok(())
    }

    /// Gives back what others wait for.
    pub(super) async fn give_back_recalled(&mut self) {
        for side in SIDES {
            if self.links.is_recalled(side) {
                self.part_with(side).await;
            }
        }
    }
}
