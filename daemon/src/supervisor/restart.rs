//! What deaths cost: the trail a launch leaves.
//!
//! A worker that had served well is replaced at once; one that had not costs an exponentially
//! growing pause, and after a whole budget of those in a row the launch is *spent*. Workers that
//! serve well and die nevertheless are free up to the same budget within the period, and then
//! slowed down in the same way, but they do not spend the launch: it does answer requests.

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;
use crate::spec::Restart;

/// A worker that has served this long, or finished a request, has served well.
pub(super) const HEALTHY_AFTER: Duration = Duration::from_secs(5);

/// The deaths of one launch's workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    recent: VecDeque<Moment>,
    /// Deaths in a row of workers that had not served well.
    streak: u32,
    not_before: Moment,
    spent: bool,
    never_again: bool,
    /// How the last one died.
    how: String,
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

/// What a death led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toll {
    /// The next worker may come at once.
    Free,
    /// The next worker has to wait so long.
    Pause(Duration),
    /// The budget is spent with this one.
    Spent,
}

impl Trail {
    /// Writes down a death and tells what it costs.
    pub(super) fn died(&mut self, death: Death, policy: &Restart, now: Moment) -> Toll {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|&at| now.since(at) > policy.period) {
            self.recent.pop_front();
        }
        self.streak = if death.well { 0 } else { self.streak.saturating_add(1) };
        self.how = death.how;
        self.never_again |= death.never_again;
        let was_spent = self.spent;
        self.spent |= self.streak >= policy.budget || death.never_again;
        if self.spent {
            self.not_before = now + jittered(policy.backoff_max, death.salt);
            return if was_spent { Toll::Pause(policy.backoff_max) } else { Toll::Spent };
        }
        let recent = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let steps = if death.well { recent.saturating_sub(policy.budget) } else { self.streak };
        if steps == 0 {
            return Toll::Free;
        }
        let pause = jittered(doubled(policy.backoff_first, steps - 1, policy), death.salt);
        self.not_before = now + pause;
        Toll::Pause(pause)
    }

    /// A worker has served well: what was before is forgiven. Tells whether that was news.
    pub(super) fn served_well(&mut self) -> bool {
        let news = self.streak > 0 || self.spent;
        self.streak = 0;
        self.spent = false;
        news
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

        assert_eq!(trail.died(death(true, 1), &Restart::default(), at(9)), Toll::Free);
        assert_eq!(trail.resting_until(at(9)), None);
    }

    #[test]
    fn pauses_double_until_the_budget_is_spent_and_are_the_longest_then() {
        let mut trail = Trail::default();
        let policy = Restart::default();

        let tolls: Vec<_> = (0..6).map(|n| trail.died(death(false, n), &policy, at(n))).collect();

        for (toll, most_ms) in tolls.iter().zip([100, 200, 400, 800]) {
            let Toll::Pause(pause) = toll else { panic!("{toll:?}") };
            let most = Duration::from_millis(most_ms);
            assert!(*pause <= most && *pause >= most * 7 / 10, "{pause:?} for {most:?}");
        }
        assert_eq!(tolls[4..], [Toll::Spent, Toll::Pause(policy.backoff_max)]);
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

        assert!(trail.served_well());
        assert!(!trail.is_spent() && !trail.is_sore());
        assert!(matches!(trail.died(death(false, 9), &policy, at(99)), Toll::Pause(_)));
        assert!(!trail.is_spent());
    }

    #[test]
    fn an_app_that_serves_and_dies_over_and_over_is_slowed_down_but_not_given_up() {
        let mut trail = Trail::default();
        let policy = Restart::default();

        let tolls: Vec<_> = (0..12).map(|n| trail.died(death(true, n), &policy, at(n))).collect();

        assert_eq!(tolls[..5], [Toll::Free; 5]);
        assert!(tolls[5..].iter().all(|toll| matches!(toll, Toll::Pause(_))));
        assert!(!trail.is_spent());
    }

    #[test]
    fn a_worker_that_says_never_again_is_believed() {
        let mut trail = Trail::default();
        let last = Death { never_again: true, ..death(false, 1) };

        assert_eq!(trail.died(last, &Restart::default(), at(1)), Toll::Spent);
        assert!(trail.is_given_up(&Restart::default()));
    }
}
