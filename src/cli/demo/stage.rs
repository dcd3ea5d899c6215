//! What the demo plays on: the servers, and the proxy in front of them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql_async::{Opts, OptsBuilder};

use super::{Engine, Options};
use crate::cli::failure::Failure;
use crate::config::{Account, Address, Config};
use crate::daemon::{DaemonError, Proxy};
use crate::domain::ids::BackendId;
use crate::rig::{self, APP, Cluster, ClusterBuilder, MONITOR, RigError, Server};
use crate::telemetry::log;

/// How long a shutdown waits for transactions that somebody left open.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the monitor may take to see what was done to a replica.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Servers and proxy. The servers and all they wrote go when it is dropped.
pub(super) struct Stage {
    // Before the servers: it ends first.
    proxy: Proxy,
    pub(super) cluster: Cluster,
    folder: PathBuf,
}

impl Stage {
    /// Starts everything; says on standard output what takes long.
    pub(super) async fn start(options: &Options) -> Result<Self, Failure> {
        say(&format!(
            "starting a {} primary and {} ...",
            options.engine.name(),
            match options.replicas {
                1 => "a replica".to_owned(),
                count => format!("{count} replicas"),
            }
        ));
        let cluster = servers(options.engine)
            .replicas(options.replicas.into())
            .progress(say)
            .start()
            .await
            .map_err(failure)?;
        let folder = folder(&cluster);
        let log_path = folder.join("highwater.log");
        let file = File::create(&log_path).map_err(|error| {
            let what = format!("cannot write {}: {error}", log_path.display());
            Failure::no(what, "make room in the system's temporary folder")
        })?;
        // A second call in one process is no reason to give up: the log goes where it went.
        let _ = log::init_file(file, "info");
        let proxy = Proxy::start(config(options, &cluster, &folder))
            .await
            .map_err(|error| match error {
                DaemonError::Listen { .. } => super::cannot_listen(&error.to_string()),
                error => Failure::no(error.to_string(), "free some memory and try again"),
            })?;
        say(&format!(
            "{} {} and Highwater run in {}; the proxy's log is highwater.log there\n",
            options.engine.name(),
            cluster.program().version(),
            folder.display()
        ));
        Ok(Self {
            proxy,
            cluster,
            folder,
        })
    }

    /// Ends the proxy, then the servers.
    pub(super) async fn end(self) {
        self.proxy.shut_down().await;
    }

    /// The proxy.
    pub(super) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The private folder of everything.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The replica that the demo makes late, and how people count it.
    pub(super) fn victim(&self) -> Option<(&Server, usize)> {
        let replicas = self.cluster.replicas();
        replicas.last().map(|server| (server, replicas.len()))
    }

    /// How an application logs in.
    pub(super) fn app(&self) -> Opts {
        let address = reachable(self.proxy.addresses().mysql);
        OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .user(Some(APP.user))
            .pass(Some(APP.password))
            .db_name(APP.database)
            .prefer_socket(false)
            // What is set the driver does not ask for: every read is then one of the workload.
            .max_allowed_packet(Some(1 << 20))
            .wait_timeout(Some(3600))
            .into()
    }

    /// Waits until every replica has all data and the monitor knows that it may be used.
    pub(super) async fn settle(&self) -> Result<(), Failure> {
        self.cluster.wait_all_caught_up().await.map_err(failure)?;
        self.all_usable().await
    }

    /// Waits until the monitor has looked again at every replica and found it usable.
    pub(super) async fn all_usable(&self) -> Result<(), Failure> {
        let looks = self.probes();
        let usable = async {
            // A probe may be under way: only the second one from now began after now.
            while !self.usable()
                || self
                    .probes()
                    .iter()
                    .zip(&looks)
                    .any(|(now, then)| *now < then + 2)
            {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, usable).await.map_err(|_| {
            let log = self.folder.join("highwater.log");
            let lines = std::fs::read_to_string(log).unwrap_or_default();
            Failure::no(
                format!("a replica did not become usable\n{lines}"),
                "the machine may be too busy: try again",
            )
        })
    }

    fn usable(&self) -> bool {
        let topology = self.proxy.watch().topology();
        topology.usable_replicas().count() == self.cluster.replicas().len()
    }

    fn probes(&self) -> Vec<u64> {
        let topology = self.proxy.watch().topology();
        let probes = |id: BackendId| self.proxy.watch().counters(id).probes;
        topology.backends.iter().map(|v| probes(v.id)).collect()
    }
}

/// The address that a client on this machine reaches a listener at.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// What the rig could not do, as a failed command.
pub(super) fn failure(error: RigError) -> Failure {
    match error {
        RigError::Install { what, advice } => Failure::no(what, advice),
        error => Failure::no(
            error.to_string(),
            "the servers want 1 GB of memory and of room in the temporary folder: free some and try again",
        ),
    }
}

fn servers(engine: Engine) -> ClusterBuilder {
    let builder = Cluster::builder();
    match engine {
        Engine::Mysql => builder,
        // Off by default there; the demo counts statements by it, and only those that clients sent.
        Engine::Mariadb => builder
            .engine(rig::Engine::MariaDb)
            .option("performance-schema=ON")
            .option("binlog-format=ROW"),
    }
}

fn say(line: &str) {
    crate::cli::print(&format!("{line}\n"));
}

/// The folder that holds the folders of all servers.
fn folder(cluster: &Cluster) -> PathBuf {
    let log = cluster.primary().error_log();
    let home = log.parent().and_then(Path::parent);
    home.map_or_else(std::env::temp_dir, Path::to_owned)
}

fn config(options: &Options, cluster: &Cluster, folder: &Path) -> Config {
    let address = |server: &Server| Address::new(server.host(), server.port());
    let mut config = Config::for_cluster(
        address(cluster.primary()),
        cluster.replicas().iter().map(address).collect(),
        vec![Account::new(APP.user, APP.password)],
        Account::new(MONITOR.user, MONITOR.password),
    );
    config.proxy.listen = options.listen;
    config.proxy.socket = Some(folder.join("highwater.sock"));
    config.proxy.drain_timeout = DRAIN;
    config.http.listen = options.http_listen;
    config.admin.listen = options.admin_listen;
    config
}
