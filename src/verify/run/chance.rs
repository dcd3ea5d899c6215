//! Pseudo-random choices that a seed repeats.

/// A xorshift generator (Marsaglia 2003, with the multiplier of xorshift64*): enough to spread work.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds begin far apart, and the state is never 0.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        let scaled = (mixed * u64::from(bound)) >> 32;
        u32::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_spread_and_repeat() {
        for seed in 0..20 {
            let mut chance = Chance::new(seed);
            let mut seen = [0; 10];
            for _ in 0..1_000 {
                seen[chance.below(10) as usize] += 1;
            }
            assert!(
                seen.iter().all(|&n| (50..200).contains(&n)),
                "{seed}: {seen:?}"
            );
        }
        let numbers = |seed| {
            let mut chance = Chance::new(seed);
            [(); 8].map(|()| chance.below(1_000))
        };
        assert_eq!(numbers(3), numbers(3));
        assert_ne!(numbers(3), numbers(4));
        assert_eq!(Chance::new(1).below(0), 0);
    }
}
