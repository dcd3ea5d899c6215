//! A share of a stream, spread evenly.

/// Says of each number of a stream whether it is among so many percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler(pub u8);

impl Sampler {
    /// Whether the one with this number, counted from 0, is taken. Of any hundred in a row exactly the
    /// share is.
    pub fn takes(self, number: u64) -> bool {
        let percent = u64::from(self.0.min(100));
        let place = number % 100;
        (place + 1) * percent / 100 > place * percent / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_even() {
        for percent in 0..=100 {
            let taken = |from: u64, count: u64| {
                let numbers = from..from + count;
                numbers.filter(|it| Sampler(percent).takes(*it)).count()
            };
            assert_eq!(taken(0, 100), usize::from(percent));
            assert_eq!(taken(12_345, 1000), usize::from(percent) * 10);
        }
        let tenth: Vec<_> = (0..30).filter(|it| Sampler(10).takes(*it)).collect();
        assert_eq!(tenth, [9, 19, 29]);
    }
}
