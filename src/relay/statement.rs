//! Runs one statement: route, freshness, connection, attempt; and what to do when one fails.

use std::time::{Duration, Instant};

use super::attempt::{Task, Tried};
use super::budget::Permit;
use super::deferred::Opened;
use super::diagnostics::Recall;
use super::errors::client_error;
use super::fallback::Fell;
use super::freshness::{self, Failed, Seeker, Settled, Terms};
use super::history::{Went, failed};
use super::replica::Held;
use super::reply::{Relayed, Swallowed, ahead_of, left};
use super::session::{End, Relay};
use super::staleness::StaleNote;
use crate::backend::BackendError;
use crate::domain::consistency::{GroupKey, Level};
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::routing::{Reason, Route, routed};
use crate::domain::session::lease::leaves_untold;
use crate::domain::session::{Outcome, RanOn, Side};
use crate::domain::sql::{Access, Effects, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::command::com_query;
use crate::protocol::frame::append_packet;
use crate::protocol::reply::ReplyKind;
use crate::telemetry::{self, ErrorKind, SessionState, Target};

/// A statement that stands in the client's buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    pub(super) task: Task,
    pub(super) profile: StatementProfile,
    /// Bytes of its frame.
    pub(super) total: usize,
    /// The connection that it belongs to whatever its profile says, and why.
    pub(super) bound: Option<(Side, Reason)>,
}

impl Statement {
    /// Whether it is a BEGIN that Highwater can answer.
    fn begins_anywhere(&self) -> bool {
        matches!(self.task, Task::AsIs(ReplyKind::Query) | Task::Execute(_)) && self.bound.is_none()
    }

    /// Whether it names something that only the connection it was sent to has: a cursor, or the
    /// parts of a parameter.
    fn is_tied(&self) -> bool {
        match self.bound {
            Some((_, Reason::LongData)) => true,
            Some((_, Reason::Cursor)) => matches!(self.task, Task::AsIs(_)),
            _ => false,
        }
    }
}

/// A statement that Highwater answered with OK.
pub(super) const DONE: Outcome = Outcome::Done {
    affected: 0,
    rows: false,
};

/// What has been tried so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Replicas that failed this statement.
    lost: Vec<BackendId>,
    /// Times that the primary's connection turned out dead before anything was sent.
    redialled: usize,
    /// The right to run on the primary a read that was meant for a replica.
    pub(super) permit: Option<Permit>,
}

/// What comes next.
pub(super) enum Next {
    Answered(Side, Reason, Outcome),
    /// By Highwater itself, with an error.
    Refused(Reason),
    /// By Highwater itself.
    Here(Reason),
    Again(Route),
}

