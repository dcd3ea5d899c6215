//! What watches Highwater: the table of metrics, the dashboard and the alerts name only what exists, and a real
//! Prometheus scrapes a proxy and runs every query of theirs.
//!
//! A machine without Prometheus skips that part and says so; with `HIGHWATER_TEST_ALL` set, as .ci/run has
//! it, that is a failure. `HIGHWATER_WRITE_DOCS` writes docs/metrics.md anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use highwater::domain::routing::Reason;
use highwater::domain::topology::Role;
use highwater::telemetry::{AccessLabel, Label as _, Metrics, Target};
use serde_json::Value;
use support::{Setup, run};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dashboard() -> Value {
    let path = root().join("docker/grafana/dashboards/highwater.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The queries of the dashboard's panels, with their titles.
fn panels(dashboard: &Value) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            queries.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    assert!(!queries.is_empty());
    queries
}

fn alerts() -> String {
    std::fs::read_to_string(root().join("docker/prometheus/alerts.yml")).unwrap()
}

/// Everything that begins with `highwater_` and could be a metric's name.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
    text.split(|it| !is_part(it))
        .filter(|word| word.starts_with("highwater_"))
        .map(str::to_owned)
        .collect()
}

/// What is known of a metric from its page.
#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// Every metric of a proxy, by its name.
fn families() -> BTreeMap<String, Family> {
    let metrics = Metrics::new().unwrap();
    let backend = metrics.backend("HOST:PORT", Role::Primary);
    backend.set_up(true);
    let _ = metrics.backend("HOST:PORT", Role::Replica);
    metrics.rule_hits("NAME");
    for grid in [&metrics.statements, &metrics.shadow_statements] {
        for access in AccessLabel::ALL {
            grid.at3(*access, Target::Primary, Reason::Write);
        }
        for target in Target::ALL {
            grid.at3(AccessLabel::Read, *target, Reason::Write);
        }
        for reason in Reason::ALL {
            grid.at3(AccessLabel::Read, Target::Primary, *reason);
        }
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in metrics.render().unwrap().lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                families.entry(name.to_owned()).or_default().help = help.to_owned();
            }
            ["#", "TYPE", name, kind] => {
                families.entry(name.to_owned()).or_default().kind = kind.to_owned();
            }
            _ => {
                let (name, labels) = line.split_once('{').unwrap_or((line, ""));
                let is_of = |family: &&String| {
                    let rest = name.strip_prefix(family.as_str());
                    rest.is_some_and(|it| matches!(it, "" | "_bucket" | "_sum" | "_count"))
                };
                let Some(family) = families.keys().find(is_of).cloned() else {
                    continue;
                };
                let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
                for label in labels.split(',').filter(|it| !it.is_empty()) {
                    let (name, value) = label.split_once('=').unwrap();
                    if name != "le" {
                        let values = &mut families.get_mut(&family).unwrap().labels;
                        let value = value.trim_matches('"').to_owned();
                        values.entry(name.to_owned()).or_default().insert(value);
                    }
                }
            }
        }
    }
    families
}

