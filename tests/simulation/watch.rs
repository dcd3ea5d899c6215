//! The monitor, as far as the pure rooms depend on it: polls, bounds of lives, samples, health; upper
//! bounds and waits on demand. Answers may be late, crossed or missing.

use std::rc::Rc;
use std::time::{Duration, Instant};

use highwater::domain::consistency::{Executed, GiveUp, Server, Servers, Waited};
use highwater::domain::ids::BackendId;
use highwater::domain::position::{Position, PositionKind};
use highwater::domain::session::{LastRead, SaidBy, Sights};
use highwater::domain::topology::health::{PrimaryState, judge_primary, judge_replica};
use highwater::domain::topology::{
    Engine, Generation, Health, Incarnation, Lag, Receiver, Replication, Report, Samples,
};

use super::sim::{Defect, POOL, Sim};
use super::world::uuid;

const MAX_LAG: Duration = Duration::from_millis(60);

/// What is known of the servers.
pub(crate) struct Watch {
    seats: Vec<Seat>,
    samples: Samples,
    turn: std::cell::Cell<usize>,
}

struct Seat {
    life: Option<Life>,
    report: Option<Report>,
    fails: bool,
    health: Health,
    heard: Option<Heard>,
}

struct Life {
    generation: Generation,
    incarnation: Incarnation,
    bound: Position,
}

#[derive(Clone)]
struct Heard {
    generation: Generation,
    sent: Instant,
    upper: Position,
    executed: Position,
}

impl Watch {
    pub(crate) fn new(servers: usize) -> Self {
        let seat = || Seat {
            life: None,
            report: None,
            fails: false,
            health: Health::Unknown,
            heard: None,
        };
        Self {
            seats: (0..servers).map(|_| seat()).collect(),
            samples: Samples::default(),
            turn: std::cell::Cell::new(0),
        }
    }

    /// The number of the life that a connection reached, if the monitor knows it.
    pub(crate) fn identify(&self, backend: usize, it: &Incarnation) -> Option<Generation> {
        let life = self.seats[backend].life.as_ref()?;
        life.incarnation.same_life(it).then_some(life.generation)
    }

    fn generation(&self, backend: usize) -> Option<Generation> {
        Some(self.seats[backend].life.as_ref()?.generation)
    }

    fn usable(&self, backend: usize) -> bool {
        matches!(
            self.seats[backend].health,
            Health::Up | Health::ReadOnlyPrimary
        )
    }

    /// A reply of that life carried this executed set.
    pub(crate) fn note_executed(
        &mut self,
        backend: usize,
        generation: Generation,
        more: &Position,
    ) {
        if let Some(life) = &mut self.seats[backend].life
            && life.generation == generation
        {
            life.bound.join(more).unwrap();
        }
    }

    /// The youngest sample that is old enough; see `monitor::Watch::sample`.
    pub(crate) fn sample(&self, max_age: Duration, now: Instant) -> Option<Position> {
        self.samples.within(max_age, now).cloned()
    }

    fn take(&mut self, sim: &Sim, backend: usize, report: Option<(Report, Instant)>) {
        let Some((report, sent)) = report else {
            self.seats[backend].fails = true;
            return;
        };
        let seat = &mut self.seats[backend];
        let known = seat.life.as_ref();
        if known.is_none_or(|life| !life.incarnation.same_life(&report.incarnation)) {
            let keeps = sim.has(Defect::BoundsBelongToAddresses);
            let old = seat.life.take();
            seat.life = Some(Life {
                generation: Generation(old.as_ref().map_or(0, |old| old.generation.0) + 1),
                incarnation: report.incarnation.clone(),
                bound: old
                    .filter(|_| keeps)
                    .map_or_else(Position::default, |old| old.bound),
            });
            seat.heard = None;
            if backend == 0 {
                self.samples.clear();
            }
        }
        if let (Some(life), Some(executed)) = (&mut seat.life, &report.executed) {
            life.bound.join(executed).unwrap();
        }
        if let Some(acknowledged) = &report.acknowledged {
            self.samples.push(acknowledged, sent);
        }
        seat.report = Some(report);
        seat.fails = false;
    }

    fn judge(&mut self, now: Instant) {
        for backend in 0..self.seats.len() {
            self.seats[backend].health = self.health(backend, now);
        }
    }

    fn health(&self, backend: usize, now: Instant) -> Health {
        let seat = &self.seats[backend];
        let (false, Some(report)) = (seat.fails, &seat.report) else {
            return Health::Down;
        };
        if backend == 0 {
            return judge_primary(report);
        }
        let lag = match &seat.life {
            Some(life) => self.samples.lag(&life.bound, now),
            None => Lag::Unknown,
        };
        let primary = &self.seats[0];
        let state = PrimaryState {
            answers: !primary.fails && primary.report.is_some(),
            report: primary.report.as_ref(),
        };
        judge_replica(report, state, lag, MAX_LAG)
    }
}

