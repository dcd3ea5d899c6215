//! The daemon in a process of its own, and what it tells of itself.

use std::collections::BTreeSet;
use std::fs;

use highwater::rig::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::running::{Daemon as Running, Folder, highwater};
use super::shared::USERS;

/// A running `highwater run`; killed with the value.
pub(crate) struct Daemon {
    running: Running,
    _folder: Folder,
}

impl Daemon {
    pub(crate) fn start(cluster: &Cluster, connections: usize, sessions: usize) -> Self {
        let (user, _) = USERS[1];
        // A machine that is busy with all this answers late, and nobody is to be told so.
        let more = format!(
            "[pool]\nmode = \"transaction\"\nmax_connections = {connections}\nacquire_timeout = \"300s\"\n\
             [limits]\nmax_sessions = {}\nlogin_timeout = \"300s\"\n\
             [consistency]\ncatch_up_timeout = \"60s\"\nmax_lag = \"10m\"\nprimary_budget = \"100%\"\n\
             [[user]]\nname = \"{user}\"\npassword_env = \"SECOND_PASSWORD\"",
            // Who is torn away is counted until Highwater sees it.
            sessions + sessions / 2 + 100,
        );
        let folder = Folder::with(cluster, &more, "timeout = \"30s\"");
        let mut command = highwater();
        command.env("SECOND_PASSWORD", USERS[1].1);
        command.args(["run", "--config"]).arg(folder.config());
        Self {
            running: Running::spawn(command),
            _folder: folder,
        }
    }

    /// The port for clients.
    pub(crate) fn port(&self) -> u16 {
        self.running.mysql.port()
    }

    /// The memory that it has now, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// The CPU that all its threads have used, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.running.id())).unwrap();
        let of = |stat: String| stat.split_whitespace().next()?.parse::<u64>().ok();
        let each = tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .filter_map(of);
        each.sum::<u64>() as f64 / 1e9
    }

    /// The warnings and errors that it logged.
    pub(crate) fn log(&self) -> String {
        self.running.warnings()
    }

    pub(crate) async fn metrics(&self) -> Page {
        let mut stream = TcpStream::connect(self.running.http).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        Page(page)
    }
}

/// A page of metrics.
pub(crate) struct Page(String);

impl Page {
    /// Each line of a metric: its labels, and its value.
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix("highwater_")?.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            Some((labels, value.parse().ok()?))
        })
    }

    /// The sum of all lines of a metric.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.lines(name).map(|(_, count)| count as u64).sum()
    }

    /// What was counted under these names, without what never happened.
    pub(crate) fn counted(&self, names: &[&str]) -> Vec<(String, u64)> {
        let of = |name: &&str| {
            let lines = self.lines(name).filter(|(_, count)| *count > 0.0);
            let line = |(labels, count): (&str, f64)| (format!("{name} {labels}"), count as u64);
            lines.map(line).collect::<Vec<_>>()
        };
        names.iter().flat_map(of).collect()
    }
}

/// The ports of this machine from which connections to this one of its own are established.
pub(crate) fn ports_to(server: u16) -> BTreeSet<u16> {
    const ESTABLISHED: &str = "01";
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let local = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let [local, remote, state] = [words.next()?, words.next()?, words.next()?];
        let is_open = state == ESTABLISHED && port(remote) == Some(server);
        is_open.then(|| port(local))?
    };
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().filter_map(local).collect()
}
