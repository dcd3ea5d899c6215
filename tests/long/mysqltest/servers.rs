//! The servers that files are run against, kept clean from one file to the next: a lone primary, and
//! a primary with two replicas behind the proxy.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use highwater::config::{Account, Config, PoolMode};
use highwater::daemon::Proxy;
use highwater::domain::consistency::Level;
use highwater::rig::{Cluster, ClusterBuilder, Server, TestSuite};
use tokio::time::timeout;

use super::candidates::Candidate;
use super::runner::{Ended, Runner, Target};
use super::state::State;
use super::support::{self, Setup};

/// How the proxy's pool is run, and at which level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pooling {
    name: &'static str,
    mode: PoolMode,
    switch_always: bool,
    level: Level,
}

impl Pooling {
    const ALL: [Self; 3] = [
        Self::new("session", PoolMode::Session, false),
        Self::new("transaction", PoolMode::Transaction, false),
        Self::new("switching", PoolMode::Transaction, true),
    ];

    const fn new(name: &'static str, mode: PoolMode, switch_always: bool) -> Self {
        Self {
            name,
            mode,
            switch_always,
            level: Level::Session,
        }
    }

    /// The name of the results.
    pub(crate) fn way(&self) -> String {
        match self.level {
            Level::Session => self.name.to_owned(),
            level => format!("{}-{}", self.name, level.name()),
        }
    }

    pub(crate) fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pooling| pooling.name == name)
    }
}

/// What MySQL's own driver of these tests starts its servers with, as far as it shows in results.
fn servers(replicas: usize) -> ClusterBuilder {
    let options = [
        "skip-name-resolve=OFF",
        "max-connections=151",
        "connect-timeout=60",
        "innodb-buffer-pool-size=24M",
        "log-output=FILE",
        "general-log=ON",
        "slow-query-log=ON",
        "explain-format=TRADITIONAL_STRICT",
        // Rows of MyISAM and MEMORY tables come in the order in which they were applied.
        "replica-parallel-workers=1",
    ];
    let builder = Cluster::builder().replicas(replicas).progress(|_| {});
    options
        .iter()
        .fold(builder, |builder, option| builder.option(*option))
}

/// The folder in which all servers of a cluster have theirs.
fn home(server: &Server) -> PathBuf {
    let socket = server.socket();
    socket.ancestors().nth(2).unwrap().to_owned()
}

fn straight_at(server: &Server) -> Target {
    Target {
        port: server.port(),
        socket: server.socket(),
        var: home(server),
    }
}

/// Makes the primary what the files expect: the schemas `test` and `mtr`, time zones, and none of
/// the rig's accounts but those it needs.
async fn furnish(cluster: &Cluster, suite: &TestSuite) {
    let include = suite.folder().join("include");
    let read = |name: &str| std::fs::read_to_string(include.join(name)).unwrap();
    let script = [
        "DROP USER app, admin; DROP DATABASE app;",
        "CREATE DATABASE test; CREATE DATABASE mtr; use mysql;",
        &read("mtr_test_data_timezone.sql"),
        "INSERT INTO mysql.db VALUES ('%','test','','Y','Y','Y','Y','Y','Y','N','Y','Y','Y','Y','Y',\
         'Y','Y','Y','N','N','Y','Y'); FLUSH PRIVILEGES;",
        &read("mtr_warnings.sql"),
        &read("mtr_check.sql"),
    ]
    .join("\n");
    let mut command = cluster.program().client().unwrap();
    command
        .args(["--user=root", "--default-character-set=utf8mb4"])
        .arg(format!("--socket={}", cluster.primary().socket().display()))
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(
        child.wait().unwrap().success(),
        "the mtr schema was not made"
    );
    cluster.wait_all_caught_up().await.unwrap();
}

/// A primary without replicas, started again whenever a file left it changed.
pub(crate) struct Lone {
    runner: Runner,
    running: Option<(Cluster, State)>,
}

impl Lone {
    pub(crate) fn new(runner: Runner) -> Self {
        Self {
            runner,
            running: None,
        }
    }

    pub(crate) async fn run(&mut self, candidate: &Candidate, patience: Duration) -> Ended {
        if self.running.is_none() {
            let cluster = servers(0).start().await.unwrap();
            furnish(&cluster, self.runner.suite()).await;
            self.runner.prepare(&straight_at(cluster.primary()));
            let state = State::of(cluster.primary()).await.unwrap();
            self.running = Some((cluster, state));
        }
        let (cluster, state) = self.running.as_ref().unwrap();
        let target = straight_at(cluster.primary());
        let ended = self.runner.run(candidate, &target, patience).await;
        if let Err(left) = state.restore(cluster.primary()).await {
            println!(
                "{:>20} {}: a new server, since it left {left}",
                "", candidate.name
            );
            self.running = None;
        }
        ended
    }

