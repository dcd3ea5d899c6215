//! What the live page is fed with: the history of the counters, kept by a timer, and the streams of those
//! who look. Nothing here is on a statement's way; while nobody looks, one reading every two seconds is all.

mod document;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use futures_core::Stream;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::house::House;
use super::http::AskReady;
use crate::telemetry::{BackendMoment, History, Metrics};
use document::Teller;

/// From one sample to the next.
pub(super) const STEP: Duration = Duration::from_secs(2);
/// Samples that are kept: a quarter of an hour.
const SAMPLES: usize = 450;
/// Every so many samples the tables are sent as well.
const TABLES_EVERY: u64 = 2;
/// Pages that may be open at once.
pub(super) const MOST_STREAMS: usize = 32;
/// Events that may wait for a slow browser before it is dropped; it comes back by itself.
const PATIENCE: usize = 8;

/// The history, and who looks at it.
pub(super) struct Live {
    teller: Teller,
    /// When the process began, by a clock that is never set.
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    history: History,
    streams: Vec<mpsc::Sender<Bytes>>,
    /// No stream begins any more.
    closed: bool,
    /// Samples so far.
    ticks: u64,
    /// The tables as they were sent last.
    tables: String,
}

impl Live {
    pub(super) fn new(house: Arc<dyn House>, metrics: Arc<Metrics>, ready: AskReady) -> Self {
        Self {
            teller: Teller {
                house,
                metrics,
                ready,
                started: since_epoch(),
            },
            begun: Instant::now(),
            state: Mutex::new(State {
                history: History::new(SAMPLES),
                streams: Vec::new(),
                closed: false,
                ticks: 0,
                tables: String::new(),
            }),
        }
    }

    /// Takes samples and tells those who look, for ever.
    pub(super) async fn run(&self) {
        let mut timer = tokio::time::interval(STEP);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            self.tick();
        }
    }

    /// Everything, for whoever asks once.
    pub(super) fn document(&self) -> Value {
        self.teller.whole(&self.state().history, STEP)
    }

    /// A stream of events that begins with everything; `None` if too many look.
    pub(super) fn subscribe(&self) -> Option<Events> {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.is_closed());
        if state.closed || state.streams.len() >= MOST_STREAMS {
            return None;
        }
        let whole = self.teller.whole(&state.history, STEP);
        let (sender, receiver) = mpsc::channel(PATIENCE);
        // So long a browser waits before it comes back.
        let first = [
            Bytes::from_static(b"retry: 2000\n\n"),
            event("all", &whole.to_string()),
        ];
        state.streams.push(sender);
        Some(Events {
            first: first.into(),
            receiver,
        })
    }

    /// Ends every stream.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.streams.clear();
    }

    fn tick(&self) {
        let reading = self.teller.metrics.reading(self.backends());
        let mut state = self.state();
        state
            .history
            .note(since_epoch(), self.begun.elapsed(), reading);
        state.ticks += 1;
        state.streams.retain(|stream| !stream.is_closed());
        if state.streams.is_empty() {
            return;
        }
        let now = self.teller.now(&state.history).to_string();
        state.tell(&event("now", &now));
        if state.ticks.is_multiple_of(TABLES_EVERY) {
            let tables = self.teller.tables().to_string();
            if tables != state.tables {
                state.tell(&event("tables", &tables));
                state.tables = tables;
            }
        }
    }

    fn backends(&self) -> Vec<BackendMoment> {
        let rows = self.teller.house.backends().into_iter();
        rows.map(|row| BackendMoment {
            address: row.address.into(),
            lag: row.lag_ms,
            used: row.connections,
            waiting: row.waiting,
        })
        .collect()
    }

    /// Held for moments, never across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        // A holder that panicked left nothing half done that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends to all; who has not taken the last events is dropped.
    fn tell(&mut self, event: &Bytes) {
        self.streams
            .retain(|stream| stream.try_send(event.clone()).is_ok());
    }
}

/// One browser's events; ends when it is dropped for being slow, and when the proxy stops.
pub(super) struct Events {
    first: VecDeque<Bytes>,
    receiver: mpsc::Receiver<Bytes>,
}

impl Stream for Events {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.first.pop_front() {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => self.receiver.poll_recv(cx).map(|event| event.map(Ok)),
        }
    }
}

/// One server-sent event. JSON has no line ends but inside of strings, where they are escaped.
fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

fn since_epoch() -> Duration {
    // Before 1970 there was no proxy.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::future::poll_fn;

    use super::*;
    use crate::admin::http::Readiness;
    use crate::admin::http::tests::Nobody;

    fn live() -> Live {
        let metrics = Arc::new(Metrics::new().unwrap());
        Live::new(Arc::new(Nobody), metrics, Arc::new(|| Readiness::Ready))
    }

    async fn next(events: &mut Events) -> Option<String> {
        let event = poll_fn(|cx| Pin::new(&mut *events).poll_next(cx)).await;
        event.map(|event| String::from_utf8(event.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_stream_begins_with_everything_and_goes_on() {
        let live = live();
        live.tick();
        let mut events = live.subscribe().unwrap();
        assert_eq!(next(&mut events).await.unwrap(), "retry: 2000\n\n");
        let all = next(&mut events).await.unwrap();
        assert!(all.starts_with("event: all\ndata: {"), "{all}");
        assert!(all.ends_with("}\n\n") && all.lines().count() == 3, "{all}");
        live.tick();
        let now = next(&mut events).await.unwrap();
        assert!(now.starts_with("event: now\ndata: {"), "{now}");
        let tables = next(&mut events).await.unwrap();
        assert!(tables.starts_with("event: tables\ndata: {"), "{tables}");
        // The same tables are not sent again.
        (0..2).for_each(|_| live.tick());
        for _ in 0..2 {
            assert!(next(&mut events).await.unwrap().starts_with("event: now"));
        }
        live.close();
        assert_eq!(next(&mut events).await, None);
        assert!(live.subscribe().is_none());
    }

    #[tokio::test]
    async fn slow_browsers_are_dropped_and_too_many_refused() {
        let live = live();
        let mut slow = live.subscribe().unwrap();
        (0..PATIENCE + 1).for_each(|_| live.tick());
        assert!(live.state().streams.is_empty());
        let mut seen = 0;
        while next(&mut slow).await.is_some() {
            seen += 1;
        }
        assert_eq!(seen, 2 + PATIENCE);
        let many: Vec<_> = std::iter::repeat_with(|| live.subscribe())
            .take(MOST_STREAMS)
            .collect();
        assert!(many.iter().all(Option::is_some));
        assert!(live.subscribe().is_none());
        drop(many);
        assert!(live.subscribe().is_some());
    }
}
