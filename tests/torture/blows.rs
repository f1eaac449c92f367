//! What is done to the daemon itself while its apps are asked and rolled, at random instants.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scgi_tests::Daemon;

use crate::dice::Dice;
use crate::options::Options;
use crate::rollers::Rollers;
use crate::span::Span;
use crate::upgrade::{Upgraded, Way, upgrade};

/// The longest pause between two blows.
const REST_MS: u64 = 1000;

/// The longest time for which no daemon lives.
const ABSENCE_MS: u64 = 300;

/// One kill in so many comes while the daemon is being upgraded, and the longest time it is given
/// for that.
const WITHIN_UPGRADE: u64 = 5;
const UPGRADE_MS: u64 = 150;

/// One upgrade in so many comes between rolls, so that the workers before and after can be compared.
const CALM_UPGRADES: u64 = 4;

/// One upgrade in so many comes after the last kill: what upgrades leak adds up in one daemon.
const LAST_UPGRADES: u32 = 4;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// SIGKILL, and another daemon a moment later.
    Kill,
    /// Another scgid in the daemon's place, which is the same process.
    Upgrade,
}

/// A blow that was survived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survived {
    pub(crate) blow: Blow,
    /// From the blow until a daemon answered.
    pub(crate) span: Span,
    /// From the start of that daemon until it answered.
    pub(crate) took: Duration,
}

/// Blows to come, each at an instant of its own.
#[derive(Debug)]
pub(crate) struct Blows {
    /// The next one is the last.
    left: Vec<Blow>,
    dice: Dice,
    /// When the torture began.
    epoch: Instant,
    due: Instant,
    pub(crate) dealt: Dealt,
}

/// What came of blows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dealt {
    pub(crate) survived: Vec<Survived>,
    /// How often an app's workers could be compared before and after an upgrade.
    pub(crate) compared: usize,
    /// What was not as it must be, in sentences.
    pub(crate) breaches: Vec<String>,
}

impl Blows {
    /// All that were asked for.
    pub(crate) fn shuffled(options: &Options, epoch: Instant) -> Self {
        let mut dice = Dice::of(options.seed(), "blows");
        let last = options.upgrades.div_ceil(LAST_UPGRADES);
        let mut mixed = vec![Blow::Kill; options.kills as usize];
        mixed.extend(vec![Blow::Upgrade; (options.upgrades - last) as usize]);
        dice.shuffle(&mut mixed);
        let mut left = vec![Blow::Upgrade; last as usize];
        left.append(&mut mixed);
        let due = Instant::now() + Duration::from_millis(dice.below(REST_MS));
        Self { left, dice, epoch, due, dealt: Dealt::default() }
    }

    /// None is left.
    pub(crate) fn are_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Deals the next one if its instant has come.
    pub(crate) fn deal(&mut self, daemon: &mut Daemon, rollers: &Rollers) {
        if self.due > Instant::now() {
            return;
        }
        let Some(blow) = self.left.pop() else { return };
        let wants_calm = blow == Blow::Upgrade && self.dice.below(CALM_UPGRADES) == 0;
        let calm = wants_calm.then(|| rollers.calm());
        let began = self.epoch.elapsed();
        let took = match blow {
            Blow::Kill => self.kill(daemon),
            Blow::Upgrade => self.upgrade(daemon),
        };
        drop(calm);
        let span = Span { began, ended: self.epoch.elapsed() };
        self.dealt.survived.push(Survived { blow, span, took });
        self.due = Instant::now() + Duration::from_millis(self.dice.below(REST_MS));
    }

    fn kill(&mut self, daemon: &mut Daemon) -> Duration {
        if self.dice.below(WITHIN_UPGRADE) == 0 {
            daemon.signal(Signal::SIGUSR2);
            self.dice.pause(UPGRADE_MS);
        }
        daemon.kill();
        self.dice.pause(ABSENCE_MS);
        let began = Instant::now();
        daemon.restart();
        began.elapsed()
    }

    fn upgrade(&mut self, daemon: &mut Daemon) -> Duration {
        let way = if self.dice.below(2) == 0 { Way::Command } else { Way::Signal };
        let Upgraded { took, compared, breaches } = upgrade(daemon, way);
        self.dealt.compared += compared;
        self.dealt.breaches.extend(breaches);
        took
    }
}

impl Dealt {
    /// How many blows of this kind were survived.
    pub(crate) fn count(&self, blow: Blow) -> usize {
        self.survived.iter().filter(|survived| survived.blow == blow).count()
    }
}