impl Servers for Sim {
    fn usable(&self) -> Vec<Server> {
        let watch = self.watch.borrow();
        (1..watch.seats.len())
            .filter(|&backend| watch.usable(backend))
            .filter_map(|backend| server(backend, watch.generation(backend)))
            .collect()
    }

    fn primary(&self) -> Option<Server> {
        server(0, self.watch.borrow().generation(0))
    }

    fn covers(&self, server: Server, position: &Position) -> bool {
        let watch = self.watch.borrow();
        let life = watch.seats[server.backend.index()].life.as_ref();
        life.is_some_and(|it| it.generation == server.generation && it.bound.covers(position))
    }

    fn load(&self, backend: BackendId) -> usize {
        match self.leased(backend.index()) {
            leased if leased < POOL => leased,
            _ => usize::MAX,
        }
    }

    fn turn(&self) -> usize {
        let watch = self.watch.borrow();
        watch.turn.replace(watch.turn.get() + 1)
    }

    fn compact(&self, position: &mut Position) {
        let watch = self.watch.borrow();
        if let Some(life) = &watch.seats[0].life {
            position.fill_gaps(&life.bound);
        }
    }
}

fn server(backend: usize, generation: Option<Generation>) -> Option<Server> {
    Some(Server {
        backend: BackendId(u16::try_from(backend).unwrap()),
        generation: generation?,
    })
}

/// Who answers at an address now.
pub(crate) fn incarnation(server: usize, life: u64) -> Incarnation {
    Incarnation {
        server_uuid: uuid(server),
        started: life * 100,
    }
}

impl Sim {
    /// The server at an address and its life, unless nobody answers there.
    pub(crate) fn reach(&self, backend: usize) -> Option<(usize, u64)> {
        let world = self.world.borrow();
        let server = world.at[backend];
        let it = &world.servers[server];
        let reachable = it.up && world.unreachable_until[backend] <= self.clock.micros();
        reachable.then_some((server, it.life))
    }

    /// How many servers there are.
    pub(crate) fn watch_size(&self) -> usize {
        self.watch.borrow().seats.len()
    }

    fn executed_of(&self, server: usize) -> Position {
        self.world.borrow().servers[server].executed.clone().into()
    }

    fn report(&self, backend: usize) -> Option<Report> {
        let (server, life) = self.reach(backend)?;
        let world = self.world.borrow();
        let mut executed = world.servers[server].executed.clone();
        if self.has(Defect::OwnedIsALowerBound) {
            executed.join(&world.owned(server));
        }
        let replication = Replication {
            receiver: match world.servers[world.primary()].up {
                true => Receiver::Running,
                false => Receiver::Connecting,
            },
            applier_running: true,
            source_uuid: Some(uuid(world.primary())),
            source_id: 0,
            seconds_behind: None,
        };
        Some(Report {
            incarnation: incarnation(server, life),
            engine: Engine::MySql,
            server_id: server as u64,
            read_only: backend > 0,
            replication: (backend > 0).then_some(replication),
            positions: PositionKind::Gtids,
            acknowledged: (backend == 0).then(|| world.servers[server].executed.clone().into()),
            executed: Some(executed.into()),
        })
    }

    async fn ask(&self, backend: usize, not_before: Instant) -> Result<Heard, GiveUp> {
        {
            let watch = self.watch.borrow();
            let seat = &watch.seats[backend];
            if seat.health == Health::Down {
                return Err(GiveUp::NoPositions);
            }
            if let Some(heard) = &seat.heard
                && (heard.sent >= not_before || self.has(Defect::AnyProbeWillDo))
                && watch.generation(backend) == Some(heard.generation)
            {
                return Ok(heard.clone());
            }
        }
        let sent = self.clock.now();
        let (server, life) = self.reach(backend).ok_or(GiveUp::NoPositions)?;
        self.travel().await;
        let mut upper = Position::from(self.world.borrow().owned(server));
        self.clock.sleep(self.random.delay(50, 3_000)).await;
        let executed = self.executed_of(server);
        if self.has(Defect::OwnedIsNotAsked) {
            upper = Position::Nothing;
        }
        upper.join(&executed).unwrap();
        // A failover breaks connections, too.
        let alive = {
            let world = self.world.borrow();
            world.lives(server, life) && world.at[backend] == server
        };
        self.travel().await;
        if !alive || self.random.percent(2) {
            return Err(GiveUp::NoPositions);
        }
        let mut watch = self.watch.borrow_mut();
        let watch = &mut *watch;
        let generation = watch
            .identify(backend, &incarnation(server, life))
            .ok_or(GiveUp::NoPositions)?;
        let seat = &mut watch.seats[backend];
        if let Some(life) = &mut seat.life {
            life.bound.join(&executed).unwrap();
        }
        if backend == 0 {
            watch.samples.push(&executed, sent);
        }
        let heard = Heard {
            generation,
            sent,
            upper,
            executed,
        };
        if seat.heard.as_ref().is_none_or(|last| last.sent < sent) {
            seat.heard = Some(heard.clone());
        }
        Ok(heard)
    }

