//! What the benches share: sysbench, and Highwater's binary in front of real servers.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by benches, each of which uses a part; a bench that cannot go on stops"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster, MONITOR, Server};

/// Rows of sysbench's table.
const ROWS: &str = "10000";

/// Runs a bench; nothing is measured where `cargo test` only looks at one.
pub fn measure(bench: impl Future<Output = ()>) {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(bench);
}

/// Ends the process with advice when a program is missing.
pub fn need(tools: &[&str]) {
    for tool in tools {
        if Command::new(tool).arg("--version").output().is_err() {
            eprintln!("{tool} is not on PATH; install it: sudo apt-get install {tool}");
            std::process::exit(1);
        }
    }
}

/// Something that speaks MySQL on a port of this machine.
pub struct Target {
    pub port: u16,
    /// Of `/metrics`; 0 where there is none.
    pub http: u16,
    /// The proxy's process; stopped when dropped.
    pub process: Option<Child>,
}

impl Target {
    pub fn server(server: &Server) -> Self {
        Self {
            port: server.port(),
            http: 0,
            process: None,
        }
    }

    /// Stops the proxy as a service manager does, and waits for its end.
    pub fn terminate(&mut self) {
        if let Some(process) = &mut self.process {
            let kill = Command::new("kill")
                .arg(process.id().to_string())
                .status()
                .unwrap();
            assert!(kill.success());
            assert!(
                process.wait().unwrap().success(),
                "the proxy failed at its end"
            );
        }
        self.process = None;
    }

    /// The page with the metrics.
    pub fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// One run of sysbench.
pub struct Load<'a> {
    pub script: &'a str,
    pub action: &'a str,
    pub prepared: bool,
    pub skip_trx: bool,
    pub seconds: u64,
    pub options: &'a [&'a str],
}

impl Load<'_> {
    /// Runs it and returns its report.
    pub fn run(&self, target: &Target) -> String {
        let switch = |on| if on { "on" } else { "off" };
        let threads = number("HIGHWATER_BENCH_THREADS", 8);
        let output = Command::new("sysbench")
            .arg(self.script)
            .args(["--db-driver=mysql", "--mysql-host=127.0.0.1", "--tables=1"])
            .arg(format!("--skip-trx={}", switch(self.skip_trx)))
            .arg(format!("--mysql-port={}", target.port))
            .arg(format!("--mysql-user={}", APP.user))
            .arg(format!("--mysql-password={}", APP.password))
            .arg(format!("--mysql-db={}", APP.database.unwrap()))
            .arg(format!("--table-size={ROWS}"))
            .arg(format!("--threads={threads}"))
            .arg(format!("--time={}", self.seconds))
            .arg(format!(
                "--db-ps-mode={}",
                if self.prepared { "auto" } else { "disable" }
            ))
            .args(self.options)
            .args(["--histogram=on", self.action])
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "sysbench {} failed: {report}{errors}",
            self.script
        );
        report
    }
}

/// Fills sysbench's table.
pub fn prepare(target: &Target) {
    let load = Load {
        script: "oltp_point_select",
        action: "prepare",
        prepared: true,
        skip_trx: true,
        seconds: 0,
        options: &[],
    };
    load.run(target);
}

/// The number behind a label of sysbench's report.
pub fn figure(report: &str, label: &str) -> f64 {
    let line = report
        .lines()
        .find(|line| line.trim_start().starts_with(label))
        .unwrap();
    let rest = line.trim_start().trim_start_matches(label);
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// CPU that all threads of a process have used, in nanoseconds.
pub fn cpu_ns(process: &Child) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// The word for the protocol of a run.
pub fn protocol(prepared: bool) -> &'static str {
    if prepared { "prepared" } else { "text" }
}

/// Highwater's binary in front of a cluster, with this `[pool] mode`, logging to the file of that name in the folder.
pub fn start_highwater(
    cluster: &Cluster,
    folder: &Path,
    log_level: &str,
    pool_mode: &str,
) -> Target {
    let pool = format!("mode = \"{pool_mode}\"\n");
    start_with_pool(cluster, folder, log_level, pool_mode, &pool)
}

/// The same with these lines in `[pool]`, and a name for its files.
pub fn start_with_pool(
    cluster: &Cluster,
    folder: &Path,
    log_level: &str,
    name: &str,
    pool: &str,
) -> Target {
    let (port, http) = (free_port(), free_port());
    let replicas: Vec<_> = cluster
        .replicas()
        .iter()
        .map(|replica| format!("\"{}\"", replica.address()))
        .collect();
    let config = format!(
        "[proxy]\nlisten = \"127.0.0.1:{port}\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[cluster]\nprimary = \"{}\"\nreplicas = [{}]\n\
         [monitor]\nuser = \"{}\"\npassword_env = \"BENCH_MONITOR\"\n\
         [[user]]\nname = \"{}\"\npassword_env = \"BENCH_APP\"\n\
         [pool]\n{pool}\
         [log]\nformat = \"json\"\nlevel = \"{log_level}\"\n",
        cluster.primary().address(),
        replicas.join(", "),
        MONITOR.user,
        APP.user
    );
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, config).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .arg("run")
        .arg("--config")
        .arg(&file)
        .env("BENCH_MONITOR", MONITOR.password)
        .env("BENCH_APP", APP.password)
        .stdout(Stdio::null())
        .stderr(File::create(folder.join(format!("{name}.log"))).unwrap())
        .spawn()
        .unwrap();
    wait_open(port);
    Target {
        port,
        http,
        process: Some(process),
    }
}

pub fn wait_open(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A private folder, removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("highwater-bench-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
