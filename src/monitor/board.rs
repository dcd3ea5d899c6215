//! From what each probe found to one picture of all servers.
//!
//! A replica's health depends on the primary's, so every outcome leads to all being judged again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ProbeError;
use super::life::Life;
use super::settings::{Address, Settings};
use super::shared::{Backend, lock};
use crate::domain::consistency::sticky;
use crate::domain::ids::BackendId;
use crate::domain::position::gtid::parse_uuid;
use crate::domain::position::{Position, PositionKind};
use crate::domain::servers::PerServer;
use crate::domain::topology::guarantee::Flaws;
use crate::domain::topology::health::{Contact, PrimaryState, judge_primary, judge_replica};
use crate::domain::topology::{
    BackendView, Generation, Health, Incarnation, Lag, Report, Role, Samples, Topology,
};

/// How long an address behind which two servers were seen stays unusable after the last change.
const MIXED_FOR: Duration = Duration::from_secs(60);

/// How long a replaced life is remembered. Connections that were opened to it may still name it.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What one probe found.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The server told about itself.
    Answer(Box<Answer>),
    /// It did not.
    Failed(ProbeError),
}

/// What a server told.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) report: Report,
    /// What its position is as old as: when the question was sent, or earlier.
    pub(super) sent: Instant,
    /// Whether the connection was opened for this probe.
    pub(super) fresh_connection: bool,
    /// Whether it lacks what it was known to have before it was asked: its history was reset, as when
    /// it is filled anew without a restart.
    pub(super) lost_history: bool,
}

/// The picture of all servers.
pub(super) struct Board {
    seats: Vec<Seat>,
    epoch: u64,
    pub(super) bounds: Bounds,
}

/// How late a replica in use may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    max_lag: Duration,
    /// The same where nobody tells positions.
    max_lag_unknown: Duration,
}

impl Bounds {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            max_lag: settings.max_lag,
            max_lag_unknown: sticky::max_lag(settings.max_lag, settings.sticky_after_write),
        }
    }

    pub(super) fn tighter(self, other: Self) -> Self {
        Self {
            max_lag: self.max_lag.min(other.max_lag),
            max_lag_unknown: self.max_lag_unknown.min(other.max_lag_unknown),
        }
    }
}

struct Seat {
    view: BackendView,
    /// The last report, also of a server that is down now.
    report: Option<Report>,
    /// What the last report is as old as.
    asked: Option<Instant>,
    contact: Contact,
    failure: Option<ProbeError>,
    /// Lives that another server replaced, with the time of their end.
    past: Vec<(Incarnation, Instant)>,
    mixed_until: Option<Instant>,
    /// When the primary began its history anew: what a replica has may be of the one before.
    doubted_since: Option<Instant>,
}

impl Board {
    pub(super) fn new(addresses: &[Address], settings: &Settings) -> Self {
        let seats = (0..).zip(addresses);
        Self {
            seats: seats
                .map(|(number, address)| Seat::new(BackendId(number), address))
                .collect(),
            epoch: 0,
            bounds: Bounds::of(settings),
        }
    }

    /// A server came.
    pub(super) fn add(&mut self, id: BackendId, address: &Address) {
        self.seats.push(Seat::new(id, address));
        self.epoch += 1;
    }

    /// A server was taken away.
    pub(super) fn remove(&mut self, id: BackendId) {
        self.seats.retain(|seat| seat.view.id != id);
        self.epoch += 1;
    }

