//! Invented processes: what a program is like, and what becomes of one run of it.

use std::time::Duration;

use scgi_protocol::birth::EXIT_NEVER_AGAIN;

use super::rng::Rng;
use crate::supervisor::{Exit, Moment};

/// What a program is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Starts, serves, leaves when asked.
    Good,
    /// Anything may happen to any of its processes.
    Unruly,
    /// Ends before it is ready.
    Crashes,
    /// Is never ready.
    Hangs,
    /// Is never even a process.
    CannotSpawn,
    /// Is ready and ends before it has answered anybody.
    Flashes,
    /// Says that it is leaving as soon as it is there, and takes its time.
    Deserts,
    /// Ends with the status that means: not again.
    Quits,
    /// Is ready, serves, and answers the health request badly, or never.
    Sick,
    /// Is ready and dies of its first request.
    Poisoned,
    /// Is ready as a template, and forks nobody.
    Barren,
    /// Starts as long as there are fewer than so many processes of it.
    Crowd(usize),
}

/// What a process does about being asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    /// It leaves, after a while.
    Obeys,
    /// It says so, and leaves after a while.
    Answers,
    /// It notices only the request after so many.
    Misses(u32),
    /// It stays.
    Ignores,
}

/// What becomes of one run of a program. Times count from its birth.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    /// Whether it becomes a process at all.
    pub(super) spawns: bool,
    pub(super) ready: Option<Duration>,
    /// It answers whom it accepts before it ends.
    pub(super) answers: bool,
    /// It says so twice.
    pub(super) ready_twice: bool,
    /// It ends by itself.
    pub(super) dies: Option<(Duration, Exit)>,
    /// It decides to leave by itself.
    pub(super) leaves: Option<Duration>,
    /// It asks for more time, so much.
    pub(super) extends: Option<(Duration, Duration)>,
    /// When it answers the health request, and how; counted from that.
    pub(super) health: (Duration, bool),
    /// It forks workers when it is asked to, if it is a template.
    pub(super) forks: bool,
    /// Its first request is its end.
    pub(super) poisoned: bool,
    pub(super) manners: Manners,
    /// How long leaving takes.
    pub(super) drain: Duration,
    /// How long the kernel takes to end it.
    pub(super) burial: Duration,
}

impl Fate {
    /// The fate of a process that behaves.
    pub(super) fn good(rng: &mut Rng) -> Self {
        Self {
            spawns: true,
            ready: Some(rng.ms(1..=400)),
            answers: true,
            ready_twice: false,
            dies: None,
            leaves: None,
            extends: None,
            health: (rng.ms(0..=100), true),
            forks: true,
            poisoned: false,
            manners: Manners::Obeys,
            drain: rng.ms(0..=300),
            burial: rng.ms(0..=20),
        }
    }

    /// The fate of a process of a program like `nature`, of which `others` run.
    pub(super) fn of(nature: Nature, others: usize, rng: &mut Rng) -> Self {
        let good = Self::good(rng);
        let soon = rng.ms(0..=200);
        match nature {
            Nature::Good => good,
            Nature::Unruly => Self::unruly(good, rng),
            Nature::Crashes => Self { ready: None, dies: Some((soon, bad_end(rng))), ..good },
            Nature::Hangs => Self { ready: None, ..good },
            Nature::CannotSpawn => Self { spawns: false, ..good },
            Nature::Flashes => {
                let ready = rng.ms(0..=50);
                let dies = Some((ready + soon, bad_end(rng)));
                Self { ready: Some(ready), answers: false, dies, ..good }
            }
            Nature::Deserts => {
                let drain = rng.ms(1000..=60_000);
                Self { ready: None, leaves: Some(soon), drain, ..good }
            }
            Nature::Quits => {
                let dies = Some((soon, Exit::Code(EXIT_NEVER_AGAIN)));
                Self { ready: None, dies, ..good }
            }
            Nature::Sick => Self { health: (rng.ms(0..=5000), false), ..good },
            Nature::Barren => Self { forks: false, ..good },
            Nature::Poisoned => Self { poisoned: true, answers: false, ..good },
            Nature::Crowd(most) if others >= most => Self::of(Nature::Crashes, others, rng),
            Nature::Crowd(_) => good,
        }
    }

    fn unruly(mut fate: Self, rng: &mut Rng) -> Self {
        let manners = match rng.below(8) {
            0 => Manners::Ignores,
            1 => Manners::Answers,
            2 | 3 => Manners::Misses(1 + u32::from(rng.between(0..=4))),
            _ => Manners::Obeys,
        };
        fate.manners = manners;
        fate.ready_twice = rng.chance(10);
        fate.forks = rng.chance(90);
        fate.drain = rng.ms(0..=20_000);
        fate.burial = rng.ms(0..=3000);
        if rng.chance(15) {
            fate.ready = Some(rng.ms(0..=20_000));
        }
        if rng.chance(15) {
            fate.extends = Some((rng.ms(0..=3000), rng.ms(0..=20_000)));
        }
        match rng.below(12) {
            0 => fate.spawns = false,
            1 => fate.ready = None,
            2 => fate.dies = Some((rng.ms(0..=500), bad_end(rng))),
            3 => fate.dies = Some((rng.ms(0..=30_000), bad_end(rng))),
            4 => fate.dies = Some((rng.ms(0..=30_000), Exit::Code(0))),
            5 => fate.leaves = Some(rng.ms(0..=20_000)),
            6 if rng.chance(20) => {
                fate.dies = Some((rng.ms(0..=500), Exit::Code(EXIT_NEVER_AGAIN)));
            }
            _ => {}
        }
        fate
    }
}

fn bad_end(rng: &mut Rng) -> Exit {
    match rng.below(4) {
        0 => Exit::Signal(9),
        1 => Exit::Signal(11),
        2 => Exit::Code(111),
        _ => Exit::Code(1),
    }
}

/// A process as it is.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) fate: Fate,
    pub(super) born: Moment,
    /// The core has been told that it exists.
    pub(super) known: bool,
    /// It has said that it accepts connections, and it does.
    pub(super) ready: bool,
    /// It is on its way out.
    pub(super) leaving: bool,
    /// It is about to end; the time is set.
    pub(super) ending: bool,
    /// It has ended; the core may not know yet.
    pub(super) dead: bool,
    /// How often it was asked to leave.
    pub(super) asked: u32,
    /// It has a request in hand.
    pub(super) busy: bool,
    pub(super) idle_since: Moment,
    pub(super) served: u64,
}

impl Process {
    pub(super) fn new(fate: Fate, born: Moment) -> Self {
        Self {
            fate,
            born,
            known: false,
            ready: false,
            leaving: false,
            ending: false,
            dead: false,
            asked: 0,
            busy: false,
            idle_since: born,
            served: 0,
        }
    }

    /// It takes connections from the queue.
    pub(super) fn accepts(&self) -> bool {
        self.ready && !self.leaving && !self.dead
    }
}
