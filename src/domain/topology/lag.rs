//! How far a replica is behind, from positions alone.
//!
//! The primary's position is sampled. Whoever covers a sample has at least everything the primary
//! had when that probe was sent, so it is behind by at most the time since then. No clock but ours
//! is read, and an idle primary makes nobody late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::position::Position;

/// More samples than this are thinned out: every second one of the older half goes.
const CAPACITY: usize = 512;

/// What samples say about one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// There is nothing to compare.
    Unknown,
    /// It has all that the primary had this long ago.
    AtMost(Duration),
    /// It lacks something of the oldest sample, which is this old.
    MoreThan(Duration),
}

/// Positions the primary was seen at, in one life of it.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    ring: VecDeque<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    position: Position,
    /// When the first probe that gave this position was sent.
    first_sent: Instant,
    /// When the last one was.
    last_sent: Instant,
}

impl Samples {
    /// Adds what a probe that was sent at `sent` said.
    pub fn push(&mut self, position: &Position, sent: Instant) {
        if let Some(newest) = self.ring.back_mut()
            && newest.position == *position
        {
            newest.last_sent = newest.last_sent.max(sent);
            return;
        }
        if self
            .ring
            .back()
            .is_some_and(|newest| sent < newest.last_sent)
        {
            // Two askers' answers crossed. The ring stays in the order of the questions.
            return;
        }
        if self.ring.len() >= CAPACITY {
            self.thin_out();
        }
        self.ring.push_back(Sample {
            position: position.clone(),
            first_sent: sent,
            last_sent: sent,
        });
    }

    /// Forgets everything: another life of the primary may have lost what these samples name.
    pub fn clear(&mut self) {
        self.ring.clear();
    }

    /// The oldest sample whose last question was sent at most `max_age` before `now`: whoever
    /// covers it has everything the primary had that long ago. `None` when none is so young.
    pub fn within(&self, max_age: Duration, now: Instant) -> Option<&Position> {
        // Without a time that early, every sample is young enough.
        let from = now.checked_sub(max_age);
        let old = |sample: &Sample| from.is_some_and(|from| sample.last_sent < from);
        let at = self.ring.partition_point(old);
        self.ring.get(at).map(|sample| &sample.position)
    }

    /// How far somebody who has `applied` is behind at `now`.
    pub fn lag(&self, applied: &Position, now: Instant) -> Lag {
        // Positions only grow, so who covers a sample covers all older ones.
        let covered = self
            .ring
            .partition_point(|sample| applied.covers(&sample.position));
        let newest = covered.checked_sub(1).and_then(|at| self.ring.get(at));
        match (newest, self.ring.front()) {
            (Some(sample), _) => Lag::AtMost(now.saturating_duration_since(sample.last_sent)),
            (None, Some(oldest)) => Lag::MoreThan(now.saturating_duration_since(oldest.first_sent)),
            (None, None) => Lag::Unknown,
        }
    }

    fn thin_out(&mut self) {
        let mut place = 0;
        self.ring.retain(|_| {
            place += 1;
            place > CAPACITY / 2 || place % 2 == 0
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::domain::position::GtidSet;

    fn at(last: u64) -> Position {
        let text = format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{last}");
        GtidSet::parse(text.as_bytes()).unwrap().into()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lag_is_the_age_of_the_newest_covered_sample() {
        let start = Instant::now();
        let mut samples = Samples::default();
        assert_eq!(samples.lag(&at(5), start), Lag::Unknown);
        for second in 0..10u32 {
            samples.push(&at(u64::from(second) * 10 + 10), start + SECOND * second);
        }
        let now = start + SECOND * 10;
        let cases = [
            (5, Lag::MoreThan(SECOND * 10)),
            (10, Lag::AtMost(SECOND * 10)),
            (45, Lag::AtMost(SECOND * 7)),
            (100, Lag::AtMost(SECOND)),
            (999, Lag::AtMost(SECOND)),
        ];
        for (applied, expected) in cases {
            assert_eq!(
                samples.lag(&at(applied), now),
                expected,
                "applied {applied}"
            );
        }
    }

    #[test]
    fn the_oldest_sample_that_is_young_enough() {
        let start = Instant::now();
        let mut samples = Samples::default();
        assert_eq!(samples.within(SECOND, start), None);
        for second in 0..10u32 {
            samples.push(&at(u64::from(second) * 10 + 10), start + SECOND * second);
        }
        samples.push(&at(100), start + SECOND * 10);
        // An answer that came after a later one's.
        samples.push(&at(95), start + SECOND * 9);
        let now = start + SECOND * 12;
        let cases = [
            (1, None),
            (2, Some(100)),
            (3, Some(100)),
            (4, Some(90)),
            (500, Some(10)),
        ];
        for (age, expected) in cases {
            let found = samples.within(SECOND * age, now);
            assert_eq!(found, expected.map(at).as_ref(), "{age} s");
        }
    }

    #[test]
    fn an_idle_primary_makes_nobody_late() {
        let start = Instant::now();
        let mut samples = Samples::default();
        for second in 0..1000 {
            samples.push(&at(7), start + SECOND * second);
        }
        let now = start + SECOND * 1000;
        assert_eq!(samples.lag(&at(7), now), Lag::AtMost(SECOND));
        assert_eq!(samples.lag(&at(6), now), Lag::MoreThan(SECOND * 1000));
    }

    #[test]
    fn many_samples_keep_their_span_and_never_flatter() {
        let start = Instant::now();
        let mut samples = Samples::default();
        let count = 20 * u32::try_from(CAPACITY).unwrap();
        for second in 0..count {
            samples.push(&at(u64::from(second) + 1), start + SECOND * second);
        }
        assert!(samples.ring.len() <= CAPACITY);
        let now = start + SECOND * count;
        for applied in (1..=count).step_by(97) {
            let truth = SECOND * (count - applied + 1);
            match samples.lag(&at(u64::from(applied)), now) {
                Lag::AtMost(lag) => assert!(lag >= truth, "{applied}: {lag:?} under {truth:?}"),
                Lag::MoreThan(lag) => assert!(lag <= truth, "{applied}: {lag:?} over {truth:?}"),
                Lag::Unknown => panic!("{applied}: nothing known"),
            }
        }
    }
}