    fn seat(&mut self, id: BackendId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.view.id == id)
    }

    /// The picture to publish.
    pub(super) fn topology(&self) -> Topology {
        Topology {
            epoch: self.epoch,
            backends: self.seats.iter().map(|seat| seat.view.clone()).collect(),
        }
    }

    /// The life that gave this report: the one that is known, or a new one.
    pub(super) fn live(
        &mut self,
        backend: &Backend,
        samples: &mut Samples,
        answer: &Answer,
    ) -> Arc<Life> {
        let report = &answer.report;
        let now = Instant::now();
        let current = backend.life.load_full();
        if let Some(life) = &current
            && life.incarnation.same_life(&report.incarnation)
            && !answer.lost_history
        {
            if answer.fresh_connection
                && let Some(stranger) = lock(&backend.stranger).take()
            {
                self.met_stranger(backend.id, &life.incarnation, &stranger, now);
            }
            return Arc::clone(life);
        }
        let generation = current.as_ref().map_or(0, |life| life.generation.0) + 1;
        let life = Arc::new(Life::new(
            Generation(generation),
            report.incarnation.clone(),
        ));
        backend.life.store(Some(Arc::clone(&life)));
        backend.facts.store(None);
        backend.globals.store(None);
        backend.errant.forget();
        lock(&backend.stranger).take();
        if backend.id.is_primary() {
            samples.clear();
        }
        if let Some(old) = current {
            self.replaced(backend.id, &old.incarnation, &report.incarnation, now);
        }
        life
    }

    /// The same server answered before and after a data connection reached another one.
    fn met_stranger(
        &mut self,
        id: BackendId,
        own: &Incarnation,
        other: &Incarnation,
        now: Instant,
    ) {
        let Some(seat) = self.seat(id) else {
            return;
        };
        let is_past = seat.past.iter().any(|(past, _)| past.same_life(other));
        if own.server_uuid != other.server_uuid && !is_past {
            seat.mixed_until = Some(now + MIXED_FOR);
        }
    }

    /// Another life took over. One that was replaced before and is back proves two servers.
    fn replaced(&mut self, id: BackendId, old: &Incarnation, new: &Incarnation, now: Instant) {
        let Some(seat) = self.seat(id) else {
            return;
        };
        if old.same_life(new) {
            let backend = &seat.view.address;
            tracing::warn!(backend, "it lacks what it had: its history was reset");
            return;
        }
        if seat.past.iter().any(|(past, _)| past.same_life(new)) {
            seat.mixed_until = Some(now + MIXED_FOR);
        }
        seat.past.retain(|(past, end)| {
            !past.same_life(old) && now.saturating_duration_since(*end) < REMEMBERED
        });
        seat.past.push((old.clone(), now));
    }

    /// Takes in what a probe found.
    pub(super) fn take(&mut self, samples: &mut Samples, id: BackendId, outcome: Outcome) {
        let Some(seat) = self.seat(id) else {
            return;
        };
        match outcome {
            Outcome::Answer(answer) => {
                if id.is_primary()
                    && let Some(acknowledged) = &answer.report.acknowledged
                {
                    samples.push(acknowledged, answer.sent);
                }
                seat.contact.on_report(&answer.report, Instant::now());
                seat.report = Some(answer.report);
                seat.asked = Some(answer.sent);
                seat.failure = None;
            }
            Outcome::Failed(error) => seat.failure = Some(error),
        }
    }

    /// The primary's history began anew: it numbers other transactions as those that replicas have.
    pub(super) fn doubt_replicas(&mut self, now: Instant) {
        tracing::warn!(
            "the primary's history was reset: replicas serve no reads until they have nothing else"
        );
        let replicas = self.seats.iter_mut();
        for seat in replicas.filter(|seat| seat.view.role == Role::Replica) {
            seat.doubted_since = Some(now);
        }
    }

    /// A replica that has nothing which the primary lacks is one of its history again.
    fn settle_doubts(&mut self) {
        let Some((primary, replicas)) = self.seats.split_first_mut() else {
            return;
        };
        let told = primary
            .report
            .as_ref()
            .filter(|_| primary.failure.is_none());
        let (Some(told), Some(asked)) = (told, primary.asked) else {
            return;
        };
        for seat in replicas {
            let replica = seat.report.as_ref().filter(|_| seat.failure.is_none());
            let (Some(since), Some(replica), Some(heard)) =
                (seat.doubted_since, replica, seat.asked)
            else {
                continue;
            };
            if since < heard && heard <= asked && has_nothing_else(replica, told) {
                seat.doubted_since = None;
            }
        }
    }

    /// Judges every server; gives those that changed in more than their lag.
    pub(super) fn judge(
        &mut self,
        backends: &PerServer<Backend>,
        samples: &Samples,
        now: Instant,
    ) -> Vec<BackendId> {
        let mut changed = Vec::new();
        self.settle_doubts();
        for at in 0..self.seats.len() {
            let id = self.seats.get(at).map(|seat| seat.view.id);
            let Some(backend) = id.and_then(|id| backends.get(id)) else {
                continue;
            };
            let (health, lag) = self.health(at, backend, samples, now);
            let Some(seat) = self.seats.get_mut(at) else {
                continue;
            };
            let life = backend.life.load();
            let generation = life.as_ref().map(|life| life.generation);
            let view = &mut seat.view;
            view.lag = lag;
            let report = seat.report.as_ref();
            let positions = report.map_or(PositionKind::Nothing, |report| report.positions);
            let flaws = *lock(&backend.flaws);
            let same = view.positions == positions && view.flaws == flaws;
            if same && view.health == health && view.generation == generation {
                continue;
            }
            let old = (view.health, view.generation);
            if view.flaws != flaws {
                view.flaws = flaws;
                tell_flaws(view);
            }
            if view.positions != positions {
                let (backend, positions) = (&view.address, positions.name());
                tracing::info!(backend, positions, "the kind of positions it tells");
            }
            view.positions = positions;
            view.health = health;
            view.generation = generation;
            view.incarnation = life.as_ref().map(|life| life.incarnation.clone());
            view.engine = seat.report.as_ref().map(|report| report.engine);
            tell(seat, old);
            changed.push(backend.id);
        }
        self.epoch += u64::from(!changed.is_empty());
        changed
    }

    fn health(
        &self,
        at: usize,
        backend: &Backend,
        samples: &Samples,
        now: Instant,
    ) -> (Health, Option<Duration>) {
        let Some(seat) = self.seats.get(at) else {
            return (Health::Unknown, None);
        };
        if seat.failure.is_some() {
            return (Health::Down, None);
        }
        let Some(report) = &seat.report else {
            return (Health::Unknown, None);
        };
        let mixed = seat.mixed_until.is_some_and(|end| now < end);
        if mixed || self.is_configured_twice(at, report) {
            return (Health::SharedIdentity, None);
        }
        if seat.view.role == Role::Primary {
            return (judge_primary(report), None);
        }
        if seat.doubted_since.is_some() {
            return (Health::WrongSource, None);
        }
        // What replies told since the last poll counts as well.
        let life = backend.life.load();
        let applied = life.as_ref().and_then(|life| life.bound.position());
        let lag = match &applied {
            Some(applied) => samples.lag(applied, now),
            None => Lag::Unknown,
        };
        let primary = self.seats.first();
        let tells = primary.is_some_and(|seat| seat.view.positions != PositionKind::Nothing);
        let state = PrimaryState {
            answers: primary.is_some_and(|primary| {
                let asked = primary.asked.filter(|_| primary.failure.is_none());
                asked.is_some_and(|asked| seat.contact.primary_answers(asked, tells))
            }),
            report: primary.and_then(|seat| seat.report.as_ref()),
        };
        let max_lag = match tells {
            true => self.bounds.max_lag,
            false => self.bounds.max_lag_unknown,
        };
        let health = judge_replica(report, state, lag, max_lag);
        let at_most = match lag {
            Lag::AtMost(lag) => Some(lag),
            Lag::MoreThan(_) | Lag::Unknown => None,
        };
        (health, at_most)
    }

    /// Whether a server before this one has the same uuid.
    fn is_configured_twice(&self, at: usize, report: &Report) -> bool {
        self.seats.iter().take(at).any(|seat| {
            let other = seat.report.as_ref().filter(|_| seat.failure.is_none());
            other.is_some_and(|it| it.incarnation.server_uuid == report.incarnation.server_uuid)
        })
    }
}

