//! What the proxy does with a statement: the glue between the pure rooms, as relay has it.

use std::rc::Rc;

use highwater::domain::consistency::search::Situation;
use highwater::domain::consistency::{
    Fallback, GiveUp, Level, PrimaryGate, Requirement, Search, Server, Step,
};
use highwater::domain::ids::BackendId;
use highwater::domain::position::Position;
use highwater::domain::routing::{Reason, Route, route};
use highwater::domain::session::{Applied, Ending, Outcome, RanOn, Side, Tracked, Unsaid};
use highwater::domain::sql::{Access, Effects, LexMode, StatementProfile, state};
use highwater::domain::topology::Leavings;

use super::bits::Bits;
use super::client::{Client, Kind, Op, group};
use super::link::{Link, NoLink, Reply};
use super::sim::Defect;

/// The one answer to a command.
pub(crate) enum Answer {
    /// Rows; `stale` if they came with a warning.
    Shown {
        seen: Bits,
        stale: bool,
    },
    Done,
    Error,
    /// An error, and the connection is closed.
    Closed,
}

enum Next {
    Answer(Answer),
    Again(Route),
}

#[derive(Default)]
struct Progress {
    lost: Vec<BackendId>,
    redialled: usize,
    permit: bool,
}

/// How one try on a connection went.
enum Tried {
    Answered(Answer),
    Refused,
    Lost,
    NotSent,
}

impl Client {
    /// Runs a statement and gives its one answer.
    pub(crate) async fn run(&mut self, op: &Op) -> Answer {
        let mut progress = Progress::default();
        let mut next = route(&self.session, &op.profile);
        let refused = self.sim.refused.borrow().contains(&op.profile.fingerprint);
        if refused && matches!(next, Route::Replica { .. }) {
            next = Route::Primary(Reason::ReplicaRefused);
        }
        loop {
            let done = match next {
                Route::Primary(reason) => self.on_primary(op, reason, &mut progress).await,
                Route::HeldReplica(reason) => {
                    match self.fresh_in_transaction(op, &mut progress).await {
                        Some(instead) => instead,
                        None => self.on_held_replica(op, reason).await,
                    }
                }
                Route::Replica { transaction } => {
                    self.on_replica(op, transaction, &mut progress).await
                }
                Route::EndReplicaTransaction(reason) => {
                    self.end_replica_transaction();
                    Next::Again(match route(&self.session, &op.profile) {
                        Route::EndReplicaTransaction(_) => Route::Primary(reason),
                        other => other,
                    })
                }
                Route::MoveTransaction(reason) => self.move_transaction(reason).await,
                // These sessions open their transactions at once.
                Route::Own | Route::Defer(_) | Route::EndDeferred => {
                    self.sim
                        .broken(|| format!("client {}: no such route", self.id));
                    Next::Answer(Answer::Error)
                }
            };
            match done {
                Next::Again(route) => next = route,
                Next::Answer(answer) => {
                    if progress.permit {
                        self.sim.budget.set(self.sim.budget.get() + 1);
                    }
                    return answer;
                }
            }
        }
    }

    fn end_replica_transaction(&mut self) {
        self.release_replica();
        self.session.transaction.on_lost();
    }

    /// Ends the READ ONLY transaction on the replica and begins it on the primary.
    async fn move_transaction(&mut self, reason: Reason) -> Next {
        self.end_replica_transaction();
        if self.primary.is_none() {
            match self.sim.lease(BackendId::PRIMARY).await {
                Ok(link) => self.primary = Some(link),
                Err(_) => return Next::Answer(Answer::Error),
            }
        }
        self.sim.travel().await;
        let alive = self
            .primary
            .as_ref()
            .is_some_and(|it| self.sim.is_alive(it));
        if !alive {
            return Next::Answer(match self.drop_primary() {
                true => Answer::Error,
                false => Answer::Closed,
            });
        }
        if let Some(link) = &mut self.primary {
            link.begin_read_only();
        }
        self.session.transaction.on_moved_to_primary();
        Next::Again(Route::Primary(reason))
    }

