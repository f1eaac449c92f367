//! What deaths cost: the trail a launch leaves.
//!
//! A worker that had served well is replaced at once; one that had not costs an exponentially
//! growing pause, and after a whole budget of those in a row the launch is *spent*. Workers that
//! serve well and die nevertheless are free up to the same budget within the period, and then
//! slowed down in the same way, but they do not spend the launch: it does answer requests.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::worker::Worker;
use crate::spec::Restart;

/// A worker that has served this long, or finished a request, has served well.
pub(super) const HEALTHY_AFTER: Duration = Duration::from_secs(5);

/// The deaths of one launch's workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Trail {
    recent: VecDeque<Moment>,
    /// Deaths in a row of workers that had not served well.
    streak: u32,
    not_before: Moment,
    spent: bool,
    never_again: bool,
    /// How the last one died.
    how: String,
    /// What the last one that wrote something had to say.
    #[serde(default)]
    said: Vec<String>,
}

/// One death.
#[derive(Clone, Debug)]
pub(super) struct Death {
    /// It had served well.
    pub(super) well: bool,
    /// It asked not to be tried again.
    pub(super) never_again: bool,
    /// How it died, in words.
    pub(super) how: String,
    /// Anything that differs from worker to worker, for the jitter.
    pub(super) salt: u64,
}

/// The death of a worker that had not served well.
pub(super) fn death(worker: &Worker, how: String) -> Death {
    Death { well: false, never_again: false, how, salt: worker.id.0 }
}

impl Trail {
    /// Writes down a death and tells how long the next worker has to wait for it; `None` if not at
    /// all.
    pub(super) fn died(&mut self, death: Death, policy: &Restart, now: Moment) -> Option<Duration> {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|&at| now.since(at) > policy.period) {
            self.recent.pop_front();
        }
        self.streak = if death.well { 0 } else { self.streak.saturating_add(1) };
        self.how = death.how;
        self.never_again |= death.never_again;
        self.spent |= self.streak >= policy.budget || death.never_again;
        if self.spent {
            let pause = jittered(policy.backoff_max, death.salt);
            self.not_before = now + pause;
            return Some(pause);
        }
        let recent = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let steps = if death.well { recent.saturating_sub(policy.budget) } else { self.streak };
        if steps == 0 {
            return None;
        }
        let until = now + jittered(doubled(policy.backoff_first, steps - 1, policy), death.salt);
        // Workers that serve are wanted back: those that die while one rests do not prolong it.
        if !death.well || self.not_before <= now {
            self.not_before = self.not_before.max(until);
        }
        Some(self.not_before.since(now))
    }

    /// A worker that came after the last death has served well: what was before is forgiven.
    pub(super) fn served_well(&mut self) {
        self.streak = 0;
        self.spent = false;
        self.never_again = false;
    }

    /// When the last worker died.
    pub(super) fn last_death(&self) -> Option<Moment> {
        self.recent.back().copied()
    }

    /// An operator wants it tried at once, with a fresh budget.
    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// The budget is spent.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Some worker died and none has served well since.
    pub(super) fn is_sore(&self) -> bool {
        self.streak > 0 || self.spent
    }

    /// No worker will be tried by itself.
    pub(super) fn is_given_up(&self, policy: &Restart) -> bool {
        self.spent && (self.never_again || policy.give_up)
    }

    /// Until when no worker may be started.
    pub(super) fn resting_until(&self, now: Moment) -> Option<Moment> {
        (self.not_before > now).then_some(self.not_before)
    }

    /// Deaths in a row.
    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    /// How the last one died.
    pub(super) fn how(&self) -> &str {
        &self.how
    }

    /// Remembers what one that died wrote last, if it wrote anything.
    pub(super) fn heard(&mut self, said: Vec<String>) {
        if !said.is_empty() {
            self.said = said;
        }
    }

    /// What the last one that wrote something had to say.
    pub(super) fn said(&self) -> &[String] {
        &self.said
    }
}

fn doubled(first: Duration, times: u32, policy: &Restart) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(policy.backoff_max)
}

/// Between three quarters and the whole of `pause`, so that what died together does not come back
/// together. A hash, not chance: the core draws no random numbers.
fn jittered(pause: Duration, salt: u64) -> Duration {
    let mut hash = salt.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 27;
    let share = u32::try_from(hash % 257).expect("a remainder of 257 is small");
    pause - pause / 1024 * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(well: bool, salt: u64) -> Death {
        Death { well, never_again: false, how: "exit 1".into(), salt }
    }

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn one_that_had_served_well_is_replaced_at_once() {
        let mut trail = Trail::default();

        assert_eq!(trail.died(death(true, 1), &Restart::default(), at(9)), None);
        assert_eq!(trail.resting_until(at(9)), None);
    }

    #[test]
    fn pauses_double_until_the_budget_is_spent_and_are_the_longest_then() {
        let mut trail = Trail::default();
        let policy = Restart::default();

        let pauses = (0..6).map(|n| trail.died(death(false, n), &policy, at(n)).unwrap());

        for (pause, most_ms) in pauses.zip([100, 200, 400, 800, 30_000, 30_000]) {
            let most = Duration::from_millis(most_ms);
            assert!(pause <= most && pause >= most * 7 / 10, "{pause:?} for {most:?}");
        }
        assert!(trail.is_spent());
        assert!(trail.resting_until(at(5)).unwrap() >= at(5 + 21));
    }

    #[test]
    fn health_gives_the_whole_budget_back() {
        let mut trail = Trail::default();
        let policy = Restart::default();
        for n in 0..5 {
            trail.died(death(false, n), &policy, at(n));
        }
        assert!(trail.is_spent());

        trail.served_well();
        assert!(!trail.is_spent() && !trail.is_sore());
        assert!(trail.died(death(false, 9), &policy, at(99)).unwrap() < Duration::from_secs(1));
        assert!(!trail.is_spent());
    }

    #[test]
    fn an_app_that_serves_and_dies_over_and_over_is_slowed_down_but_not_given_up() {
        let mut trail = Trail::default();
        let policy = Restart::default();

        let pauses: Vec<_> = (0..12).map(|n| trail.died(death(true, n), &policy, at(n))).collect();

        assert_eq!(pauses[..5], [None; 5]);
        assert!(pauses[5..].iter().all(Option::is_some));
        assert!(!trail.is_spent());
    }

    #[test]
    fn a_worker_that_says_never_again_is_believed() {
        let mut trail = Trail::default();
        let last = Death { never_again: true, ..death(false, 1) };

        trail.died(last, &Restart::default(), at(1));

        assert!(trail.is_given_up(&Restart::default()));
    }
}