    pub(crate) fn end(&mut self) {
        self.running = None;
    }
}

/// A primary and two replicas behind the proxy, started again whenever a file left them changed.
pub(crate) struct Behind {
    pooling: Pooling,
    through: Runner,
    straight: Runner,
    running: Option<(Cluster, State)>,
}

impl Behind {
    pub(crate) fn new(pooling: Pooling, through: Runner, straight: Runner) -> Self {
        Self {
            pooling,
            through,
            straight,
            running: None,
        }
    }

    /// Through a proxy of its own, which knows the accounts that the file logs in with.
    pub(crate) async fn run(&mut self, candidate: &Candidate, patience: Duration) -> Ended {
        let (cluster, state) = self.clean().await;
        let var = home(cluster.primary());
        let socket = var.join("highwater.sock");
        let proxy = Proxy::start(config(self.pooling, &cluster, candidate, &socket))
            .await
            .unwrap();
        let setup = Setup { proxy, cluster };
        setup.replicas_usable(2).await;
        let port = setup.proxy.addresses().mysql.port();
        let target = Target { port, socket, var };
        self.through.prepare(&target);
        let ended = self.through.run(candidate, &target, patience).await;
        setup.proxy.shut_down().await;
        self.put_back(setup.cluster, state, candidate).await;
        ended
    }

    /// Straight at the primary.
    pub(crate) async fn run_straight(
        &mut self,
        candidate: &Candidate,
        patience: Duration,
    ) -> Ended {
        let (cluster, state) = self.clean().await;
        let target = straight_at(cluster.primary());
        self.straight.prepare(&target);
        let ended = self.straight.run(candidate, &target, patience).await;
        self.put_back(cluster, state, candidate).await;
        ended
    }

    async fn clean(&mut self) -> (Cluster, State) {
        if let Some(running) = self.running.take() {
            return running;
        }
        let cluster = servers(2).start().await.unwrap();
        furnish(&cluster, self.through.suite()).await;
        let state = State::of(cluster.primary()).await.unwrap();
        (cluster, state)
    }

    async fn put_back(&mut self, cluster: Cluster, state: State, candidate: &Candidate) {
        match settle(&cluster, &state).await {
            Ok(()) => self.running = Some((cluster, state)),
            Err(left) => println!(
                "{:>20} {}: new servers, since it left {left}",
                "", candidate.name
            ),
        }
    }

    pub(crate) fn end(&mut self) {
        self.running = None;
    }
}

/// Makes the primary as it was; every replica must follow.
async fn settle(cluster: &Cluster, state: &State) -> Result<(), String> {
    state.restore(cluster.primary()).await?;
    for replica in cluster.replicas() {
        if following(replica).await.is_err() {
            // One whose connection was killed connects again after a minute only.
            let _ = replica.stop_receiver().await;
            let _ = replica.start_receiver().await;
            following(replica).await?;
        }
    }
    let caught_up = timeout(CATCH_UP, cluster.wait_all_caught_up()).await;
    let caught_up = caught_up.map_err(|_| "a replica does not catch up".to_owned())?;
    caught_up.map_err(|error| first_line(&error.to_string()))
}

/// Longer than a connection to a server beside this one takes.
const FOLLOW: Duration = Duration::from_secs(3);

/// Longer than it takes to apply what one file writes.
const CATCH_UP: Duration = Duration::from_secs(30);

async fn following(replica: &Server) -> Result<(), String> {
    let replicating = timeout(FOLLOW, replica.wait_replicating()).await;
    let replicating = replicating.map_err(|_| "a replica that does not follow".to_owned())?;
    replicating.map_err(|error| first_line(&error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn config(pooling: Pooling, cluster: &Cluster, candidate: &Candidate, socket: &Path) -> Config {
    let mut config = support::config(cluster);
    let own = candidate.accounts.iter();
    config.users = std::iter::once(Account::new("root", ""))
        .chain(own.map(|(user, password)| Account::new(user, password)))
        .collect();
    config.proxy.socket = Some(socket.to_owned());
    config.proxy.drain_timeout = Duration::from_secs(2);
    config.consistency.level = pooling.level;
    config.pool.mode = pooling.mode;
    config.pool.switch_always = pooling.switch_always;
    // Many files wait until the server has as few connections as at their start.
    config.pool.min_idle = 0;
    config.pool.idle_timeout = Duration::from_millis(100);
    config
}
