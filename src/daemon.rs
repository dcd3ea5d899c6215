//! The composition root: builds every part, owns shutdown and drain.
//!
//! The calling thread runs what is not on a statement's way: accepting, the monitor, the HTTP port,
//! the care of the pools. Sessions run on worker threads, each with a runtime of its own, so that a
//! session never moves between cores.

mod house;
mod knowledge;
mod operators;
mod workers;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::admin::http::{self, Readiness};
use crate::backend::{Accounts, Credentials, Dialer, Pool, PoolKey, PoolLimits};
use crate::config::{AuroraConsistency, Config, Mode, PoolMode};
use crate::domain::consistency::Acknowledged;
use crate::domain::ids::BackendId;
use crate::domain::routing::rules::Rule;
use crate::domain::topology::{Role, Topology};
use crate::monitor::{Monitor, Settings, Watch};
use crate::net::Listener;
use crate::relay::{
    self, Budget, Classifier, Refused, Registry, Rules, SessionPin, Shadow, Shared, Switches,
    usual_profile,
};
use crate::telemetry::{BackendMetrics, Metrics};
use house::Proxied;
use knowledge::Known;
use operators::Operators;
use workers::Workers;

/// How often the pools are tended.
const TEND: Duration = Duration::from_secs(1);
/// How often a drain looks for sessions that became idle.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// How often the start looks whether the servers are known.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long the start waits for the first word of every server.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address or path.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A thread, a runtime or a signal handler cannot be had.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// The monitor's settings are wrong.
    #[error("cannot watch the servers: {0}")]
    Monitor(#[from] crate::monitor::MonitorError),
    /// The metrics cannot be set up.
    #[error("cannot set up the metrics: {0}")]
    Metrics(String),
}

/// Runs the proxy until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// [`DaemonError`] when it cannot start.
pub fn run(config: Config) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let proxy = Proxy::start(config).await?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            () = proxy.asked_to_end() => tracing::info!("SHUTDOWN: draining"),
        }
        proxy.shut_down().await;
        Ok(())
    })
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    addresses: Addresses,
    stop: watch::Sender<bool>,
    /// Whether an operator asked for the end.
    end: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    workers: Workers,
    /// The admin port's thread.
    admin: Option<JoinHandle<()>>,
    _monitor: MonitorGuard,
}

/// What the proxy listens on.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// MySQL protocol.
    pub mysql: SocketAddr,
    /// MySQL protocol by unix socket.
    pub socket: Option<PathBuf>,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub http: SocketAddr,
    /// The SQL admin port.
    pub admin: SocketAddr,
}

/// Keeps the monitor's tasks running.
struct MonitorGuard(#[expect(dead_code, reason = "held for its tasks, which end with it")] Monitor);

impl std::fmt::Debug for MonitorGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MonitorGuard")
    }
}

impl Proxy {
    /// Starts a proxy on the current runtime and waits, shortly, for the first word of every server.
    ///
    /// # Errors
    /// [`DaemonError`] when something cannot be had; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, DaemonError> {
        let metrics =
            Arc::new(Metrics::new().map_err(|error| DaemonError::Metrics(error.to_string()))?);
        let mysql = listen_tcp(config.proxy.listen)?;
        let unix = config.proxy.socket.clone().map(listen_unix).transpose()?;
        let http = TcpListener::bind(config.http.listen)
            .await
            .map_err(|source| DaemonError::Listen {
                address: config.http.listen.to_string(),
                source,
            })?;
        let operators = Operators::listen(config.admin.listen)?;
        let addresses = Addresses {
            admin: operators.address,
            mysql: mysql.local_addr().unwrap_or(config.proxy.listen),
            socket: config.proxy.socket.clone(),
            http: http.local_addr()?,
        };
        let monitor = Monitor::start(monitor_settings(&config))?;
        let shared = share(config, monitor.watch(), metrics)?;
        let workers = Workers::start(shared.config.proxy.workers)?;
        let (stop, stopped) = watch::channel(false);
        let (end, asked) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for listener in std::iter::once(mysql).chain(unix) {
            let acceptor = workers.acceptor(Arc::clone(&shared), listener);
            tasks.spawn(until(stopped.clone(), acceptor));
        }
        tasks.spawn(until(stopped.clone(), tend(Arc::clone(&shared))));
        tasks.spawn(until(stopped.clone(), observe(Arc::clone(&shared))));
        tasks.spawn(until(stopped.clone(), Arc::clone(&shared).report_shadow()));
        let house = Arc::new(Proxied {
            shared: Arc::clone(&shared),
            end,
            ending: AtomicBool::new(false),
        });
        let account = shared.config.admin.account.clone();
        let admin = operators.serve(account, house, stopped.clone());
        tasks.spawn(serve_http(http, Arc::clone(&shared), stopped));
        let first_look = tokio::time::timeout(FIRST_LOOK, known(&shared.watch)).await;
        if first_look.is_err() {
            tracing::warn!("not every server has answered yet");
        }
        tracing::info!(
            mysql = %addresses.mysql, http = %addresses.http, admin = %addresses.admin, "listening"
        );
        Ok(Self {
            shared,
            addresses,
            stop,
            end: asked,
            tasks,
            workers,
            admin: Some(admin),
            _monitor: MonitorGuard(monitor),
        })
    }

    /// Puts other rules in force, for each session from its next statement on.
    pub fn set_rules(&self, rules: &[Rule]) {
        self.shared.set_rules(rules);
    }

    /// What it listens on.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What it knows of the servers.
    pub fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Returns when an operator asked for the end (SHUTDOWN on the admin port).
    pub async fn asked_to_end(&self) {
        let mut end = self.end.clone();
        if end.wait_for(|end| *end).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }

    /// What binds sessions to their connections now.
    pub fn pins(&self) -> Vec<SessionPin> {
        self.shared.registry.pins()
    }

    /// Takes no new clients, lets open transactions end for as long as configured, then ends every
    /// session.
    pub async fn shut_down(mut self) {
        let _ = self.stop.send(true);
        let deadline = Instant::now() + self.shared.config.proxy.drain_timeout;
        while !self.shared.registry.is_empty() && Instant::now() < deadline {
            self.shared.registry.abort_idle();
            tokio::time::sleep(DRAIN_STEP).await;
        }
        let left = self.shared.registry.len();
        if left > 0 {
            tracing::warn!(sessions = left, "drain_timeout is over: ending the rest");
            relay::end_all(&self.shared).await;
        }
        self.workers.stop();
        if self.admin.take().is_some_and(|admin| admin.join().is_err()) {
            tracing::error!("the admin port's thread panicked");
        }
        while self.tasks.join_next().await.is_some() {}
        self.shared.sum_shadow_up();
        tracing::info!("drained");
    }
}

