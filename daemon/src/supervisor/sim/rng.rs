//! Chance, repeatable: splitmix64, seeded. No two calls agree, two runs always do.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of numbers that only its seed decides.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds shall not begin alike.
        let mut rng = Self(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1));
        rng.next();
        rng
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn between(&mut self, range: RangeInclusive<u16>) -> u16 {
        let width = u64::from(range.end() - range.start()) + 1;
        range.start() + u16::try_from(self.below(width)).expect("below a u16's width")
    }

    /// A time between so many milliseconds.
    pub(super) fn ms(&mut self, range: RangeInclusive<u64>) -> Duration {
        let micros = (range.end() - range.start()) * 1000 + 1;
        Duration::from_micros(range.start() * 1000 + self.below(micros))
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        let bound = u64::try_from(from.len()).expect("a length fits");
        from.get(usize::try_from(self.below(bound)).expect("below a length"))
    }
}
