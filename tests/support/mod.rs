//! A cluster of real servers with a proxy in front, for the tests.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test binaries, each of which uses a part; a test fails by panicking"
)]

pub mod daemon;
pub mod raw;
pub mod script;
pub mod stage;

use highwater::config::{Account, Address, Config, PoolMode};
use highwater::daemon::Proxy;
use highwater::rig::{APP, Cluster, ClusterBuilder, MONITOR, Server};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

/// A proxy and its servers. The servers go with it.
pub struct Setup {
    pub proxy: Proxy,
    pub cluster: Cluster,
}

impl Setup {
    /// One primary, two replicas, one proxy at the defaults.
    pub async fn start() -> Self {
        let _ = highwater::telemetry::log::init(
            highwater::telemetry::log::Format::Text,
            &std::env::var("HW_LOG").unwrap_or("off".into()),
        );
        Self::with(Cluster::builder(), |_| {}).await
    }

    /// The same with a cluster of one's own making, and a changed configuration.
    pub async fn with(builder: ClusterBuilder, change: impl FnOnce(&mut Config)) -> Self {
        Self::over(builder.start().await.unwrap(), change).await
    }

    /// The same with a cluster that runs already.
    pub async fn over(cluster: Cluster, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(&cluster);
        change(&mut config);
        let proxy = Proxy::start(config).await.unwrap();
        let setup = Self { proxy, cluster };
        setup.replicas_usable(setup.cluster.replicas().len()).await;
        setup
    }

    /// Waits until so many replicas take reads.
    pub async fn replicas_usable(&self, count: usize) {
        usable(&self.proxy, count).await;
    }

    pub fn opts(&self) -> OptsBuilder {
        let address = self.proxy.addresses().mysql;
        OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .user(Some(APP.user))
            .pass(Some(APP.password))
            .db_name(APP.database)
            .prefer_socket(false)
    }

    /// A client of the proxy.
    pub async fn connect(&self) -> Conn {
        Conn::new(Opts::from(self.opts())).await.unwrap()
    }
}

/// Waits until so many replicas of a proxy take reads.
pub async fn usable(proxy: &Proxy, count: usize) {
    let watch = proxy.watch();
    let mut topology = watch.topology();
    while topology.usable_replicas().count() != count || !topology.backends[0].usable() {
        topology = watch.changed(topology.epoch).await;
    }
    // Connections are opened to a server only once its defaults are known.
    let known = |id| {
        watch
            .facts(id)
            .is_some_and(|facts| facts.baseline.is_some())
    };
    let usable = || topology.backends.iter().filter(|view| view.usable());
    while !usable().all(|view| known(view.id)) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A configuration for these servers, on ports that the system gives.
pub fn config(cluster: &Cluster) -> Config {
    let address = |server: &Server| Address::new(server.host(), server.port());
    let replicas = cluster.replicas().iter().map(address).collect();
    let user = Account::new(APP.user, APP.password);
    let monitor = Account::new(MONITOR.user, MONITOR.password);
    let mut config = Config::for_cluster(address(cluster.primary()), replicas, vec![user], monitor);
    config.proxy.workers = 1;
    // So that every test can be run in both modes, and with a switch after each statement.
    let chosen = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    let mode = PoolMode::ALL.into_iter();
    let mut mode = mode.filter(|mode| chosen("HIGHWATER_TEST_POOL_MODE", mode.name()));
    config.pool.mode = mode.next().unwrap_or_default();
    config.pool.switch_always = chosen("HIGHWATER_TEST_SWITCH_ALWAYS", "1");
    config
}

/// Runs a statement that returns nothing of interest.
pub async fn run(conn: &mut Conn, sql: &str) {
    conn.query_drop(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The first cell of a statement's answer, as text.
pub async fn cell(conn: &mut Conn, sql: &str) -> Option<String> {
    let row: Option<mysql_async::Row> = conn
        .query_first(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    row.and_then(|mut row| row.take::<Option<String>, _>(0).flatten())
}
