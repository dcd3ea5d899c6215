//! The real binary, told to stop.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster, MONITOR, ROOT};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use rustix::process::{Pid, Signal, kill_process};

use super::support::{cell, run};

/// A running `highwater run`; killed with the value if it still runs.
struct Daemon {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Daemon {
    fn start(cluster: &Cluster, drain_timeout: &str) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "highwater-stop-{}-{}",
            std::process::id(),
            cluster.primary().port()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("config.toml");
        let replicas: Vec<_> = cluster
            .replicas()
            .iter()
            .map(|it| format!("\"{}\"", it.address()))
            .collect();
        let text = format!(
            "[proxy]\nlisten = \"127.0.0.1:0\"\ndrain_timeout = \"{drain_timeout}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nformat = \"text\"\n\
             [cluster]\nprimary = \"{}\"\nreplicas = [{}]\n\
             [monitor]\nuser = \"{}\"\npassword_env = \"MONITOR_PASSWORD\"\n\
             [[user]]\nname = \"{}\"\npassword_env = \"APP_PASSWORD\"\n",
            cluster.primary().address(),
            replicas.join(", "),
            MONITOR.user,
            APP.user,
        );
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["run", "--config"])
            .arg(&file)
            .env("MONITOR_PASSWORD", MONITOR.password)
            .env("APP_PASSWORD", APP.password)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "it ended before it listened"
            );
            let after = line.split("mysql=127.0.0.1:").nth(1);
            if let Some(after) = after.filter(|_| line.contains("listening")) {
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                break digits.parse().unwrap();
            }
        };
        // Read on, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            child,
            port,
            folder,
        }
    }

    async fn connect(&self) -> mysql_async::Result<Conn> {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(APP.user))
            .pass(Some(APP.password))
            .db_name(APP.database)
            .prefer_socket(false);
        Conn::new(Opts::from(opts)).await
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    async fn code(&mut self) -> Option<i32> {
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
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn sigterm_lets_transactions_end_and_exits_0() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let mut daemon = Daemon::start(&cluster, "20s");
    let mut idle = daemon.connect().await.unwrap();
    run(&mut idle, "CREATE TABLE t (v INT)").await;
    let mut busy = daemon.connect().await.unwrap();
    run(&mut busy, "BEGIN").await;
    run(&mut busy, "INSERT INTO t VALUES (1)").await;

    daemon.terminate();
    // The idle one ends at once, while the transaction is still open.
    while idle.ping().await.is_ok() {}
    assert!(daemon.connect().await.is_err(), "a new client was let in");
    assert_eq!(
        cell(&mut busy, "SELECT COUNT(*) FROM t").await.as_deref(),
        Some("1")
    );
    run(&mut busy, "INSERT INTO t VALUES (2)").await;
    run(&mut busy, "COMMIT").await;
    while busy.ping().await.is_ok() {}
    assert_eq!(daemon.code().await, Some(0));
    assert_eq!(
        cluster
            .primary()
            .value("SELECT COUNT(*) FROM app.t")
            .await
            .unwrap()
            .as_deref(),
        Some("2")
    );
}

#[tokio::test]
async fn sigterm_ends_what_outlives_the_drain_timeout_and_exits_0() {
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    let mut daemon = Daemon::start(&cluster, "300ms");
    let mut busy = daemon.connect().await.unwrap();
    run(&mut busy, "CREATE TABLE t (v INT)").await;
    run(&mut busy, "BEGIN").await;
    run(&mut busy, "INSERT INTO t VALUES (1)").await;
    // A server does not notice that the client of one that waits for a row is gone.
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    for sql in [
        "CREATE TABLE app.locked (v INT)",
        "INSERT INTO app.locked VALUES (1)",
        "BEGIN",
        "UPDATE app.locked SET v = 2",
    ] {
        run(&mut root, sql).await;
    }
    let mut waiting = daemon.connect().await.unwrap();
    let waiting = tokio::spawn(async move { waiting.query_drop("UPDATE locked SET v = 3").await });
    let running =
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE locked%'";
    let mut watcher = cluster.primary().connect(&ROOT).await.unwrap();
    while cell(&mut watcher, running).await.as_deref() != Some("1") {}

    let started = Instant::now();
    daemon.terminate();
    assert_eq!(daemon.code().await, Some(0));
    assert!(waiting.await.unwrap().is_err());
    let stopped = Instant::now();
    while cell(&mut watcher, running).await.as_deref() != Some("0") {
        // It would wait for 50 s.
        assert!(stopped.elapsed() < Duration::from_secs(30), "it still runs");
    }
    run(&mut root, "COMMIT").await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(busy.ping().await.is_err());
    assert_eq!(
        cluster
            .primary()
            .value("SELECT COUNT(*) FROM app.t")
            .await
            .unwrap()
            .as_deref(),
        Some("0")
    );
}
