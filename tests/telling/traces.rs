//! Spans by OTLP: for statements that name their trace, at a collector that is one of ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster};
use serde_json::Value;

use super::support::raw::{Raw, about, usual};
use super::support::stage::until;
use super::support::{Setup, cell, run};

/// The bodies that a collector got.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Value>>>);

impl Collected {
    /// A collector on a port of the system's; gives its endpoint.
    fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/otlp/", listener.local_addr().unwrap());
        let collected = Self::default();
        let kept = collected.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut reader = BufReader::new(client.unwrap());
                let mut head = Vec::new();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    match line.trim_end() {
                        "" => break,
                        line => head.push(line.to_ascii_lowercase()),
                    }
                }
                assert_eq!(head[0], "post /otlp/v1/traces http/1.1");
                assert!(head.contains(&"content-type: application/json".to_owned()));
                let length = |line: &String| line.strip_prefix("content-length: ")?.parse().ok();
                let length: usize = head.iter().find_map(length).unwrap();
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                kept.0
                    .lock()
                    .unwrap()
                    .push(serde_json::from_slice(&body).unwrap());
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                reader.get_mut().write_all(answer).unwrap();
            }
        });
        (collected, endpoint)
    }

    fn spans(&self) -> Vec<Value> {
        let bodies = self.0.lock().unwrap();
        let of_body = |body: &Value| {
            let resource = &body["resourceSpans"][0];
            let name = &resource["resource"]["attributes"][0];
            assert_eq!(name["value"]["stringValue"], "highwater");
            resource["scopeSpans"][0]["spans"]
                .as_array()
                .unwrap()
                .clone()
        };
        bodies.iter().flat_map(of_body).collect()
    }

    /// The span of the statement whose parent has this number, and the spans under it.
    async fn of_parent(&self, parent: u64) -> (Value, Vec<Value>) {
        let parent = format!("{parent:016x}");
        let mut found = None;
        until("a span", async || {
            let all = self.spans();
            found = all
                .iter()
                .find(|span| span["parentSpanId"] == *parent)
                .cloned();
            found.is_some()
        })
        .await;
        let own = found.unwrap();
        let mut all = self.spans();
        all.retain(|span| span["parentSpanId"] == own["spanId"]);
        (own, all)
    }
}

fn parent(number: u64, sampled: bool) -> String {
    let flags = u8::from(sampled);
    format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{number:016x}-{flags:02x}")
}

fn attribute(span: &Value, key: &str) -> Value {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|it| it["key"] == key);
    let value = &found.unwrap_or_else(|| panic!("{key} in {span}"))["value"];
    value.as_object().unwrap().values().next().unwrap().clone()
}

fn names(parts: &[Value]) -> Vec<&str> {
    parts
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect()
}

/// One string attribute called traceparent, as both commands have it, from its count on.
fn attributes(value: &str) -> Vec<u8> {
    let mut out = vec![0, 1, 254, 0, 11];
    out.extend_from_slice(b"traceparent");
    out.push(u8::try_from(value.len()).unwrap());
    out.extend_from_slice(value.as_bytes());
    out
}

