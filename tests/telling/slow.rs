//! `[log] slow`: one line for each slow statement, with where its time went and without its text.

use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;

use super::support::daemon::{Daemon, Folder};
use super::support::stage::until;
use super::support::{cell, run};

struct Running {
    cluster: Cluster,
    folder: Folder,
    daemon: Daemon,
}

impl Running {
    /// A proxy that logs as JSON, with more tables in its configuration.
    async fn start(more: &str) -> Self {
        let cluster = Cluster::builder().replicas(1).start().await.unwrap();
        let folder = Folder::new(&cluster, more);
        let text = std::fs::read_to_string(folder.config()).unwrap();
        std::fs::write(folder.config(), text.replace("\"text\"", "\"json\"")).unwrap();
        let daemon = Daemon::start(&folder);
        Self {
            cluster,
            folder,
            daemon,
        }
    }

    /// Switches the log of slow statements on and waits until it is.
    async fn log_slower_than(&self, slow: &str) {
        let path = self.folder.config();
        let text = std::fs::read_to_string(&path).unwrap();
        let others = text.lines().filter(|line| !line.starts_with("slow = "));
        let text = others.collect::<Vec<_>>().join("\n");
        let text = text.replace("[log]\n", &format!("[log]\nslow = \"{slow}\"\n"));
        std::fs::write(path, text).unwrap();
        let told = || {
            self.daemon
                .log()
                .iter()
                .filter(|it| it.contains("log.slow"))
                .count()
        };
        let before = told();
        self.daemon.hang_up();
        until("the reload", async || told() > before).await;
    }

    /// The lines about slow statements, each as it is and as JSON.
    fn slow(&self) -> Vec<(String, Value)> {
        let lines = self.daemon.log().into_iter();
        let lines = lines.filter(|line| line.contains("slow statement"));
        let json = |line: String| {
            let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            (line, value)
        };
        lines.map(json).collect()
    }

    /// The line about the slow statement with this digest text, once it is there.
    async fn slow_with(&self, holds: impl Fn(&Value) -> bool) -> (String, Value) {
        let mut found = None;
        until("a line", async || {
            found = self.slow().into_iter().find(|(_, line)| holds(line));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    async fn connect(&self) -> Conn {
        self.daemon.connect().await.unwrap()
    }
}

fn millis(line: &Value, field: &str) -> f64 {
    line[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} in {line}"))
}

#[tokio::test]
async fn slow_statements_are_told_with_where_their_time_went() {
    let more = "[pool]\nmax_connections = 1\nmin_idle = 0\nacquire_timeout = \"5m\"\n\
                [consistency]\ncatch_up_timeout = \"300ms\"\nmax_lag = \"1h\"\nprimary_budget = \"100%\"\n";
    let running = Running::start(more).await;
    let mut app = running.connect().await;
    run(&mut app, "CREATE TABLE slow_one (v INT)").await;
    cell(&mut app, "SELECT SLEEP(0.2) FROM dual FOR UPDATE").await;
    assert!(running.slow().is_empty(), "off by default");
    running.log_slower_than("150ms").await;

    cell(
        &mut app,
        "SELECT SLEEP(0.2), 'hidden-word' FROM dual FOR UPDATE",
    )
    .await;
    // However late the listening begins, it is the server that takes its time.
    let is_sleep = |line: &Value| {
        let served = millis(line, "server_ms") + millis(line, "relay_ms");
        line["rows"] == 1 && served >= 190.0
    };
    let (text, line) = running.slow_with(is_sleep).await;
    assert!(
        !text.contains("hidden-word") && !text.contains("SLEEP"),
        "{text}"
    );
    // One meaning for each name, also where the log has names of its own.
    for name in ["\"level\":", "\"target\":", "\"consistency\":"] {
        assert_eq!(text.matches(name).count(), 1, "{name} in {text}");
    }
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["user"], "app");
    assert_eq!(line["schema"], "app");
    assert_eq!(line["digest"].as_str().unwrap().len(), 16);
    assert_eq!(line["answered_by"], "primary");
    assert_eq!(line["backend"], running.cluster.primary().address());
    assert_eq!(line["consistency"], "session");
    assert_eq!(line["rows"], 1);
    assert_eq!(line["failed"], false);
    assert!(line["bytes"].as_u64().unwrap() > 0);
    assert!(millis(&line, "took_ms") >= millis(&line, "server_ms"));

    // A read that waits for its replica in vain.
    let replica = running.cluster.replica(0);
    replica.delay(3600).await.unwrap();
    run(&mut app, "INSERT INTO slow_one VALUES (1)").await;
    let waits =
        |line: &Value| line["reason"] == "catch_up_timeout" && millis(line, "wait_ms") >= 290.0;
    // A replica whose applier is started anew is none for a moment.
    until("a read that waited", async || {
        cell(&mut app, "SELECT v FROM slow_one").await;
        running.slow().iter().any(|(_, line)| waits(line))
    })
    .await;
    replica.delay(0).await.unwrap();

    // A statement that waits for a connection, of which there is one.
    running.log_slower_than("1ms").await;
    run(&mut app, "BEGIN").await;
    run(&mut app, "INSERT INTO slow_one VALUES (2)").await;
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(running.daemon.mysql.port())
        .user(Some("app"))
        .pass(Some("app-pw"))
        .prefer_socket(false);
    let mut second = Conn::new(opts).await.unwrap();
    let id = second.id();
    let waiting = tokio::spawn(async move {
        second
            .query_drop("INSERT INTO app.slow_one VALUES (3)")
            .await
            .unwrap();
    });
    let admin = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(running.daemon.admin.port())
        .user(Some("admin"))
        .prefer_socket(false);
    let mut admin = Conn::new(admin).await.unwrap();
    let waits = "SELECT COUNT(*) FROM pools WHERE waiting > 0";
    until("it waits", async || {
        cell(&mut admin, waits).await.as_deref() == Some("1")
    })
    .await;
    run(&mut app, "COMMIT").await;
    app.disconnect().await.unwrap();
    waiting.await.unwrap();
    let of_second = |line: &Value| line["session"] == id && millis(line, "queue_ms") > 0.0;
    running.slow_with(of_second).await;
}

#[tokio::test]
async fn a_flood_of_slow_statements_is_counted_not_logged() {
    const EACH: u64 = 100;
    let running = Running::start("[pool]\nacquire_timeout = \"5m\"\n").await;
    running.log_slower_than("1ms").await;
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut conn = running.connect().await;
        all.push(tokio::spawn(async move {
            for _ in 0..EACH {
                cell(&mut conn, "SELECT SLEEP(0.002) FROM dual FOR UPDATE").await;
            }
        }));
    }
    for one in all {
        one.await.unwrap();
    }
    until("each is told or counted", async || {
        let lines = running.slow().into_iter();
        let told = lines.map(|(_, line)| {
            let sleeps = line.get("digest").is_some();
            u64::from(sleeps) + line["left_out"].as_u64().unwrap()
        });
        told.sum::<u64>() >= 4 * EACH
    })
    .await;
}
