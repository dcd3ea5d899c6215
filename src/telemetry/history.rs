//! The last minutes of the counters, for people who look: rates and percentiles between two readings, in a
//! ring of bounded length. It reads no clock and no metric; both are arguments.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::fault::Side;
use super::label::{Label as _, Target};
use crate::domain::consistency::Level;

/// What the counters said at one moment, since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Statements by who answered.
    pub statements: [u64; Target::ALL.len()],
    /// Reads that are offloadable.
    pub reads: u64,
    /// Those that replicas answered.
    pub replica_reads: u64,
    /// Errors by whose fault they are.
    pub errors: [u64; Side::ALL.len()],
    /// Waits for a replica, by level.
    pub waits: [Buckets; Level::ALL.len()],
    /// The servers; what is counted of them is true of the moment.
    pub backends: Vec<BackendMoment>,
}

/// One server at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendMoment {
    /// Its address as configured.
    pub address: Arc<str>,
    /// How far it is behind the primary, in milliseconds; `None` while unknown.
    pub lag: Option<f64>,
    /// Connections that sessions hold there.
    pub used: u64,
    /// Sessions that wait in line for one.
    pub waiting: u64,
}

/// A histogram: upper bounds, and how many values were not above each. The last bound is infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(pub Vec<(f64, u64)>);

impl Buckets {
    /// The value that this part (0 to 1) of what came since `before` was not above, by linear
    /// interpolation inside its bucket; `None` if nothing came. What is above every finite bound
    /// counts as that bound.
    pub fn percentile(&self, before: &Self, part: f64) -> Option<f64> {
        let old = |at: usize| before.0.get(at).map_or(0, |(_, count)| *count);
        let new = self.0.iter().enumerate();
        let new: Vec<(f64, u64)> = new
            .map(|(at, (bound, count))| (*bound, count.saturating_sub(old(at))))
            .collect();
        let all = new.last().map_or(0, |(_, count)| *count);
        if all == 0 {
            return None;
        }
        let rank = all as f64 * part;
        let (mut lower, mut below) = (0.0, 0);
        for (bound, count) in new {
            if count as f64 >= rank && count > below {
                let inside = (rank - below as f64) / (count - below) as f64;
                let upper = if bound.is_finite() { bound } else { lower };
                return Some(lower + (upper - lower) * inside.clamp(0.0, 1.0));
            }
            if bound.is_finite() {
                lower = bound;
            }
            below = count;
        }
        Some(lower)
    }
}

/// The median and the slowest hundredth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Half were not above, in seconds.
    pub p50: f64,
    /// 99 in 100 were not above, in seconds.
    pub p99: f64,
}

/// What happened between two readings.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When the later one was taken, since the epoch.
    pub at: Duration,
    /// Statements a second by who answered.
    pub statements: [f64; Target::ALL.len()],
    /// Offloadable reads a second.
    pub reads: f64,
    /// Those that replicas answered.
    pub replica_reads: f64,
    /// Errors a second by whose fault they are.
    pub errors: [f64; Side::ALL.len()],
    /// Waits by level; `None` where no read waited.
    pub waits: [Option<Percentiles>; Level::ALL.len()],
    /// The servers at the end of it.
    pub backends: Vec<BackendMoment>,
}

/// The last samples, the oldest first.
#[derive(Debug)]
pub struct History {
    samples: VecDeque<Sample>,
    most: usize,
    /// The last reading, and when it was taken by a clock that is never set.
    last: Option<(Duration, Reading)>,
}

impl History {
    /// A history of at most so many samples.
    pub fn new(most: usize) -> Self {
        Self {
            samples: VecDeque::with_capacity(most),
            most,
            last: None,
        }
    }

    /// Takes a reading in. `at` is since the epoch, `running` since the start of the process by a clock
    /// that is never set. The first one only begins the history.
    pub fn note(&mut self, at: Duration, running: Duration, reading: Reading) {
        if let Some((then, before)) = &self.last {
            let passed = running.saturating_sub(*then).as_secs_f64();
            if passed <= 0.0 {
                return;
            }
            let sample = sample(at, passed, before, &reading);
            if self.samples.len() >= self.most {
                self.samples.pop_front();
            }
            self.samples.push_back(sample);
        }
        self.last = Some((running, reading));
    }

    /// The samples, the oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> + Clone {
        self.samples.iter()
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }
}

