//! What becomes of a read for which no replica is fresh enough: the primary within its budget, an
//! older answer with a warning, or an error.

use std::time::{Duration, Instant};

use super::budget::Permit;
use super::freshness::{Failed, Settled, Terms, primary_ready};
use super::reply::{ahead_of, left};
use super::session::{End, Relay};
use crate::domain::consistency::{Fallback, GiveUp, Level};
use crate::domain::routing::Reason;
use crate::domain::session::Side;
use crate::frontend::ClientError;
use crate::telemetry::SessionState;

/// What comes instead of a fresh replica.
#[derive(Debug)]
pub(super) enum Fell {
    /// The primary, within its budget if there is a permit.
    Primary(Reason, Option<Permit>),
    /// This replica, with what it has.
    Stale(Settled),
    /// An error, for this reason.
    Refused(Reason, ClientError),
}

impl Relay {
    /// Decides what a read does whose search failed. `transaction` says whether it opens a READ ONLY
    /// transaction, for which no older answer will do.
    pub(super) async fn fall_back(
        &mut self,
        failed: Failed,
        terms: &Terms,
        transaction: bool,
    ) -> Fell {
        let Failed {
            why,
            deadline,
            stale,
            ..
        } = failed;
        let on_timeout = self.state.settings.on_timeout;
        let reason = reason_of(why);
        if why == GiveUp::Timeout && self.state.asks_replica() {
            return Fell::Refused(Reason::NotFresh, ClientError::ReplicasBehind);
        }
        match (Fallback::of(why, on_timeout), stale) {
            (Fallback::Belongs, _) => Fell::Primary(reason, None),
            (Fallback::Stale, Some(settled)) if !transaction => Fell::Stale(settled),
            (Fallback::Refused, _) => {
                let waited = self.state.settings.catch_up_timeout;
                Fell::Refused(Reason::NotFresh, refusal(why, waited, terms))
            }
            (Fallback::Budgeted { may_queue: true }, _) => {
                self.gauge.set(SessionState::CatchingUp);
                let Self {
                    shared,
                    client,
                    registered,
                    in_force,
                    ..
                } = self;
                let budget = shared.budget();
                let permit = tokio::select! {
                    biased;
                    permit = budget.take_by(deadline) => Some(permit),
                    () = registered.interrupted() => None,
                    // It will not read the answer.
                    () = left(client, ahead_of(in_force)) => None,
                };
                self.gauge.set(SessionState::Active);
                match permit {
                    Some(permit) => within_budget(reason, permit),
                    None => Fell::Refused(reason, ClientError::Interrupted),
                }
            }
            (Fallback::Budgeted { may_queue: false } | Fallback::Stale, _) => {
                within_budget(reason, self.shared.budget().take())
            }
        }
    }

    /// Before a read on the primary: waits until that shows what the session has seen elsewhere.
    ///
    /// # Errors
    /// When the client left; inside, what it is told when the primary does not get there,
    /// nobody can say whether it did, or somebody kills the statement.
    pub(super) async fn primary_ready(
        &mut self,
        level: Level,
    ) -> Result<Result<(), ClientError>, End> {
        let Self {
            shared,
            state,
            client,
            registered,
            links,
            in_force,
            ..
        } = self;
        tokio::select! {
            biased;
            ready = links.meanwhile(registered, primary_ready(shared, state, level)) => {
                Ok(ready.map_err(ClientError::from))
            }
            () = registered.interrupted() => Ok(Err(ClientError::Interrupted)),
            () = left(client, ahead_of(in_force)) => Err(End::ClientGone),
        }
    }

    /// After a statement: a READ ONLY transaction that fell back keeps its permit for as long as it
    /// is open, since all of it runs on the primary. `had_link` says whether the session held a
    /// connection to the primary before the statement.
    pub(super) async fn after_fallback(
        &mut self,
        permit: Option<Permit>,
        had_link: bool,
    ) -> Result<(), End> {
        let transaction = &self.state.transaction;
        let goes_on = transaction.read_only() && transaction.open_on() == Some(Side::Primary);
        if goes_on {
            self.permit = permit.or(self.permit.take());
            return Ok(());
        }
        let kept = self.permit.take();
        if kept.is_some() || permit.is_some() {
            self.leave_primary(had_link && kept.is_none()).await?;
        }
        Ok(())
    }

    /// Gives the primary's connection back that was taken for a read that fell back: reads that were meant for replicas do not
    /// take the primary's connections away from those that write.
    async fn leave_primary(&mut self, had_link: bool) -> Result<(), End> {
        let free = !self.state.transaction.is_open() && !self.state.holds_connection();
        if !had_link && free && !self.links.lends() {
            self.settle(Side::Primary).await?;
            self.links.release(Side::Primary, &self.registered);
        }
        Ok(())
    }
}

fn within_budget(reason: Reason, permit: Option<Permit>) -> Fell {
    match permit {
        Some(permit) => Fell::Primary(reason, Some(permit)),
        None => Fell::Refused(Reason::OverBudget, ClientError::OverBudget),
    }
}

pub(super) fn reason_of(why: GiveUp) -> Reason {
    match why {
        GiveUp::NotConfigured | GiveUp::NoReplica => Reason::NoReplica,
        GiveUp::NoPositions | GiveUp::NoPositionsHere => Reason::NoPositions,
        GiveUp::Timeout => Reason::CatchUpTimeout,
        GiveUp::Exhausted => Reason::PoolExhausted,
    }
}

fn refusal(why: GiveUp, waited: Duration, terms: &Terms) -> ClientError {
    match why {
        GiveUp::Timeout => ClientError::CatchUpTimeout {
            level: terms.level.name(),
            waited: waited.min(Instant::now().saturating_duration_since(terms.arrived)),
        },
        _ => ClientError::NoFreshReplica {
            why: reason_of(why).text(),
        },
    }
}