    /// Before the first read of a READ ONLY transaction on a replica: what happens instead of it, if
    /// the replica is not fresh enough.
    async fn fresh_in_transaction(&mut self, op: &Op, progress: &mut Progress) -> Option<Next> {
        let transaction = &self.session.transaction;
        let first = transaction.open_on() == Some(Side::Replica) && !transaction.has_read();
        let bound = self.replica.as_ref()?.backend;
        if !first || op.profile.access != Access::Read {
            return None;
        }
        let level = self.session.read_level();
        let situation = Situation {
            held: Some(bound),
            bound: Some(bound),
            lost: Vec::new(),
            replicas_configured: true,
        };
        let timeout = self.session.settings.catch_up_timeout;
        let requirement = self.requirement(op, level);
        let mut search = Search::new(requirement, situation, op.arrived, timeout);
        let why = self.search(&mut search).await.err()?;
        if why == GiveUp::NoReplica && self.sim.has(Defect::UnusableReplicasAreBelieved) {
            return None;
        }
        Some(match self.fall_back(why, None, true, progress) {
            Err(Next::Again(Route::Primary(reason))) => Next::Again(Route::MoveTransaction(reason)),
            Err(next) => next,
            Ok(_) => Next::Answer(Answer::Error),
        })
    }

    async fn on_primary(&mut self, op: &Op, reason: Reason, progress: &mut Progress) -> Next {
        if op.profile.may_show_data() && !self.primary_ready(op).await {
            return Next::Answer(Answer::Error);
        }
        let open = self.session.transaction.open_on() == Some(Side::Primary);
        if open && self.primary.is_none() {
            return Next::Answer(Answer::Closed);
        }
        if self.primary.is_none() {
            match self.sim.lease(BackendId::PRIMARY).await {
                Ok(link) => self.primary = Some(link),
                Err(_) => return Next::Answer(Answer::Error),
            }
        }
        let mut profile = op.profile;
        if reason == Reason::ReplicaRefused {
            profile.effects = profile.effects.with(Effects::OPAQUE);
        }
        match self.attempt(Side::Primary, op, &profile).await {
            Tried::Answered(answer) => {
                let mut counts = self.sim.counts.borrow_mut();
                match answer {
                    Answer::Shown { .. } => counts.primary_reads += 1,
                    _ => counts.writes += u64::from(op.kind.writes()),
                }
                Next::Answer(answer)
            }
            Tried::Refused => Next::Answer(Answer::Error),
            Tried::Lost => {
                self.ended(Side::Primary, &profile, Outcome::Lost);
                let again = self.sim.has(Defect::LostWritesAreSentAgain);
                if again && self.drop_primary() && progress.redialled < 3 {
                    progress.redialled += 1;
                    return Next::Again(Route::Primary(reason));
                }
                self.drop_primary();
                Next::Answer(Answer::Closed)
            }
            Tried::NotSent => {
                progress.redialled += 1;
                match self.drop_primary() && progress.redialled < 3 {
                    true => Next::Again(Route::Primary(reason)),
                    false => Next::Answer(Answer::Closed),
                }
            }
        }
    }

    /// Closes the primary's connection; whether another one may go on in its place.
    fn drop_primary(&mut self) -> bool {
        let open = self.session.transaction.open_on() == Some(Side::Primary);
        let replaceable = !open && !self.session.holds_connection();
        self.release_primary();
        if open {
            self.session.transaction.on_lost();
        }
        replaceable
    }

    async fn primary_ready(&mut self, op: &Op) -> bool {
        let sim = Rc::clone(&self.sim);
        if sim.has(Defect::PrimaryIsAlwaysReady) {
            return true;
        }
        let level = self.session.read_level();
        let timeout = self.session.settings.catch_up_timeout;
        let mut gate = PrimaryGate::new(level, op.arrived, timeout);
        loop {
            let positions = &mut self.session.positions;
            match gate.poll(positions, &*sim, sim.clock.now()) {
                None | Some(Step::Read(_) | Step::AskExecuted { .. }) => return true,
                Some(Step::AskSeen(read)) => {
                    let bound = sim.seen(read).await;
                    gate.on_seen(bound.as_ref().map_err(|why| *why));
                }
                Some(Step::AskPrimary { not_before }) => {
                    let bound = sim.upper_bound(not_before).await;
                    gate.on_primary(positions, bound.as_ref().map_err(|why| *why));
                }
                Some(Step::AskAgain { not_before }) => {
                    let bound = sim.upper_bound(not_before).await;
                    gate.on_asked_again(positions, bound.as_ref().map_err(|why| *why));
                }
                Some(Step::Wait {
                    servers,
                    position,
                    deadline,
                }) => gate.on_wait(sim.wait_covered(&servers, &position, deadline).await),
                Some(Step::GiveUp(_)) => return false,
            }
            self.check_position();
        }
    }

