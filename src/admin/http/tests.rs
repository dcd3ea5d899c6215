//! The pages as a plain client sees them, before and after the proxy is ready, and at its end.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::admin::house::Later;
use crate::admin::tables::*;
use crate::config::Account;

/// A proxy without anything.
pub(in crate::admin) struct Nobody;

impl House for Nobody {
    fn backends(&self) -> Vec<BackendRow> {
        Vec::new()
    }
    fn sessions(&self) -> Vec<SessionRow> {
        Vec::new()
    }
    fn pools(&self) -> Vec<PoolRow> {
        Vec::new()
    }
    fn positions(&self) -> Vec<PositionRow> {
        Vec::new()
    }
    fn pins(&self) -> Vec<PinRow> {
        Vec::new()
    }
    fn digests(&self) -> Vec<DigestRow> {
        Vec::new()
    }
    fn advice(&self) -> Vec<AdviceRow> {
        Vec::new()
    }
    fn routes(&self, _: Option<u64>) -> Vec<RouteRow> {
        Vec::new()
    }
    fn rules(&self) -> Vec<RuleRow> {
        Vec::new()
    }
    fn config(&self) -> Vec<ConfigRow> {
        vec![ConfigRow {
            name: "proxy.mode".to_owned(),
            value: "split".to_owned(),
        }]
    }
    fn switches(&self) -> Vec<SwitchRow> {
        Vec::new()
    }
    fn has_session(&self, _: u64) -> bool {
        false
    }
    fn explain<'a>(&'a self, _: &'a [u8]) -> Later<'a, Result<Vec<(String, String)>, String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn offload(&self, _: u8) {}
    fn drain(&self, _: &str, _: bool) -> Result<(), String> {
        Ok(())
    }
    fn reload(&self) -> Later<'_, Result<Vec<(String, String)>, String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn shut_down(&self) {}
}

/// A port that serves.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

async fn serving(ready: AskReady, account: Account) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let site = Site {
        metrics: Arc::new(Metrics::new().unwrap()),
        ready,
        house: Arc::new(Nobody),
        access: Access::new(address, &account),
    };
    let server = tokio::spawn(serve(listener, site, async {
        let _ = stopped.await;
    }));
    Served {
        address,
        stop,
        server,
    }
}

impl Served {
    /// Status line and whole text of the answer to one request with these lines in its head.
    async fn get(&self, path: &str, more: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.lines().next().unwrap().to_owned(), answer)
    }
}

const OK: &str = "HTTP/1.1 200 OK";
const LOCAL: &str = "Host: localhost\r\n";

#[tokio::test]
async fn pages_answer_until_the_shutdown() {
    let primary_up = Arc::new(AtomicBool::new(false));
    let ready: AskReady = {
        let primary_up = Arc::clone(&primary_up);
        Arc::new(move || {
            if primary_up.load(Ordering::Relaxed) {
                Readiness::Ready
            } else {
                Readiness::NotReady("no usable primary".to_owned())
            }
        })
    };
    let served = serving(ready, Account::new("admin", "")).await;
    // What everybody may see does not ask for a name.
    let other = "Host: x\r\n";
    let (status, _) = served.get("/healthz", other).await;
    assert_eq!(status, OK);
    let (status, answer) = served.get("/readyz", other).await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(answer.ends_with("no usable primary\n"), "{answer}");
    let (_, answer) = served.get("/api/status", LOCAL).await;
    assert!(
        answer.contains("\"not_ready\":\"no usable primary\""),
        "{answer}"
    );
    primary_up.store(true, Ordering::Relaxed);
    assert_eq!(served.get("/readyz", other).await.0, OK);
    let (status, answer) = served.get("/metrics", other).await;
    assert_eq!(status, OK);
    assert!(answer.contains("highwater_build_info{"), "{answer}");
    let (status, _) = served.get("/no_such", LOCAL).await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");

    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn the_page_and_its_data_are_for_this_machine() {
    let served = serving(Arc::new(|| Readiness::Ready), Account::new("admin", "")).await;
    for file in FILES {
        let (status, answer) = served.get(file.path, LOCAL).await;
        assert_eq!(status, OK, "{}", file.path);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body == file.text, "{}", file.path);
        for line in [
            &format!("content-type: {}", file.kind),
            "content-security-policy: default-src 'self';",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(line), "{}: {head}", file.path);
        }
        let (status, answer) = served.get(file.path, "Host: rebound.example\r\n").await;
        assert_eq!(status, "HTTP/1.1 403 Forbidden", "{}", file.path);
        assert!(!answer.contains(file.text), "{}", file.path);
    }
    let (status, answer) = served.get("/api/status", LOCAL).await;
    assert_eq!(status, OK);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["config"][0]["value"], "split");
    assert_eq!(status["not_ready"], serde_json::Value::Null);
    let (status, _) = served.get("/api/status", "Host: rebound.example\r\n").await;
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
}

#[tokio::test]
async fn a_password_is_asked_for_where_there_is_one() {
    let account = Account::new("admin", "sesame");
    let served = serving(Arc::new(|| Readiness::Ready), account).await;
    // From any name, and only the page and its data.
    let right = "Host: x\r\nAuthorization: Basic YWRtaW46c2VzYW1l\r\n";
    let wrong = "Host: x\r\nAuthorization: Basic YWRtaW46c2VzYW1\r\n";
    for path in ["/", "/page.js", "/api/status"] {
        for refused in [LOCAL, wrong] {
            let (status, answer) = served.get(path, refused).await;
            assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{path}");
            assert!(answer.contains("www-authenticate: Basic"), "{answer}");
            assert!(!answer.contains("sesame"), "{answer}");
        }
        assert_eq!(served.get(path, right).await.0, OK, "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(served.get(path, "Host: x\r\n").await.0, OK, "{path}");
    }
}

#[tokio::test]
async fn streams_go_on_until_the_shutdown_and_do_not_delay_it() {
    let served = serving(Arc::new(|| Readiness::Ready), Account::new("admin", "")).await;
    let mut streams = Vec::new();
    for place in 0..=super::super::live::MOST_STREAMS {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request =
            format!("GET /api/status HTTP/1.1\r\n{LOCAL}Accept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next_line().await.unwrap().unwrap();
        let full = place == super::super::live::MOST_STREAMS;
        assert_eq!(status == OK, !full, "{place}: {status}");
        streams.push(lines);
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let line = streams[0].next_line().await.unwrap().unwrap();
        seen.extend(line.strip_prefix("event: ").map(str::to_owned));
    }
    assert_eq!(seen[..2], ["all", "now"], "{seen:?}");
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
    while streams[0]
        .next_line()
        .await
        .is_ok_and(|line| line.is_some())
    {}
}
