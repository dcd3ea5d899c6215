//! A bounded pool of connections to one server, shared by all worker threads.
//!
//! Idle connections are logged in, reset and set up, and belong to no runtime; a lease attaches one
//! to the worker that took it. Whatever the bound counts is either idle here or a living
//! [`ServerConn`], which gives its place back when it is dropped.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::conn::{Parked, ServerConn};
use super::dial::Dialer;
use super::error::BackendError;
use super::threads::{Listed, Threads};
use crate::domain::ids::{BackendId, ServerThreadId};
use crate::protocol::caps::{CapabilityFlags, CapabilityProfile};
use crate::telemetry::{BackendMetrics, ConnectionState};

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
}

/// The pool of one server.
#[derive(Debug)]
pub struct Pool {
    dialer: Dialer,
    limits: PoolLimits,
    idle: Mutex<Idle>,
    open: AtomicUsize,
    leased: AtomicUsize,
    freed: Notify,
    threads: Arc<Threads>,
    metrics: BackendMetrics,
}

#[derive(Debug, Default)]
struct Idle {
    shelves: HashMap<PoolKey, Shelf>,
    count: usize,
}

/// The idle connections of one key, the one used last at the back.
#[derive(Debug)]
struct Shelf {
    queue: VecDeque<(Instant, Parked)>,
    asked: Instant,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            asked: Instant::now(),
        }
    }
}

/// A place in the bound; given back when dropped.
#[derive(Debug)]
pub struct Place {
    pool: Arc<Pool>,
    leased: bool,
    counted: bool,
}

