//! Random numbers that are the same for the same seed, and the pauses made of them.

use std::time::Duration;

/// Throws one number after another (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of one thrower: the same for the same seed and name.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        let state = name.bytes().fold(seed, |state, byte| {
            let mut dice = Self { state: state ^ u64::from(byte) };
            dice.throw()
        });
        Self { state }
    }

    fn throw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.throw() % bound
    }

    /// Puts `things` in an order of its own.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for at in (1..things.len()).rev() {
            // Below the length of what is in memory.
            let other = usize::try_from(self.below(at as u64 + 1)).unwrap_or_default();
            things.swap(at, other);
        }
    }

    /// Lets less than `most_ms` milliseconds pass.
    pub(crate) fn pause(&mut self, most_ms: u64) {
        pause(Duration::from_millis(self.below(most_ms)));
    }
}

/// Lets time pass: what happens next shall happen at some instant, not when something is so.
#[expect(clippy::disallowed_methods, reason = "nothing is waited for; the instant is the point")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_throw_the_same_and_others_throw_others() {
        let throws = |seed, name| {
            let mut dice = Dice::of(seed, name);
            (0..20).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };

        assert_eq!(throws(7, "unix"), throws(7, "unix"));
        assert_ne!(throws(7, "unix"), throws(8, "unix"));
        assert_ne!(throws(7, "unix"), throws(7, "tcp"));
    }
}
