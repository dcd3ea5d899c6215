//! One try of a statement on a replica, and what comes next when it fails.

use std::time::Instant;

use super::{Next, Progress, Statement};
use crate::domain::ids::BackendId;
use crate::domain::routing::{Reason, Route, Toll};
use crate::domain::session::Side;
use crate::frontend::ClientError;
use crate::relay::attempt::Tried;
use crate::relay::fallback::Fell;
use crate::relay::freshness::{self, Failed, Seeker, Terms};
use crate::relay::replica::Held;
use crate::relay::reply::{Relayed, ahead_of, left};
use crate::relay::session::{End, Relay};
use crate::relay::staleness::StaleNote;
use crate::telemetry::SessionState;

impl Relay {
    pub(super) async fn on_replica(
        &mut self,
        statement: &Statement,
        terms: &Terms,
        transaction: bool,
        progress: &mut Progress,
    ) -> Result<Next, End> {
        if let Some(error) = freshness::refusal(&self.shared, terms.level) {
            self.refuse(error).await?;
            return Ok(Next::Refused(Reason::LevelBroken));
        }
        let Self {
            shared,
            state,
            links,
            gauge,
            registered,
            client,
            in_force,
            ..
        } = self;
        let mut seeker = Seeker {
            shared,
            session: state,
            links,
            registered,
            gauge,
            in_transaction: false,
        };
        let settled = tokio::select! {
            biased;
            settled = seeker.settle(terms, &progress.lost) => settled,
            () = registered.interrupted() => {
                gauge.set(SessionState::Active);
                return self
                    .answer_error(ClientError::Interrupted, Side::Replica, Reason::Waited)
                    .await;
            }
            () = left(client, ahead_of(in_force)) => return Err(End::ClientGone),
        };
        self.tally.searched(&settled, terms.arrived);
        // In a transaction no older answer will do.
        let no_older = transaction || self.state.transaction.is_open();
        let settled = match settled {
            Ok(settled) => settled,
            Err(failed) => match self.fall_back(failed, terms, no_older).await {
                Fell::Stale(settled) => settled,
                fell => return self.fell(fell, progress).await,
            },
        };
        if self.state.mirror.collation_untold() && !self.learn_collation(Side::Primary).await {
            if !self.drop_primary() {
                return self.state_lost().await;
            }
            return Ok(Next::Again(Route::Primary(Reason::CannotRestore)));
        }
        self.free_other_to_lease(Side::Replica).await;
        self.save_found_rows(settled.backend).await;
        match self.hold_replica(settled).await {
            Held::Yes => {}
            Held::No | Held::Refused => {
                progress.lost.push(settled.backend);
                return Ok(Next::Again(Route::Replica { transaction }));
            }
            Held::Exhausted => {
                let failed = Failed::exhausted(terms.arrived);
                let fell = self.fall_back(failed, terms, no_older).await;
                return self.fell(fell, progress).await;
            }
        }
        let reason = match (progress.lost.is_empty(), settled.waited) {
            _ if settled.stale => Reason::Stale,
            _ if transaction => Reason::ReadOnlyTransaction,
            (false, _) => Reason::ReplicaLost,
            (true, true) => Reason::Waited,
            (true, false) => Reason::Fresh,
        };
        if settled.stale {
            self.stale = StaleNote::Flag;
        }
        self.observe_staleness(terms.level, settled.backend);
        if !transaction {
            self.note_implicit_begin(statement);
        }
        let Statement {
            task,
            total,
            profile,
            ..
        } = *statement;
        let tried = self
            .attempt(Side::Replica, task, total, &profile, !transaction, true)
            .await?;
        match tried {
            Tried::Relayed(Relayed::Done(outcome)) => {
                self.ended(Side::Replica, &profile, outcome);
                Ok(Next::Answered(Side::Replica, reason, outcome))
            }
            Tried::Relayed(Relayed::RefusedAsWrite) => {
                self.shared.refused.remember(profile.fingerprint);
                tracing::info!(
                    fingerprint = profile.fingerprint,
                    "a replica refused a statement \
                    as a write; from now on it goes to the primary"
                );
                Ok(Next::Again(Route::Primary(Reason::ReplicaRefused)))
            }
            Tried::Relayed(Relayed::Lost { forwarded }) => {
                // One that was silent and is called down has been given up already: that it can no
                // longer be heard says nothing of the statement.
                if let Some(link) = self.links.get(Side::Replica) {
                    let life = (link.identity.backend, link.identity.generation);
                    progress.toll.on_broken(life);
                }
                self.replica_lost(settled.backend);
                if forwarded {
                    return Err(End::ReplyBroken);
                }
                progress.lost.push(settled.backend);
                let lost = self.gone(&progress.toll).await;
                if lost >= Toll::MOST {
                    self.refuse(ClientError::ServersLost { lost }).await?;
                    return Ok(Next::Refused(Reason::ReplicaLost));
                }
                Ok(Next::Again(Route::Replica { transaction }))
            }
            Tried::NotSent | Tried::Relayed(Relayed::GoingDown) => {
                self.replica_lost(settled.backend);
                progress.lost.push(settled.backend);
                Ok(Next::Again(Route::Replica { transaction }))
            }
            Tried::NotRestored => {
                self.links.discard(Side::Replica, &self.registered);
                Ok(Next::Again(Route::Primary(Reason::CannotRestore)))
            }
        }
    }

