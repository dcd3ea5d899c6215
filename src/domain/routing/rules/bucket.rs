//! A rate as a bucket: tokens come at a steady pace, and each statement takes one.

use std::time::{Duration, Instant};

/// So many statements a second, and as many at once after a second of silence.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Time from one token to the next.
    pace: Duration,
    /// How far ahead of the steady pace statements may run.
    burst: Duration,
    /// When the bucket would be full again.
    full: Instant,
}

/// Why a statement may not begin: how long it would have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub Duration);

impl Bucket {
    /// A full bucket of `rate` (at least 1) tokens, which gets as many each second.
    pub fn new(rate: u32, now: Instant) -> Self {
        let pace = Duration::from_secs(1) / rate.max(1);
        Self {
            pace,
            burst: pace * (rate.max(1) - 1),
            full: now,
        }
    }

    /// Takes a token for a statement that would wait for `patience`: how long it has to.
    ///
    /// # Errors
    /// When it would have to wait longer; nothing is taken then.
    pub fn take(&mut self, now: Instant, patience: Duration) -> Result<Duration, Refusal> {
        let full = self.full.max(now);
        let ahead = full.saturating_duration_since(now);
        let wait = ahead.saturating_sub(self.burst);
        if wait > patience {
            return Err(Refusal(wait));
        }
        self.full = full + self.pace;
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_at_their_pace() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::new(10, start);
        for _ in 0..10 {
            assert_eq!(bucket.take(start, Duration::ZERO), Ok(Duration::ZERO));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(bucket.take(start, Duration::ZERO), Err(Refusal(wait)));
        assert_eq!(bucket.take(start, wait), Ok(wait));
        // The token of that one is taken.
        assert_eq!(bucket.take(at(100), Duration::ZERO), Err(Refusal(wait)));
        assert_eq!(bucket.take(at(200), Duration::ZERO), Ok(Duration::ZERO));
        for _ in 0..10 {
            assert_eq!(bucket.take(at(9000), Duration::ZERO), Ok(Duration::ZERO));
        }
        assert!(bucket.take(at(9000), Duration::ZERO).is_err());
    }
}
