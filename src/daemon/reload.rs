//! Reads the configuration again and puts it in force: one reload at a time, all of it or nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::TEND;
use super::pools::{PoolMaker, limits, usual_key};
use crate::config::{Account, Change, Config, Effect};
use crate::domain::ids::BackendId;
use crate::domain::topology::Role;
use crate::monitor::{Monitor, Settings};
use crate::relay::Shared;
use crate::telemetry::{ReloadOutcome, log};

/// Reads the configuration; its error says what is wrong where, one line a problem.
pub type Source = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What changed and since when that counts, line by line; or why nothing did.
pub type Reloaded = Result<Vec<(String, String)>, String>;

/// What a running proxy can be told anew from.
#[derive(Clone, Default)]
pub struct Origin {
    /// Reads the configuration again; without it there is no reload.
    pub source: Option<Source>,
    /// Changes what is logged; without it that needs a restart.
    pub log: Option<log::Control>,
}

/// Asks for reloads.
#[derive(Clone, Debug)]
pub(super) struct Asker(mpsc::Sender<oneshot::Sender<Reloaded>>);

/// Who asked for them.
pub(super) type Asked = mpsc::Receiver<oneshot::Sender<Reloaded>>;

impl Asker {
    pub(super) fn new() -> (Self, Asked) {
        let (sender, asked) = mpsc::channel(8);
        (Self(sender), asked)
    }

    /// Reads the configuration again and puts it in force.
    pub(super) async fn reload(&self) -> Reloaded {
        let gone = |()| Err("the proxy is shutting down".to_owned());
        let (tell, told) = oneshot::channel();
        match self.0.send(tell).await {
            Ok(()) => told.await.unwrap_or_else(|_| gone(())),
            Err(_) => gone(()),
        }
    }
}

/// Everything that a reload reaches.
pub(super) struct Reloader {
    pub(super) shared: Arc<Shared>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) pools: PoolMaker,
    pub(super) origin: Origin,
    /// Who may log in to the admin port.
    pub(super) admin: Arc<ArcSwap<Account>>,
    /// Replicas that are to go, and when at the latest.
    pub(super) leaving: Vec<(BackendId, Instant)>,
}

impl Reloader {
    /// Reloads when asked, for ever.
    pub(super) async fn run(mut self, mut asked: Asked) {
        loop {
            tokio::select! {
                asker = asked.recv() => match asker {
                    Some(asker) => {
                        // Whoever asked may be gone by now.
                        let _ = asker.send(self.reload().await);
                    }
                    None => return,
                },
                () = tokio::time::sleep(TEND), if !self.leaving.is_empty() => {}
            }
            self.let_go();
        }
    }

    async fn reload(&mut self) -> Reloaded {
        let done = match self.read().await {
            Ok(wanted) => self.take(wanted),
            Err(problem) => Err(problem),
        };
        match &done {
            Ok(changes) => {
                self.shared.metrics.reloaded(ReloadOutcome::Done);
                for (key, change) in changes {
                    tracing::info!(key, change, "configuration reloaded");
                }
            }
            Err(problems) => {
                self.shared.metrics.reloaded(ReloadOutcome::Refused);
                for problem in problems.lines() {
                    tracing::error!(problem, "configuration refused; the old one stays in force");
                }
            }
        }
        done
    }

    async fn read(&self) -> Result<Config, String> {
        let Some(source) = self.origin.source.clone() else {
            return Err(
                "this proxy was not started from a configuration that can be read again: \
                        restart it to change it"
                    .to_owned(),
            );
        };
        // Files can be slow, and the servers are watched on this thread.
        let read = tokio::task::spawn_blocking(move || source()).await;
        read.unwrap_or_else(|error| Err(format!("cannot read the configuration: {error}")))
    }

    /// Puts a configuration in force. What can fail comes first.
    fn take(&mut self, wanted: Config) -> Reloaded {
        let old = self.shared.config();
        let (mut next, mut changes) = old.reloaded(wanted);
        self.set_log(&old, &mut next, &mut changes)?;
        self.set_servers(&old, &next)?;
        self.set_bounds(&old, &next);
        self.set_users(&old, &next);
        if old.rules != next.rules {
            self.shared.set_rules(&next.rules);
        }
        self.admin.store(Arc::new(next.admin.account.clone()));
        self.shared.set_config(next);
        if changes.is_empty() {
            let same = "the configuration is as it was".to_owned();
            return Ok(vec![("nothing".to_owned(), same)]);
        }
        let line = |change: Change| (change.key.clone(), change.to_string());
        Ok(changes.into_iter().map(line).collect())
    }

