//! Which server is fresh enough for a session's read, and waiting for one.
//!
//! The decisions are [`Search`]'s and [`PrimaryGate`]'s; here their steps are performed: probes are
//! asked for, positions waited for. A read that waits for longer than a moment gives its connection
//! to the replica back, at once if others wait for one.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::kill::Registered;
use super::links::Links;
use super::shared::Shared;
use crate::config::Mode;
use crate::domain::consistency::search::Situation;
use crate::domain::consistency::{
    Executed, GiveUp, GroupKey, Level, PrimaryGate, Requirement, Search, Server, Servers, Step,
    Waited, Watermark,
};
use crate::domain::ids::BackendId;
use crate::domain::position::{Brief, MixedKinds, Position};
use crate::domain::routing::Reason;
use crate::domain::session::{LastRead, Positions, Session, Side, Sights};
use crate::domain::topology::{BackendView, Generation};
use crate::frontend::ClientError;
use crate::monitor::{NotCovered, ProbeError, Watch};
use crate::telemetry::{Outcome, SessionGauge, SessionState};

/// Most waits are over sooner than a connection would be given back and taken again.
const MOMENT: Duration = Duration::from_millis(20);

/// How long a read on the primary asks at least what its session has seen: without an answer it can only
/// fail, and a server that is too busy to answer a probe in time still answers the next one.
const ASKED_FOR: Duration = Duration::from_secs(3);
/// Pause before it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A replica that may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) backend: BackendId,
    /// The life that was found fresh; a connection to another life does not count. `None` at
    /// `eventual`, where any life will do.
    pub(super) generation: Option<Generation>,
    pub(super) waited: bool,
    /// Whether it has less than the read asked for.
    pub(super) stale: bool,
    /// What its level demanded besides what the session needs, if that had to be found out.
    pub(super) beyond: Brief,
}

/// What one read asks for: the session's settings, as changed by the statement's hints.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) level: Level,
    /// Whether it may be no older than `max_staleness`, whatever `level` is.
    pub(super) bounded: bool,
    /// How old it may be then.
    pub(super) max_staleness: Duration,
    pub(super) group: GroupKey,
    /// A position that this statement alone must see.
    pub(super) after: Position,
    pub(super) arrived: Instant,
}

/// Why the primary may not answer yet: it may lack what the session saw on a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotReady {
    /// It has not committed that in time.
    Behind,
    /// Nobody could say what that is.
    Unanswered,
}

impl From<NotReady> for ClientError {
    fn from(why: NotReady) -> Self {
        match why {
            NotReady::Behind => Self::PrimaryBehind,
            NotReady::Unanswered => Self::SightsUnknown,
        }
    }
}

/// What finding a server needs of the session.
pub(super) struct Seeker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) session: &'a mut Session,
    pub(super) links: &'a mut Links,
    pub(super) registered: &'a Registered,
    pub(super) gauge: &'a mut SessionGauge,
    /// Whether a transaction is open on the held replica, which alone may answer then.
    pub(super) in_transaction: bool,
}

/// A search that gave up, for what comes instead.
pub(super) struct Failed {
    pub(super) why: GiveUp,
    pub(super) deadline: Instant,
    /// A replica that could answer with what it has.
    pub(super) stale: Option<Settled>,
    /// Whether it waited.
    pub(super) waited: bool,
    /// As in [`Settled::beyond`].
    pub(super) beyond: Brief,
}

impl Failed {
    /// Every connection to the replicas was taken for as long as a session waits for one.
    pub(super) fn exhausted(arrived: Instant) -> Self {
        Self {
            why: GiveUp::Exhausted,
            deadline: arrived,
            stale: None,
            waited: false,
            beyond: Brief::default(),
        }
    }
}

