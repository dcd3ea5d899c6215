//! Where a session's statements went: counted by shape, and the last ones remembered one by one.
//!
//! The session writes its ring without a lock; whoever reads it at the same time sees an entry whole or
//! not at all.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use super::freshness::{Failed, Settled};
use super::session::Relay;
use super::trace::TraceNote;
use crate::domain::consistency::Level;
use crate::domain::ids::BackendId;
use crate::domain::position::Brief;
use crate::domain::routing::Reason;
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::Access;
use crate::domain::trace::TraceParent;
use crate::telemetry::{AccessLabel, Label, Ran, Target};

/// One statement of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it ended, in milliseconds of the registry.
    pub ended: u64,
    /// The fingerprint; 0 if it was not read.
    pub fingerprint: u64,
    /// What it was.
    pub access: AccessLabel,
    /// The level that was in force for it.
    pub level: Level,
    /// Who answered.
    pub target: Target,
    /// Which server, if one did.
    pub backend: Option<BackendId>,
    /// Why there.
    pub reason: Reason,
    /// Whether it ended with an error.
    pub failed: bool,
    /// How long it waited for a server to catch up.
    pub waited: Duration,
    /// How long it took in all.
    pub took: Duration,
    /// What its level demanded of the server, else the session's own writes and reads.
    pub needed: Brief,
}

const WORDS: usize = 9;
const NO_BACKEND: u64 = 0xFFFF;

impl Entry {
    fn to_words(self) -> [u64; WORDS] {
        let backend = self.backend.map_or(NO_BACKEND, |id| u64::from(id.0));
        let small = self.access.index() as u64
            | (self.level.index() as u64) << 8
            | (self.target.index() as u64) << 16
            | (self.reason.index() as u64) << 24
            | u64::from(self.failed) << 32
            | backend << 48;
        let [kind, high, low, number] = self.needed.to_words();
        let micros = |it: Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
        [
            self.ended,
            self.fingerprint,
            small,
            micros(self.waited),
            micros(self.took),
            kind,
            high,
            low,
            number,
        ]
    }

    fn of_words(words: [u64; WORDS]) -> Option<Self> {
        let [
            ended,
            fingerprint,
            small,
            waited,
            took,
            kind,
            high,
            low,
            number,
        ] = words;
        let part = |shift: u32| usize::from((small >> shift) as u8);
        let backend = small >> 48;
        Some(Self {
            ended,
            fingerprint,
            access: *AccessLabel::ALL.get(part(0))?,
            level: *Level::ALL.get(part(8))?,
            target: *Target::ALL.get(part(16))?,
            reason: *Reason::ALL.get(part(24))?,
            failed: part(32) != 0,
            backend: (backend != NO_BACKEND).then_some(BackendId(backend as u16)),
            waited: Duration::from_micros(waited),
            took: Duration::from_micros(took),
            needed: Brief::of_words([kind, high, low, number]),
        })
    }
}

/// The last entries of one session, which alone writes.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    /// How many were written.
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    /// Odd while it is written.
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Ring {
    /// A ring that keeps so many.
    pub(super) fn new(size: usize) -> Self {
        Self {
            slots: (0..size).map(|_| Slot::default()).collect(),
            count: AtomicU64::new(0),
        }
    }

    /// How many entries there were in all.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds an entry, in the place of the oldest. One task alone may call this.
    pub(super) fn push(&self, entry: Entry) {
        let count = self.count.load(Ordering::Relaxed);
        if let Some(slot) = self.slot(count) {
            slot.write(entry.to_words());
        }
        self.count.store(count.wrapping_add(1), Ordering::Release);
    }

    /// The entries, the newest first.
    pub(super) fn read(&self) -> Vec<Entry> {
        let count = self.count.load(Ordering::Acquire);
        let oldest = count.saturating_sub(self.slots.len() as u64);
        (oldest..count)
            .rev()
            .filter_map(|at| Entry::of_words(self.slot(at)?.read()?))
            .collect()
    }

    fn slot(&self, at: u64) -> Option<&Slot> {
        let at = at.checked_rem(self.slots.len() as u64)?;
        self.slots.get(usize::try_from(at).ok()?)
    }
}

impl Slot {
    fn write(&self, words: [u64; WORDS]) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    /// `None` while it is written.
    fn read(&self) -> Option<[u64; WORDS]> {
        let before = self.version.load(Ordering::Acquire);
        let mut words = [0; WORDS];
        for (word, value) in self.words.iter().zip(&mut words) {
            *value = word.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let after = self.version.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(words)
    }
}

/// What is counted of the statement at hand while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// How long it waited for a replica.
    pub(super) waited: Duration,
    /// What its level demanded of the server, else what its session needed when it was routed.
    pub(super) needed: Brief,
    /// The trace that it belongs to, if somebody takes its span.
    pub(super) parent: Option<TraceParent>,
    /// What its client is to be told of its way.
    pub(super) trace: TraceNote,
}