impl Seat {
    fn new(id: BackendId, address: &Address) -> Self {
        Self {
            view: BackendView {
                id,
                address: address.to_string(),
                role: match id.is_primary() {
                    true => Role::Primary,
                    false => Role::Replica,
                },
                health: Health::Unknown,
                incarnation: None,
                generation: None,
                engine: None,
                lag: None,
                positions: PositionKind::Nothing,
                flaws: Flaws::NONE,
            },
            report: None,
            asked: None,
            contact: Contact::default(),
            failure: None,
            past: Vec::new(),
            mixed_until: None,
            doubted_since: None,
        }
    }
}

/// Whether the primary has all that a replica has under the primary's own numbers.
fn has_nothing_else(replica: &Report, primary: &Report) -> bool {
    let told = primary.executed.as_ref().or(primary.acknowledged.as_ref());
    let (Some(told), Some(has)) = (told, &replica.executed) else {
        return true;
    };
    let uuid = parse_uuid(primary.incarnation.server_uuid.as_bytes());
    match (has, uuid) {
        (Position::Gtids(has), Some(uuid)) => told.covers(&has.of_server(uuid).into()),
        _ => told.covers(has),
    }
}

/// One log line for one change of a server's settings.
fn tell_flaws(view: &BackendView) {
    let (backend, role) = (&view.address, view.role.name());
    if view.flaws.is_empty() {
        tracing::info!(backend, role, "its settings break no level any more");
    }
    for flaw in view.flaws.iter() {
        let effect = match view.role {
            Role::Primary => "levels that depend on it are refused",
            Role::Replica => "it serves no reads at levels that depend on it",
        };
        tracing::warn!(
            backend,
            role,
            setting = flaw.name(),
            why = flaw.why(),
            effect,
            "a setting breaks a level; highwater doctor says what mends it"
        );
    }
}

/// One log line for one change of one server.
fn tell(seat: &Seat, (health, generation): (Health, Option<Generation>)) {
    let view = &seat.view;
    let (backend, role) = (&view.address, view.role.name());
    let (from, to) = (health.name(), view.health.name());
    let new_life = generation.is_some() && generation != view.generation;
    let lag = view.lag.map_or(-1.0, |lag| lag.as_secs_f64());
    match (&seat.failure, view.usable()) {
        (Some(why), _) => tracing::warn!(backend, role, from, to, %why, "server state changed"),
        (None, false) => {
            let report = &seat.report;
            tracing::warn!(
                backend,
                role,
                from,
                to,
                lag,
                ?report,
                "server state changed"
            );
        }
        (None, true) => tracing::info!(backend, role, from, to, new_life, "server state changed"),
    }
}
