//! The daemon in a process of its own, and what it tells of itself.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use highwater::rig::{Cluster, MONITOR};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::USERS;

/// A running `highwater run`; killed with the value.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) port: u16,
    http: u16,
    folder: PathBuf,
}

impl Daemon {
    pub(crate) fn start(cluster: &Cluster, connections: usize, sessions: usize) -> Self {
        let name = format!("highwater-soak-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let (port, http) = (free_port(), free_port());
        let replicas: Vec<_> = cluster
            .replicas()
            .iter()
            .map(|it| format!("\"{}\"", it.address()))
            .collect();
        let mut text = format!(
            "[proxy]\nlisten = \"127.0.0.1:{port}\"\ndrain_timeout = \"0s\"\n\
             [http]\nlisten = \"127.0.0.1:{http}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [pool]\nmode = \"transaction\"\nmax_connections = {connections}\nacquire_timeout = \"120s\"\n\
             [limits]\nmax_sessions = {}\nlogin_timeout = \"120s\"\n\
             [consistency]\ncatch_up_timeout = \"60s\"\n\
             [cluster]\nprimary = \"{}\"\nreplicas = [{}]\n\
             [monitor]\nuser = \"{}\"\npassword_env = \"MONITOR_PASSWORD\"\n",
            sessions + 100,
            cluster.primary().address(),
            replicas.join(", "),
            MONITOR.user,
        );
        for (index, (user, _)) in USERS.iter().enumerate() {
            text += &format!("[[user]]\nname = \"{user}\"\npassword_env = \"PASSWORD_{index}\"\n");
        }
        let file = folder.join("highwater.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(["run", "--config"]).arg(&file);
        command.env("MONITOR_PASSWORD", MONITOR.password);
        for (index, (_, password)) in USERS.iter().enumerate() {
            command.env(format!("PASSWORD_{index}"), password);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self {
            child,
            port,
            http,
            folder,
        }
    }

    /// The memory that it has now, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) async fn metrics(&self) -> Page {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        Page(page)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A page of metrics.
pub(crate) struct Page(String);

impl Page {
    /// Each line of a metric: its labels, and its value.
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix("highwater_")?.strip_prefix(name)?;
            let (labels, value) = rest.strip_prefix('{')?.split_once("} ")?;
            Some((labels, value.parse().ok()?))
        })
    }

    /// The connections that each server's pool has: of the primary, of the replicas.
    pub(crate) fn connections(&self) -> Vec<u64> {
        let mut all: Vec<(&str, f64)> = Vec::new();
        for (labels, count) in self.lines("backend_connections") {
            let backend = labels.split_once("backend=\"").unwrap().1;
            let backend = backend.split_once('"').unwrap().0;
            match all.iter_mut().find(|(it, _)| *it == backend) {
                Some((_, sum)) => *sum += count,
                None => all.push((backend, count)),
            }
        }
        all.into_iter().map(|(_, count)| count as u64).collect()
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