    fn set_log(
        &self,
        old: &Config,
        next: &mut Config,
        changes: &mut [Change],
    ) -> Result<(), String> {
        if old.log.level == next.log.level {
            return Ok(());
        }
        match &self.origin.log {
            Some(control) => control
                .set_filter(&next.log.level)
                .map_err(|error| format!("log.level: {error}")),
            None => {
                next.log.level = old.log.level.clone();
                let of_level = |change: &&mut Change| change.key == "log.level";
                if let Some(change) = changes.iter_mut().find(of_level) {
                    change.effect = Effect::Restart;
                }
                Ok(())
            }
        }
    }

    /// New replicas are watched from now on; those that are to go get no new reads.
    fn set_servers(&mut self, old: &Config, next: &Config) -> Result<(), String> {
        let [before, after] = [&old.cluster.replicas, &next.cluster.replicas];
        for added in after.iter().filter(|it| !before.contains(it)) {
            let address = added.to_string();
            if let Some(id) = self.leaving_at(&address) {
                self.leaving.retain(|(leaving, _)| *leaving != id);
                self.shared.switches.leave(id, false);
                continue;
            }
            let added = self.monitor.add(&address);
            let id = added.map_err(|error| format!("cluster.replicas: {error}"))?;
            let make = || self.pools.make(next, id, &address);
            self.shared.pools.get_or_init(id, make);
        }
        let deadline = Instant::now() + next.proxy.drain_timeout;
        for removed in before.iter().filter(|it| !after.contains(it)) {
            let Some(id) = self.id_of(&removed.to_string()) else {
                continue;
            };
            self.shared.switches.leave(id, true);
            if let Some(pool) = self.shared.pool(id) {
                pool.ebb();
            }
            self.leaving.push((id, deadline));
        }
        Ok(())
    }

    fn id_of(&self, address: &str) -> Option<BackendId> {
        let topology = self.shared.watch.topology();
        let mut replicas = topology.backends.iter().skip(1);
        let found = replicas.find(|view| view.address == address);
        found.map(|view| view.id)
    }

    fn leaving_at(&self, address: &str) -> Option<BackendId> {
        let id = self.id_of(address)?;
        self.shared.switches.is_leaving(id).then_some(id)
    }

    /// Lets go of the replicas on which nothing is open any more, or whose time is over.
    fn let_go(&mut self) {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let goes = |(id, deadline): &(BackendId, Instant)| {
            let unused = shared.pool(*id).is_none_or(|pool| pool.leased() == 0);
            unused || *deadline <= now
        };
        for (id, _) in self.leaving.extract_if(.., |it| goes(it)) {
            let address = shared.address(id).unwrap_or_default();
            self.monitor.remove(id);
            if let Some(pool) = shared.pool(id) {
                pool.retire();
            }
            shared.metrics.forget_backend(&address, Role::Replica);
            tracing::info!(
                backend = address,
                "removed: it is in the configuration no longer"
            );
        }
    }

    /// Bounds of pools and of what is watched. What relies on a bound of the lag never has a tighter one
    /// than the servers that are in use.
    fn set_bounds(&self, old: &Config, next: &Config) {
        for pool in self.shared.pools() {
            pool.change(limits(next));
        }
        let lags = [&old.consistency, &next.consistency].map(|it| it.max_lag);
        let lifetime = next.pool.max_lifetime;
        let accounts = &self.pools.accounts;
        accounts.change(lags[0].max(lags[1]), lifetime);
        self.monitor.change(|settings| watch_by(settings, next));
        accounts.change(lags[1], lifetime);
    }

    fn set_users(&self, old: &Config, next: &Config) {
        let registry = &self.shared.registry;
        self.pools
            .set_users(&next.users, |user| registry.has_user(user));
        let same = |a: &Account, b: &Account| a.name == b.name && a.password == b.password;
        for user in &old.users {
            if !next.users.iter().any(|it| same(it, user)) {
                self.shared.pools().for_each(|pool| pool.forget(&user.name));
            }
        }
        for user in &next.users {
            if !old.users.iter().any(|it| same(it, user)) {
                let key = usual_key(&user.name);
                self.shared
                    .pools()
                    .for_each(|pool| pool.expect(key.clone()));
            }
        }
    }
}

/// Gives the monitor what a configuration says of its account, its pace and its bounds.
pub(super) fn watch_by(settings: &mut Settings, config: &Config) {
    settings.user = config.monitor.account.name.clone();
    settings.password = config.monitor.account.password.expose().to_owned();
    settings.accounts = config.users.clone();
    settings.accounts.push(config.monitor.account.clone());
    settings.interval = config.monitor.interval;
    settings.timeout = config.monitor.timeout;
    settings.max_lag = config.consistency.max_lag;
    settings.max_staleness = config.consistency.max_staleness;
    settings.sticky_after_write = config.consistency.sticky_after_write;
}
