//! One run: everything that its tasks share, and what makes the servers move.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use highwater::domain::consistency::Acknowledged;
use highwater::domain::position::Position;

use super::bits::Bits;
use super::clock::{Clock, Random};
use super::watch::Watch;
use super::world::{TxnId, World};

/// How much of the trace a failure shows.
const TAIL: usize = 40;

/// Groups that are remembered at a time; the run uses more.
const MAX_GROUPS: usize = 3;
pub(crate) const GROUPS: usize = 6;

/// Connections that a pool has.
pub(crate) const POOL: usize = 4;

/// Defects that the harness can have in place of the glue that the proxy has. Each stands for one
/// remedy: a run with it must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// An error is taken for a statement that did nothing.
    ErrorIsHarmless,
    /// A session goes to another server without asking what was seen on the last one.
    NobodyAsksWhatWasSeen,
    /// Reads on the primary do not wait for what a replica showed.
    PrimaryIsAlwaysReady,
    /// The upper bound is the executed set alone.
    OwnedIsNotAsked,
    /// The first read of a READ ONLY transaction runs on a replica that is not usable any more.
    UnusableReplicasAreBelieved,
    /// What is only owned is demanded for good.
    OwnedIsCertain,
    /// The lower bound has what is owned.
    OwnedIsALowerBound,
    /// Group and proxy are raised after the client was told.
    RaisedAfterTheOk,
    /// A bound outlives the life of its server.
    BoundsBelongToAddresses,
    /// A forgotten group starts from nothing.
    EvictionForgets,
    /// A reset makes the session forget what it wrote and read.
    ResetForgetsPositions,
    /// A probe that was sent before the read arrived will do.
    AnyProbeWillDo,
    /// Bounded reads take any sample.
    AnySampleWillDo,
    /// Writes that no GTID names do not keep the session on the primary.
    UntrackedWritesAreForgotten,
    /// A write whose reply was lost is sent again.
    LostWritesAreSentAgain,
    /// A connection is given back twice when its server died.
    LeasesEndTwice,
}

impl Defect {
    pub(crate) const ALL: [Self; 16] = [
        Self::ErrorIsHarmless,
        Self::NobodyAsksWhatWasSeen,
        Self::PrimaryIsAlwaysReady,
        Self::OwnedIsNotAsked,
        Self::UnusableReplicasAreBelieved,
        Self::OwnedIsCertain,
        Self::OwnedIsALowerBound,
        Self::RaisedAfterTheOk,
        Self::BoundsBelongToAddresses,
        Self::EvictionForgets,
        Self::ResetForgetsPositions,
        Self::AnyProbeWillDo,
        Self::AnySampleWillDo,
        Self::UntrackedWritesAreForgotten,
        Self::LostWritesAreSentAgain,
        Self::LeasesEndTwice,
    ];
}

/// What the clients of the run were told: the shadow of what the proxy believes.
#[derive(Default)]
pub(crate) struct Told {
    /// By anybody.
    pub(crate) anywhere: Bits,
    /// Through this proxy.
    pub(crate) proxy: Bits,
    pub(crate) groups: [Bits; GROUPS],
}

/// How a run went.
#[derive(Default, Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) commands: u64,
    pub(crate) replica_reads: u64,
    pub(crate) primary_reads: u64,
    pub(crate) writes: u64,
    pub(crate) waits: u64,
    pub(crate) errors: u64,
    pub(crate) closed: u64,
    pub(crate) stale: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.replica_reads += other.replica_reads;
        self.primary_reads += other.primary_reads;
        self.writes += other.writes;
        self.waits += other.waits;
        self.errors += other.errors;
        self.closed += other.closed;
        self.stale += other.stale;
    }
}

pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) defect: Defect,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) world: RefCell<World>,
    pub(crate) watch: RefCell<Watch>,
    pub(crate) acknowledged: RefCell<Acknowledged>,
    pub(crate) told: RefCell<Told>,
    pub(crate) counts: RefCell<Counts>,
    /// Connections that are leased, by their serial, and where to.
    pub(crate) leases: RefCell<BTreeSet<(u64, usize)>>,
    pub(crate) serial: Cell<u64>,
    /// Writes that a server was sent.
    pub(crate) received: RefCell<BTreeSet<u64>>,
    /// Permits for reads that fall back.
    pub(crate) budget: Cell<usize>,
    pub(crate) at_work: Cell<usize>,
    /// A position on its way from one session to another, and what it stands for.
    pub(crate) token: RefCell<Option<(Position, Bits)>>,
    /// Statements that a replica refused as writes.
    pub(crate) refused: RefCell<BTreeSet<u64>>,
    failure: RefCell<Option<String>>,
    trace: RefCell<Trace>,
}

#[derive(Default)]
struct Trace {
    hash: DefaultHasher,
    tail: VecDeque<String>,
    steps: u64,
}

/// A broken promise, and how it came about.
pub(crate) struct Broken {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    pub(crate) what: String,
    pub(crate) tail: String,
}

/// A run without a broken promise.
pub(crate) struct Kept {
    pub(crate) trace: u64,
    pub(crate) counts: Counts,
}