    async fn on_replica(&mut self, op: &Op, transaction: bool, progress: &mut Progress) -> Next {
        let sim = Rc::clone(&self.sim);
        let level = self.session.read_level();
        let requirement = self.requirement(op, level);
        let (backend, servers) = (self.replica.as_ref().map(|l| l.backend), sim.watch_size());
        let situation = Situation {
            held: backend,
            bound: None,
            lost: progress.lost.clone(),
            replicas_configured: servers > 1,
        };
        let timeout = self.session.settings.catch_up_timeout;
        let mut search = Search::new(requirement, situation, op.arrived, timeout);
        let found = self.search(&mut search).await;
        sim.counts.borrow_mut().waits += u64::from(search.waited());
        let (server, stale) = match found {
            Ok(server) => (server, false),
            Err(why) => {
                let older = search.stale(&self.session.positions, &*sim);
                match self.fall_back(why, older, transaction, progress) {
                    Ok(server) => (server, true),
                    Err(next) => return next,
                }
            }
        };
        let any_life = stale || level == Level::Eventual;
        match self.hold_replica(server, any_life).await {
            Ok(()) => {}
            Err(NoLink::Unreachable) => {
                progress.lost.push(server.backend);
                return Next::Again(Route::Replica { transaction });
            }
            Err(NoLink::Exhausted) => {
                return match self.fall_back(GiveUp::Exhausted, None, transaction, progress) {
                    Ok(_) => Next::Answer(Answer::Error),
                    Err(next) => next,
                };
            }
        }
        match self.attempt(Side::Replica, op, &op.profile).await {
            Tried::Answered(Answer::Shown { seen, .. }) => {
                sim.counts.borrow_mut().replica_reads += 1;
                Next::Answer(Answer::Shown { seen, stale })
            }
            Tried::Answered(answer) => Next::Answer(answer),
            Tried::Refused => {
                sim.refused.borrow_mut().insert(op.profile.fingerprint);
                Next::Again(Route::Primary(Reason::ReplicaRefused))
            }
            Tried::Lost | Tried::NotSent => {
                self.replica_lost();
                progress.lost.push(server.backend);
                Next::Again(Route::Replica { transaction })
            }
        }
    }

    fn requirement(&self, op: &Op, level: Level) -> Requirement {
        let sim = &self.sim;
        let requirement = Requirement::new(level, op.arrived);
        let mut acknowledged = sim.acknowledged.borrow_mut();
        let mixed = match level {
            Level::Bounded => {
                let staleness = match sim.has(Defect::AnySampleWillDo) {
                    true => self.session.settings.max_staleness * 20,
                    false => self.session.settings.max_staleness,
                };
                let sample = sim.watch.borrow().sample(staleness, op.arrived);
                requirement.within(sample.as_ref(), op.arrived)
            }
            Level::Group => requirement.at(acknowledged.group(&group(self.group), op.arrived)),
            Level::Proxy => requirement.at(acknowledged.proxy()),
            Level::Eventual | Level::Session | Level::Global => Ok(requirement),
        };
        mixed.unwrap()
    }

    async fn search(&mut self, search: &mut Search) -> Result<Server, GiveUp> {
        let sim = Rc::clone(&self.sim);
        loop {
            let positions = &mut self.session.positions;
            match search.poll(positions, &*sim, sim.clock.now()) {
                Step::Read(server) => return Ok(server),
                Step::GiveUp(why) => return Err(why),
                Step::AskSeen(read) => {
                    let bound = sim.seen(read).await;
                    search.on_seen(positions, bound.as_ref().map_err(|why| *why));
                }
                Step::AskPrimary { not_before } => {
                    let bound = sim.upper_bound(not_before).await;
                    search.on_primary(positions, bound.as_ref().map_err(|why| *why));
                }
                Step::AskAgain { not_before } => {
                    let bound = sim.upper_bound(not_before).await;
                    search.on_asked_again(positions, bound.as_ref().map_err(|why| *why));
                }
                Step::AskExecuted { not_before } => {
                    let mut executed = sim.executed(not_before).await;
                    if let Ok(executed) = &mut executed {
                        if sim.has(Defect::AnyProbeWillDo) {
                            executed.sent = executed.sent.max(not_before);
                        }
                        sim.acknowledged.borrow_mut().on_executed(
                            &group(self.group),
                            &executed.position,
                            executed.sent,
                            sim.clock.now(),
                        );
                    }
                    search.on_executed(executed.as_ref().map_err(|why| *why));
                }
                Step::Wait {
                    servers,
                    position,
                    deadline,
                } => {
                    let open = self.session.transaction.is_open();
                    if !open && sim.random.percent(50) {
                        self.release_replica();
                    }
                    search.on_wait(sim.wait_covered(&servers, &position, deadline).await);
                }
            }
            self.check_position();
        }
    }

