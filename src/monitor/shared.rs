//! What the probes write and everybody reads.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};

use super::board::{Answer, Board, Bounds, Outcome};
use super::errant::Errant;
use super::facts::{Globals, Looks, Programs, ServerFacts};
use super::hub::Hub;
use super::life::Life;
use super::settings::{Address, Settings};
use super::source::Source;
use super::upper::Upper;
use super::{MonitorError, ProbeError};
use crate::domain::ids::BackendId;
use crate::domain::position::{Position, PositionKind};
use crate::domain::servers::PerServer;
use crate::domain::topology::guarantee::Flaws;
use crate::domain::topology::{Generation, Incarnation, Role, Samples, Topology};

/// Everything the monitor knows.
pub(super) struct Shared {
    pub(super) settings: Arc<ArcSwap<Settings>>,
    pub(super) topology: ArcSwap<Topology>,
    pub(super) epoch: watch::Sender<u64>,
    /// Every server there ever was, also those that were taken away.
    pub(super) backends: PerServer<Backend>,
    /// Positions of the primary in its current life.
    pub(super) samples: Mutex<Samples>,
    board: Mutex<Board>,
    /// How often the primary's history began anew.
    pub(super) histories: AtomicU64,
}

/// What is known of one server, and the means to make its tasks move.
pub(super) struct Backend {
    pub(super) id: BackendId,
    pub(super) address: Address,
    /// The life that the last successful probe saw.
    pub(super) life: ArcSwapOption<Life>,
    /// Whether it was taken away: nobody asks it anything any more.
    pub(super) gone: AtomicBool,
    /// Whether statements may be sent there, as in the topology.
    pub(super) usable: AtomicBool,
    /// The kind of history it tells.
    kind: AtomicU8,
    /// Whether nobody may ask it what its engines have committed: what a replica showed of it counts
    /// as there.
    pub(super) unproven: AtomicBool,
    /// Asks for a probe now.
    pub(super) poke: Notify,
    /// Asks that the next probe open a new connection.
    pub(super) reconnect: AtomicBool,
    /// Another server that a data connection reached behind this address.
    pub(super) stranger: Mutex<Option<Incarnation>>,
    pub(super) hub: Hub,
    pub(super) upper: Upper,
    pub(super) errant: Errant,
    pub(super) facts: ArcSwapOption<ServerFacts>,
    /// What its settings take away from the levels, as they were last read.
    pub(super) flaws: Mutex<Flaws>,
    pub(super) globals: ArcSwapOption<Globals>,
    /// When the facts are read.
    pub(super) looks: Looks,
    /// What its stored programs may leave; kept for the primary.
    pub(super) programs: Programs,
    pub(super) probes: AtomicU64,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Result<Self, MonitorError> {
        let addresses = settings.addresses()?;
        let board = Board::new(&addresses, &settings);
        let backends = (0..).zip(addresses);
        let backends = backends.map(|(number, address)| Backend::new(BackendId(number), address));
        Ok(Self {
            backends: backends.collect(),
            topology: ArcSwap::from_pointee(board.topology()),
            epoch: watch::Sender::new(0),
            samples: Mutex::default(),
            board: Mutex::new(board),
            histories: AtomicU64::new(0),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
        })
    }

    pub(super) fn backend(&self, id: BackendId) -> Option<&Backend> {
        self.backends.get(id)
    }

    /// Takes in what a probe found, and publishes what follows from it.
    pub(super) fn record(&self, backend: &Backend, outcome: Outcome) {
        backend.probes.fetch_add(1, Ordering::Relaxed);
        let mut board = lock(&self.board);
        let mut samples = lock(&self.samples);
        if let Outcome::Answer(answer) = &outcome {
            let report = &answer.report;
            let life = board.live(backend, &mut samples, answer);
            backend.set_kind(report.positions);
            if let Some(executed) = &report.executed {
                life.bound.raise(executed);
            }
        }
        let lost = |answer: &Answer| answer.lost_history && backend.id.is_primary();
        let reset = matches!(&outcome, Outcome::Answer(answer) if lost(answer));
        board.take(&mut samples, backend.id, outcome);
        if reset {
            board.doubt_replicas(Instant::now());
        }
        self.judge(board, samples);
        if reset {
            self.tell_history();
        }
    }

    /// The primary's history began anew, or may have.
    pub(super) fn on_history_reset(&self) {
        let mut board = lock(&self.board);
        let mut samples = lock(&self.samples);
        samples.clear();
        board.doubt_replicas(Instant::now());
        self.judge(board, samples);
        self.tell_history();
    }

    /// After the replicas are judged: who hears of it finds none of them in use.
    fn tell_history(&self) {
        self.histories.fetch_add(1, Ordering::AcqRel);
        for backend in self.backends.iter() {
            backend.poke.notify_one();
        }
    }

    /// Takes in what a server's settings break, before anybody can connect to it by its facts.
    pub(super) fn note_flaws(&self, backend: &Backend, flaws: Flaws) {
        if std::mem::replace(&mut *lock(&backend.flaws), flaws) != flaws {
            let board = lock(&self.board);
            let samples = lock(&self.samples);
            self.judge(board, samples);
        }
    }

    /// Judges every server and publishes what follows.
    fn judge(&self, mut board: MutexGuard<'_, Board>, samples: MutexGuard<'_, Samples>) {
        let changed = board.judge(&self.backends, &samples, Instant::now());
        drop(samples);
        let topology = Arc::new(board.topology());
        self.topology.store(Arc::clone(&topology));
        for view in &topology.backends {
            if let Some(backend) = self.backend(view.id) {
                backend.usable.store(view.usable(), Ordering::Release);
            }
        }
        drop(board);
        for id in changed.iter().filter_map(|id| self.backend(*id)) {
            id.hub.dismiss(id);
            id.hub.wake();
            id.upper.wake.notify_one();
            id.looks.wake();
        }
        if !changed.is_empty() {
            self.epoch.send_replace(topology.epoch);
        }
    }
}

