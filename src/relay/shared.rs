//! What all sessions share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;

use super::budget::Budget;
use super::shadow::Shadow;
use super::switches::Switches;
use super::{Classifier, Registry, Rules};
use crate::backend::{Accounts, Pool};
use crate::config::Config;
use crate::domain::consistency::Acknowledged;
use crate::domain::ids::{BackendId, SessionId};
use crate::domain::routing::Outside;
use crate::domain::sql::{Access, StatementProfile};
use crate::monitor::Watch;
use crate::telemetry::Metrics;

/// Statements that are remembered as refused by a replica.
const REFUSED: usize = 10_000;

/// The parts every session uses. Made once by the daemon.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force.
    pub config: Config,
    /// What is known of the servers.
    pub watch: Watch,
    /// One pool per server, in the order of the backend ids.
    pub pools: Vec<Arc<Pool>>,
    /// What is known of changes to accounts.
    pub accounts: Arc<Accounts>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Sessions by the id their client was given.
    pub registry: Registry,
    /// Text to profile.
    pub classifier: Classifier,
    /// Statements that only the primary takes, whatever their text looks like.
    pub refused: Refused,
    /// Takes turns between equally loaded replicas.
    pub turn: AtomicUsize,
    /// Clients that are connected or logging in.
    pub seats: AtomicUsize,
    /// What the sessions of this process were told is committed.
    pub acknowledged: Mutex<Acknowledged>,
    /// How many reads that fell back to the primary may run there.
    pub budget: Budget,
    /// What shadow mode measures with.
    pub shadow: Shadow,
    /// What operators switch at run time.
    pub switches: Switches,
    /// What is done with some statements.
    pub rules: Rules,
}

impl Shared {
    /// The pool of a server.
    pub fn pool(&self, backend: BackendId) -> Option<&Arc<Pool>> {
        self.pools.get(backend.index())
    }

    /// The statements that set Highwater's own trackers and guards on a connection again.
    pub fn guard_of(&self, backend: BackendId, in_transaction: bool) -> Arc<[String]> {
        let setup = self
            .pool(backend)
            .and_then(|pool| pool.dialer().knowledge.setup(backend));
        match setup {
            Some(setup) if in_transaction => Arc::clone(&setup.guard_in_transaction),
            Some(setup) => Arc::clone(&setup.guard),
            None => Arc::default(),
        }
    }

    /// What speaks against a replica for this statement of this session, besides what these two say.
    pub(super) fn outside(&self, profile: &StatementProfile, session: SessionId) -> Outside {
        Outside {
            refused: profile.access == Access::Read && self.refused.contains(profile.fingerprint),
            offload_off: !self.switches.offloads(session),
        }
    }

    /// A place for one more client; `None` when `max_sessions` are connected or logging in.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let most = self.config.limits.max_sessions;
        let under = |taken| (taken < most).then_some(taken + 1);
        self.seats
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, under)
            .ok()?;
        Some(Seat(Arc::clone(self)))
    }

    /// What sessions were told is committed. The lock is held for moments, never across an await.
    pub(super) fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        // A holder that panicked left every position whole: each change is one join.
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what nobody used for long. Called every second or so.
    pub fn tend(&self) {
        self.acknowledged().tend(std::time::Instant::now());
    }

    /// A number that grows with each call.
    pub fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// A client's place under `max_sessions`; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Shared>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Fingerprints of statements that a replica refused as writes (a function or a view wrote).
#[derive(Debug)]
pub struct Refused {
    fingerprints: Cache<u64, ()>,
    /// Whether there ever was one: to count them takes every lock of the cache.
    any: AtomicBool,
}

impl Default for Refused {
    fn default() -> Self {
        Self {
            fingerprints: Cache::new(REFUSED),
            any: AtomicBool::new(false),
        }
    }
}

impl Refused {
    /// Remembers a statement. One that was not read has no fingerprint and is not remembered.
    pub fn remember(&self, fingerprint: u64) {
        if fingerprint != 0 {
            self.fingerprints.insert(fingerprint, ());
            self.any.store(true, Ordering::Release);
        }
    }

    /// Whether the statement goes to the primary for that reason.
    pub fn contains(&self, fingerprint: u64) -> bool {
        self.any.load(Ordering::Acquire) && self.fingerprints.get(&fingerprint).is_some()
    }
}
