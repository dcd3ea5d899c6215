//! What is counted of one statement shape. Atomics only: a statement that ends adds to a handful of
//! numbers and waits for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::label::{Label, Target};
use crate::domain::routing::Reason;

/// Counters of one statement shape since it was first seen.
#[derive(Debug, Default)]
pub struct Digest {
    targets: [AtomicU64; 3],
    reasons: Reasons,
    errors: AtomicU64,
    micros: AtomicU64,
    longest: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    waits: AtomicU64,
    waited: AtomicU64,
    pins: AtomicU64,
}

/// One counter a reason.
#[derive(Debug)]
struct Reasons([AtomicU64; Reason::ALL.len()]);

impl Default for Reasons {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// How one statement ran.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// Who answered.
    pub target: Target,
    /// Why there.
    pub reason: Reason,
    /// Whether it ended with an error.
    pub failed: bool,
    /// From the last byte of the command to the last byte of the reply.
    pub took: Duration,
    /// The part of that in which it waited for a replica to catch up.
    pub waited: Duration,
    /// Rows that servers sent.
    pub rows: u64,
    /// Bytes of the reply.
    pub bytes: u64,
}

/// The counters at one moment. Those of statements that end meanwhile may be in some and not in others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestCounts {
    /// Statements that the primary, a replica, Highwater answered.
    pub targets: [u64; 3],
    /// Statements by why they went where they went, those that did at all.
    pub reasons: Vec<(Reason, u64)>,
    /// Statements that ended with an error.
    pub errors: u64,
    /// The time of all of them.
    pub took: Duration,
    /// That of the longest one.
    pub longest: Duration,
    /// Rows that servers sent.
    pub rows: u64,
    /// Bytes of replies.
    pub bytes: u64,
    /// Statements that waited for a replica.
    pub waits: u64,
    /// How long they did.
    pub waited: Duration,
    /// Pins that they made.
    pub pins: u64,
}

impl Digest {
    /// Counts a statement.
    pub fn count(&self, ran: &Ran) {
        let add = |counter: &AtomicU64, more: u64| {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        };
        add(&self.targets[ran.target.index()], 1);
        add(&self.reasons.0[ran.reason.index()], 1);
        add(&self.errors, u64::from(ran.failed));
        let took = micros(ran.took);
        add(&self.micros, took);
        if took > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(took, Ordering::Relaxed);
        }
        add(&self.rows, ran.rows);
        add(&self.bytes, ran.bytes);
        if !ran.waited.is_zero() {
            add(&self.waits, 1);
            add(&self.waited, micros(ran.waited));
        }
    }

    /// Counts a pin that a statement of this shape made.
    pub fn pinned(&self) {
        self.pins.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn read(&self) -> DigestCounts {
        self.take_with(|counter| counter.load(Ordering::Relaxed))
    }

    /// Takes over what another one has counted, which begins anew.
    pub fn absorb(&self, other: &Self) {
        let pairs = self.counters().zip(other.counters());
        for (mine, theirs) in pairs {
            let more = theirs.swap(0, Ordering::Relaxed);
            mine.fetch_add(more, Ordering::Relaxed);
        }
        let longest = other.longest.swap(0, Ordering::Relaxed);
        self.longest.fetch_max(longest, Ordering::Relaxed);
    }

    /// All that adds up.
    fn counters(&self) -> impl Iterator<Item = &AtomicU64> {
        let sums = [
            &self.errors,
            &self.micros,
            &self.rows,
            &self.bytes,
            &self.waits,
            &self.waited,
            &self.pins,
        ];
        self.targets.iter().chain(&self.reasons.0).chain(sums)
    }

    fn take_with(&self, get: impl Fn(&AtomicU64) -> u64) -> DigestCounts {
        let reasons = Reason::ALL.iter().zip(&self.reasons.0);
        let reasons = reasons.map(|(reason, counter)| (*reason, get(counter)));
        let time = |counter: &AtomicU64| Duration::from_micros(get(counter));
        DigestCounts {
            targets: std::array::from_fn(|at| self.targets.get(at).map_or(0, &get)),
            reasons: reasons.filter(|(_, count)| *count > 0).collect(),
            errors: get(&self.errors),
            took: time(&self.micros),
            longest: time(&self.longest),
            rows: get(&self.rows),
            bytes: get(&self.bytes),
            waits: get(&self.waits),
            waited: time(&self.waited),
            pins: get(&self.pins),
        }
    }
}

impl DigestCounts {
    /// Statements in all.
    pub fn count(&self) -> u64 {
        self.targets.iter().sum()
    }

    /// The most frequent reason.
    pub fn main_reason(&self) -> Option<Reason> {
        let most = self.reasons.iter().max_by_key(|(_, count)| *count);
        most.map(|(reason, _)| *reason)
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(target: Target, reason: Reason, micros: u64) -> Ran {
        Ran {
            target,
            reason,
            failed: target == Target::Proxy,
            took: Duration::from_micros(micros),
            waited: Duration::from_micros(micros / 2),
            rows: 2,
            bytes: 10,
        }
    }

    #[test]
    fn what_ran_adds_up_and_what_is_absorbed_is_gone() {
        let (one, rest) = (Digest::default(), Digest::default());
        one.count(&ran(Target::Replica, Reason::Fresh, 100));
        one.count(&ran(Target::Replica, Reason::Fresh, 300));
        one.count(&ran(Target::Proxy, Reason::NotFresh, 1));
        one.pinned();
        let expected = DigestCounts {
            targets: [0, 2, 1],
            reasons: vec![(Reason::Fresh, 2), (Reason::NotFresh, 1)],
            errors: 1,
            took: Duration::from_micros(401),
            longest: Duration::from_micros(300),
            rows: 6,
            bytes: 30,
            waits: 2,
            waited: Duration::from_micros(200),
            pins: 1,
        };
        assert_eq!(one.read(), expected);
        assert_eq!(one.read().count(), 3);
        assert_eq!(one.read().main_reason(), Some(Reason::Fresh));
        rest.absorb(&one);
        assert_eq!(rest.read(), expected);
        assert_eq!(one.read(), DigestCounts::default());
    }
}