impl Relay {
    /// Runs a statement and gives the client its reply, or an error that says what went wrong.
    pub(super) async fn run_statement(&mut self, mut statement: Statement) -> Result<Outcome, End> {
        let started = Instant::now();
        if asks_previous(&statement.profile) {
            match Box::pin(self.recall(&statement)).await? {
                Recall::AsUsual => {}
                Recall::There(side) => statement.bound = Some((side, Reason::FollowsPrevious)),
                Recall::Answered(outcome) => return Ok(outcome),
            }
        }
        let terms = match self.terms(&statement, started).await {
            Ok(terms) => terms,
            Err(error) => {
                self.refuse(error).await?;
                return Ok(Outcome::Failed);
            }
        };
        let level = terms.level;
        let had_primary = self.links.get(Side::Primary).is_some();
        let mut progress = Progress::default();
        self.results = 0;
        self.stale = StaleNote::None;
        self.trace_from(&statement.profile);
        self.look_at(&statement);
        self.learn_for_constants().await;
        let mut next = self.first_route(&statement);
        next = self.shadowed(next, &statement, &terms);
        loop {
            let done = match next {
                Route::Primary(reason) => {
                    self.on_primary(&statement, &terms, reason, &mut progress)
                        .await?
                }
                Route::HeldReplica(reason) => {
                    match self
                        .fresh_in_transaction(&statement, &terms, &mut progress)
                        .await?
                    {
                        Some(instead) => instead,
                        None => self.on_held_replica(&statement, reason).await?,
                    }
                }
                Route::Replica { transaction } => {
                    self.on_replica(&statement, &terms, transaction, &mut progress)
                        .await?
                }
                Route::EndReplicaTransaction(reason) => {
                    self.end_replica_transaction().await?;
                    Next::Again(match self.routed(&statement.profile) {
                        Route::EndReplicaTransaction(_) => Route::Primary(reason),
                        other => other,
                    })
                }
                Route::MoveTransaction(reason) => self.move_transaction(reason).await?,
                Route::Defer(deferred) if statement.begins_anywhere() => {
                    self.begin_deferred(deferred).await?;
                    Next::Here(Reason::Deferred)
                }
                Route::Defer(_) => Next::Again(Route::Primary(Reason::InTransaction)),
                Route::EndDeferred => match self.end_deferred(&statement).await? {
                    true => Next::Here(Reason::Deferred),
                    false => Next::Again(Route::Primary(Reason::InTransaction)),
                },
                Route::Own => return self.run_own(&statement).await,
            };
            let (target, reason, outcome) = match done {
                Next::Again(route) => {
                    if self.stale == StaleNote::Flag {
                        self.stale = StaleNote::None;
                    }
                    next = route;
                    continue;
                }
                Next::Refused(reason) => (Target::Proxy, reason, Outcome::Failed),
                Next::Here(reason) => (Target::Proxy, reason, DONE),
                Next::Answered(side, reason, outcome) => (self.count(side), reason, outcome),
            };
            let StatementProfile {
                access,
                fingerprint,
                ..
            } = statement.profile;
            let went = Went {
                access,
                fingerprint,
                target,
                reason,
                failed: failed(outcome),
            };
            self.note_went(went, started);
            self.note_lost_read(access, reason);
            if access == Access::Read {
                self.shared
                    .metrics
                    .outcome(level, freshness::outcome(reason));
            }
            self.after_staleness();
            self.settle_groups();
            self.settle_locks().await;
            self.after_fallback(progress.permit.take(), had_primary)
                .await?;
            if access == Access::TransactionEnd
                && outcome != Outcome::Failed
                && self.releases(&statement)
            {
                return Err(End::Released);
            }
            return Ok(outcome);
        }
    }

    /// What the statement at hand asks for, by its hints and its session.
    pub(super) async fn terms(
        &mut self,
        statement: &Statement,
        arrived: Instant,
    ) -> Result<Terms, ClientError> {
        let after = match &self.state.hints.after {
            Some(text) => self.position_of_token(text).await?,
            None => Position::Nothing,
        };
        self.note_token(&after);
        let hinted = self.state.hints.group.as_ref();
        self.statement_group = hinted.map(|name| GroupKey::named(name.as_bytes()));
        self.note_group(statement.profile.access)?;
        Ok(Terms {
            level: self.state.read_level(),
            bounded: self.state.asked_level() == Level::Bounded,
            group: self.group().clone(),
            after,
            arrived,
        })
    }

    fn first_route(&self, statement: &Statement) -> Route {
        match (statement.bound, self.routed(&statement.profile)) {
            (Some((Side::Primary, reason)), _) => Route::Primary(reason),
            (Some((Side::Replica, reason)), _) => Route::HeldReplica(reason),
            (None, routed) => routed,
        }
    }

    /// Where the session sends a statement that is bound nowhere.
    fn routed(&self, profile: &StatementProfile) -> Route {
        routed(
            &self.state,
            profile,
            self.shared.outside(profile, self.diary.id),
        )
    }

    fn count(&mut self, side: Side) -> Target {
        match side {
            Side::Primary => {
                self.diary.on_primary += 1;
                Target::Primary
            }
            Side::Replica => {
                self.diary.on_replicas += 1;
                Target::Replica
            }
        }
    }