impl Seeker<'_> {
    /// Finds a replica for the session's next read. `lost` are those that just failed it.
    ///
    /// # Errors
    /// Why no replica may answer.
    pub(super) async fn settle(
        &mut self,
        terms: &Terms,
        lost: &[BackendId],
    ) -> Result<Settled, Failed> {
        let held = self.held();
        if let Some(server) = held
            && !lost.contains(&server.backend)
            && still_there(self.shared, self.session, terms, server)
        {
            return Ok(settled(terms.level, server, false));
        }
        let settings = self.session.settings;
        let link = self.links.get(Side::Replica);
        let connected = link.map(|link| link.identity.backend);
        let situation = Situation {
            held: connected,
            bound: connected.filter(|_| self.in_transaction),
            lost: lost.to_vec(),
            replicas_configured: self.shared.has_replicas(),
        };
        let timeout = settings.catch_up_timeout;
        let requirement = requirement(self.shared, terms);
        let mixed = requirement.is_err();
        let requirement =
            requirement.unwrap_or_else(|_| Requirement::new(terms.level, terms.arrived));
        let mut search = Search::new(requirement, situation, terms.arrived, timeout);
        if mixed {
            search.give_up(GiveUp::NoPositions);
        }
        let found = self.run(terms, &mut search).await;
        if search.waited() {
            self.shared
                .metrics
                .waited(terms.level, terms.arrived.elapsed());
        }
        let beyond = search.requirement().beyond().brief();
        match found {
            Ok(server) => Ok(Settled {
                beyond,
                ..settled(terms.level, server, search.waited())
            }),
            Err(why) => Err(Failed {
                why,
                waited: search.waited(),
                beyond,
                deadline: search.deadline(),
                stale: search
                    .stale(&self.session.positions, self.shared)
                    .map(|server| Settled {
                        stale: true,
                        ..settled(Level::Eventual, server, false)
                    }),
            }),
        }
    }

    async fn run(&mut self, terms: &Terms, search: &mut Search) -> Result<Server, GiveUp> {
        let shared = self.shared;
        loop {
            let positions = &mut self.session.positions;
            match search.poll(positions, shared, Instant::now()) {
                Step::Read(server) => return Ok(server),
                Step::GiveUp(why) => return Err(why),
                Step::Wait {
                    servers,
                    position,
                    deadline,
                } => {
                    let there = self.wait(&servers, &position, deadline).await;
                    search.on_wait(waited(there));
                }
                step => ask(shared, terms, search, positions, &step).await,
            }
        }
    }

    async fn wait(
        &mut self,
        servers: &[Server],
        position: &Position,
        deadline: Instant,
    ) -> Result<BackendId, NotCovered> {
        let servers: Vec<_> = servers
            .iter()
            .map(|server| (server.backend, server.generation))
            .collect();
        let watch = &self.shared.watch;
        self.gauge.set(SessionState::CatchingUp);
        let moment = (Instant::now() + MOMENT).min(deadline);
        let mut there = Err(NotCovered::Timeout);
        if !self.others_lack_its_connection() {
            let covered = watch.wait_covered(&servers, position, moment);
            there = self.links.meanwhile(self.registered, covered).await;
        }
        if matches!(there, Err(NotCovered::Timeout)) && Instant::now() < deadline {
            if !self.in_transaction {
                self.links.release(Side::Replica, self.registered);
            }
            let covered = watch.wait_covered(&servers, position, deadline);
            there = self.links.meanwhile(self.registered, covered).await;
        }
        self.gauge.set(SessionState::Active);
        there
    }

    /// Whether the session holds a replica's connection while that server's pool is exhausted.
    fn others_lack_its_connection(&self) -> bool {
        self.links
            .get(Side::Replica)
            .and_then(|link| self.shared.pool(link.identity.backend))
            .is_some_and(|pool| pool.is_full())
    }

    fn held(&self) -> Option<Server> {
        let held = self.links.get(Side::Replica).map(|link| link.identity);
        // A session that lends its connections keeps to its replica all the same.
        let left = || Some(self.links.left(Side::Replica)?.identity);
        let identity = held.or_else(left)?;
        Some(Server {
            backend: identity.backend,
            generation: identity.generation?,
        })
    }
}

/// What a read must see besides what its session has written and read.
///
/// # Errors
/// When the parts are of different kinds, so that no server has all of them.
pub(super) fn requirement(shared: &Shared, terms: &Terms) -> Result<Requirement, MixedKinds> {
    let Terms { level, arrived, .. } = *terms;
    let requirement = Requirement::new(level, arrived);
    let requirement = match terms.bounded {
        true => {
            let sample = shared.watch.sample(terms.max_staleness, arrived);
            requirement.within(sample.as_ref(), arrived)?
        }
        false => requirement,
    };
    let requirement = match level {
        Level::Group => {
            let mut acknowledged = shared.acknowledged();
            requirement.at(acknowledged.group(&terms.group, arrived))?
        }
        Level::Proxy => requirement.at(shared.acknowledged().proxy())?,
        Level::Eventual | Level::Bounded | Level::Session | Level::Global => requirement,
    };
    requirement.and(&terms.after)
}

