//! Makes the pools: one for each server, also for those that a reload brings, and all of them by the
//! configuration in force.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::knowledge::Known;
use crate::backend::{Accounts, Credentials, Dialer, Pool, PoolKey, PoolLimits};
use crate::config::{Account, AuroraConsistency, Config, PoolMode};
use crate::domain::ids::BackendId;
use crate::domain::topology::Role;
use crate::monitor::Watch;
use crate::relay::usual_profile;
use crate::telemetry::Metrics;

/// What the pools of all servers have in common.
#[derive(Debug)]
pub(super) struct PoolMaker {
    credentials: Arc<ArcSwap<Credentials>>,
    knowledge: Arc<Known>,
    metrics: Arc<Metrics>,
    pub(super) accounts: Arc<Accounts>,
}

impl PoolMaker {
    pub(super) fn new(config: &Config, watch: Watch, metrics: Arc<Metrics>) -> Self {
        let delegate = config.cluster.aurora_consistency == AuroraConsistency::Delegate;
        Self {
            credentials: Arc::new(ArcSwap::from_pointee(credentials(&config.users))),
            knowledge: Arc::new(Known::new(watch, delegate)),
            accounts: Accounts::new(config.consistency.max_lag, config.pool.max_lifetime),
            metrics,
        }
    }

    /// The pool of one server, at `host:port`.
    pub(super) fn make(&self, config: &Config, backend: BackendId, address: &str) -> Arc<Pool> {
        let role = match backend.is_primary() {
            true => Role::Primary,
            false => Role::Replica,
        };
        let dialer = Dialer {
            backend,
            address: address.to_owned(),
            timeout: ArcSwap::from_pointee(config.pool.acquire_timeout),
            credentials: Arc::clone(&self.credentials),
            knowledge: Arc::clone(&self.knowledge) as _,
            accounts: Arc::clone(&self.accounts),
            greeting: Default::default(),
        };
        let pool = Pool::new(dialer, limits(config), self.metrics.backend(address, role));
        for user in &config.users {
            pool.expect(usual_key(&user.name));
        }
        pool
    }

    /// Servers are logged in to with these accounts from now on. An account that is none any more stays
    /// known for those sessions of it that are open.
    pub(super) fn set_users(&self, users: &[Account], open: impl Fn(&str) -> bool) {
        let mut all = credentials(users);
        for (user, password) in self.credentials.load().iter() {
            if !all.contains_key(user) && open(user) {
                all.insert(Arc::clone(user), password.clone());
            }
        }
        self.credentials.store(Arc::new(all));
    }
}

/// The bounds of each pool.
pub(super) fn limits(config: &Config) -> PoolLimits {
    PoolLimits {
        max_connections: config.pool.max_connections,
        min_idle: config.pool.min_idle,
        acquire_timeout: config.pool.acquire_timeout,
        idle_timeout: config.pool.idle_timeout,
        lends: config.pool.mode == PoolMode::Transaction,
    }
}

/// What is kept ready for a user.
pub(super) fn usual_key(user: &str) -> PoolKey {
    PoolKey {
        user: user.into(),
        profile: usual_profile(),
    }
}

fn credentials(users: &[Account]) -> Credentials {
    users
        .iter()
        .map(|account| (account.name.as_str().into(), account.password.clone()))
        .collect::<HashMap<_, _>>()
}