    async fn on_primary(
        &mut self,
        statement: &Statement,
        terms: &Terms,
        reason: Reason,
        progress: &mut Progress,
    ) -> Result<Next, End> {
        if statement.profile.may_show_data()
            && let Err(error) = self.primary_ready(terms.level).await?
        {
            return self.answer_error(error, Side::Primary, reason).await;
        }
        if reason == Reason::FollowsPrevious {
            self.hold_again(Side::Primary);
        }
        self.free_other_to_lease(Side::Primary).await;
        let Self {
            links,
            state,
            registered,
            ..
        } = self;
        if state.transaction.open_on() == Some(Side::Primary) && links.get(Side::Primary).is_none()
        {
            // Another connection would take what follows for statements of their own.
            return self.state_lost().await;
        }
        if let Err(error) = links
            .hold(Side::Primary, BackendId::PRIMARY, &state.mirror, registered)
            .await
        {
            if !matches!(error, BackendError::PoolExhausted { .. }) {
                self.shared.watch.suspect(BackendId::PRIMARY);
            }
            return self
                .answer_error(client_error(&error), Side::Primary, reason)
                .await;
        }
        match self.open_deferred(statement).await? {
            Opened::Yes => {}
            Opened::Broken => return self.redial(statement, reason, progress).await,
            Opened::Denied(packet) => {
                self.pass_error(packet).await?;
                return Ok(Next::Answered(Side::Primary, reason, Outcome::Failed));
            }
            Opened::Refused if !self.drop_primary() => return self.state_lost().await,
            Opened::Refused => {
                return self
                    .answer_error(ClientError::NotRestored, Side::Primary, reason)
                    .await;
            }
        }
        let Statement {
            task,
            total,
            mut profile,
            ..
        } = *statement;
        if reason == Reason::ReplicaRefused {
            // A function or a view in it writes, which its text does not show.
            profile.effects = profile.effects.with(Effects::OPAQUE);
        }
        let tried = self
            .attempt(Side::Primary, task, total, &profile, false, false)
            .await?;
        match tried {
            Tried::Relayed(Relayed::Done(outcome)) => {
                self.ended(Side::Primary, &profile, outcome);
                self.note_savepoint(statement, outcome);
                Ok(Next::Answered(Side::Primary, reason, outcome))
            }
            Tried::Relayed(Relayed::Lost { forwarded }) => {
                self.primary_lost(&profile, forwarded).await
            }
            // `may_retry` was false, so the client has the refusal already.
            Tried::Relayed(Relayed::RefusedAsWrite) => {
                Ok(Next::Answered(Side::Primary, reason, Outcome::Failed))
            }
            Tried::NotRestored => {
                if !self.drop_primary() {
                    return self.state_lost().await;
                }
                self.answer_error(ClientError::NotRestored, Side::Primary, reason)
                    .await
            }
            Tried::NotSent => self.redial(statement, reason, progress).await,
        }
    }

    /// The primary's connection had died before anything was sent.
    async fn redial(
        &mut self,
        statement: &Statement,
        reason: Reason,
        progress: &mut Progress,
    ) -> Result<Next, End> {
        let anywhere = self.drop_primary() && !statement.is_tied();
        progress.redialled += 1;
        if anywhere && progress.redialled < 3 {
            return Ok(Next::Again(Route::Primary(reason)));
        }
        self.state_lost().await
    }

    /// The primary's connection broke while a statement ran: what it did is unknown.
    async fn primary_lost(
        &mut self,
        profile: &StatementProfile,
        forwarded: bool,
    ) -> Result<Next, End> {
        self.shared.watch.suspect(BackendId::PRIMARY);
        self.ended(Side::Primary, profile, Outcome::Lost);
        self.drop_primary();
        if forwarded {
            return Err(End::ReplyBroken);
        }
        self.refuse(ClientError::PrimaryLost).await?;
        Err(End::StateLost)
    }

    /// Closes the primary's connection. `false` when a transaction or state of the session went
    /// with it, so that no other connection may go on in its place.
    pub(super) fn drop_primary(&mut self) -> bool {
        let open = self.state.transaction.open_on() == Some(Side::Primary);
        let replaceable = !open && !self.state.holds_connection();
        self.links.discard(Side::Primary, &self.registered);
        if open {
            self.state.transaction.on_lost();
        }
        replaceable
    }

    /// Ends a session whose transaction or state is gone, before anything runs without it.
    pub(super) async fn state_lost<T>(&mut self) -> Result<T, End> {
        self.refuse(ClientError::PrimaryLostIdle).await?;
        Err(End::StateLost)
    }