    /// What comes instead of a fresh replica: an older answer from there, or the next step.
    fn fall_back(
        &self,
        why: GiveUp,
        older: Option<Server>,
        transaction: bool,
        progress: &mut Progress,
    ) -> Result<Server, Next> {
        let primary = Next::Again(Route::Primary(Reason::NoReplica));
        let on_timeout = self.session.settings.on_timeout;
        match (Fallback::of(why, on_timeout), older) {
            (Fallback::Belongs, _) => Err(primary),
            (Fallback::Stale, Some(server)) if !transaction => Ok(server),
            (Fallback::Refused, _) => Err(Next::Answer(Answer::Error)),
            (Fallback::Budgeted { .. } | Fallback::Stale, _) => {
                let free = self.sim.budget.get();
                if free == 0 && !progress.permit {
                    return Err(Next::Answer(Answer::Error));
                }
                if !progress.permit {
                    progress.permit = true;
                    self.sim.budget.set(free - 1);
                }
                Err(primary)
            }
        }
    }

    async fn hold_replica(&mut self, server: Server, any_life: bool) -> Result<(), NoLink> {
        for _ in 0..2 {
            let held = self.replica.as_ref();
            if held.is_none_or(|link| link.backend != server.backend) {
                self.release_replica();
                let link = self.sim.lease(server.backend).await?;
                self.replica = Some(link);
            }
            let life = self.replica.as_ref().and_then(|link| link.generation);
            let addresses = self.sim.has(Defect::BoundsBelongToAddresses);
            if any_life || addresses || life == Some(server.generation) {
                return Ok(());
            }
            self.release_replica();
        }
        Err(NoLink::Unreachable)
    }

    fn replica_lost(&mut self) {
        self.release_replica();
        if self.session.transaction.open_on() == Some(Side::Replica) {
            self.session.transaction.on_lost();
        }
    }

    async fn on_held_replica(&mut self, op: &Op, reason: Reason) -> Next {
        let open = self.session.transaction.open_on() == Some(Side::Replica);
        if self.replica.is_none() {
            if open {
                self.session.transaction.on_lost();
                return Next::Answer(Answer::Error);
            }
            return Next::Again(Route::Primary(reason));
        }
        match self.attempt(Side::Replica, op, &op.profile).await {
            Tried::Answered(answer) => Next::Answer(answer),
            // It is the client's to hear of.
            Tried::Refused => {
                self.ended(Side::Replica, &op.profile, Outcome::Failed);
                Next::Answer(Answer::Error)
            }
            Tried::Lost | Tried::NotSent => {
                self.replica_lost();
                match open {
                    true => Next::Answer(Answer::Error),
                    false => Next::Again(Route::Primary(reason)),
                }
            }
        }
    }

    async fn attempt(&mut self, side: Side, op: &Op, profile: &StatementProfile) -> Tried {
        let sim = Rc::clone(&self.sim);
        let slot = match side {
            Side::Primary => &mut self.primary,
            Side::Replica => &mut self.replica,
        };
        let Some(mut link) = slot.take() else {
            return Tried::NotSent;
        };
        if !sim.is_alive(&link) && sim.random.percent(50) {
            self.put_back(side, link);
            return Tried::NotSent;
        }
        self.session.on_start(profile);
        let reply = sim.send(self, &mut link, op).await;
        let answer = match reply {
            None => Tried::Lost,
            Some(reply) if reply.refused => Tried::Refused,
            Some(reply) => Tried::Answered(self.relay(side, &mut link, op, profile, reply).await),
        };
        self.put_back(side, link);
        answer
    }

    fn put_back(&mut self, side: Side, link: Link) {
        match side {
            Side::Primary => self.primary = Some(link),
            Side::Replica => self.replica = Some(link),
        }
    }