impl Sim {
    pub(crate) fn new(seed: u64, defect: Defect) -> Rc<Self> {
        let clock = Clock::new();
        let random = Random::new(seed);
        let replicas = 1 + random.below(3);
        let acknowledged = new_acknowledged(&clock);
        Rc::new(Self {
            seed,
            defect,
            world: RefCell::new(World::new(1 + replicas)),
            watch: RefCell::new(Watch::new(1 + replicas)),
            acknowledged: RefCell::new(acknowledged),
            told: RefCell::default(),
            counts: RefCell::default(),
            leases: RefCell::default(),
            serial: Cell::new(0),
            received: RefCell::default(),
            budget: Cell::new(2),
            at_work: Cell::new(0),
            token: RefCell::default(),
            refused: RefCell::default(),
            failure: RefCell::default(),
            trace: RefCell::default(),
            clock,
            random,
        })
    }

    /// Runs to the end of all clients, or to the first broken promise.
    pub(crate) fn finish(self: &Rc<Self>, patience: Duration) -> Result<Kept, Broken> {
        let until = u64::try_from(patience.as_micros()).unwrap();
        self.clock.run(|| {
            self.trace.borrow_mut().steps += 1;
            self.failure.borrow().is_none() && self.at_work.get() > 0 && self.clock.micros() < until
        });
        if self.at_work.get() > 0 {
            self.broken(|| "a command got no answer".to_owned());
        }
        if self.failure.borrow().is_none() && !self.leases.borrow().is_empty() {
            let leases = self.leases.borrow().len();
            self.broken(|| format!("{leases} leases did not end"));
        }
        let trace = self.trace.borrow();
        match self.failure.take() {
            None => Ok(Kept {
                trace: trace.hash.finish(),
                counts: *self.counts.borrow(),
            }),
            Some(what) => {
                let mut tail = String::new();
                for line in &trace.tail {
                    let _ = writeln!(tail, "    {line}");
                }
                Err(Broken {
                    seed: self.seed,
                    step: trace.steps,
                    what,
                    tail,
                })
            }
        }
    }

    /// A line of the trace.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let line = format!("{:>9} {}", self.clock.micros(), line());
        let mut trace = self.trace.borrow_mut();
        line.hash(&mut trace.hash);
        if trace.tail.len() == TAIL {
            trace.tail.pop_front();
        }
        trace.tail.push_back(line);
    }

    /// A promise is broken: the run ends here.
    pub(crate) fn broken(&self, what: impl FnOnce() -> String) {
        let mut failure = self.failure.borrow_mut();
        if failure.is_none() {
            *failure = Some(what());
        }
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    /// The way of a packet from one machine to another.
    pub(crate) async fn travel(&self) {
        self.clock.sleep(self.random.delay(300, 5_000)).await;
    }

    /// Commits a transaction on a server. `None` when the server dies before it can say so.
    pub(crate) async fn commit(&self, server: usize, life: u64, logged: bool) -> Option<TxnId> {
        let id = {
            let mut world = self.world.borrow_mut();
            if !world.lives(server, life) {
                return None;
            }
            world.begin(server, logged)
        };
        self.clock.sleep(self.random.delay(600, 9_000)).await;
        self.still(server, life)?.show(server, id);
        self.clock.sleep(self.random.delay(400, 9_000)).await;
        self.still(server, life)?
            .name(server, id, self.clock.micros());
        Some(id)
    }

    fn still(&self, server: usize, life: u64) -> Option<std::cell::RefMut<'_, World>> {
        let world = self.world.borrow_mut();
        world.lives(server, life).then_some(world)
    }

    /// What a read on a server sees now.
    pub(crate) fn visible(&self, server: usize) -> Bits {
        self.world.borrow().servers[server].visible.clone()
    }
}

/// The marks of a process that starts.
pub(crate) fn new_acknowledged(clock: &Clock) -> Acknowledged {
    Acknowledged::new(MAX_GROUPS, Duration::from_millis(20), clock.now())
}

/// Replication to the server at one address.
pub(crate) async fn replicate(sim: Rc<Sim>, backend: usize) {
    let slow = sim.random.percent(40);
    loop {
        sim.clock.sleep(sim.random.delay(400, 2_000)).await;
        let now = sim.clock.micros();
        let job = sim.world.borrow_mut().fetch(backend, now);
        if let Some((server, life, id)) = job {
            let sim = Rc::clone(&sim);
            let clock = Rc::clone(&sim);
            clock.clock.spawn(async move {
                sim.clock.sleep(sim.random.delay(500, 8_000)).await;
                if let Some(mut world) = sim.still(server, life) {
                    world.show(server, id);
                }
                // Visible, and not named yet.
                let unnamed = match slow {
                    true => sim.random.range(2_000, 20_000),
                    false => sim.random.delay(800, 12_000),
                };
                sim.clock.sleep(unnamed).await;
                if let Some(mut world) = sim.still(server, life) {
                    world.name(server, id, sim.clock.micros());
                }
            });
        }
    }
}

