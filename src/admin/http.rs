//! The HTTP port: `/metrics`, `/healthz`, `/readyz`. It knows no server and no monitor; whether the
//! proxy is ready is asked of whoever made it.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::telemetry::Metrics;

/// Whether the proxy can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// There is a usable primary.
    Ready,
    /// Why it cannot, as a sentence for people.
    NotReady(String),
}

/// Asked for each `/readyz`; must answer at once.
pub type AskReady = Arc<dyn Fn() -> Readiness + Send + Sync>;

#[derive(Clone)]
struct Pages {
    metrics: Arc<Metrics>,
    ready: AskReady,
}

/// Serves the pages on `listener` until `shutdown` is done and the requests in work are answered.
///
/// # Errors
/// When the listener cannot accept any more.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    ready: AskReady,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Pages { metrics, ready });
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
}

/// The process lives; nothing else is looked at, so that nobody restarts a proxy for a dead server.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(pages): State<Pages>) -> Response {
    match (pages.ready)() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
        }
    }
}

async fn metrics_page(State(pages): State<Pages>) -> Response {
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    match pages.metrics.render() {
        Ok(page) => ([(header::CONTENT_TYPE, TEXT)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    /// Status line and whole text of the answer to one request.
    async fn get(address: std::net::SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.lines().next().unwrap().to_owned(), answer)
    }

    #[tokio::test]
    async fn pages_answer_until_the_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
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
        let (stop, stopped) = oneshot::channel::<()>();
        let metrics = Arc::new(Metrics::new().unwrap());
        let shutdown = async move {
            let _ = stopped.await;
        };
        let server = tokio::spawn(serve(listener, metrics, ready, shutdown));

        let (status, _) = get(address, "/healthz").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        let (status, answer) = get(address, "/readyz").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert!(answer.ends_with("no usable primary\n"), "{answer}");
        primary_up.store(true, Ordering::Relaxed);
        assert_eq!(get(address, "/readyz").await.0, "HTTP/1.1 200 OK");
        let (status, answer) = get(address, "/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(answer.contains("highwater_build_info{"), "{answer}");
        assert_eq!(get(address, "/").await.0, "HTTP/1.1 404 Not Found");

        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
