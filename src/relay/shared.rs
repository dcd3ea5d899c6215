//! What all sessions share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;

use super::budget::Budget;
use super::shadow::Shadow;
use super::slow::SlowLog;
use super::switches::Switches;
use super::{Classifier, Registry, Rules};
use crate::backend::{Accounts, Pool};
use crate::config::{Config, Mode};
use crate::domain::consistency::Acknowledged;
use crate::domain::ids::{BackendId, SessionId};
use crate::domain::routing::Outside;
use crate::domain::servers::PerServer;
use crate::domain::sql::{Access, StatementProfile};
use crate::monitor::Watch;
use crate::telemetry::Metrics;
use crate::telemetry::otlp::Spans;

/// Statements that are remembered as refused by a replica.
const REFUSED: usize = 10_000;

/// What the daemon makes for all sessions.
#[derive(Debug)]
pub struct Parts {
    /// The configuration in force.
    pub config: Config,
    /// What is known of the servers.
    pub watch: Watch,
    /// One pool per server.
    pub pools: PerServer<Arc<Pool>>,
    /// What is known of changes to accounts.
    pub accounts: Arc<Accounts>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Text to profile.
    pub classifier: Classifier,
    /// Where spans of statements are handed in.
    pub spans: Option<Spans>,
}

/// The parts every session uses. Made once by the daemon.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force, and how often it was replaced.
    config: ArcSwap<Config>,
    version: AtomicU64,
    /// Whether reads really go to replicas, for as long as the process lives.
    pub mode: Mode,
    /// What is known of the servers.
    pub watch: Watch,
    /// One pool per server.
    pub pools: PerServer<Arc<Pool>>,
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
    /// The primary's history that their positions are of.
    pub(super) history: AtomicU64,
    /// How many reads that fell back to the primary may run there.
    budget: ArcSwap<Budget>,
    /// Where spans of statements are handed in.
    pub(super) spans: Option<Spans>,
    /// What slow statements are logged with.
    pub(super) slow: SlowLog,
    /// What shadow mode measures with.
    pub shadow: Shadow,
    /// What operators switch at run time.
    pub switches: Switches,
    /// What is done with some statements.
    pub rules: Rules,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            config,
            watch,
            pools,
            accounts,
            metrics,
            classifier,
            spans,
        } = parts;
        let consistency = &config.consistency;
        let acknowledged = Acknowledged::new(
            consistency.groups_max,
            consistency.group_idle,
            std::time::Instant::now(),
        );
        let rules = Rules::new(&config.rules, &metrics);
        Self {
            mode: config.proxy.mode,
            budget: ArcSwap::from_pointee(Budget::of(&config)),
            config: ArcSwap::from_pointee(config),
            version: AtomicU64::new(0),
            watch,
            pools,
            accounts,
            metrics,
            registry: Registry::default(),
            classifier,
            refused: Refused::default(),
            turn: AtomicUsize::new(0),
            seats: AtomicUsize::new(0),
            acknowledged: Mutex::new(acknowledged),
            history: AtomicU64::new(0),
            rules,
            spans,
            slow: SlowLog::default(),
            shadow: Shadow::default(),
            switches: Switches::default(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// A moment's look at the configuration in force: no count that all threads share is touched.
    pub fn configured<T>(&self, look: impl FnOnce(&Config) -> T) -> T {
        look(&self.config.load())
    }

    /// Whether there are replicas to read from, well or not.
    pub(super) fn has_replicas(&self) -> bool {
        self.configured(|config| !config.cluster.replicas.is_empty())
    }

    /// How often the configuration was replaced.
    pub(super) fn config_version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Another configuration is in force. Sessions take it with their next statement outside of a
    /// transaction; what no running process can change must be as it was.
    pub fn set_config(&self, config: Config) {
        let budget = Budget::of(&config);
        if budget.size() != self.budget.load().size() {
            self.budget.store(Arc::new(budget));
        }
        let consistency = &config.consistency;
        self.acknowledged()
            .bound(consistency.groups_max, consistency.group_idle);
        self.config.store(Arc::new(config));
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// How many reads that fell back to the primary may run there. What runs keeps its permit.
    pub(super) fn budget(&self) -> Arc<Budget> {
        self.budget.load_full()
    }

    /// The pool of a server.
    pub fn pool(&self, backend: BackendId) -> Option<&Arc<Pool>> {
        self.pools.get(backend)
    }

    /// The pools of the servers that are ours.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter().filter(|pool| !pool.is_retired())
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
        let most = self.configured(|config| config.limits.max_sessions);
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
        self.slow.tend();
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