fn listen_tcp(address: SocketAddr) -> Result<Listener, DaemonError> {
    Listener::bind_tcp(address).map_err(|source| DaemonError::Listen {
        address: address.to_string(),
        source,
    })
}

fn listen_unix(path: PathBuf) -> Result<Listener, DaemonError> {
    Listener::bind_unix(&path).map_err(|source| DaemonError::Listen {
        address: path.display().to_string(),
        source,
    })
}

fn monitor_settings(config: &Config) -> Settings {
    let replicas = config
        .cluster
        .replicas
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut settings = Settings::new(config.cluster.primary.to_string(), replicas);
    settings.user = config.monitor.account.name.clone();
    settings.password = config.monitor.account.password.expose().to_owned();
    settings.interval = config.monitor.interval;
    settings.timeout = config.monitor.timeout;
    settings.max_lag = config.consistency.max_lag;
    settings.max_staleness = config.consistency.max_staleness;
    settings.sticky_after_write = config.consistency.sticky_after_write;
    settings.delegate = config.cluster.aurora_consistency == AuroraConsistency::Delegate;
    settings
}

/// Builds what all sessions share.
fn share(config: Config, watch: Watch, metrics: Arc<Metrics>) -> Result<Arc<Shared>, DaemonError> {
    let credentials: Arc<Credentials> = Arc::new(
        config
            .users
            .iter()
            .map(|account| (account.name.as_str().into(), account.password.clone()))
            .collect::<HashMap<_, _>>(),
    );
    let limits = PoolLimits {
        max_connections: config.pool.max_connections,
        min_idle: config.pool.min_idle,
        acquire_timeout: config.pool.acquire_timeout,
        idle_timeout: config.pool.idle_timeout,
        lends: config.pool.mode == PoolMode::Transaction,
    };
    let delegate = config.cluster.aurora_consistency == AuroraConsistency::Delegate;
    let accounts = Accounts::new(
        1 + config.cluster.replicas.len(),
        config.consistency.max_lag,
        config.pool.max_lifetime,
    );
    let knowledge = Arc::new(Known::new(watch.clone(), delegate));
    let servers = std::iter::once((&config.cluster.primary, Role::Primary)).chain(
        config
            .cluster
            .replicas
            .iter()
            .map(|replica| (replica, Role::Replica)),
    );
    let pools = (0..).zip(servers).map(|(id, (address, role))| {
        let address = address.to_string();
        let backend_metrics = metrics.backend(&address, role);
        let dialer = Dialer {
            backend: BackendId(id),
            address,
            timeout: config.pool.acquire_timeout,
            credentials: Arc::clone(&credentials),
            knowledge: Arc::clone(&knowledge) as _,
            accounts: Arc::clone(&accounts),
            greeting: Default::default(),
        };
        let pool = Pool::new(dialer, limits, backend_metrics);
        for user in credentials.keys() {
            pool.expect(PoolKey {
                user: Arc::clone(user),
                profile: usual_profile(),
            });
        }
        pool
    });
    let pools: Vec<_> = pools.collect();
    let backends = pools.len();
    let classifier = Classifier::start(config.limits.statement_cache)?;
    let consistency = &config.consistency;
    let acknowledged = Acknowledged::new(
        consistency.groups_max,
        consistency.group_idle,
        std::time::Instant::now(),
    );
    let rules = Rules::new(&config.rules, &metrics);
    let budget = Budget::new(consistency.primary_budget.of(config.pool.max_connections));
    Ok(Arc::new(Shared {
        config,
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
        budget,
        shadow: Shadow::default(),
        switches: Switches::new(backends),
        rules,
    }))
}

