//! What can be promised where nobody tells positions: time instead.
//!
//! After a write a session reads from the primary for a configured time, and so it does after a read
//! elsewhere than on the replica it goes to. That keeps `session` as long as every replica that takes
//! reads is less than that time behind, so one that says it is further behind takes none.

use std::time::{Duration, Instant};

/// Replicas tell their lag in whole seconds, rounded down.
const RESOLUTION: Duration = Duration::from_secs(1);

/// Whether every usable replica has what was there at `then`.
pub fn is_everywhere(then: Instant, sticky_after_write: Duration, now: Instant) -> bool {
    now.saturating_duration_since(then) >= sticky_after_write
}

/// How far behind a replica may say it is.
pub fn max_lag(configured: Duration, sticky_after_write: Duration) -> Duration {
    // Its own word is an estimate, and up to a second old.
    configured.min(sticky_after_write.saturating_sub(2 * RESOLUTION))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn reads_stay_for_the_time() {
        let then = Instant::now();
        for (after, expected) in [(0, false), (1, false), (2, true), (99, true)] {
            let now = then + SECOND * after;
            assert_eq!(is_everywhere(then, SECOND * 2, now), expected, "{after} s");
        }
        assert!(!is_everywhere(then + SECOND, SECOND, then));
        assert!(is_everywhere(then, Duration::ZERO, then));
    }

    #[test]
    fn a_replica_may_not_be_later_than_the_time() {
        for (configured, sticky, expected) in [(30, 2, 0), (30, 12, 10), (5, 60, 5), (30, 1, 0)] {
            let found = max_lag(SECOND * configured, SECOND * sticky);
            assert_eq!(found, SECOND * expected, "{configured} {sticky}");
        }
    }
}
