//! Waiting a moment for a client, as long as that is cheaper than having it waited for.

use std::time::Duration;

use crate::wire::{Doing, Wire};

/// A thread's short waits for clients that are about to send.
///
/// Of the connections accepted, some have their request a few microseconds later. Waiting for those
/// is cheaper than parking them; but where nobody came the last times, less and less is waited.
#[derive(Debug, Default)]
pub(crate) struct Blinks {
    /// Waits left for the connection at hand.
    left: u32,
    /// Waits in vain, in a row.
    vain: u32,
}

impl Blinks {
    const LONGEST: Duration = Duration::from_millis(1);
    const MOST: u32 = 8;
    const MOST_VAIN: u32 = 6;

    /// Another connection.
    pub(crate) fn begin(&mut self) {
        self.left = Self::MOST;
    }

    /// Waits once more, if it is worth it; whether something has come.
    #[cold]
    pub(crate) fn one_more(&mut self, wire: &dyn Wire) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let came = wire.wait(Doing::Taking, Self::LONGEST / (1 << self.vain));
        self.vain = if came { 0 } else { (self.vain + 1).min(Self::MOST_VAIN) };
        came
    }
}
