//! The handle through which the rest of the house sees the servers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::hub::Wait;
use super::life::Life;
use super::shared::{Backend, Shared, lock};
use super::upper::{Answer, Heard};
use super::{NotCovered, ProbeError, ServerFacts};
use crate::domain::consistency::sticky;
use crate::domain::ids::BackendId;
use crate::domain::position::{GtidSet, Position, PositionKind};
use crate::domain::session::{SaidBy, Sights};
use crate::domain::topology::{Generation, Health, Incarnation, Leavings, Topology};

/// What is known of the servers. Cheap to clone; works from any runtime.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

/// What the monitor did for one server since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Regular probes, failed ones included.
    pub probes: u64,
    /// Upper bounds that somebody asked for.
    pub upper_bounds_asked: u64,
    /// Questions for an upper bound sent to the server; the others shared an answer. The same
    /// question serves [`Watch::executed`].
    pub upper_bounds_sent: u64,
    /// Positions that somebody asked [`Watch::executed`] for.
    pub executed_asked: u64,
    /// Waiting queries sent to the server.
    pub waits_sent: u64,
    /// Errant transactions known of its current life.
    pub errant_transactions: u64,
}

/// What the primary had executed when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Everything that was acknowledged before the question is in it.
    pub position: Position,
    /// When the question was sent.
    pub sent: Instant,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The servers as they were last seen, to be kept.
    pub fn topology(&self) -> Arc<Topology> {
        self.shared.topology.load_full()
    }

    /// A moment's look at the servers as they were last seen: no count that all threads share is touched.
    pub fn look<T>(&self, at: impl FnOnce(&Topology) -> T) -> T {
        at(&self.shared.topology.load())
    }

    /// Returns once the topology's epoch differs from `seen`.
    pub async fn changed(&self, seen: u64) -> Arc<Topology> {
        let mut epoch = self.shared.epoch.subscribe();
        // The sender lives as long as this handle.
        let _ = epoch.wait_for(|epoch| *epoch != seen).await;
        self.topology()
    }

    /// Returns once a server does not answer, or is in another life than this one (`None` stands
    /// for any).
    pub async fn down(&self, backend: BackendId, generation: Option<Generation>) {
        let mut topology = self.topology();
        while let Some(view) = topology.get(backend)
            && view.health != Health::Down
            && (generation.is_none() || view.generation == generation)
        {
            topology = self.changed(topology.epoch).await;
        }
    }

    /// Returns once every server has been probed, successfully or not.
    pub async fn settled(&self) -> Arc<Topology> {
        loop {
            let topology = self.topology();
            let mut healths = topology.backends.iter().map(|view| view.health);
            if healths.all(|health| health != Health::Unknown) {
                return topology;
            }
            self.changed(topology.epoch).await;
        }
    }

    /// The number of the life that a fresh data connection reached, from the `@@server_uuid` and
    /// the start (now - Uptime, in seconds since the epoch by the server's clock) read on it.
    /// `None` while the monitor sees another life: nothing above `eventual` may use the connection;
    /// the monitor looks again at once, so the caller may ask again later.
    pub fn identify(
        &self,
        backend: BackendId,
        server_uuid: &str,
        started: u64,
    ) -> Option<Generation> {
        let incarnation = Incarnation {
            server_uuid: server_uuid.to_owned(),
            started,
        };
        let backend = self.shared.backend(backend)?;
        let life = backend.identify(&incarnation);
        if life.is_err() {
            *lock(&backend.stranger) = Some(incarnation);
            backend.look_again();
        }
        life.ok().map(|life| life.generation)
    }

    /// Whether a read that starts now on this life of the server is certain to see `position`.
    pub fn bound_covers(
        &self,
        backend: BackendId,
        generation: Generation,
        position: &Position,
    ) -> bool {
        let Some(backend) = self.shared.backend(backend) else {
            return false;
        };
        let life = backend.life.load();
        let covers = |life: &Life| backend.shows(life, position) || self.delegates(backend);
        life.as_ref()
            .is_some_and(|life| life.generation == generation && covers(life))
    }

    /// Takes the executed set that a reply of this life of the server carried (the text of the GTID
    /// tracker under `session_track_gtids=ALL_GTIDS`). It bounds every read that starts later.
    pub fn note_executed(&self, backend: BackendId, generation: Generation, raw: &[u8]) {
        if let Some(backend) = self.shared.backend(backend)
            && let Some(life) = &*backend.life.load()
            && life.generation == generation
            && backend.source().kind == PositionKind::Gtids
        {
            life.bound.hear(raw);
        }
    }

    /// Waits until the first of these servers is certain to show `position`, and says which. No
    /// connection of the data's is held meanwhile.
    pub async fn wait_covered(
        &self,
        backends: &[(BackendId, Generation)],
        position: &Position,
        deadline: Instant,
    ) -> Result<BackendId, NotCovered> {
        let there = |(id, life): &&(BackendId, Generation)| self.bound_covers(*id, *life, position);
        if let Some((id, _)) = backends.iter().find(there) {
            return Ok(*id);
        }
        let (wait, arrival) = Wait::new(position.clone());
        for (id, generation) in backends {
            if let Some(backend) = self.shared.backend(*id)
                && let Some(life) = backend.life(*generation)
            {
                backend.hub.enter(backend, &life, &wait);
            }
        }
        // From here only the hubs it was entered into count.
        wait.give_up();
        match timeout_at(deadline.into(), arrival).await {
            Ok(Ok(arrival)) => arrival,
            Ok(Err(_)) => Err(NotCovered::Lost),
            Err(_) => Err(NotCovered::Timeout),
        }
    }

    /// At least everything that a read which ended on this server before `not_before` can have
    /// seen: what the server owns, then what it has executed. Requests that come before a question
    /// is sent share its answer. Errant transactions are left out.
    ///
    /// The answer is of the life that the server is in now. A read that ended in an earlier life
    /// may have seen what that life lost: see [`Self::sights_of`].
    ///
    /// # Errors
    /// When the server cannot be asked, or does not tell.
    pub async fn sights(
        &self,
        backend: BackendId,
        not_before: Instant,
    ) -> Result<Sights, ProbeError> {
        let backend = self.shared.backend(backend).ok_or(ProbeError::Unknown)?;
        backend.upper.asked.fetch_add(1, Ordering::Relaxed);
        let heard = self.ask_upper(backend, not_before).await?;
        Ok(self.in_sight(backend, heard).await)
    }

    /// As [`Self::sights`], but only from the life in which the read ended.
    ///
    /// # Errors
    /// [`ProbeError::OtherLife`] when that life is over: ask the primary instead.
    pub async fn sights_of(
        &self,
        backend: BackendId,
        generation: Generation,
        not_before: Instant,
    ) -> Result<Sights, ProbeError> {
        let backend = self.shared.backend(backend).ok_or(ProbeError::Unknown)?;
        backend.upper.asked.fetch_add(1, Ordering::Relaxed);
        let heard = self.ask_upper(backend, not_before).await?;
        if heard.generation != generation {
            return Err(ProbeError::OtherLife);
        }
        Ok(self.in_sight(backend, heard).await)
    }

    /// [`Self::sights`] as one position.
    ///
    /// # Errors
    /// As there.
    pub async fn upper_bound(
        &self,
        backend: BackendId,
        not_before: Instant,
    ) -> Result<Position, ProbeError> {
        Ok(self.sights(backend, not_before).await?.whole())
    }

    /// [`Self::sights_of`] as one position.
    ///
    /// # Errors
    /// As there.
    pub async fn upper_bound_of(
        &self,
        backend: BackendId,
        generation: Generation,
        not_before: Instant,
    ) -> Result<Position, ProbeError> {
        let sights = self.sights_of(backend, generation, not_before).await;
        Ok(sights?.whole())
    }

    /// What the primary has executed, from a question that was sent at or after `arrived`: every
    /// write that was acknowledged anywhere before that is in it. At most one question is under
    /// way; those who come before the next one is sent share its answer.
    ///
    /// # Errors
    /// When the primary cannot be asked, or tells no positions.
    pub async fn executed(&self, arrived: Instant) -> Result<Probed, ProbeError> {
        let primary = self.shared.backend(BackendId::PRIMARY);
        let primary = primary.ok_or(ProbeError::Unknown)?;
        if primary.source().kind == PositionKind::Nothing {
            // Who must see the writes of others reads from the primary.
            return Err(ProbeError::Unsupported);
        }
        primary.upper.executed_asked.fetch_add(1, Ordering::Relaxed);
        let heard = self.ask_upper(primary, arrived).await?;
        Ok(Probed {
            position: heard.executed,
            sent: heard.sent,
        })
    }

    /// The oldest sample of the primary whose question was sent at most `max_age` before `now`:
    /// whoever covers it shows the primary as it was at most that long ago. `None` when no sample is
    /// so young; ask [`Self::executed`] then.
    pub fn sample(&self, max_age: Duration, now: Instant) -> Option<Position> {
        let primary = self.shared.backend(BackendId::PRIMARY)?;
        if self.delegates(primary) {
            return Some(Position::Nothing);
        }
        lock(&self.shared.samples).within(max_age, now).cloned()
    }

    /// The kind of history the primary tells; [`PositionKind::Nothing`] while it is not known.
    pub fn position_kind(&self) -> PositionKind {
        let topology = self.shared.topology.load();
        let primary = topology.get(BackendId::PRIMARY);
        primary.map_or(PositionKind::Nothing, |view| view.positions)
    }

    /// Fills the gaps of a requirement with transactions that the primary is known to have
    /// executed, so that a position gathered write by write stays compact.
    pub fn compact(&self, requirement: &mut Position) {
        let primary = self.shared.backend(BackendId::PRIMARY);
        let life = primary.and_then(|primary| primary.life.load_full());
        if let Some(known) = life.and_then(|life| life.bound.position()) {
            requirement.fill_gaps(&known);
        }
    }

    /// What a data connection must know of this server; `None` until the monitor has read it.
    pub fn facts(&self, backend: BackendId) -> Option<Arc<ServerFacts>> {
        self.shared.backend(backend)?.facts.load_full()
    }

    /// Somebody set the primary's defaults.
    pub fn defaults_changed(&self) {
        if let Some(primary) = self.shared.backend(BackendId::PRIMARY) {
            primary.looks.changed();
        }
    }

    /// Whether the primary's defaults are known with all changes that were told.
    pub fn are_defaults_settled(&self) -> bool {
        let primary = self.shared.backend(BackendId::PRIMARY);
        primary.is_none_or(|primary| primary.looks.are_settled())
    }

    /// Returns once the primary's defaults are known with all changes that were told, or in vain after a
    /// second.
    pub async fn defaults_settled(&self) {
        if let Some(primary) = self.shared.backend(BackendId::PRIMARY) {
            primary.looks.settled().await;
        }
    }

    /// Somebody changed the primary's routines, triggers or views.
    pub fn programs_changed(&self) {
        if let Some(primary) = self.shared.backend(BackendId::PRIMARY) {
            primary.programs.changed();
        }
    }

    /// What the primary's stored programs may leave on a connection untold; `None` while that is being found
    /// out.
    pub fn leavings(&self) -> Option<Leavings> {
        let primary = self.shared.backend(BackendId::PRIMARY)?;
        primary.programs.leavings()
    }

    /// Returns once it is known what the primary's stored programs may leave, or will not be known soon; at once
    /// while the primary is down.
    pub async fn programs_settled(&self) {
        let primary = self.shared.backend(BackendId::PRIMARY);
        if let Some(primary) = primary.filter(|it| it.usable.load(Ordering::Acquire)) {
            primary.programs.settled().await;
        }
    }

    /// The primary's history began anew, or may have: what replicas have may be numbered alike.
    pub fn history_reset(&self) {
        self.shared.on_history_reset();
    }

    /// How often the primary's history began anew. Positions from before mean something else.
    pub fn history(&self) -> u64 {
        self.shared.histories.load(Ordering::Acquire)
    }

    /// A data connection to this server broke: probe it at once.
    pub fn suspect(&self, backend: BackendId) {
        if let Some(backend) = self.shared.backend(backend) {
            backend.poke.notify_one();
        }
    }

    /// The lower bound that is known of a server's current life, to be shown.
    pub fn lower_bound(&self, backend: BackendId) -> Option<Position> {
        let life = self.shared.backend(backend)?.life.load_full()?;
        life.bound.position()
    }

    /// Transactions under this server's own uuid that the primary has neither executed nor owns.
    pub fn errant(&self, backend: BackendId) -> GtidSet {
        let backend = self.shared.backend(backend);
        backend
            .map(|backend| backend.errant.all())
            .unwrap_or_default()
    }

    /// What the monitor did for this server.
    pub fn counters(&self, backend: BackendId) -> Counters {
        let Some(backend) = self.shared.backend(backend) else {
            return Counters::default();
        };
        Counters {
            probes: backend.probes.load(Ordering::Relaxed),
            upper_bounds_asked: backend.upper.asked.load(Ordering::Relaxed),
            upper_bounds_sent: backend.upper.sent.load(Ordering::Relaxed),
            executed_asked: backend.upper.executed_asked.load(Ordering::Relaxed),
            waits_sent: backend.hub.queries.load(Ordering::Relaxed),
            errant_transactions: backend.errant.all().count(),
        }
    }

    /// Asks a server, unless it is known not to answer.
    async fn ask_upper(&self, backend: &Backend, not_before: Instant) -> Result<Heard, ProbeError> {
        if backend.id.is_primary()
            && let Some(heard) = self.without_asking(backend, not_before)
        {
            return heard;
        }
        let health = self.topology().get(backend.id).map(|view| view.health);
        match health {
            Some(Health::Down) => {
                backend.poke.notify_one();
                return Err(ProbeError::Unreachable("it is down".to_owned()));
            }
            None => return Err(ProbeError::Unknown),
            Some(_) => {}
        }
        if !backend.source().tells_seen() {
            return Err(ProbeError::Unsupported);
        }
        backend.upper.ask(backend, not_before).await
    }

    /// What is said of a primary that need not be asked, or cannot be.
    fn without_asking(&self, primary: &Backend, not_before: Instant) -> Option<Answer> {
        let sticky_after_write = self.shared.settings.load().sticky_after_write;
        let life = primary.life.load_full()?;
        let nothing = Ok(Heard {
            generation: life.generation,
            sent: Instant::now(),
            upper: Position::Nothing,
            executed: Position::Nothing,
        });
        if self.delegates(primary) {
            return Some(nothing);
        }
        if primary.source().kind != PositionKind::Nothing {
            return None;
        }
        let settled = sticky::is_everywhere(not_before, sticky_after_write, Instant::now());
        Some(match settled {
            true => nothing,
            false => Err(ProbeError::Unsupported),
        })
    }

    /// Whether Aurora's own readers keep the promises.
    fn delegates(&self, backend: &Backend) -> bool {
        self.shared.settings.load().delegate && backend.source().kind == PositionKind::Lsn
    }

    /// What an answer says of the sights of a server's reads.
    async fn in_sight(&self, backend: &Backend, heard: Heard) -> Sights {
        if !backend.id.is_primary() {
            return Sights::certain(self.without_errant(backend, heard.upper).await);
        }
        Sights {
            owned: heard.owned(),
            said_by: Some(SaidBy {
                life: heard.generation,
                sent: heard.sent,
            }),
            certain: match &heard.upper {
                Position::Gtids(_) => heard.executed,
                _ => heard.upper,
            },
        }
    }

    /// Drops from a replica's position what only that replica will ever have. While the primary
    /// cannot be asked nothing is dropped.
    async fn without_errant(&self, backend: &Backend, position: Position) -> Position {
        let Some(primary) = self.shared.backend(BackendId::PRIMARY) else {
            return position;
        };
        if backend.id.is_primary() {
            return position;
        }
        let Position::Gtids(mut seen) = position else {
            return position;
        };
        let mut own = backend.own_transactions(&seen);
        seen.subtract(&backend.errant.all());
        own.subtract(&backend.errant.all());
        if own.is_empty() || primary.bound_covers(&own) {
            return seen.into();
        }
        if let Ok(heard) = self.ask_upper(primary, Instant::now()).await
            && let Position::Gtids(known) = &heard.upper
        {
            own.subtract(known);
            backend.report_errant(&own);
            seen.subtract(&own);
        }
        seen.into()
    }
}

impl Backend {
    fn bound_covers(&self, set: &GtidSet) -> bool {
        let life = self.life.load();
        let wanted = Position::Gtids(set.clone());
        life.as_ref().is_some_and(|life| life.bound.covers(&wanted))
    }

    /// The transactions of a set that this server itself numbered.
    fn own_transactions(&self, set: &GtidSet) -> GtidSet {
        let life = self.life.load();
        let uuid = life
            .as_ref()
            .map(|life| life.incarnation.server_uuid.as_str());
        let uuid = uuid.and_then(|uuid| crate::domain::position::gtid::parse_uuid(uuid.as_bytes()));
        uuid.map(|uuid| set.of_server(uuid)).unwrap_or_default()
    }

    /// Says it once for each.
    fn report_errant(&self, errant: &GtidSet) {
        if !errant.is_empty() && self.errant.add(errant) {
            tracing::warn!(
                backend = %self.address,
                transactions = %errant,
                "errant transactions: executed on this replica and unknown to the primary"
            );
        }
    }
}