fn sample(at: Duration, passed: f64, before: &Reading, now: &Reading) -> Sample {
    let rate = |then: u64, now: u64| now.saturating_sub(then) as f64 / passed;
    let rates = |then: &[u64; 3], now: &[u64; 3]| {
        let [a, b, c] = *then;
        let [x, y, z] = *now;
        [rate(a, x), rate(b, y), rate(c, z)]
    };
    let mut waits = [None; Level::ALL.len()];
    for ((found, then), now) in waits.iter_mut().zip(&before.waits).zip(&now.waits) {
        let part = |part| now.percentile(then, part);
        *found = part(0.5)
            .zip(part(0.99))
            .map(|(p50, p99)| Percentiles { p50, p99 });
    }
    Sample {
        at,
        statements: rates(&before.statements, &now.statements),
        reads: rate(before.reads, now.reads),
        replica_reads: rate(before.replica_reads, now.replica_reads),
        errors: rates(&before.errors, &now.errors),
        waits,
        backends: now.backends.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn buckets(counts: [u64; 4]) -> Buckets {
        let bounds = [0.001, 0.01, 0.1, f64::INFINITY];
        Buckets(bounds.into_iter().zip(counts).collect())
    }

    #[test]
    fn percentiles_are_of_what_came_between() {
        let none = Buckets::default();
        let before = buckets([5, 5, 5, 5]);
        for (before, now, part, expected) in [
            // Nothing at all, and nothing new.
            (&none, [0, 0, 0, 0], 0.5, None),
            (&before, [5, 5, 5, 5], 0.5, None),
            // All of it in one bucket: in proportion between its bounds.
            (&none, [10, 10, 10, 10], 0.5, Some(0.0005)),
            (&none, [0, 10, 10, 10], 0.5, Some(0.0055)),
            (&before, [5, 15, 15, 15], 0.5, Some(0.0055)),
            (&before, [5, 15, 15, 15], 1.0, Some(0.01)),
            // On both sides of a bound.
            (&none, [50, 50, 100, 100], 0.5, Some(0.001)),
            (&none, [50, 50, 100, 100], 0.99, Some(0.0982)),
            // Above every bound.
            (&none, [0, 0, 0, 3], 0.5, Some(0.1)),
            (&none, [1, 1, 1, 4], 0.99, Some(0.1)),
            // A counter that is behind what was read of it before.
            (&before, [4, 15, 15, 15], 0.5, Some(0.0055)),
        ] {
            let found = buckets(now).percentile(before, part);
            let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-9;
            assert_eq!(found.is_some(), expected.is_some(), "{now:?} {part}");
            assert!(
                found.zip(expected).is_none_or(near),
                "{now:?} {part}: {found:?}, not {expected:?}"
            );
        }
    }

    fn reading(statements: [u64; 3], errors: u64) -> Reading {
        let backend = BackendMoment {
            address: "db:3306".into(),
            lag: Some(12.0),
            used: statements[0],
            waiting: 0,
        };
        Reading {
            statements,
            reads: statements[1] + 4,
            replica_reads: statements[1],
            errors: [0, errors, 0],
            waits: std::array::from_fn(|_| buckets([0, statements[1], 1000, 1000])),
            backends: vec![backend],
        }
    }

    #[test]
    fn rates_are_by_the_time_that_passed() {
        let mut history = History::new(10);
        history.note(secs(100), secs(1), reading([10, 20, 30], 1));
        assert_eq!(history.samples().len(), 0);
        history.note(secs(102), secs(3), reading([14, 60, 30], 2));
        let sample = history.newest().unwrap();
        assert_eq!(sample.at, secs(102));
        assert_eq!(sample.statements, [2.0, 20.0, 0.0]);
        assert_eq!((sample.reads, sample.replica_reads), (20.0, 20.0));
        assert_eq!(sample.errors, [0.0, 0.5, 0.0]);
        assert_eq!(sample.backends[0].used, 14);
        // The wall clock was set back an hour; what passed is known from the other one.
        history.note(secs(50), secs(7), reading([18, 60, 30], 2));
        assert_eq!(history.newest().unwrap().statements, [1.0, 0.0, 0.0]);
        assert_eq!(history.newest().unwrap().waits, [None; 6]);
        // Twice at one moment: nothing can be said.
        history.note(secs(51), secs(7), reading([99, 99, 99], 9));
        assert_eq!(history.samples().len(), 2);
        // Counters that fell are no negative rate.
        history.note(secs(52), secs(8), reading([0, 0, 0], 0));
        assert_eq!(history.newest().unwrap().statements, [0.0; 3]);
    }

    #[test]
    fn only_so_many_are_kept_the_newest() {
        let mut history = History::new(3);
        for second in 0..9 {
            history.note(secs(second), secs(second), reading([second, 0, 0], 0));
        }
        let kept: Vec<_> = history.samples().map(|sample| sample.at).collect();
        assert_eq!(kept, [secs(6), secs(7), secs(8)]);
    }
}