    /// What the primary has executed, from a question sent then or later.
    pub(crate) async fn executed(&self, not_before: Instant) -> Result<Executed, GiveUp> {
        let heard = self.ask(0, not_before).await?;
        Ok(Executed {
            position: heard.executed,
            sent: heard.sent,
        })
    }

    /// What a read on the primary that was over then can have seen.
    pub(crate) async fn upper_bound(&self, not_before: Instant) -> Result<Sights, GiveUp> {
        let heard = self.ask(0, not_before).await?;
        if self.has(Defect::OwnedIsCertain) {
            return Ok(Sights::certain(heard.upper));
        }
        Ok(Sights {
            owned: heard.upper.missing_from(&heard.executed),
            certain: heard.executed,
            said_by: Some(SaidBy {
                life: heard.generation,
                sent: heard.sent,
            }),
        })
    }

    /// What that read can have seen.
    pub(crate) async fn seen(&self, read: LastRead) -> Result<Sights, GiveUp> {
        let backend = read.backend.index();
        if self.has(Defect::NobodyAsksWhatWasSeen) {
            return Ok(Sights::default());
        }
        let usable = self.watch.borrow().usable(backend);
        if usable
            && backend > 0
            && let Ok(heard) = self.ask(backend, read.ended).await
            && heard.generation == read.generation
        {
            return Ok(Sights::certain(
                self.without_errant(backend, heard.upper).await,
            ));
        }
        self.upper_bound(read.ended).await
    }

    /// Leaves out what the replica wrote itself and the primary knows nothing of.
    async fn without_errant(&self, backend: usize, upper: Position) -> Position {
        let source = {
            let watch = self.watch.borrow();
            let life = watch.seats[backend].life.as_ref();
            life.map(|life| life.incarnation.server_uuid.replace('-', ""))
        };
        let source = source.and_then(|hex| u128::from_str_radix(&hex, 16).ok());
        let (Some(source), Position::Gtids(mut set)) = (source, upper.clone()) else {
            return upper;
        };
        let mut own = set.of_server(source);
        if own.is_empty() {
            return upper;
        }
        let Ok(Position::Gtids(primary)) = self
            .upper_bound(self.clock.now())
            .await
            .map(|it| it.whole())
        else {
            return upper;
        };
        own.subtract(&primary);
        set.subtract(&own);
        set.into()
    }

    /// Waits until one of these servers is known to cover the position.
    pub(crate) async fn wait_covered(
        &self,
        servers: &[Server],
        position: &Position,
        deadline: Instant,
    ) -> Waited {
        loop {
            if servers.iter().any(|server| self.covers(*server, position)) {
                return Waited::There;
            }
            if self.clock.now() >= deadline {
                return Waited::TimedOut;
            }
            let watch = |it: &Server| self.watch.borrow().generation(it.backend.index());
            if servers.iter().all(|it| watch(it) != Some(it.generation)) {
                return Waited::Lost;
            }
            self.travel().await;
            let asked = self.random.of(servers);
            let backend = asked.backend.index();
            let Some((server, life)) = self.reach(backend) else {
                continue;
            };
            let executed = self.executed_of(server);
            self.travel().await;
            let mut watch = self.watch.borrow_mut();
            if watch.identify(backend, &incarnation(server, life)) == Some(asked.generation) {
                watch.note_executed(backend, asked.generation, &executed);
            }
        }
    }
}

/// Looks at one server for ever.
pub(crate) async fn poll(sim: Rc<Sim>, backend: usize) {
    loop {
        let sent = sim.clock.now();
        sim.travel().await;
        let report = sim.report(backend).map(|report| (report, sent));
        sim.travel().await;
        {
            let mut watch = sim.watch.borrow_mut();
            watch.take(&sim, backend, report);
            watch.judge(sim.clock.now());
        }
        sim.clock.sleep(sim.random.delay(4_000, 30_000)).await;
    }
}
