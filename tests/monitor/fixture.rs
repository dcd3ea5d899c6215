//! A watched cluster, and waiting for what it shall become.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use highwater::domain::ids::BackendId;
use highwater::domain::position::{GtidSet, Position};
use highwater::domain::topology::{Generation, Health};
use highwater::monitor::{Monitor, Settings, Watch};
use highwater::rig::{Cluster, ClusterBuilder, MONITOR, Server};
use tokio::sync::oneshot;

/// Long enough for two slow cores that run everything else at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Watched {
    pub(crate) cluster: Cluster,
    pub(crate) watch: Watch,
    _monitor: OnItsOwn,
}

/// A monitor on a thread and a runtime of its own, as in the daemon: its handle is used from
/// another one. It stops when this is dropped.
struct OnItsOwn {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OnItsOwn {
    fn start(settings: Settings) -> (Self, Watch) {
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let monitor = Monitor::start(settings).unwrap();
                sender.send(monitor.watch()).unwrap();
                let _ = stopped.await;
            });
        });
        let own = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        (own, receiver.recv().unwrap())
    }
}

impl Drop for OnItsOwn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watched {
    /// Starts the cluster and watches it until every server is up.
    pub(crate) async fn start(builder: ClusterBuilder) -> Self {
        Self::start_with(builder, |_| {}).await
    }

    pub(crate) async fn start_with(
        builder: ClusterBuilder,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let watched = Self::of(builder.start().await.unwrap(), change).await;
        for view in &watched.watch.topology().backends {
            watched.becomes(view.id, Health::Up).await;
        }
        watched
    }

    /// Watches a cluster until every server has been probed.
    pub(crate) async fn of(cluster: Cluster, change: impl FnOnce(&mut Settings)) -> Self {
        let replicas = cluster.replicas().iter().map(Server::address).collect();
        let mut settings = Settings::new(cluster.primary().address(), replicas);
        settings.user = MONITOR.user.to_owned();
        settings.password = MONITOR.password.to_owned();
        settings.interval = Duration::from_millis(50);
        change(&mut settings);
        let (monitor, watch) = OnItsOwn::start(settings);
        let watched = Self {
            watch,
            cluster,
            _monitor: monitor,
        };
        watched.watch.settled().await;
        watched
    }

    /// Waits until a server has this health.
    pub(crate) async fn becomes(&self, id: BackendId, health: Health) {
        let found = tokio::time::timeout(PATIENCE, async {
            let mut topology = self.watch.topology();
            while topology.get(id).unwrap().health != health {
                topology = self.watch.changed(topology.epoch).await;
            }
        });
        if found.await.is_err() {
            panic!("{id:?} never became {health:?}: {:?}", self.health(id));
        }
    }

    pub(crate) fn health(&self, id: BackendId) -> Health {
        self.watch.topology().get(id).unwrap().health
    }

    pub(crate) fn generation(&self, id: BackendId) -> Generation {
        self.watch.topology().get(id).unwrap().generation.unwrap()
    }

    /// A server with the number of its present life.
    pub(crate) fn present(&self, id: BackendId) -> (BackendId, Generation) {
        (id, self.generation(id))
    }

    /// Runs a statement on the primary; what it has executed then.
    pub(crate) async fn write(&self, sql: &str) -> Position {
        self.cluster.primary().exec(sql).await.unwrap();
        executed(self.cluster.primary()).await
    }

    /// Delays the first replica, and waits until the monitor has seen the end of the short stop of
    /// its applier that this takes.
    pub(crate) async fn delay(&self, seconds: u32) {
        self.cluster.replica(0).delay(seconds).await.unwrap();
        let probes = self.watch.counters(FIRST).probes;
        until("two whole probes have passed", || {
            self.watch.counters(FIRST).probes >= probes + 3
        })
        .await;
        self.becomes(FIRST, Health::Up).await;
    }

    /// Waits until the lower bound that is known of a server covers this.
    pub(crate) async fn bound_reaches(&self, id: BackendId, position: &Position) {
        let there = || {
            let generation = self.generation(id);
            self.watch.bound_covers(id, generation, position)
        };
        until("the bound gets there", there).await;
    }
}

/// Waits for a condition that nothing announces.
pub(crate) async fn until(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn executed(server: &Server) -> Position {
    let text = server.value("SELECT @@global.gtid_executed").await.unwrap();
    text.unwrap().parse::<GtidSet>().unwrap().into()
}

pub(crate) async fn uuid(server: &Server) -> String {
    let text = server.value("SELECT @@server_uuid").await.unwrap();
    text.unwrap()
}

pub(crate) fn gtids(position: Position) -> GtidSet {
    let Position::Gtids(set) = position else {
        panic!("no GTIDs: {position:?}");
    };
    set
}

pub(crate) const PRIMARY: BackendId = BackendId::PRIMARY;
pub(crate) const FIRST: BackendId = BackendId(1);
pub(crate) const SECOND: BackendId = BackendId(2);
