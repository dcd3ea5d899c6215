//! A bounded pool of connections to one server, shared by all worker threads.
//!
//! Idle connections are logged in and belong to no runtime; a lease attaches one to the worker that
//! took it. What is known of a connection's state travels with it, so that the next session restores
//! only what differs. Whatever the bound counts is either idle here, granted to one who waits, or a
//! living [`ServerConn`], which gives its place back when it is dropped.

mod line;
mod place;
mod shelf;
mod vouched;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::conn::{Parked, ServerConn};
use super::dial::Dialer;
use super::error::BackendError;
use super::lent::{Bell, Lent};
use super::threads::Threads;
use crate::domain::ids::BackendId;
use crate::domain::session::{Mirror, Way};
use crate::protocol::caps::{CapabilityFlags, CapabilityProfile};
use crate::telemetry::{BackendMetrics, ConnectionState, Handover};
use line::{Grant, Line, Ticket};
pub use place::Place;
use shelf::Shelves;
use vouched::Vouched;

/// A session that was idle for so many rounds gives its connections back though nobody waits.
const ROUNDS_IDLE: u64 = 2;

/// Connections with equal keys are interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The account.
    pub user: Arc<str>,
    /// What was negotiated at login.
    pub profile: CapabilityProfile,
}

/// Bounds of one pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Connections to the server, idle and leased, over all keys.
    pub max_connections: usize,
    /// Idle connections that are kept ready for a key that was used.
    pub min_idle: usize,
    /// How long a lease waits for a free place.
    pub acquire_timeout: Duration,
    /// Idle connections beyond `min_idle` are closed after this long.
    pub idle_timeout: Duration,
    /// Whether sessions can be asked to give connections back between statements.
    pub lends: bool,
}

/// What a session asks its pool for.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// Whose connection.
    pub key: &'a PoolKey,
    /// The state that it shall be given; one that has it is preferred.
    pub mirror: Option<&'a Mirror>,
    /// Whether the session has, or will have, a default schema: a connection with one cannot lose
    /// it.
    pub has_schema: bool,
    /// How the session can be asked to give it back between statements; `None` when it cannot.
    pub bell: Option<&'a Arc<Bell>>,
    /// For tests: not the connection with this serial, if there is another.
    pub avoid: Option<u64>,
    /// Where its client can renew an expired password: its default schema, which may be empty.
    pub renews: Option<&'a [u8]>,
}

impl<'a> Want<'a> {
    /// Any connection of this key, for a moment.
    pub fn any(key: &'a PoolKey) -> Self {
        Self {
            key,
            mirror: None,
            has_schema: false,
            bell: None,
            avoid: None,
            renews: None,
        }
    }

    fn takes(&self, parked: &Parked) -> bool {
        self.has_schema || !parked.has_schema()
    }

    fn way(&self, parked: &Parked) -> Way {
        self.mirror
            .map_or(Way::Nothing, |mirror| parked.way(mirror))
    }
}

/// The pool of one server.
#[derive(Debug)]
pub struct Pool {
    dialer: Dialer,
    limits: ArcSwap<PoolLimits>,
    /// Nobody new comes: what is given back is closed.
    retired: AtomicBool,
    inner: Mutex<Inner>,
    /// What the server itself leaves to this proxy; [`usize::MAX`] while that is not known.
    share: AtomicUsize,
    leased: AtomicUsize,
    threads: Arc<Threads>,
    /// How many wait, as the sessions see it that could give a connection back.
    waiting: AtomicUsize,
    /// Counts the rounds of [`Self::tend`].
    round: AtomicU64,
    vouched: Mutex<Vouched>,
    metrics: BackendMetrics,
}

#[derive(Debug, Default)]
struct Inner {
    idle: Shelves,
    /// Connections that exist or are being opened.
    open: usize,
    line: Line,
    /// Those that sessions can be asked to give back.
    lent: Vec<Arc<Lent>>,
    /// Where the next look for one of them begins.
    cursor: usize,
    /// How many of them nobody needed, at the last round.
    unneeded: usize,
}

