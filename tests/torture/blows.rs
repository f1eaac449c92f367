//! What is done to the daemon itself while its apps are asked and rolled, at random instants.

use std::time::{Duration, Instant};

use scgi_tests::Daemon;

use crate::dice::Dice;
use crate::options::Options;

/// The longest pause between two blows.
const REST_MS: u64 = 1000;

/// The longest time for which no daemon lives.
const ABSENCE_MS: u64 = 300;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// SIGKILL, and another daemon a moment later.
    Kill,
}

/// A blow that was survived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survived {
    pub(crate) blow: Blow,
    /// From the start of the next daemon until it answered.
    pub(crate) took: Duration,
}

/// Blows to come, each at an instant of its own.
#[derive(Debug)]
pub(crate) struct Blows {
    left: Vec<Blow>,
    dice: Dice,
    due: Instant,
    pub(crate) survived: Vec<Survived>,
}

impl Blows {
    /// All that were asked for.
    pub(crate) fn shuffled(options: &Options) -> Self {
        let mut dice = Dice::of(options.seed(), "blows");
        let left = vec![Blow::Kill; options.kills as usize];
        let due = Instant::now() + Duration::from_millis(dice.below(REST_MS));
        Self { left, dice, due, survived: Vec::new() }
    }

    /// None is left.
    pub(crate) fn are_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Deals the next one if its instant has come.
    pub(crate) fn deal(&mut self, daemon: &mut Daemon) {
        if self.due > Instant::now() {
            return;
        }
        let Some(blow) = self.left.pop() else { return };
        let took = match blow {
            Blow::Kill => {
                daemon.kill();
                self.dice.pause(ABSENCE_MS);
                let began = Instant::now();
                daemon.restart();
                began.elapsed()
            }
        };
        self.survived.push(Survived { blow, took });
        self.due = Instant::now() + Duration::from_millis(self.dice.below(REST_MS));
    }
}