#[tokio::test]
async fn statements_with_a_trace_parent_have_spans() {
    let (collected, endpoint) = Collected::start();
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.telemetry.otlp_endpoint = Some(endpoint.parse().unwrap());
        config.consistency.catch_up_timeout = Duration::from_millis(300);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE traced (v INT)").await;
    run(&mut app, "INSERT INTO traced VALUES (7)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let read = "SELECT v, 'hidden-word' FROM traced";
    cell(&mut app, read).await;
    cell(
        &mut app,
        &format!("{read} /*traceparent='{}'*/", parent(1, false)),
    )
    .await;
    cell(
        &mut app,
        &format!("{read} /*a='b',traceparent='{}'*/", parent(2, true)),
    )
    .await;
    let (span, parts) = collected.of_parent(2).await;
    assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["name"], "read");
    assert_eq!(attribute(&span, "highwater.target"), "replica");
    let replica = setup.cluster.replica(0).address();
    assert_eq!(attribute(&span, "highwater.backend"), replica);
    assert_eq!(attribute(&span, "highwater.level"), "session");
    assert_eq!(attribute(&span, "highwater.rows"), "1");
    let digest = attribute(&span, "highwater.digest");
    assert_eq!(digest.as_str().unwrap().len(), 16);
    assert!(names(&parts).contains(&"server"), "{parts:?}");
    assert_eq!(span["status"], Value::Object(Default::default()));

    // A read that waits in vain, and a statement that fails.
    setup.cluster.replica(0).delay(3600).await.unwrap();
    run(&mut app, "INSERT INTO traced VALUES (8)").await;
    // A replica whose applier is started anew is none for a moment.
    let (mut span, mut parts) = (Value::Null, Vec::new());
    let mut number = 100;
    until("a read that waited", async || {
        number += 1;
        let sql = format!("/*traceparent='{}'*/ {read}", parent(number, true));
        cell(&mut app, &sql).await;
        (span, parts) = collected.of_parent(number).await;
        attribute(&span, "highwater.reason") == "catch_up_timeout"
    })
    .await;
    assert!(attribute(&span, "highwater.wait_ms").as_f64().unwrap() >= 290.0);
    assert!(names(&parts).contains(&"wait"), "{parts:?}");
    setup.cluster.replica(0).delay(0).await.unwrap();
    let wrong = format!(
        "SELECT nothing_like_that FROM traced /*traceparent='{}'*/",
        parent(4, true)
    );
    mysql_async::prelude::Queryable::query_drop(&mut app, wrong)
        .await
        .unwrap_err();
    let (span, _) = collected.of_parent(4).await;
    assert_eq!(span["status"]["code"], 2);

    // Query attributes, of texts and of prepared statements; they come before a comment.
    let address = setup.proxy.addresses().mysql.to_string();
    let flags = usual() | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
    let mut raw = Raw::connect(&address, (APP.user, APP.password), Some("app"), flags)
        .await
        .unwrap();
    let mut command = vec![3, 1, 1];
    command.extend(attributes(&parent(5, true)));
    command.extend_from_slice(format!("{read} /*traceparent='{}'*/", parent(6, true)).as_bytes());
    raw.ask(&command, ReplyKind::Query).await;
    collected.of_parent(5).await;
    let id = raw
        .prepare(&format!("{read} /*traceparent='{}'*/", parent(7, true)))
        .await;
    let mut command = about(0x17, id);
    command.extend_from_slice(&[8, 1, 0, 0, 0, 1]);
    command.extend(attributes(&parent(8, true)));
    let kind = ReplyKind::Execute { cursor: false };
    raw.ask(&command, kind).await;
    collected.of_parent(8).await;

    let spans = collected.spans();
    let under = |number: u64| {
        let parent = format!("{number:016x}");
        spans
            .iter()
            .filter(|span| span["parentSpanId"] == *parent)
            .count()
    };
    assert_eq!(
        [1, 2, 6, 7].map(under),
        [0, 1, 0, 0],
        "neither unsampled, nor overruled, nor old"
    );
    let all = serde_json::to_string(&spans).unwrap();
    assert!(
        !all.contains("hidden-word") && !all.to_lowercase().contains("select"),
        "{all}"
    );
}

#[tokio::test]
async fn without_its_collector_statements_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let setup = Setup::with(Cluster::builder().replicas(0), |config| {
        config.telemetry.otlp_endpoint = Some(endpoint.parse().unwrap());
    })
    .await;
    let mut app = setup.connect().await;
    for number in 1..=20 {
        cell(
            &mut app,
            &format!("SELECT 1 /*traceparent='{}'*/", parent(number, true)),
        )
        .await;
    }
    let failed = "highwater_trace_spans_total{event=\"failed\"} 20\n";
    until("all are counted", async || {
        setup.proxy.metrics().render().unwrap().contains(failed)
    })
    .await;
}
