//! The real binary as a daemon of its own, and the folder that it is configured in.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster, MONITOR};
use mysql_async::{Conn, Opts, OptsBuilder};
use rustix::process::{Pid, Signal, kill_process};

/// A folder with a configuration for these servers, on ports that the system gives. It is gone with
/// the value.
pub struct Folder(PathBuf);

impl Folder {
    /// `more` is put in front of the configuration: keys of `[proxy]`, then whole tables.
    pub fn new(cluster: &Cluster, more: &str) -> Self {
        Self::with(cluster, more, "")
    }

    /// The same with more keys of `[monitor]`.
    pub fn with(cluster: &Cluster, more: &str, monitor: &str) -> Self {
        let name = format!(
            "highwater-daemon-{}-{}",
            std::process::id(),
            cluster.primary().port()
        );
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        let replicas: Vec<_> = cluster
            .replicas()
            .iter()
            .map(|it| format!("\"{}\"", it.address()))
            .collect();
        let text = format!(
            "[proxy]\nlisten = \"127.0.0.1:0\"\n{more}\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nformat = \"text\"\n\
             [cluster]\nprimary = \"{}\"\nreplicas = [{}]\n\
             [monitor]\nuser = \"{}\"\npassword_env = \"MONITOR_PASSWORD\"\n{monitor}\n\
             [[user]]\nname = \"{}\"\npassword_env = \"APP_PASSWORD\"\n",
            cluster.primary().address(),
            replicas.join(", "),
            MONITOR.user,
            APP.user,
        );
        std::fs::write(folder.config(), text).unwrap();
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary, with the passwords that its configuration asks for and no variable of Highwater's own.
pub fn highwater() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HIGHWATER_")) {
        command.env_remove(name);
    }
    command
        .env("MONITOR_PASSWORD", MONITOR.password)
        .env("APP_PASSWORD", APP.password)
        .stdin(Stdio::null());
    command
}

/// A running `highwater run`; killed with the value if it still runs.
pub struct Daemon {
    child: Child,
    pub mysql: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    /// Starts one, and waits until it listens.
    pub fn start(folder: &Folder) -> Self {
        let mut command = highwater();
        command.args(["run", "--config"]).arg(folder.config());
        Self::spawn(command)
    }

    /// The same with a command of one's own that logs as text.
    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let (mysql, http, admin) = loop {
            let begin = said.len();
            if log.read_line(&mut said).unwrap() == 0 {
                panic!("it ended before it listened:\n{said}");
            }
            let line = &said[begin..];
            if line.contains("listening") {
                break (
                    field(line, "mysql="),
                    field(line, "http="),
                    field(line, "admin="),
                );
            }
        };
        // Read on, so that it never waits for us.
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            mysql,
            http,
            admin,
            log: lines,
        }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged as warnings and errors since it listened.
    pub fn warnings(&self) -> String {
        let is_one = |line: &&String| line.contains(" WARN ") || line.contains("ERROR ");
        let lines = self.log();
        let warnings: Vec<_> = lines.iter().filter(is_one).map(String::as_str).collect();
        warnings.join("\n")
    }

    /// The lines that it has logged since it listens.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Has it read its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    pub async fn connect(&self) -> mysql_async::Result<Conn> {
        let opts = OptsBuilder::default()
            .ip_or_hostname(self.mysql.ip().to_string())
            .tcp_port(self.mysql.port())
            .user(Some(APP.user))
            .pass(Some(APP.password))
            .db_name(APP.database)
            .prefer_socket(false);
        Conn::new(Opts::from(opts)).await
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The exit code, once it has ended.
    pub async fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that a log line has as one of its fields, as text or as JSON.
fn field(line: &str, name: &str) -> SocketAddr {
    let json = format!("\"{}\":\"", name.trim_end_matches('='));
    let behind = |name: &str| line.split_once(name).map(|(_, value)| value);
    let value = behind(&json).or_else(|| behind(name)).unwrap();
    let is_part = |it: &char| it.is_ascii_digit() || matches!(it, '.' | ':');
    let text: String = value.chars().take_while(is_part).collect();
    text.parse().unwrap()
}