    async fn on_replica(
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
            () = left(client, ahead_of(shared)) => return Err(End::ClientGone),
        };
        self.tally.waited = match &settled {
            Ok(Settled { waited: false, .. }) => Duration::ZERO,
            _ => terms.arrived.elapsed(),
        };
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
        match self.hold_replica(settled).await {
            Held::Yes => {}
            Held::No => {
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
                self.replica_lost(settled.backend);
                if forwarded {
                    return Err(End::ReplyBroken);
                }
                progress.lost.push(settled.backend);
                Ok(Next::Again(Route::Replica { transaction }))
            }
            Tried::NotSent => {
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

    fn replica_lost(&mut self, backend: BackendId) {
        self.shared.watch.suspect(backend);
        self.links.discard(Side::Replica, &self.registered);
        if self.state.transaction.open_on() == Some(Side::Replica) {
            self.state.transaction.on_lost();
        }
    }

    /// A statement that belongs to what the held replica connection is doing.
    async fn on_held_replica(
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

    /// Ends the READ ONLY transaction on the replica, as the statement at hand does on one server.
    async fn end_replica_transaction(&mut self) -> Result<(), End> {
        if !self.run_quietly(Side::Replica, b"COMMIT").await? {
            self.links.discard(Side::Replica, &self.registered);
        }
        self.state.transaction.on_lost();
        Ok(())
    }

    /// Ends the READ ONLY transaction on the replica and begins it on the primary.
    async fn move_transaction(&mut self, reason: Reason) -> Result<Next, End> {
        self.end_replica_transaction().await?;
        let Self {
            links,
            state,
            registered,
            ..
        } = self;
        if let Err(error) = links
            .hold(Side::Primary, BackendId::PRIMARY, &state.mirror, registered)
            .await
        {
            let error = client_error(&error);
            return self.answer_error(error, Side::Primary, reason).await;
        }
        let begun = !self.links.died_idle(Side::Primary).await
            && self.restore(Side::Primary).await?
            && self
                .run_quietly(Side::Primary, b"START TRANSACTION READ ONLY")
                .await?;
        if !begun {
            if !self.drop_primary() {
                return self.state_lost().await;
            }
            let error = ClientError::ReadOnlyTransactionLost;
            return self.answer_error(error, Side::Primary, reason).await;
        }
        self.state.transaction.on_moved_to_primary();
        Ok(Next::Again(Route::Primary(reason)))
    }

    /// Runs a small statement that the client knows nothing of; says whether it succeeded.
    pub(super) async fn run_quietly(&mut self, side: Side, sql: &[u8]) -> Result<bool, End> {
        Ok(self.run_unseen(side, sql).await? == Swallowed::Done)
    }

    /// The same; says how it went.
    pub(super) async fn run_unseen(&mut self, side: Side, sql: &[u8]) -> Result<Swallowed, End> {
        self.out.clear();
        let query = com_query(sql, self.who.profile.query_attributes());
        append_packet(&mut self.out, &mut 0, &query);
        match self.send_to_server(side).await {
            true => self.swallow(side, 1).await,
            false => Ok(Swallowed::Broken),
        }
    }

    pub(super) fn ended(&mut self, side: Side, profile: &StatementProfile, outcome: Outcome) {
        let Some(link) = self.links.get_mut(side) else {
            return;
        };
        link.applied.list_untold |= may_set_trackers(profile);
        link.applied.untold |= leaves_untold(side, profile.effects);
        let on = RanOn {
            side,
            backend: link.identity.backend,
            generation: link.identity.generation.unwrap_or_default(),
        };
        if outcome == Outcome::Failed {
            self.diary.errors += 1;
            self.shared
                .metrics
                .error(ErrorKind::Statement, telemetry::Side::Backend);
        }
        let on = self.foresight.ran_on(on);
        self.take_touches(side, profile, outcome);
        self.state.on_end(profile, on, outcome, Instant::now());
        if self.state.positions.is_scattered() {
            self.shared.watch.compact(self.state.positions.need_mut());
            self.state.positions.on_compacted();
        }
        self.tell_pins();
        self.note_aftermath(side, profile);
    }

    async fn answer_error(
        &mut self,
        error: ClientError,
        side: Side,
        reason: Reason,
    ) -> Result<Next, End> {
        self.refuse(error).await?;
        Ok(Next::Answered(side, reason, Outcome::Failed))
    }
}

/// Whether the statement asks about the one before it.
pub(super) fn asks_previous(profile: &StatementProfile) -> bool {
    profile.access == Access::Diagnostics || profile.effects.contains(Effects::ASKS_PREVIOUS)
}

/// Whether the statement may have set what Highwater sets on its connections for itself.
fn may_set_trackers(profile: &StatementProfile) -> bool {
    profile.effects.contains(Effects::MENTIONS_MANAGED_VARIABLE)
        && !matches!(
            profile.access,
            Access::Read | Access::PrimaryRead | Access::Diagnostics
        )
}