impl Shared {
    /// One more server. `None` when there are no numbers left.
    pub(super) fn add(&self, address: Address) -> Option<BackendId> {
        let mut board = lock(&self.board);
        let number = u16::try_from(self.backends.iter().count()).ok()?;
        let id = BackendId(number);
        self.backends
            .get_or_init(id, || Backend::new(id, address.clone()))?;
        board.add(id, &address);
        self.publish(board);
        Some(id)
    }

    /// A server is none of ours any more. Who waits for it, or asks it, is told so.
    pub(super) fn remove(&self, id: BackendId) {
        let Some(backend) = self.backend(id) else {
            return;
        };
        let mut board = lock(&self.board);
        backend.gone.store(true, Ordering::Release);
        backend.usable.store(false, Ordering::Release);
        board.remove(id);
        self.publish(board);
        backend.hub.dismiss(backend);
        backend.upper.dismiss();
    }

    /// Other bounds for replicas are in force. Bounds that become tighter hold before anybody relies on
    /// them, and bounds that become wider after.
    pub(super) fn change(&self, settings: Settings) {
        let old = self.settings.load_full();
        let bounds = Bounds::of(&settings);
        self.rejudge(bounds.tighter(Bounds::of(&old)));
        let others = settings.accounts != old.accounts;
        self.settings.store(Arc::new(settings));
        if others && let Some(primary) = self.backend(BackendId::PRIMARY) {
            primary.programs.changed();
        }
        self.rejudge(bounds);
        for backend in self.backends.iter() {
            backend.poke.notify_one();
        }
    }

    fn rejudge(&self, bounds: Bounds) {
        let mut board = lock(&self.board);
        let samples = lock(&self.samples);
        board.bounds = bounds;
        self.judge(board, samples);
    }

    fn publish(&self, board: MutexGuard<'_, Board>) {
        let topology = Arc::new(board.topology());
        self.topology.store(Arc::clone(&topology));
        drop(board);
        self.epoch.send_replace(topology.epoch);
    }

    /// Takes in what the primary had executed when it was asked at `sent`.
    pub(super) fn sample(
        &self,
        backend: &Backend,
        generation: Generation,
        executed: &Position,
        sent: Instant,
    ) {
        let mut samples = lock(&self.samples);
        // Under the lock: a new life is stored before its samples are cleared.
        if backend.id.is_primary() && backend.life(generation).is_some() {
            samples.push(executed, sent);
        }
    }
}

impl Backend {
    fn new(id: BackendId, address: Address) -> Self {
        Self {
            id,
            address,
            life: ArcSwapOption::empty(),
            gone: AtomicBool::new(false),
            usable: AtomicBool::new(false),
            kind: AtomicU8::new(0),
            unproven: AtomicBool::new(false),
            poke: Notify::new(),
            reconnect: AtomicBool::new(false),
            stranger: Mutex::new(None),
            hub: Hub::default(),
            upper: Upper::default(),
            errant: Errant::default(),
            facts: ArcSwapOption::empty(),
            flaws: Mutex::default(),
            globals: ArcSwapOption::empty(),
            looks: Looks::default(),
            programs: Programs::default(),
            probes: AtomicU64::new(0),
        }
    }

    /// How its history is asked for.
    pub(super) fn source(&self) -> Source {
        let kind = usize::from(self.kind.load(Ordering::Acquire));
        Source {
            kind: PositionKind::ALL.get(kind).copied().unwrap_or_default(),
            role: match self.id.is_primary() {
                true => Role::Primary,
                false => Role::Replica,
            },
        }
    }

    /// Whether a read that starts now on this life of it is certain to see `position`.
    pub(super) fn shows(&self, life: &Life, position: &Position) -> bool {
        position.is_empty() || life.bound.covers(position) || self.unproven.load(Ordering::Acquire)
    }

    fn set_kind(&self, kind: PositionKind) {
        let places = (0..).zip(PositionKind::ALL);
        for (place, _) in places.filter(|(_, known)| *known == kind) {
            self.kind.store(place, Ordering::Release);
        }
    }

    /// The life of this number, if it is still the current one.
    pub(super) fn life(&self, generation: Generation) -> Option<Arc<Life>> {
        self.life
            .load_full()
            .filter(|life| life.generation == generation)
    }

    /// The current life, if this is a reading of it. If not, the next probe looks again.
    pub(super) fn identify(&self, incarnation: &Incarnation) -> Result<Arc<Life>, ProbeError> {
        match self.life.load_full() {
            Some(life) if life.incarnation.same_life(incarnation) => Ok(life),
            _ => {
                self.look_again();
                Err(ProbeError::OtherLife)
            }
        }
    }

    /// The current life, if this is a reading of it. For the probe, which is what looks again.
    pub(super) fn known_as(&self, incarnation: &Incarnation) -> Option<Arc<Life>> {
        let life = self.life.load_full();
        life.filter(|life| life.incarnation.same_life(incarnation))
    }

    /// Asks for a probe over a new connection now.
    pub(super) fn look_again(&self) {
        self.reconnect.store(true, Ordering::Release);
        self.poke.notify_one();
    }
}

/// A mutex whose holder panicked still holds sound data here: every change is one assignment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
