//! Runs one statement: where it goes, attempt after attempt, until it is answered.

mod moved;
mod primary;
mod replica;

use std::time::Instant;

use super::attempt::Task;
use super::budget::Permit;
use super::diagnostics::Recall;
use super::freshness::{self, Terms};
use super::history::{Went, failed};
use super::reply::Swallowed;
use super::session::{End, Relay};
use super::staleness::StaleNote;
use super::trackers::may_set_trackers;
use crate::domain::consistency::GroupKey;
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::routing::{Reason, Route, Toll, routed};
use crate::domain::session::lease::leaves_untold;
use crate::domain::session::{Outcome, RanOn, Side};
use crate::domain::sql::{Access, Effects, StatementProfile};
use crate::frontend::ClientError;
use crate::protocol::command::com_query;
use crate::protocol::frame::append_packet;
use crate::protocol::reply::ReplyKind;
use crate::telemetry::{self, ErrorKind, Target};

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
    /// A text of Highwater's own, which stands in [`Relay::rewritten`].
    pub(super) const fn rewritten(
        profile: StatementProfile,
        bound: Option<(Side, Reason)>,
    ) -> Self {
        Self {
            task: Task::Rewritten(ReplyKind::Query),
            profile,
            total: 0,
            bound,
        }
    }

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
    /// Servers that were lost while they ran it.
    toll: Toll,
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
        self.notice_history();
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
        self.settle_tables(&statement.profile).await;
        self.settle_programs(statement.profile.access).await;
        self.look_at(&statement);
        self.learn_for_constants().await;
        let mut next = self.first_route(&statement);
        next = self.shadowed(next, &statement, &terms);
        let (target, reason, outcome) = loop {
            if next == Route::Own {
                return self.run_own(&statement).await;
            }
            match self.go(next, &statement, &terms, &mut progress).await? {
                Next::Again(route) => {
                    if self.stale == StaleNote::Flag {
                        self.stale = StaleNote::None;
                    }
                    next = route;
                }
                Next::Refused(reason) => break (Target::Proxy, reason, Outcome::Failed),
                Next::Here(reason) => break (Target::Proxy, reason, DONE),
                Next::Answered(side, reason, outcome) => break (self.count(side), reason, outcome),
            }
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
            let outcome = freshness::outcome(reason);
            self.shared.metrics.outcome(level, outcome);
        }
        self.after_staleness();
        self.settle_groups();
        self.settle_locks().await;
        self.settle_nulls().await;
        self.after_fallback(progress.permit.take(), had_primary)
            .await?;
        if access == Access::TransactionEnd
            && outcome != Outcome::Failed
            && self.releases(&statement)
        {
            return Err(End::Released);
        }
        Ok(outcome)
    }

    /// Tries a statement where this route leads.
    async fn go(
        &mut self,
        route: Route,
        statement: &Statement,
        terms: &Terms,
        progress: &mut Progress,
    ) -> Result<Next, End> {
        match route {
            Route::Primary(reason) => self.on_primary(statement, terms, reason, progress).await,
            Route::HeldReplica(reason) => {
                let fresh = self.fresh_in_transaction(statement, terms, progress);
                match fresh.await? {
                    Some(instead) => Ok(instead),
                    None => self.on_held_replica(statement, reason).await,
                }
            }
            Route::Replica { transaction } => {
                self.on_replica(statement, terms, transaction, progress)
                    .await
            }
            Route::EndReplicaTransaction(reason) => self.end_for(statement, reason).await,
            Route::MoveTransaction(reason) => self.move_transaction(reason).await,
            Route::Defer(deferred) if statement.begins_anywhere() => {
                self.begin_deferred(deferred).await?;
                Ok(Next::Here(Reason::Deferred))
            }
            Route::EndDeferred if self.end_deferred(statement).await? => {
                Ok(Next::Here(Reason::Deferred))
            }
            // Highwater answers the last of these before it comes here.
            Route::Defer(_) | Route::EndDeferred | Route::Own => {
                Ok(Next::Again(Route::Primary(Reason::InTransaction)))
            }
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
            bounded: self.state.is_bounded(),
            max_staleness: self.state.max_staleness(),
            group: self.group().clone(),
            after,
            arrived,
        })
    }

    fn first_route(&self, statement: &Statement) -> Route {
        match (statement.bound, self.routed(&statement.profile)) {
            _ if self.links.is_confined() => Route::Primary(Reason::PasswordExpired),
            (Some((Side::Primary, reason)), _) => Route::Primary(reason),
            (Some((Side::Replica, reason)), _) => Route::HeldReplica(reason),
            (None, routed) => routed,
        }
    }

    /// Where the session sends a statement that is bound nowhere.
    fn routed(&self, profile: &StatementProfile) -> Route {
        let outside = self.shared.outside(profile, self.diary.id);
        routed(&self.state, profile, outside)
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
        self.end_change(side, outcome);
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
