//! Spans for a collector, by OTLP over HTTP with JSON (opentelemetry-proto, `v1/traces`). A statement never
//! waits for it: what finds no room is dropped, and counted.

mod http;
mod json;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::Metrics;
use super::label::SpanEvent;
use http::PostError;

/// Spans that wait to be sent, at most.
const ROOM: usize = 4096;
/// Spans in one request, at most.
const BATCH: usize = 512;
/// How long spans are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// How long a collector has for one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A word of ours.
    Word(&'static str),
    /// A number.
    Int(u64),
    /// Milliseconds and the like.
    Float(f64),
    /// Yes or no.
    Bool(bool),
}

/// A part of a statement's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// What was done.
    pub name: &'static str,
    /// How long after the statement it first began.
    pub after: Duration,
    /// How long it took in all.
    pub took: Duration,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: u128,
    /// The application's span that it is under.
    pub parent: u64,
    /// What kind of statement it was.
    pub name: &'static str,
    /// When it ended.
    pub ended: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it ended with an error.
    pub failed: bool,
    /// What is known of it; never its text.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Where its time went.
    pub parts: Vec<Part>,
}

/// Where spans are handed in.
#[derive(Clone, Debug)]
pub struct Spans {
    room: Sender<Span>,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// Hands a span in, if there is room.
    pub fn hand_in(&self, span: Span) {
        if self.room.try_send(span).is_err() {
            self.metrics.spans.at(SpanEvent::Dropped).inc();
        }
    }
}

/// Sends the spans.
#[derive(Debug)]
pub struct Exporter {
    authority: String,
    path: String,
    spans: Receiver<Span>,
    metrics: Arc<Metrics>,
    ids: Ids,
    /// Whether the last request failed.
    failing: bool,
}

/// An exporter to the collector at `authority`, `host:port`, and below `path`; the other half takes spans.
pub fn exporter(authority: &str, path: &str, metrics: Arc<Metrics>) -> (Spans, Exporter) {
    let (room, spans) = channel(ROOM);
    let exporter = Exporter {
        authority: authority.to_owned(),
        path: format!("{}/v1/traces", path.trim_end_matches('/')),
        spans,
        metrics: Arc::clone(&metrics),
        ids: Ids::default(),
        failing: false,
    };
    (Spans { room, metrics }, exporter)
}

impl Exporter {
    /// Sends what comes, for ever.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        while self.spans.recv_many(&mut batch, BATCH).await > 0 {
            let gathered = async {
                while batch.len() < BATCH {
                    let left = BATCH - batch.len();
                    if self.spans.recv_many(&mut batch, left).await == 0 {
                        break;
                    }
                }
            };
            // Either way it is time to send.
            let _ = timeout(GATHER, gathered).await;
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let body = json::request(&batch, &self.ids);
            batch.clear();
            let sent = timeout(PATIENCE, http::post(&self.authority, &self.path, &body)).await;
            let sent = sent.unwrap_or(Err(PostError::Late));
            self.note(count, sent);
        }
    }

    fn note(&mut self, count: u64, sent: Result<(), PostError>) {
        let event = match sent {
            Ok(()) => SpanEvent::Sent,
            Err(_) => SpanEvent::Failed,
        };
        self.metrics.spans.at(event).inc_by(count);
        let collector = &self.authority;
        match sent {
            Err(error) if !self.failing => {
                tracing::warn!(collector, %error, "spans cannot be sent; they are dropped");
            }
            Ok(()) if self.failing => tracing::info!(collector, "spans are sent again"),
            _ => {}
        }
        self.failing = event == SpanEvent::Failed;
    }
}

/// Makes ids of spans that nobody can guess to be the next.
#[derive(Debug, Default)]
struct Ids {
    keys: RandomState,
    count: AtomicU64,
}

impl Ids {
    fn next(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // Zero is no id.
        self.keys.hash_one(count).max(1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let (spans, mut exporter) = exporter("nowhere:1", "/", Arc::clone(&metrics));
        for _ in 0..ROOM + 3 {
            spans.hand_in(Span {
                trace: 1,
                parent: 1,
                name: "read",
                ended: SystemTime::UNIX_EPOCH,
                took: Duration::ZERO,
                failed: false,
                attributes: Vec::new(),
                parts: Vec::new(),
            });
        }
        assert_eq!(metrics.spans.at(SpanEvent::Dropped).get(), 3);
        let mut kept = 0;
        while exporter.spans.try_recv().is_ok() {
            kept += 1;
        }
        assert_eq!(kept, ROOM);
        assert_eq!(exporter.path, "/v1/traces");
    }
}