impl Pool {
    /// An empty pool of the server that `dialer` reaches.
    pub fn new(dialer: Dialer, limits: PoolLimits, metrics: BackendMetrics) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            limits,
            idle: Mutex::default(),
            open: AtomicUsize::new(0),
            leased: AtomicUsize::new(0),
            freed: Notify::new(),
            threads: Arc::default(),
            metrics,
        })
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

    /// Connections that sessions hold.
    pub fn leased(&self) -> usize {
        self.leased.load(Ordering::Relaxed)
    }

    /// Whether sessions hold every connection that there may be.
    pub fn is_full(&self) -> bool {
        self.leased() >= self.limits.max_connections
    }

    /// A connection for a session: an idle one, else a new one, else the next that comes free.
    /// `schema` says whether the session has a default schema: a connection with one cannot lose it.
    ///
    /// # Errors
    /// When none comes free in time, or the server cannot be reached or refuses the login.
    pub async fn lease(
        self: &Arc<Self>,
        key: &PoolKey,
        has_schema: bool,
    ) -> Result<ServerConn, BackendError> {
        if let Some(conn) = self.lease_now(key, has_schema).await {
            return conn;
        }
        let deadline = tokio::time::Instant::now() + self.limits.acquire_timeout;
        loop {
            // In line before looking again: of several places that come free between a look and the
            // wait, only one would be remembered for those who are not in line yet.
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(conn) = self.lease_now(key, has_schema).await {
                return conn;
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(BackendError::PoolExhausted {
                    address: self.dialer.address.clone(),
                    limit: self.limits.max_connections,
                    waited: self.limits.acquire_timeout,
                });
            }
        }
    }

    /// An idle connection, or a new one where the bound allows it; `None` when all places are taken.
    async fn lease_now(
        self: &Arc<Self>,
        key: &PoolKey,
        has_schema: bool,
    ) -> Option<Result<ServerConn, BackendError>> {
        while let Some(parked) = self.take_idle(key, has_schema) {
            if let Ok(conn) = parked.attach(self.place_of_idle()) {
                return Some(Ok(conn));
            }
        }
        let place = self.reserve()?;
        Some(self.dialer.open(key, place).await)
    }

    /// Takes a connection back after its session ended or let go of it: it is reset, set up again
    /// and kept, or closed when anything speaks against it.
    pub async fn give_back(self: &Arc<Self>, mut conn: ServerConn) {
        conn.place.set_leased(false);
        if self.dialer.recycle(&mut conn).await.is_ok() {
            self.give_back_clean(conn);
        }
    }

    /// Closes what has been idle for too long or broke, and opens what is missing to `min_idle`.
    /// Called every second or so.
    pub async fn tend(self: &Arc<Self>) {
        let missing = self.sweep();
        for (key, count) in missing {
            for _ in 0..count {
                let Some(mut place) = self.reserve() else {
                    return;
                };
                place.set_leased(false);
                match self.dialer.open(&key, place).await {
                    Ok(conn) => self.give_back_clean(conn),
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

    /// Makes the pool keep `min_idle` connections ready for this key.
    pub fn expect(&self, key: PoolKey) {
        self.lock().shelves.entry(key).or_default().asked = Instant::now();
    }

    fn ask_less(&self, key: &PoolKey, lacking: CapabilityFlags) {
        let unused = |at: &PoolKey, shelf: &mut Shelf| at != key || !shelf.queue.is_empty();
        self.lock().shelves.retain(unused);
        self.expect(PoolKey {
            user: Arc::clone(&key.user),
            profile: key.profile.without(lacking),
        });
    }

    /// Closes every idle connection: the server they belong to is gone.
    pub fn clear(&self) {
        let mut idle = self.lock();
        let dropped: usize = idle
            .shelves
            .values_mut()
            .map(|shelf| shelf.queue.drain(..).count())
            .sum();
        idle.count -= dropped;
        drop(idle);
        self.free(dropped);
    }

    /// Takes a connection back on which nothing was done but choosing a schema.
    pub fn give_back_clean(&self, conn: ServerConn) {
        let key = conn.key.clone();
        if let Some((parked, place)) = conn.park() {
            place.leave_to_idle();
            let mut idle = self.lock();
            idle.shelves
                .entry(key)
                .or_default()
                .queue
                .push_back((Instant::now(), parked));
            idle.count += 1;
            drop(idle);
            self.freed.notify_one();
            self.publish();
        }
    }

    /// Takes the idle connection that was used last. Dead ones met on the way are dropped.
    fn take_idle(&self, key: &PoolKey, has_schema: bool) -> Option<Parked> {
        let mut dead = 0;
        let found = {
            let mut idle = self.lock();
            let shelf = idle.shelves.entry(key.clone()).or_default();
            shelf.asked = Instant::now();
            let queue = &mut shelf.queue;
            let mut found = None;
            let mut index = queue.len();
            while index > 0 && found.is_none() {
                index -= 1;
                let Some((_, parked)) = queue.get(index) else {
                    break;
                };
                if !parked.is_alive() {
                    queue.remove(index);
                    dead += 1;
                } else if has_schema || !parked.has_schema() {
                    found = queue.remove(index).map(|(_, parked)| parked);
                }
            }
            idle.count -= dead + usize::from(found.is_some());
            found
        };
        self.free(dead);
        self.publish();
        found
    }

    /// A place in the bound, if need be at the cost of an idle connection of another key.
    fn reserve(self: &Arc<Self>) -> Option<Place> {
        let max = self.limits.max_connections;
        let under = |open| (open < max).then_some(open + 1);
        if self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, under)
            .is_err()
        {
            // The evicted connection's place becomes ours.
            self.evict_oldest()?;
        }
        Some(self.place_of_idle())
    }

    fn evict_oldest(&self) -> Option<Parked> {
        let mut idle = self.lock();
        let queue = idle
            .shelves
            .values_mut()
            .map(|shelf| &mut shelf.queue)
            .filter(|queue| !queue.is_empty())
            .min_by_key(|queue| queue.front().map(|(since, _)| *since))?;
        let (_, parked) = queue.pop_front()?;
        idle.count -= 1;
        Some(parked)
    }

    /// Wraps a place that is already counted as open.
    fn place_of_idle(self: &Arc<Self>) -> Place {
        self.leased.fetch_add(1, Ordering::Relaxed);
        self.publish();
        Place {
            pool: Arc::clone(self),
            leased: true,
            counted: true,
        }
    }

    fn sweep(&self) -> Vec<(PoolKey, usize)> {
        let now = Instant::now();
        let limits = self.limits;
        let mut dropped = 0;
        let missing = {
            let mut idle = self.lock();
            let mut missing = Vec::new();
            for (key, shelf) in &mut idle.shelves {
                let keep = if now.duration_since(shelf.asked) > limits.idle_timeout {
                    0
                } else {
                    limits.min_idle
                };
                let queue = &mut shelf.queue;
                let before = queue.len();
                queue.retain(|(_, parked)| parked.is_alive());
                while queue.len() > keep
                    && queue
                        .front()
                        .is_some_and(|(since, _)| now.duration_since(*since) > limits.idle_timeout)
                {
                    queue.pop_front();
                }
                dropped += before - queue.len();
                if queue.len() < keep {
                    missing.push((key.clone(), keep - queue.len()));
                }
            }
            idle.shelves.retain(|_, shelf| {
                !shelf.queue.is_empty() || now.duration_since(shelf.asked) <= limits.idle_timeout
            });
            idle.count -= dropped;
            missing
        };
        self.free(dropped);
        missing
    }

    fn free(&self, count: usize) {
        if count > 0 {
            self.open.fetch_sub(count, Ordering::AcqRel);
            for _ in 0..count {
                self.freed.notify_one();
            }
            self.publish();
        }
    }

    fn publish(&self) {
        let idle = self.lock().count;
        let show = |state, value: usize| {
            self.metrics
                .connections(state)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        show(ConnectionState::Idle, idle);
        show(ConnectionState::Leased, self.leased());
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// `host:port` of the server.
    pub(super) fn address(&self) -> &str {
        &self.pool.dialer.address
    }

    /// Enters a connection in the pool's list.
    pub(super) fn list(&self, thread: ServerThreadId) -> Listed {
        self.pool.threads.enter(thread)
    }

    /// Whether a session holds the connection (and not the pool, for its own work).
    pub(super) fn set_leased(&mut self, leased: bool) {
        if self.leased != leased {
            self.leased = leased;
            if leased {
                self.pool.leased.fetch_add(1, Ordering::Relaxed);
            } else {
                self.pool.leased.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// The place goes on to count for an idle connection.
    fn leave_to_idle(mut self) {
        self.counted = false;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.set_leased(false);
        if self.counted {
            self.pool.free(1);
        }
    }
}