impl Tally {
    /// The search for a replica ended.
    pub(super) fn searched(&mut self, found: &Result<Settled, Failed>, arrived: Instant) {
        let (waited, beyond) = match found {
            Ok(settled) => (settled.waited, settled.beyond),
            Err(failed) => (failed.waited, failed.beyond),
        };
        if waited {
            self.waited = arrived.elapsed();
        }
        if !beyond.is_nothing() {
            self.needed = beyond;
        }
    }
}

/// How a statement ended, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Went {
    pub(super) access: Access,
    pub(super) fingerprint: u64,
    pub(super) target: Target,
    pub(super) reason: Reason,
    pub(super) failed: bool,
}

impl Relay {
    /// A statement is about to be routed.
    pub(super) fn begin_tally(&mut self) {
        self.tally = Tally {
            needed: self.state.positions.need().brief(),
            ..Tally::default()
        };
    }

    /// Counts a statement that ended: in the metrics, by its shape, and in the session's history.
    pub(super) fn note_went(&mut self, went: Went, started: Instant) {
        let took = started.elapsed();
        let Went {
            access,
            fingerprint,
            target,
            reason,
            failed,
        } = went;
        let Tally {
            rows,
            bytes,
            waited,
            needed,
            trace,
            ..
        } = self.tally;
        self.shared.metrics.statement(access, target, reason, took);
        tracing::trace!(
            session = self.diary.id.0,
            fingerprint,
            target = target.name(),
            reason = reason.name(),
            micros = took.as_micros(),
            "statement"
        );
        let shape = self.lexer.shape.as_ref();
        let shape = shape.filter(|shape| shape.profile.fingerprint == fingerprint);
        let ran = Ran {
            target,
            reason,
            failed,
            took,
            waited,
            rows,
            bytes,
        };
        self.shared.classifier.count(shape, &ran);
        let backend = self.backend_of(target);
        self.registered.routed(Entry {
            ended: self.shared.registry.at(started + took),
            fingerprint,
            access: access.into(),
            level: self.state.read_level(),
            target,
            backend,
            reason,
            failed,
            waited,
            took,
            needed,
        });
        self.note_slow(&went, backend, took);
        self.note_span(&went, backend, started, took);
        if trace == TraceNote::Flagged {
            let address = backend.and_then(|id| self.shared.address(id));
            self.tell_trace(&went, address.as_deref(), took);
        }
    }

    fn backend_of(&self, target: Target) -> Option<BackendId> {
        match target {
            Target::Primary => Some(BackendId::PRIMARY),
            Target::Replica => {
                let held = self.links.get(Side::Replica).map(|link| link.identity);
                let left = || Some(self.links.left(Side::Replica)?.identity);
                held.or_else(left).map(|identity| identity.backend)
            }
            Target::Proxy => None,
        }
    }
}

/// Whether a statement ended with an error.
pub(super) fn failed(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Done { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::position::Position;

    fn entry(number: u64) -> Entry {
        Entry {
            ended: number,
            fingerprint: number,
            access: AccessLabel::Own,
            level: Level::Global,
            target: Target::Replica,
            backend: Some(BackendId(3)),
            reason: Reason::Own,
            failed: true,
            waited: Duration::from_micros(number),
            took: Duration::from_micros(number),
            needed: Position::Lsn(number).brief(),
        }
    }

    #[test]
    fn the_last_entries_are_kept_the_newest_first() {
        for (size, written, kept) in [
            (0, 5, &[][..]),
            (3, 0, &[]),
            (3, 2, &[1, 0]),
            (3, 7, &[6, 5, 4]),
        ] {
            let ring = Ring::new(size);
            (0..written).for_each(|number| ring.push(entry(number)));
            let expected: Vec<_> = kept.iter().map(|number| entry(*number)).collect();
            assert_eq!(ring.read(), expected);
            assert_eq!(ring.count(), written);
        }
        let none = Entry {
            backend: None,
            failed: false,
            ..entry(1)
        };
        assert_eq!(Entry::of_words(none.to_words()), Some(none));
    }

    #[test]
    fn what_is_read_meanwhile_is_whole() {
        let ring = Arc::new(Ring::new(4));
        let written = Arc::clone(&ring);
        let writer = std::thread::spawn(move || {
            (0..200_000).for_each(|number| written.push(entry(number)));
        });
        let mut seen = 0;
        while !writer.is_finished() {
            for found in ring.read() {
                assert_eq!(found, entry(found.ended));
                seen += 1;
            }
        }
        assert!(writer.join().is_ok());
        assert_eq!(ring.read().len(), 4);
        assert!(seen > 0 || ring.count() > 0);
    }
}
