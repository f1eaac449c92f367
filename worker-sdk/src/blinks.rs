//! Waiting a moment for a client, as long as that is cheaper than having it waited for.
//!
//! ```text
//! nothing there ─▶ stand back ─▶ wait a millisecond ─▶ … ─▶ not worth it
//! ```
//!
//! Connecting wakes a worker before the front end has written a word. If both are on one processor,
//! the worker even interrupts it there: the request can only come once the front end may go on.

use std::thread;
use std::time::Duration;

use crate::wire::{Doing, Wire};

/// A thread's short waits for clients that are about to send.
///
/// Of the connections accepted, some have their request a few microseconds later. Waiting for those
/// is cheaper than parking them; but where nobody came the last times, less and less is waited.
#[derive(Debug, Default)]
pub(crate) struct Blinks {
    has_stood_back: bool,
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
        self.has_stood_back = false;
        self.left = Self::MOST;
    }

    /// Gives the client once more a chance, if it is worth it; whether to look again.
    #[cold]
    pub(crate) fn one_more(&mut self, wire: &dyn Wire) -> bool {
        if !std::mem::replace(&mut self.has_stood_back, true) {
            // Whoever is not asleep need not be woken, which would interrupt the front end again,
            // behind the first byte it writes.
            thread::yield_now();
            return true;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let came = wire.wait(Doing::Taking, Self::LONGEST / (1 << self.vain));
        self.vain = if came { 0 } else { (self.vain + 1).min(Self::MOST_VAIN) };
        came
    }
}