/// Performs a step that asks a server for a position; the others are nothing to ask.
pub(super) async fn ask(
    shared: &Shared,
    terms: &Terms,
    search: &mut Search,
    positions: &mut Positions,
    step: &Step,
) {
    match *step {
        Step::AskSeen(read) => {
            let sights = seen(&shared.watch, read).await;
            search.on_seen(positions, sights.as_ref().map_err(no_positions));
        }
        Step::AskPrimary { not_before } => {
            let sights = shared.watch.sights(BackendId::PRIMARY, not_before).await;
            search.on_primary(positions, sights.as_ref().map_err(no_positions));
        }
        Step::AskAgain { not_before } => {
            let sights = shared.watch.sights(BackendId::PRIMARY, not_before).await;
            search.on_asked_again(positions, sights.as_ref().map_err(no_positions));
        }
        Step::AskExecuted { not_before } => {
            let executed = shared.watch.executed(not_before).await;
            let executed = executed.map(|probed| Executed {
                position: probed.position,
                sent: probed.sent,
            });
            if let Ok(executed) = &executed {
                shared.acknowledged().on_executed(
                    &terms.group,
                    &executed.position,
                    executed.sent,
                    Instant::now(),
                );
            }
            search.on_executed(executed.as_ref().map_err(no_positions));
        }
        Step::Read(_) | Step::Wait { .. } | Step::GiveUp(_) => {}
    }
}

fn settled(level: Level, server: Server, waited: bool) -> Settled {
    Settled {
        backend: server.backend,
        generation: (level != Level::Eventual).then_some(server.generation),
        waited,
        stale: false,
        beyond: Brief::default(),
    }
}

/// The common case: the session's replica lives, is healthy, was the last one read from (or
/// nothing was read), and has all that is needed.
fn still_there(shared: &Shared, session: &Session, terms: &Terms, server: Server) -> bool {
    let positions = &session.positions;
    let covers = |position: &Position| shared.covers(server, position);
    let usable = || {
        let is_usable = |view: &BackendView| {
            let same_life = view.generation == Some(server.generation);
            view.usable()
                && same_life
                && view.flaws.breaks(terms.level).is_none()
                && !shared.switches.is_drained(server.backend)
        };
        let watch = &shared.watch;
        watch.look(|servers| servers.get(server.backend).is_some_and(is_usable))
    };
    let at_mark = |mark: &Watermark| mark.unknown_since().is_none() && covers(mark.position());
    if terms.level == Level::Eventual && terms.after.is_empty() {
        return usable();
    }
    terms.after.is_empty()
        && positions.doubt().is_none()
        && positions.unknown_since().is_none()
        && positions
            .last_read()
            .is_none_or(|read| read.server() == server)
        && usable()
        && match terms.level {
            Level::Session => !terms.bounded && covers(positions.need()),
            Level::Group => {
                covers(positions.need())
                    && at_mark(shared.acknowledged().group(&terms.group, terms.arrived))
            }
            Level::Proxy => covers(positions.need()) && at_mark(shared.acknowledged().proxy()),
            Level::Eventual | Level::Bounded | Level::Global => false,
        }
}

impl Servers for Shared {
    fn usable(&self) -> Vec<Server> {
        let topology = self.watch.topology();
        let life = |view: &BackendView| {
            Some(Server {
                backend: view.id,
                generation: view.generation?,
            })
        };
        topology.usable_replicas().filter_map(life).collect()
    }

    fn primary(&self) -> Option<Server> {
        let topology = self.watch.topology();
        let view = topology.get(BackendId::PRIMARY)?;
        Some(Server {
            backend: view.id,
            generation: view.generation?,
        })
    }

    fn covers(&self, server: Server, position: &Position) -> bool {
        self.watch
            .bound_covers(server.backend, server.generation, position)
    }

    fn load(&self, backend: BackendId) -> usize {
        self.pool(backend)
            .and_then(|pool| pool.load())
            .unwrap_or(usize::MAX)
    }

    fn turn(&self) -> usize {
        self.next_turn()
    }

    fn compact(&self, position: &mut Position) {
        self.watch.compact(position);
    }

    fn is_drained(&self, backend: BackendId) -> bool {
        self.switches.is_drained(backend)
    }

    fn may_keep(&self, backend: BackendId, level: Level) -> bool {
        let keeps = |view: &BackendView| view.flaws.breaks(level).is_none();
        self.watch
            .look(|servers| servers.get(backend).is_some_and(keeps))
    }
}

/// What on the primary breaks this level, if something does: nobody can hold it then.
pub(super) fn refusal(shared: &Shared, level: Level) -> Option<ClientError> {
    let flaw = shared
        .watch
        .look(|servers| servers.get(BackendId::PRIMARY)?.flaws.breaks(level))?;
    Some(ClientError::LevelBroken {
        level: level.name(),
        setting: flaw.setting(),
    })
}