/// Returns when the proxy stops.
async fn stop_of(mut stopped: watch::Receiver<bool>) {
    // An error means that the proxy is gone.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Runs a task until the proxy stops.
async fn until(mut stopped: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

/// Returns once every server that answers is known well enough to open connections to it.
async fn known(watch: &Watch) {
    let topology = watch.settled().await;
    let unknown = || {
        topology.backends.iter().any(|view| {
            let facts = watch.facts(view.id);
            view.usable() && facts.is_none_or(|facts| facts.baseline.is_none())
        })
    };
    while unknown() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Keeps the pools warm and free of what has been idle for too long.
async fn tend(shared: Arc<Shared>) {
    shared.watch.settled().await;
    loop {
        shared.tend();
        for pool in &shared.pools {
            let usable = shared
                .watch
                .topology()
                .get(pool.backend())
                .is_some_and(|v| v.usable());
            // In shadow mode nothing is sent to replicas, so nothing is kept ready there.
            if shared.switches.is_drained(pool.backend()) {
                pool.ebb();
                continue;
            }
            let used = pool.backend().is_primary() || shared.config.proxy.mode == Mode::Split;
            if usable && used {
                pool.tend().await;
            }
        }
        tokio::time::sleep(TEND).await;
    }
}

/// Shows the servers in the metrics, and drops the idle connections of a server that went down.
async fn observe(shared: Arc<Shared>) {
    let metrics: Vec<BackendMetrics> = shared
        .watch
        .topology()
        .backends
        .iter()
        .map(|view| shared.metrics.backend(&view.address, view.role))
        .collect();
    let mut topology = shared.watch.topology();
    let mut coalesced = 0;
    let mut account_statements = HashMap::new();
    loop {
        show(&topology, &metrics);
        notice_accounts(&shared, &mut account_statements);
        notice_share(&shared);
        let now: u64 = topology
            .backends
            .iter()
            .map(|view| shared_probes(&shared.watch, view.id))
            .sum();
        shared
            .metrics
            .probe_coalesced
            .inc_by(now.saturating_sub(coalesced));
        coalesced = now;
        for (view, pool) in topology.backends.iter().zip(&shared.pools) {
            if !view.usable() {
                pool.clear();
            }
        }
        // The lag moves without an epoch of its own.
        let changed = shared.watch.changed(topology.epoch);
        topology = match tokio::time::timeout(TEND, changed).await {
            Ok(changed) => changed,
            Err(_) => shared.watch.topology(),
        };
    }
}

/// Takes note of the servers that ran statements about accounts since this was last called.
fn notice_accounts(shared: &Shared, counted: &mut HashMap<BackendId, u64>) {
    for pool in &shared.pools {
        let backend = pool.backend();
        let Some(facts) = shared.watch.facts(backend) else {
            continue;
        };
        let before = counted.insert(backend, facts.account_statements);
        if before.is_some_and(|before| before != facts.account_statements) {
            shared.accounts.noticed(backend);
        }
    }
}

/// Bounds the primary's pool by its part of what the server says that it takes.
fn notice_share(shared: &Shared) {
    let facts = shared.watch.facts(BackendId::PRIMARY);
    let most = facts.and_then(|facts| facts.max_connections);
    if let (Some(most), Some(pool)) = (most, shared.pool(BackendId::PRIMARY)) {
        let percent = shared.config.pool.primary_max_connections_pct;
        pool.set_share(most.saturating_mul(percent) / 100);
    }
}

/// How many reads shared a probe of this server that another read had asked for.
fn shared_probes(watch: &Watch, backend: BackendId) -> u64 {
    let counters = watch.counters(backend);
    let asked = counters.upper_bounds_asked + counters.executed_asked;
    asked.saturating_sub(counters.upper_bounds_sent)
}

fn show(topology: &Topology, metrics: &[BackendMetrics]) {
    for (view, metrics) in topology.backends.iter().zip(metrics) {
        metrics.set_up(view.usable());
        metrics.set_lag(view.lag);
    }
}

async fn serve_http(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let watch = shared.watch.clone();
    let ready = Arc::new(move || {
        let topology = watch.topology();
        match topology.get(BackendId::PRIMARY) {
            Some(primary) if primary.usable() => Readiness::Ready,
            Some(primary) => Readiness::NotReady(format!(
                "the primary {} is {}",
                primary.address,
                primary.health.name()
            )),
            None => Readiness::NotReady("no primary is configured".to_owned()),
        }
    });
    let stop = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let metrics = Arc::clone(&shared.metrics);
    if let Err(error) = http::serve(listener, metrics, ready, stop).await {
        tracing::error!(%error, "the HTTP port failed");
    }
}
