//! The composition root: builds every part, owns shutdown and drain.
//!
//! The calling thread runs what is not on a statement's way: accepting, the monitor, the care of the
//! pools; what operators ask for has a thread of its own. Sessions run on worker threads, each with a runtime of its own, so that a
//! session never moves between cores.

mod house;
mod knowledge;
mod operators;
mod pools;
mod reload;
mod workers;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::admin::http::{Access, AskReady, Readiness, Site};
use crate::config::{AuroraConsistency, Config, Mode};
use crate::domain::ids::BackendId;
use crate::domain::routing::rules::Rule;
use crate::domain::topology::Topology;
use crate::monitor::{Monitor, Settings, Watch};
use crate::net::Listener;
use crate::relay::{self, Classifier, Parts, SessionPin, Shared};
use crate::telemetry::otlp::{self, Exporter, Spans};
use crate::telemetry::{BackendMetrics, Metrics};
use house::Proxied;
use operators::Operators;
use pools::PoolMaker;
use reload::{Asker, Reloader, watch_by};
use workers::Workers;

pub use reload::{Origin, Reloaded, Source};

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

/// Runs the proxy until SIGTERM or SIGINT, then drains it. SIGHUP has it read its configuration again.
///
/// # Errors
/// [`DaemonError`] when it cannot start.
pub fn run(config: Config, origin: Origin) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Before it listens: by default the signal would end the process.
        let mut hang_up = signal(SignalKind::hangup())?;
        let proxy = Proxy::start_from(config, origin).await?;
        let hung_up = async {
            while hang_up.recv().await.is_some() {
                tracing::info!("SIGHUP: reading the configuration again");
                // The log has what came of it.
                let _ = proxy.reload().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            () = proxy.asked_to_end() => tracing::info!("SHUTDOWN: draining"),
            () = hung_up => {}
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
    /// The thread of the admin port and the HTTP port.
    admin: Option<JoinHandle<()>>,
    reloads: Asker,
    _monitor: MonitorGuard,
}

/// What the proxy listens on.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// MySQL protocol.
    pub mysql: SocketAddr,
    /// MySQL protocol by unix socket.
    pub socket: Option<PathBuf>,
    /// `/metrics`, `/healthz`, `/readyz`, the live page.
    pub http: SocketAddr,
    /// The SQL admin port.
    pub admin: SocketAddr,
}

/// Keeps the monitor's tasks running.
struct MonitorGuard(
    #[expect(dead_code, reason = "held for its tasks, which end with it")] Arc<Monitor>,
);

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
        Self::start_from(config, Origin::default()).await
    }

    /// The same, with what a reload reads from.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_from(config: Config, origin: Origin) -> Result<Self, DaemonError> {
        let metrics =
            Arc::new(Metrics::new().map_err(|error| DaemonError::Metrics(error.to_string()))?);
        let mysql = listen_tcp(config.proxy.listen)?;
        let unix = config.proxy.socket.clone().map(listen_unix).transpose()?;
        let operators = Operators::listen(config.admin.listen, config.http.listen)?;
        let addresses = Addresses {
            admin: operators.admin,
            mysql: mysql.local_addr().unwrap_or(config.proxy.listen),
            socket: config.proxy.socket.clone(),
            http: operators.http,
        };
        let monitor = Arc::new(Monitor::start(monitor_settings(&config))?);
        let maker = PoolMaker::new(&config, monitor.watch(), Arc::clone(&metrics));
        let workers = Workers::start(config.proxy.workers)?;
        let account = Arc::new(ArcSwap::from_pointee(config.admin.account.clone()));
        let (spans, exporter) = collector(&config, &metrics).unzip();
        let shared = share(config, monitor.watch(), metrics, &maker, spans)?;
        let (reloads, asked_to_reload) = Asker::new();
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
        if let Some(exporter) = exporter {
            tasks.spawn(until(stopped.clone(), exporter.run()));
        }
        let house = Arc::new(Proxied {
            shared: Arc::clone(&shared),
            end,
            ending: AtomicBool::new(false),
            reloads: reloads.clone(),
        });
        let reloader = Reloader {
            shared: Arc::clone(&shared),
            monitor: Arc::clone(&monitor),
            pools: maker,
            origin,
            admin: Arc::clone(&account),
            leaving: Vec::new(),
        };
        tasks.spawn(until(stopped.clone(), reloader.run(asked_to_reload)));
        let site = Site {
            metrics: Arc::clone(&shared.metrics),
            ready: ask_ready(shared.watch.clone()),
            house: Arc::clone(&house) as _,
            access: Access::new(addresses.http, &shared.config().http.account),
        };
        let admin = operators.serve(account, house, site, stopped);
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
            reloads,
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

    /// Reads the configuration again and puts it in force, without a word to any session: what changed
    /// and since when that counts, line by line.
    ///
    /// # Errors
    /// Why nothing was changed: what is wrong where, one line a problem.
    pub async fn reload(&self) -> Reloaded {
        self.reloads.reload().await
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
        let deadline = Instant::now() + self.shared.config().proxy.drain_timeout;
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
            tracing::error!("the thread of the admin port panicked");
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
    watch_by(&mut settings, config);
    settings.delegate = config.cluster.aurora_consistency == AuroraConsistency::Delegate;
    settings
}

