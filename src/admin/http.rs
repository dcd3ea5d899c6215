//! The HTTP port: `/metrics`, `/healthz`, `/readyz`, and the live page with its `/api/status`. It knows no
//! server and no monitor; whether the proxy is ready is asked of whoever made it.

mod access;
mod patience;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::house::House;
use super::live::Live;
use super::page::{FILES, HEADERS};
use crate::telemetry::Metrics;
pub use access::{Access, Refusal};
use patience::Patient;

/// How long requests in work may take to end when the proxy stops.
const LAST_WAIT: Duration = Duration::from_secs(2);

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

/// What the port tells of.
pub struct Site {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the proxy is ready.
    pub ready: AskReady,
    /// The proxy, for the page.
    pub house: Arc<dyn House>,
    /// Who may see the page.
    pub access: Access,
}

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
    site: Site,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let Site {
        metrics,
        ready,
        house,
        access,
    } = site;
    let live = Live::new(house, Arc::clone(&metrics), Arc::clone(&ready));
    let live = Arc::new(live);
    let router = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Pages { metrics, ready })
        .merge(page(Arc::clone(&live), Arc::new(access)));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(Patient(listener), router).with_graceful_shutdown(async {
        // An error says that this function is left, so the same.
        let _ = stopped.await;
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        result = &mut server => return result,
        () = live.run() => {}
        () = shutdown => {}
    }
    live.close();
    let _ = stop.send(());
    // Whoever does not take an answer does not keep the proxy from ending.
    tokio::time::timeout(LAST_WAIT, server)
        .await
        .unwrap_or(Ok(()))
}

/// The live page and its data, for those who may see it.
fn page(live: Arc<Live>, access: Arc<Access>) -> Router {
    let mut router = Router::new().route("/api/status", get(status));
    for file in FILES {
        let answer = ([(header::CONTENT_TYPE, file.kind)], file.text);
        router = router.route(file.path, get(move || std::future::ready(answer)));
    }
    router
        .with_state(live)
        .route_layer(middleware::from_fn_with_state(access, guard))
}

async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => refusal(why),
    };
    response.headers_mut().extend(HEADERS);
    response
}

fn refusal(why: Refusal) -> Response {
    let text = format!("{why}\n");
    match why {
        Refusal::Unauthorized => {
            const ASK: &str = "Basic realm=\"Highwater\", charset=\"UTF-8\"";
            let ask = [(header::WWW_AUTHENTICATE, ASK)];
            (StatusCode::UNAUTHORIZED, ask, text).into_response()
        }
        Refusal::ForeignHost | Refusal::NoPassword => (StatusCode::FORBIDDEN, text).into_response(),
    }
}

/// Everything as one document; for those who accept events, a stream that begins with it.
async fn status(State(live): State<Arc<Live>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/event-stream") {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        return (kind, format!("{}\n", live.document())).into_response();
    }
    match live.subscribe() {
        Some(events) => {
            let kind = [(header::CONTENT_TYPE, "text/event-stream")];
            (kind, Body::from_stream(events)).into_response()
        }
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "10")],
            "too many pages are open\n",
        )
            .into_response(),
    }
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
pub(super) mod tests;
