//! Percentiles of a set of times.

use std::time::Duration;

/// Median, 99th percentile and largest; all zero for no times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many times there were.
    pub count: usize,
    /// Half of them are at most this.
    pub p50: Duration,
    /// 99 of 100 are at most this.
    pub p99: Duration,
    /// The largest.
    pub max: Duration,
}

impl Percentiles {
    /// Of these times.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (times.len() * hundredths).div_ceil(100).max(1);
            times.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            count: times.len(),
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let ms = Duration::from_millis;
        for (times, [p50, p99, max]) in [
            (vec![], [0, 0, 0]),
            (vec![7], [7, 7, 7]),
            (vec![3, 1, 2], [2, 3, 3]),
            ((1..=100).collect(), [50, 99, 100]),
            ((1..=200).rev().collect(), [100, 198, 200]),
        ] {
            let found = Percentiles::of(times.iter().map(|&n| ms(n)).collect());
            assert_eq!(
                [found.p50, found.p99, found.max],
                [p50, p99, max].map(ms),
                "{times:?}"
            );
        }
    }
}
