//! The log of slow statements: one line each with where the time went, and no more than so many a second.
//! What only it needs is not measured while it is off.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::history::{Tally, Went};
use super::session::Relay;
use super::shared::Shared;
use crate::domain::ids::BackendId;
use crate::telemetry::{AccessLabel, Label};

/// Lines in one second at most.
const LINES: u64 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// Where the time of the statement at hand goes, besides its wait for a replica.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Laps {
    /// Whether anybody wants to know.
    pub(super) on: bool,
    /// Until it had a connection.
    pub(super) queue: Lapse,
    /// Until the connection had the session's state, and what is prepared.
    pub(super) restore: Lapse,
    /// Until the server spoke, each time that it was listened to.
    pub(super) server: Lapse,
}

/// What one thing took, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lapse {
    /// When it first began.
    pub(super) first: Option<Instant>,
    pub(super) took: Duration,
}

/// A lap that was begun; nothing where nobody measures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lap {
    began: Option<Instant>,
    server: Lapse,
}

impl Laps {
    /// Of a new statement.
    pub(super) fn begin(on: bool) -> Self {
        Self {
            on,
            ..Self::default()
        }
    }

    pub(super) fn start(&self) -> Lap {
        Lap {
            began: self.on.then(Instant::now),
            server: self.server,
        }
    }

    pub(super) fn queued(&mut self, lap: Lap) {
        self.queue.add(lap);
    }

    /// What the server took meanwhile belongs to it.
    pub(super) fn restored(&mut self, lap: Lap) {
        self.restore.add(lap);
        self.server = lap.server;
    }

    pub(super) fn served(&mut self, lap: Lap) {
        self.server.add(lap);
    }
}

impl Lapse {
    fn add(&mut self, lap: Lap) {
        if let Some(began) = lap.began {
            self.first = self.first.or(Some(began));
            self.took += began.elapsed();
        }
    }
}

/// How many lines there were lately.
#[derive(Debug, Default)]
pub(super) struct SlowLog(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u64,
    left_out: u64,
}

impl Window {
    /// Whether there may be a line; then, how many were left out since the last one.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if !self.is_open(now) {
            self.began = Some(now);
            self.lines = 0;
        }
        if self.lines >= LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// Once a second is over in which some were left out, and nobody came to say so: how many.
    fn overdue(&mut self, now: Instant) -> Option<u64> {
        let due = self.left_out > 0 && !self.is_open(now);
        due.then(|| std::mem::take(&mut self.left_out))
    }

    fn is_open(&self, now: Instant) -> bool {
        let since = |began| now.saturating_duration_since(began);
        self.began.is_some_and(|began| since(began) < SECOND)
    }
}

impl SlowLog {
    fn window<T>(&self, at: impl FnOnce(&mut Window, Instant) -> T) -> T {
        // Every change is a number, so what a holder that panicked left is whole.
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at(&mut window, Instant::now())
    }

    /// Says what was left out, if nobody else did. Called every second or so.
    pub(super) fn tend(&self) {
        if let Some(left_out) = self.window(Window::overdue) {
            tracing::warn!(left_out, "slow statements left out of the log");
        }
    }
}

impl Relay {
    /// Whether somebody wants to know where the time of each statement goes.
    pub(super) fn begin_laps(&mut self) {
        self.links.laps = Laps::begin(self.in_force.config.log.slow.is_some());
    }

    /// A statement ended; it is logged if it was slow.
    pub(super) fn note_slow(&self, went: &Went, backend: Option<BackendId>, took: Duration) {
        let slow = self.in_force.config.log.slow;
        if slow.is_some_and(|least| took >= least) {
            self.tell_slow(went, backend, took);
        }
    }

    #[cold]
    fn tell_slow(&self, went: &Went, backend: Option<BackendId>, took: Duration) {
        let shared: &Shared = &self.shared;
        let Some(left_out) = shared.slow.window(Window::admit) else {
            return;
        };
        let laps = &self.links.laps;
        let [queue, restore, server] = [laps.queue, laps.restore, laps.server].map(|it| it.took);
        let Tally {
            rows,
            bytes,
            waited,
            ..
        } = self.tally;
        let others = queue + restore + server + waited;
        let millis = |it: Duration| it.as_micros() as f64 / 1000.0;
        let schema = self.state.mirror.schema().map(String::from_utf8_lossy);
        tracing::warn!(
            session = self.diary.id.0,
            user = %self.diary.user,
            schema = schema.as_deref(),
            digest = (went.fingerprint != 0).then(|| format!("{:016x}", went.fingerprint)),
            class = AccessLabel::from(went.access).name(),
            answered_by = went.target.name(),
            backend = backend.and_then(|id| shared.address(id)),
            consistency = self.state.read_level().name(),
            reason = went.reason.name(),
            failed = went.failed,
            took_ms = millis(took),
            queue_ms = millis(queue),
            restore_ms = millis(restore),
            wait_ms = millis(waited),
            server_ms = millis(server),
            relay_ms = millis(took.saturating_sub(others)),
            rows,
            bytes,
            left_out,
            "slow statement"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut window = Window::default();
        let begin = Instant::now();
        for _ in 0..LINES {
            assert_eq!(window.admit(begin), Some(0));
        }
        assert_eq!(window.admit(begin), None);
        assert_eq!(window.admit(begin + SECOND / 2), None);
        assert_eq!(
            window.overdue(begin + SECOND / 2),
            None,
            "there may be more"
        );
        assert_eq!(window.admit(begin + SECOND), Some(2));
        for _ in 0..LINES {
            window.admit(begin + SECOND);
        }
        assert_eq!(window.overdue(begin + SECOND * 2), Some(1));
        assert_eq!(window.overdue(begin + SECOND * 2), None);
        assert_eq!(window.admit(begin + SECOND * 2), Some(0));
    }

    #[test]
    fn nothing_is_measured_unasked() {
        let mut laps = Laps::begin(false);
        let lap = laps.start();
        assert!(lap.began.is_none());
        laps.served(lap);
        assert_eq!(laps.server, Lapse::default());
    }
}