/// docs/metrics.md as the code would have it.
fn page_of_metrics() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Port 6034, `/metrics`, in Prometheus' text format. This page is made from the code. Labels have fixed \
         sets of values, never text of statements or data of users; histograms have buckets from 50 µs to 10 s.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    let mut values: BTreeMap<(String, BTreeSet<String>), Vec<String>> = BTreeMap::new();
    for (name, family) in families() {
        let labels: Vec<_> = family
            .labels
            .keys()
            .map(|label| format!("`{label}`"))
            .collect();
        let labels = labels.join(", ");
        let (kind, help) = (family.kind, family.help);
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
        for values_of in family.labels {
            values.entry(values_of).or_default().push(name.clone());
        }
    }
    page.push_str("\nThe values of each label:\n\n| label | of | values |\n|---|---|---|\n");
    for ((label, seen), metrics) in &values {
        let seen: Vec<_> = match label.as_str() {
            "backend" => vec!["a server's address, as configured".to_owned()],
            "rule" => vec!["a rule's name, as configured".to_owned()],
            "version" => vec!["Highwater's version".to_owned()],
            _ => seen.iter().map(|value| format!("`{value}`")).collect(),
        };
        let alone = values.keys().filter(|(other, _)| other == label).count() == 1;
        let of = match alone {
            true => "all".to_owned(),
            false => metrics
                .iter()
                .map(|it| format!("`{it}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        writeln!(page, "| `{label}` | {of} | {} |", seen.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_of_metrics_is_the_codes() {
    let path = root().join("docs/metrics.md");
    let page = page_of_metrics();
    if std::env::var_os("HIGHWATER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).is_ok_and(|it| it == page),
        "docs/metrics.md is not what the code says: run this test with HIGHWATER_WRITE_DOCS=1"
    );
}

#[test]
fn what_watches_names_only_what_exists() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (name, family) in families() {
        if family.kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
        known.insert(name);
    }
    let expressions: String = panels(&dashboard())
        .iter()
        .map(|(_, expr)| expr.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    let operations = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let doctor = "highwater_read_consistency";
    for name in names(&(expressions + &alerts() + &operations)) {
        assert!(
            known.contains(&name) || name == doctor,
            "there is no {name}"
        );
    }
    // Each alert has its part of the page.
    for line in alerts().lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            let heading = |line: &str| line.starts_with("### ") && line.contains(alert);
            assert!(
                operations.lines().any(heading),
                "docs/operations.md lacks {alert}"
            );
        }
    }
}

/// A running Prometheus; it and its folder go with the value.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Prometheus {
    /// Scrapes this address as the project's own configuration would, every 200 ms.
    fn start(target: SocketAddr) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("highwater-prometheus-{}", target.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let ours =
            std::fs::read_to_string(root().join("docker/prometheus/prometheus.yml")).unwrap();
        let config = ours
            .replace("highwater:6034", &target.to_string())
            .replace("_interval: 5s", "_interval: 200ms");
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.join("alerts.yml"), alerts()).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self {
                child,
                address,
                folder,
            }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                assert!(
                    std::env::var_os("HIGHWATER_TEST_ALL").is_none(),
                    "there is no prometheus: {error}"
                );
                eprintln!("SKIPPED, there is no prometheus: {error}");
                None
            }
        }
    }

    /// What it answers; `None` while it does not listen yet.
    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let head = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The results of a query; how many there are.
    fn query(&self, expr: &str) -> Result<usize, String> {
        let text: String = expr.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self
            .get(&format!("/api/v1/query?query={text}"))
            .ok_or("no answer")?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().map_or(0, Vec::len)),
            _ => Err(answer["error"].to_string()),
        }
    }
}

#[tokio::test]
async fn every_query_runs_on_a_real_prometheus() {
    let setup = Setup::start().await;
    let Some(prometheus) = Prometheus::start(setup.proxy.addresses().http) else {
        return;
    };
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    // Until it has seen counters grow: what a panel shows is a rate.
    let grows = "sum(rate(highwater_statements_total{target=\"replica\"}[1m])) > 0";
    let mut row = 0;
    while prometheus.query(grows) != Ok(1) {
        row += 1;
        run(&mut conn, &format!("INSERT INTO t VALUES ({row})")).await;
        run(&mut conn, "SELECT COUNT(*) FROM t").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    for (title, expr) in panels(&dashboard()) {
        let expr = expr
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        let results = prometheus.query(&expr);
        assert!(
            results.as_ref().is_ok_and(|results| *results > 0),
            "{title}: {expr}: {results:?}"
        );
    }
    let rules = prometheus.get("/api/v1/rules?type=alert").unwrap();
    let rules = rules["data"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(rules.len(), alerts().matches("- alert: ").count());
    for rule in rules {
        let expr = rule["query"].as_str().unwrap();
        assert!(prometheus.query(expr).is_ok(), "{expr}");
        // All is well with these servers.
        assert_eq!(rule["state"], "inactive", "{}", rule["name"]);
        assert_ne!(rule["health"], "err", "{}", rule["lastError"]);
    }
}

/// Each alert that a broken cluster causes does fire.
#[tokio::test]
async fn a_lost_server_is_an_alert() {
    let setup = Setup::start().await;
    let Some(prometheus) = Prometheus::start(setup.proxy.addresses().http) else {
        return;
    };
    setup.cluster.replica(0).kill();
    setup.replicas_usable(1).await;
    let pending = || {
        let answer = prometheus.get("/api/v1/rules?type=alert")?;
        let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
        let one = |name: &str| rules.iter().find(|rule| rule["name"] == name).cloned();
        Some((one("HighwaterReplicaDown")?, one("HighwaterNoReplica")?))
    };
    loop {
        if let Some((down, none)) = pending()
            && down["state"] == "pending"
        {
            assert_eq!(down["alerts"].as_array().unwrap().len(), 1);
            assert_eq!(none["state"], "inactive");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