/// Where spans go, if there is a collector.
fn collector(config: &Config, metrics: &Arc<Metrics>) -> Option<(Spans, Exporter)> {
    let endpoint = config.telemetry.otlp_endpoint.as_ref()?;
    let metrics = Arc::clone(metrics);
    Some(otlp::exporter(&endpoint.authority, &endpoint.path, metrics))
}

/// Builds what all sessions share.
fn share(
    config: Config,
    watch: Watch,
    metrics: Arc<Metrics>,
    maker: &PoolMaker,
    spans: Option<Spans>,
) -> Result<Arc<Shared>, DaemonError> {
    let cluster = &config.cluster;
    let servers = std::iter::once(&cluster.primary).chain(&cluster.replicas);
    let pools = (0..)
        .zip(servers)
        .map(|(id, address)| maker.make(&config, BackendId(id), &address.to_string()))
        .collect();
    let classifier = Classifier::start(config.limits.statement_cache)?;
    Ok(Arc::new(Shared::new(Parts {
        config,
        watch,
        pools,
        accounts: Arc::clone(&maker.accounts),
        metrics,
        classifier,
        spans,
    })))
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
        for pool in shared.pools() {
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
            let used = pool.backend().is_primary() || shared.mode == Mode::Split;
            if usable && used {
                pool.tend().await;
            }
        }
        tokio::time::sleep(TEND).await;
    }
}

/// Shows the servers in the metrics, and drops the idle connections of a server that went down.
async fn observe(shared: Arc<Shared>) {
    let mut metrics = HashMap::new();
    let mut topology = shared.watch.topology();
    let mut coalesced = 0;
    loop {
        show(&shared, &topology, &mut metrics);
        shared.notice_changes();
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
        for view in topology.backends.iter().filter(|view| !view.usable()) {
            if let Some(pool) = shared.pool(view.id) {
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

/// Bounds the primary's pool by its part of what the server says that it takes.
fn notice_share(shared: &Shared) {
    let facts = shared.watch.facts(BackendId::PRIMARY);
    let most = facts.and_then(|facts| facts.max_connections);
    if let (Some(most), Some(pool)) = (most, shared.pool(BackendId::PRIMARY)) {
        let percent = shared.configured(|it| it.pool.primary_max_connections_pct);
        pool.set_share(most.saturating_mul(percent) / 100);
    }
}

/// How many reads shared a probe of this server that another read had asked for.
fn shared_probes(watch: &Watch, backend: BackendId) -> u64 {
    let counters = watch.counters(backend);
    let asked = counters.upper_bounds_asked + counters.executed_asked;
    asked.saturating_sub(counters.upper_bounds_sent)
}

fn show(shared: &Shared, topology: &Topology, known: &mut HashMap<BackendId, BackendMetrics>) {
    // Of one that was taken away, nothing is to come to light again.
    known.retain(|id, _| topology.get(*id).is_some());
    for view in &topology.backends {
        let metrics = known
            .entry(view.id)
            .or_insert_with(|| shared.metrics.backend(&view.address, view.role));
        metrics.set_up(view.usable());
        metrics.set_lag(view.lag);
    }
}

/// Whether there is a usable primary.
fn ask_ready(watch: Watch) -> AskReady {
    Arc::new(move || {
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
    })
}