    /// Takes a reply in, and then gives it to the client.
    async fn relay(
        &mut self,
        side: Side,
        link: &mut Link,
        op: &Op,
        profile: &StatementProfile,
        reply: Reply,
    ) -> Answer {
        let sim = Rc::clone(&self.sim);
        if let Some(gtid) = &reply.gtid {
            let told = Tracked::OwnGtids(gtid.as_bytes());
            self.session.on_tracked(side, told, &mut link.applied);
        }
        let letters = Tracked::TransactionState(reply.letters);
        self.session.on_tracked(side, letters, &mut link.applied);
        self.session.on_status(side, reply.status);
        if side == Side::Replica {
            sim.note_executed(link);
        }
        let outcome = match reply.outcome {
            Outcome::Failed if sim.has(Defect::ErrorIsHarmless) => Outcome::Done {
                affected: 0,
                rows: false,
            },
            outcome => outcome,
        };
        let group = self.group;
        if sim.has(Defect::RaisedAfterTheOk) {
            self.tell(op, group, &reply);
            sim.clock.sleep(sim.random.range(1, 3_000)).await;
            self.acknowledge(side, group, outcome);
        } else {
            self.acknowledge(side, group, outcome);
            self.tell(op, group, &reply);
        }
        let on = RanOn {
            side,
            backend: link.backend,
            generation: link.generation.unwrap_or_default(),
        };
        if state::may_touch(profile) {
            let touches = state::touches(op.kind.sql().as_bytes(), LexMode::default());
            let ending = Ending {
                side,
                outcome,
                results: usize::from(matches!(outcome, Outcome::Done { .. })),
                may_trigger: false,
                leavings: Leavings::NOTHING,
                now: sim.clock.now(),
            };
            let mut applied = Applied::default();
            self.session
                .on_touched(profile, &touches, ending, &mut applied);
        }
        self.session.on_end(profile, on, outcome, sim.clock.now());
        if op.kind == Kind::TemporaryTable {
            self.pinned = Some(link.serial);
        }
        if sim.has(Defect::UntrackedWritesAreForgotten) && op.kind == Kind::Unlogged {
            let mut other = highwater::domain::session::Positions::default();
            other.on_read_after(self.session.positions.need());
            self.session.positions = other;
        }
        match (reply.seen, reply.outcome) {
            (Some(seen), _) => Answer::Shown { seen, stale: false },
            (None, Outcome::Done { .. }) => Answer::Done,
            (None, _) => Answer::Error,
        }
    }

    /// Raises what others are promised, as `relay::groups` does.
    fn acknowledge(&mut self, side: Side, number: usize, outcome: Outcome) {
        if side == Side::Replica {
            return;
        }
        let told = self.session.positions.take_told();
        let unread = told.as_ref().is_some_and(Position::is_empty);
        let unsaid = unread || self.session.unsaid(outcome, false) != Unsaid::Nothing;
        let now = self.sim.clock.now();
        let mut acknowledged = self.sim.acknowledged.borrow_mut();
        if let Some(told) = told {
            acknowledged.raise(&group(number), &told, now);
        }
        if unsaid {
            acknowledged.on_unknown(&group(number), now);
        }
    }

    /// The client has the reply: from now on it and others are promised what it wrote.
    fn tell(&mut self, op: &Op, group: usize, reply: &Reply) {
        let Some(id) = reply.committed else {
            return;
        };
        self.knows.insert(id);
        if op.kind == Kind::Unlogged {
            self.unlogged.insert(id);
        }
        let mut told = self.sim.told.borrow_mut();
        told.anywhere.insert(id);
        told.proxy.insert(id);
        told.groups[group].insert(id);
    }

    fn ended(&mut self, side: Side, profile: &StatementProfile, outcome: Outcome) {
        let link = match side {
            Side::Primary => &self.primary,
            Side::Replica => &self.replica,
        };
        let Some(link) = link else {
            return;
        };
        let on = RanOn {
            side,
            backend: link.backend,
            generation: link.generation.unwrap_or_default(),
        };
        let now = self.sim.clock.now();
        self.session.on_end(profile, on, outcome, now);
    }

    /// A position that covers all that this session wrote and saw, as `relay::tokens` makes it.
    pub(crate) async fn token(&mut self) -> Option<Position> {
        let sim = Rc::clone(&self.sim);
        let positions = &mut self.session.positions;
        if positions.untracked_write() {
            return None;
        }
        if let Some(since) = positions.unknown_since() {
            positions.on_primary_bound(&sim.upper_bound(since).await.ok()?);
        }
        let mut positions = self.session.positions.clone();
        if let Some(read) = positions.last_read() {
            positions.on_seen_bound(&sim.seen(read).await.ok()?);
        }
        if positions.doubt().is_some() {
            positions.on_primary_said(&sim.upper_bound(sim.clock.now()).await.ok()?);
        }
        Some(positions.need_and_doubt())
    }
}