/// What can have been seen by a read: from its server if that still lives the same life, else from
/// the primary, where all of it came from. The primary's answer says more, since it also names what
/// somebody may own for long before it is committed, or never commits.
pub(super) async fn seen(watch: &Watch, read: LastRead) -> Result<Sights, ProbeError> {
    let topology = watch.topology();
    let alive = topology.get(read.backend).is_some_and(|view| view.usable());
    if alive
        && let Ok(sights) = watch
            .sights_of(read.backend, read.generation, read.ended)
            .await
    {
        return Ok(sights);
    }
    watch.sights(BackendId::PRIMARY, read.ended).await
}

pub(super) fn waited(there: Result<BackendId, NotCovered>) -> Waited {
    match there {
        Ok(_) => Waited::There,
        Err(NotCovered::Timeout) => Waited::TimedOut,
        Err(NotCovered::Lost) => Waited::Lost,
    }
}

fn no_positions(error: &ProbeError) -> GiveUp {
    tracing::debug!(%error, "nobody says how far a read's past reaches");
    match error {
        ProbeError::Unsupported => GiveUp::NoPositionsHere,
        _ => GiveUp::NoPositions,
    }
}

/// Before a read on the primary: it can be behind a replica for a moment, so it must have committed
/// all that can have been seen by the session's reads on replicas.
///
/// # Errors
/// When it does not get there within the session's timeout, or nobody can say what it lacks.
pub(super) async fn primary_ready(
    shared: &Shared,
    session: &mut Session,
    level: Level,
) -> Result<(), NotReady> {
    let shadow = shared.mode == Mode::Shadow;
    if shadow || nothing_seen_elsewhere(&session.positions) {
        return Ok(());
    }
    let timeout = session.settings.catch_up_timeout;
    let positions = &mut session.positions;
    let watch = &shared.watch;
    let mut gate = PrimaryGate::new(level, Instant::now(), timeout);
    let until = Instant::now() + timeout.max(ASKED_FOR);
    while let Some(step) = gate.poll(positions, shared, Instant::now()) {
        match step {
            Step::AskSeen(read) => {
                let sights = insist(until, || seen(watch, read)).await;
                gate.on_seen(sights.as_ref().map_err(no_positions));
            }
            Step::AskPrimary { not_before } => {
                let sights = insist(until, || watch.sights(BackendId::PRIMARY, not_before)).await;
                gate.on_primary(positions, sights.as_ref().map_err(no_positions));
            }
            Step::AskAgain { not_before } => {
                let sights = watch.sights(BackendId::PRIMARY, not_before).await;
                gate.on_asked_again(positions, sights.as_ref().map_err(no_positions));
            }
            Step::Wait {
                servers,
                position,
                deadline,
            } => {
                let primary: Vec<_> = servers.iter().map(|s| (s.backend, s.generation)).collect();
                let there = watch.wait_covered(&primary, &position, deadline).await;
                gate.on_wait(waited(there));
            }
            Step::GiveUp(why) => {
                tracing::debug!(?why, "the primary may be behind what was seen on a replica");
                return Err(match why {
                    GiveUp::Timeout => NotReady::Behind,
                    _ => NotReady::Unanswered,
                });
            }
            Step::Read(_) | Step::AskExecuted { .. } => break,
        }
    }
    Ok(())
}

/// Asks until somebody answers, or it is that late: the servers may be busy, or begin another life.
async fn insist<A: Future<Output = Result<Sights, ProbeError>>>(
    until: Instant,
    ask: impl Fn() -> A,
) -> Result<Sights, ProbeError> {
    loop {
        match ask().await {
            Err(error) if error.passes() && Instant::now() < until => sleep(ASK_AGAIN).await,
            answer => return answer,
        }
    }
}

/// The common case of a session on the primary.
fn nothing_seen_elsewhere(positions: &Positions) -> bool {
    positions.elsewhere_since().is_none()
        && positions
            .last_read()
            .is_none_or(|read| read.backend.is_primary())
}

/// How a read got what its level promises, for the metrics.
pub(super) fn outcome(reason: Reason) -> Outcome {
    match reason {
        Reason::Fresh | Reason::ReplicaLost | Reason::ReadOnlyTransaction => Outcome::Fresh,
        Reason::Waited => Outcome::Waited,
        Reason::Stale => Outcome::Stale,
        Reason::NotFresh | Reason::OverBudget | Reason::LevelBroken => Outcome::Error,
        _ => Outcome::Primary,
    }
}