/// Somebody who writes past the proxy.
pub(crate) async fn outsider(sim: Rc<Sim>) {
    loop {
        sim.clock.sleep(sim.random.range(500, 15_000)).await;
        let (server, life) = {
            let world = sim.world.borrow();
            let server = world.primary();
            (server, world.servers[server].life)
        };
        if let Some(id) = sim.commit(server, life, true).await {
            sim.told.borrow_mut().anywhere.insert(id);
        }
    }
}

/// Somebody who owns transactions for long, and commits few of them.
pub(crate) async fn owner(sim: Rc<Sim>) {
    loop {
        sim.clock.sleep(sim.random.range(5_000, 60_000)).await;
        let Some((server, life, id)) = sim.world.borrow_mut().own() else {
            continue;
        };
        sim.clock.sleep(sim.random.delay(8_000, 200_000)).await;
        if sim.random.percent(70) {
            if let Some(mut world) = sim.still(server, life) {
                world.roll_back(server, id);
            }
            continue;
        }
        if let Some(mut world) = sim.still(server, life) {
            world.log_owned(server, id);
        }
        sim.clock.sleep(sim.random.delay(600, 9_000)).await;
        if let Some(mut world) = sim.still(server, life) {
            world.show(server, id);
        }
        sim.clock.sleep(sim.random.delay(400, 9_000)).await;
        if let Some(mut world) = sim.still(server, life) {
            world.name(server, id, sim.clock.micros());
            sim.told.borrow_mut().anywhere.insert(id);
        }
    }
}

/// Forgets groups that nobody uses.
pub(crate) async fn tend(sim: Rc<Sim>) {
    loop {
        sim.clock.sleep(10_000).await;
        let now = sim.clock.now();
        sim.acknowledged.borrow_mut().tend(now);
        if sim.has(Defect::EvictionForgets) {
            let mut fresh = new_acknowledged(&sim.clock);
            for group in 0..GROUPS {
                let key = super::client::group(group);
                fresh.on_executed(&key, &Default::default(), now, now);
            }
            *sim.acknowledged.borrow_mut() = fresh;
        }
    }
}

/// What goes wrong with servers and their network.
pub(crate) async fn faults(sim: Rc<Sim>) {
    let servers = sim.world.borrow().servers.len();
    let calm = sim.random.of(&[15_000u64, 40_000, 150_000]);
    loop {
        sim.clock.sleep(sim.random.range(calm / 4, calm)).await;
        let backend = sim.random.below(servers);
        let now = sim.clock.micros();
        match sim.random.range(0, 99) {
            0..=34 if backend > 0 => {
                let until = now + sim.random.delay(40_000, 300_000);
                let mut world = sim.world.borrow_mut();
                let server = world.at[backend];
                world.servers[server].stalled_until = until;
                sim.note(|| format!("replica {backend} stalls until {until}"));
            }
            35..=54 if backend > 0 => restart(&sim, backend),
            55..=59 => restart(&sim, 0),
            60..=69 => {
                let until = now + sim.random.range(1_000, 60_000);
                sim.world.borrow_mut().unreachable_until[backend] = until;
                sim.note(|| format!("{backend} is unreachable until {until}"));
            }
            70..=79 if backend > 0 => {
                let (server, life) = {
                    let world = sim.world.borrow();
                    let server = world.at[backend];
                    (server, world.servers[server].life)
                };
                let id = sim.commit(server, life, true).await;
                sim.note(|| format!("errant transaction {id:?} on {backend}"));
            }
            80..=86 if backend > 0 && sim.world.borrow().failovers < 2 => {
                let alive = {
                    let world = sim.world.borrow();
                    world.servers[world.at[backend]].up
                };
                if alive {
                    sim.world.borrow_mut().fail_over(backend, now);
                    sim.note(|| format!("failover to the replica at {backend}"));
                    for backend in 1..servers {
                        rise_again(&sim, backend);
                    }
                }
            }
            _ => {}
        }
    }
}

fn restart(sim: &Rc<Sim>, backend: usize) {
    let server = sim.world.borrow().at[backend];
    if !sim.world.borrow().servers[server].up {
        return;
    }
    let keeps = sim.random.of(&[0, 30, 60, 100]);
    let now = sim.clock.micros();
    let random = || sim.random.percent(keeps);
    sim.world.borrow_mut().crash(server, random, now);
    sim.note(|| format!("{backend} restarts, keeping {keeps} % of its last transactions"));
    if backend > 0 {
        // Its applier may be long in starting.
        let stall = now + sim.random.range(20_000, 150_000);
        sim.world.borrow_mut().servers[server].stalled_until = stall;
    }
    rise_again(sim, backend);
}

fn rise_again(sim: &Rc<Sim>, backend: usize) {
    let (sim, clock) = (Rc::clone(sim), Rc::clone(sim));
    clock.clock.spawn(async move {
        let server = sim.world.borrow().at[backend];
        let life = sim.world.borrow().servers[server].life;
        sim.clock.sleep(sim.random.range(1_000, 40_000)).await;
        let mut world = sim.world.borrow_mut();
        if world.servers[server].life == life {
            world.servers[server].up = true;
        }
    });
}