    /// Goes on with what comes instead of a fresh replica.
    async fn fell(&mut self, fell: Fell, progress: &mut Progress) -> Result<Next, End> {
        match fell {
            Fell::Primary(reason, permit) => {
                progress.permit = permit;
                Ok(Next::Again(Route::Primary(reason)))
            }
            Fell::Refused(reason, error) => {
                self.refuse(error).await?;
                Ok(Next::Refused(reason))
            }
            // Only a search gives one, and that is taken where the search is.
            Fell::Stale(_) => Ok(Next::Again(Route::Primary(Reason::NoReplica))),
        }
    }

    /// How many servers a statement has ended for certain, once it may be too many.
    async fn gone(&self, toll: &Toll) -> usize {
        let mut gone = 0;
        for (backend, generation) in toll.suspects() {
            let Some(generation) = generation else {
                gone += 1;
                continue;
            };
            let now = Instant::now();
            let answer = self.shared.watch.sights_of(*backend, *generation, now);
            gone += usize::from(answer.await.is_err());
        }
        gone
    }

    fn replica_lost(&mut self, backend: BackendId) {
        self.shared.watch.suspect(backend);
        self.links.discard(Side::Replica, &self.registered);
        if self.state.transaction.open_on() == Some(Side::Replica) {
            self.state.transaction.on_lost();
        }
    }

    /// A statement that belongs to what the held replica connection is doing.
    pub(super) async fn on_held_replica(
        &mut self,
        statement: &Statement,
        reason: Reason,
    ) -> Result<Next, End> {
        let in_transaction = self.state.transaction.open_on() == Some(Side::Replica);
        self.hold_again(Side::Replica);
        let Some(backend) = self
            .links
            .get(Side::Replica)
            .map(|link| link.identity.backend)
        else {
            if in_transaction {
                self.state.transaction.on_lost();
                let error = ClientError::ReadOnlyTransactionLost;
                return self.answer_error(error, Side::Replica, reason).await;
            }
            return Ok(Next::Again(Route::Primary(reason)));
        };
        let Statement {
            task,
            total,
            profile,
            ..
        } = *statement;
        match self
            .attempt(Side::Replica, task, total, &profile, false, false)
            .await?
        {
            Tried::Relayed(Relayed::Done(outcome)) => {
                self.ended(Side::Replica, &profile, outcome);
                Ok(Next::Answered(Side::Replica, reason, outcome))
            }
            Tried::Relayed(Relayed::Lost { forwarded: true }) => {
                self.replica_lost(backend);
                Err(End::ReplyBroken)
            }
            _ => {
                self.replica_lost(backend);
                if in_transaction {
                    let error = ClientError::ReadOnlyTransactionLost;
                    return self.answer_error(error, Side::Replica, reason).await;
                }
                // Diagnostics of a statement whose server is gone: there are none any more.
                Ok(Next::Again(Route::Primary(reason)))
            }
        }
    }
}