/// What a lease finds.
enum Found {
    Idle(Box<Parked>),
    Place,
    Line(Ticket),
}

impl Pool {
    /// An empty pool of the server that `dialer` reaches.
    pub fn new(dialer: Dialer, limits: PoolLimits, metrics: BackendMetrics) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            limits: ArcSwap::from_pointee(limits),
            retired: AtomicBool::new(false),
            inner: Mutex::default(),
            share: AtomicUsize::new(usize::MAX),
            leased: AtomicUsize::new(0),
            threads: Arc::default(),
            waiting: AtomicUsize::new(0),
            round: AtomicU64::new(ROUNDS_IDLE),
            vouched: Mutex::default(),
            metrics,
        })
    }

    /// The bounds in force: of connections what was configured, or the server's share if that is less.
    pub fn limits(&self) -> PoolLimits {
        let limits = **self.limits.load();
        let share = self.share.load(Ordering::Relaxed);
        PoolLimits {
            max_connections: limits.max_connections.min(share),
            ..limits
        }
    }

    /// The server leaves so many connections, at least 1, to this proxy.
    pub fn set_share(&self, connections: usize) {
        let connections = connections.max(1);
        if self.share.swap(connections, Ordering::Relaxed) != connections {
            self.keep_bound();
        }
    }

    /// Other bounds are in force: those who wait get the places that there are more, and of what is too
    /// much the idle ones are closed now, the others as they are given back.
    pub fn change(&self, limits: PoolLimits) {
        self.dialer.timeout.store(Arc::new(limits.acquire_timeout));
        self.limits.store(Arc::new(limits));
        self.keep_bound();
    }

    /// Closes what is idle above the bound, and gives places to those who wait below it.
    fn keep_bound(&self) {
        let limits = self.limits();
        let mut closed = Vec::new();
        let mut inner = self.lock();
        while inner.open > limits.max_connections
            && let Some(parked) = inner.idle.take_oldest()
        {
            inner.open -= 1;
            closed.push(parked);
        }
        while inner.open < limits.max_connections && inner.line.give_place() {
            inner.open += 1;
        }
        self.waiting.store(inner.line.len(), Ordering::SeqCst);
        self.publish(&inner);
    }

    /// An account is none any more, or has another password: idle connections of it are closed, and none
    /// are kept ready until it comes again.
    pub fn forget(&self, user: &str) {
        self.vouched().forget(user);
        let mut inner = self.lock();
        let closed = inner.idle.forget(user);
        self.publish(&inner);
        drop(inner);
        self.free(closed.len());
    }

    /// The server is none of ours any more: nothing is kept, and what sessions give back is closed.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.ebb();
    }

    /// Whether the server is none of ours any more.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Which server this is.
    pub fn backend(&self) -> BackendId {
        self.dialer.backend
    }

    /// Opens and closes connections of this server.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Which of the server's threads are this pool's.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// What is counted of this server.
    pub fn metrics(&self) -> &BackendMetrics {
        &self.metrics
    }

    /// Connections that sessions hold.
    pub fn leased(&self) -> usize {
        self.leased.load(Ordering::Relaxed)
    }

    /// How many sessions wait for a connection.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether others lack the connections that sessions hold, even those that could be asked for
    /// them.
    pub fn is_full(&self) -> bool {
        let limits = self.limits.load();
        match limits.lends {
            true => self.waiting() > 0,
            false => self.leased() >= self.limits().max_connections,
        }
    }

    /// How busy the server is with this proxy's sessions, in connections; `None` when none is to be
    /// had.
    pub fn load(&self) -> Option<usize> {
        match self.limits.load().lends {
            true => Some(self.leased() + self.waiting()),
            false => (!self.is_full()).then(|| self.leased()),
        }
    }

    /// A connection for a session: an idle one, else a new one, else the next that comes free. Those
    /// who wait are served in the order in which they came.
    ///
    /// # Errors
    /// When none comes free in time, or the server cannot be reached or refuses the login.
    pub async fn lease(self: &Arc<Self>, want: Want<'_>) -> Result<ServerConn, BackendError> {
        let began = tokio::time::Instant::now();
        let deadline = began + self.limits().acquire_timeout;
        loop {
            let grant = match self.find(&want) {
                Found::Idle(parked) => Grant::Parked(parked),
                Found::Place => Grant::Place,
                Found::Line(mut ticket) => {
                    let granted = tokio::time::timeout_at(deadline, ticket.granted()).await;
                    self.metrics.pool_waited(began.elapsed());
                    granted.map_err(|_| self.exhausted())?
                }
            };
            let place = self.place(&want);
            match grant {
                Grant::Place => return self.open(&want, place).await,
                Grant::Parked(parked) => {
                    if let Ok(conn) = parked.attach(place) {
                        return Ok(conn);
                    }
                }
            }
        }
    }

    /// Opens a connection. An account that has as many as it may have is rid of those that nobody uses,
    /// which on a server without a pool would be closed.
    async fn open(
        self: &Arc<Self>,
        want: &Want<'_>,
        place: Place,
    ) -> Result<ServerConn, BackendError> {
        let mut opened = self.dialer.open(want.key, place, want.renews).await;
        let crowded = |error: &BackendError| error.refusal().is_some_and(|it| it.is_crowded());
        if opened.as_ref().is_err_and(crowded)
            && let Some(place) = self.evict(want)
        {
            opened = self.dialer.open(want.key, place, want.renews).await;
        }
        self.vouched().on_login(&want.key.user, &opened);
        opened
    }

    /// Closes what is idle of an account; gives the place of one of them.
    fn evict(self: &Arc<Self>, want: &Want<'_>) -> Option<Place> {
        let evicted = self.lock().idle.take_all_of(&want.key.user);
        let others = evicted.len().checked_sub(1)?;
        drop(evicted);
        self.free(others);
        Some(self.place(want))
    }

    /// Whether the server is known to let this account in: it did so, and nobody is known to have
    /// changed accounts since.
    pub fn vouches_for(&self, user: &str) -> bool {
        self.vouched().is_known(user)
    }

    fn vouched(&self) -> MutexGuard<'_, Vouched> {
        self.vouched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection with this serial, if it is idle and nobody had it since that `lease`, which goes on.
    pub fn lease_same(
        self: &Arc<Self>,
        want: &Want<'_>,
        serial: u64,
        lease: u64,
    ) -> Option<ServerConn> {
        let parked = self.lock().idle.take_same(want.key, serial, lease)?;
        match parked.is_good() {
            true => parked.attach_again(self.place(want)).ok(),
            false => {
                drop(parked);
                self.free(1);
                None
            }
        }
    }

    fn find(self: &Arc<Self>, want: &Want<'_>) -> Found {
        let mut closed = Vec::new();
        let mut inner = self.lock();
        let found = self.find_in(&mut inner, want, &mut closed);
        self.publish(&inner);
        found
    }

    fn find_in(
        self: &Arc<Self>,
        inner: &mut Inner,
        want: &Want<'_>,
        closed: &mut Vec<Parked>,
    ) -> Found {
        let max_connections = self.limits().max_connections;
        if inner.line.is_empty() {
            let mut dead = Vec::new();
            let idle = inner.idle.take(want, &mut dead);
            inner.open -= dead.len();
            closed.append(&mut dead);
            let again = |idle: &Parked| want.avoid.is_some_and(|serial| idle.is_serial(serial));
            let only_again = idle.as_ref().is_some_and(again);
            match idle {
                Some(idle) if only_again && inner.open < max_connections => {
                    inner.idle.put(idle);
                }
                Some(idle) => return Found::Idle(Box::new(idle)),
                None => {}
            }
            if inner.open < max_connections {
                inner.open += 1;
                return Found::Place;
            }
            // The place of one that does not suit becomes ours.
            if let Some(evicted) = inner.idle.take_oldest() {
                closed.push(evicted);
                return Found::Place;
            }
        }
        let key = want.key.clone();
        let ticket = inner.line.join(Arc::clone(self), key, want.has_schema);
        self.waiting.store(inner.line.len(), Ordering::SeqCst);
        if inner.recall_one(want.key) {
            self.metrics.recalled();
        }
        Found::Line(ticket)
    }

    fn exhausted(&self) -> BackendError {
        let limits = self.limits();
        BackendError::PoolExhausted {
            address: self.dialer.address.clone(),
            limit: limits.max_connections,
            by_share: limits.max_connections < self.limits.load().max_connections,
            waited: limits.acquire_timeout,
        }
    }

    /// Takes a connection back after its session ended or let go of it: it is reset, set up again
    /// and kept, or closed when anything speaks against it.
    pub async fn give_back(self: &Arc<Self>, mut conn: ServerConn) {
        conn.place.set_leased(false);
        self.metrics.handed_over(Handover::Reset);
        if !conn.is_current() {
            return;
        }
        if self.dialer.recycle(&mut conn).await.is_ok() {
            self.put(conn);
        }
    }

    /// Takes a connection back whose state is known: it is kept as it is.
    pub fn give_back_as_is(&self, conn: ServerConn) {
        self.metrics.handed_over(Handover::AsIs);
        self.put(conn);
    }

    fn put(&self, conn: ServerConn) {
        // Otherwise what speaks against it is dropped, and its place with it.
        if let Some((parked, place)) = conn.park()
            && parked.is_good()
        {
            place.leave_to_idle();
            self.put_parked(parked);
        }
    }

    fn put_parked(&self, parked: Parked) {
        let mut closed = Vec::new();
        let max_connections = self.limits().max_connections;
        let mut inner = self.lock();
        let too_many = inner.open > max_connections;
        let left = match too_many {
            true => Some(parked),
            false => inner.line.give(parked, &mut closed),
        };
        match left {
            Some(parked) if too_many || self.is_retired() => {
                inner.open -= 1;
                closed.push(parked);
            }
            Some(parked) => inner.idle.put(parked),
            None => {}
        }
        self.waiting.store(inner.line.len(), Ordering::SeqCst);
        self.publish(&inner);
    }

    /// What was granted to one who left goes to the next.
    fn regrant(&self, grant: Grant) {
        match grant {
            Grant::Parked(parked) => self.put_parked(*parked),
            Grant::Place => self.free(1),
        }
    }

    /// Closes what has been idle for too long or broke, opens what is missing to `min_idle`, and asks
    /// sessions that have long been idle for their connections. Called every second or so.
    pub async fn tend(self: &Arc<Self>) {
        for (key, count) in self.sweep() {
            for _ in 0..count {
                let Some(mut place) = self.spare_place() else {
                    return;
                };
                place.set_leased(false);
                let opened = self.dialer.open(&key, place, None).await;
                self.vouched().on_login(&key.user, &opened);
                match opened {
                    Ok(conn) => self.put(conn),
                    Err(error) if !error.blames_server() => {
                        tracing::debug!(%error, "keeping connections ready");
                        self.lock().idle.refused(&key);
                        break;
                    }
                    Err(error) => {
                        // Those who are greeted as this server greets ask for less.
                        if let Some(lacking) = error.lacking() {
                            self.ask_less(&key, lacking);
                        }
                        // The monitor says why a server cannot be reached; the next round tries
                        // again.
                        return;
                    }
                }
            }
        }
    }

    /// Closes what is idle, and asks sessions for the connections that they do not need: nobody new is
    /// to come.
    pub fn ebb(&self) {
        let mut inner = self.lock();
        inner.recall_idle(u64::MAX);
        let dropped = inner.idle.drain();
        self.publish(&inner);
        drop(inner);
        self.free(dropped.len());
    }

    /// Makes the pool keep `min_idle` connections ready for this key.
    pub fn expect(&self, key: PoolKey) {
        self.lock().idle.expect(key);
    }

    fn ask_less(&self, key: &PoolKey, lacking: CapabilityFlags) {
        let mut inner = self.lock();
        inner.idle.forget_unused(key);
        inner.idle.expect(PoolKey {
            user: Arc::clone(&key.user),
            profile: key.profile.without(lacking),
        });
    }

    /// Closes every idle connection: the server they belong to is gone.
    pub fn clear(&self) {
        let dropped = self.lock().idle.drain();
        self.free(dropped.len());
    }

    /// A place under the bound for a connection of the pool's own.
    fn spare_place(self: &Arc<Self>) -> Option<Place> {
        let mut inner = self.lock();
        if inner.open >= self.limits().max_connections {
            return None;
        }
        inner.open += 1;
        drop(inner);
        Some(Place::new(Arc::clone(self), None))
    }

    /// Wraps a place that is already counted as open.
    fn place(self: &Arc<Self>, want: &Want<'_>) -> Place {
        let lent = want.bell.map(|bell| {
            let lent = Arc::new(Lent::new(want.key.clone(), Arc::clone(bell)));
            self.lock().is_lent(&lent);
            lent
        });
        Place::new(Arc::clone(self), lent)
    }

    fn sweep(&self) -> Vec<(PoolKey, usize)> {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        let mut inner = self.lock();
        let limits = self.limits();
        let swept = inner.idle.sweep(limits.min_idle, limits.idle_timeout);
        inner.recall_idle(round - ROUNDS_IDLE);
        self.publish(&inner);
        drop(inner);
        self.free(swept.closed.len());
        swept.missing
    }

    /// So many places are free.
    fn free(&self, count: usize) {
        if count == 0 {
            return;
        }
        let max_connections = self.limits().max_connections;
        let mut inner = self.lock();
        for _ in 0..count {
            if inner.open > max_connections || !inner.line.give_place() {
                inner.open -= 1;
            }
        }
        self.waiting.store(inner.line.len(), Ordering::SeqCst);
        self.publish(&inner);
    }

    fn publish(&self, inner: &Inner) {
        let show = |state, value: usize| {
            self.metrics
                .connections(state)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let leased = self.leased();
        show(ConnectionState::Idle, inner.idle.count());
        show(ConnectionState::Lent, inner.unneeded.min(leased));
        show(
            ConnectionState::Leased,
            leased.saturating_sub(inner.unneeded),
        );
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_lent(&mut self, lent: &Arc<Lent>) {
        lent.slot.store(self.lent.len(), Ordering::Relaxed);
        self.lent.push(Arc::clone(lent));
    }

    fn not_lent(&mut self, lent: &Arc<Lent>) {
        let slot = lent.slot.load(Ordering::Relaxed);
        if self.lent.get(slot).is_some_and(|it| Arc::ptr_eq(it, lent)) {
            self.lent.swap_remove(slot);
            if let Some(moved) = self.lent.get(slot) {
                moved.slot.store(slot, Ordering::Relaxed);
            }
        }
    }

    /// Asks for one that its session does not need, best one of this key.
    fn recall_one(&mut self, key: &PoolKey) -> bool {
        let count = self.lent.len();
        self.cursor = self.cursor.checked_rem(count).unwrap_or_default();
        let (before, after) = self.lent.split_at(self.cursor);
        let idle = |lent: &&Arc<Lent>| lent.idle_since().is_some();
        let all = || after.iter().chain(before);
        let same = all().filter(idle).filter(|lent| lent.key() == key);
        let other = all().filter(idle).filter(|lent| lent.key() != key);
        let found = same.chain(other).find(|lent| lent.recall());
        match found.map(|lent| lent.slot.load(Ordering::Relaxed)) {
            Some(slot) => {
                self.cursor = slot + 1;
                true
            }
            None => false,
        }
    }

    /// Asks for those that their sessions have not needed since that round.
    fn recall_idle(&mut self, since: u64) {
        self.unneeded = 0;
        for lent in &self.lent {
            match lent.idle_since() {
                Some(idle) if idle <= since => {
                    lent.recall();
                }
                Some(_) => self.unneeded += 1,
                None => {}
            }
        }
    }
}
