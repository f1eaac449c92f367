//! How many workers are wanted, from what was last seen of the pool.
//!
//! Grows when more people wait than workers are idle, in steps that double; shrinks by one worker at a
//! time, the one idle longest, once it has been idle for the timeout. A pool is looked at when a
//! connection arrives, at most every tenth of a second, and again for as long as something is
//! pending; a quiet pool is not looked at and costs nothing.

use std::time::Duration;

use scgi_protocol::control::Scale;
use serde::{Deserialize, Serialize};

use super::event::Load;
use super::moment::Moment;
use crate::spec::Sizing;

/// How often a pool that is busy is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How often a pool that cannot grow is looked at: for the record only.
pub(super) const LOOK_FIXED: Duration = Duration::from_millis(500);

/// How often a pool is looked at in which a new launch is on trial.
pub(super) const TRIAL_LOOK: Duration = Duration::from_millis(20);

/// Most workers by which a pool grows in one step.
const STEP_MOST: u16 = 32;

/// The numbers that bound a pool's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u16,
    pub(super) max: u16,
    pub(super) spare: u16,
    pub(super) idle_timeout: Duration,
}

impl Bounds {
    /// The number of workers never changes by itself.
    pub(super) fn is_fixed(&self) -> bool {
        self.min == self.max
    }
}

/// A fixed number of workers, and why it is not the one that was `asked` for.
fn exactly(wanted: i32, asked: &str) -> ((u16, u16), Option<String>) {
    let count = wanted.clamp(1, Sizing::MOST.into());
    let end = if count > wanted { "least" } else { "most" };
    let remark = (count != wanted).then(|| format!("asked for {asked}, and {count} is the {end}"));
    let count = u16::try_from(count).expect("it was clamped to the most");
    ((count, count), remark)
}

/// How many workers are wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Demand {
    target: u16,
    step: u16,
    #[serde(skip)]
    look_at: Option<Moment>,
}

impl Demand {
    /// The demand of a pool nobody has looked at.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { target: bounds.min, step: 1, look_at: None }
    }

    /// How many workers are wanted.
    pub(super) fn target(&self) -> u16 {
        self.target
    }

    /// When the pool has to be looked at again even if no connection arrives.
    pub(super) fn look_at(&self) -> Option<Moment> {
        self.look_at
    }

    /// The pool has to be looked at, at `at` if no sooner.
    pub(super) fn look_by(&mut self, at: Moment) {
        self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
    }

    /// The pool is being looked at.
    pub(super) fn looked(&mut self) {
        self.look_at = None;
    }

    /// Goes on from what was written down.
    pub(super) fn resume(&mut self, bounds: Bounds) {
        self.step = self.step.clamp(1, STEP_MOST);
        self.keep_within(bounds);
    }

    /// Keeps within bounds that may have changed.
    pub(super) fn keep_within(&mut self, bounds: Bounds) {
        self.target = self.target.clamp(bounds.min, bounds.max);
    }

    /// The least and the most after a `scale`, and in words what of it cannot be. `now` is what
    /// they are before it.
    pub(super) fn scaled(&self, scale: Scale, now: Bounds) -> ((u16, u16), Option<String>) {
        match scale {
            Scale::To(count) => exactly(count.into(), &count.to_string()),
            Scale::By(more) => {
                let how = if more < 0 { "fewer" } else { "more" };
                let asked = format!("{} {how} than {}", more.unsigned_abs(), self.target);
                exactly(i32::from(self.target).saturating_add(more), &asked)
            }
            Scale::Range { min, max } => {
                let max = max.unwrap_or(now.max).clamp(1, Sizing::MOST);
                let asked = min.unwrap_or(now.min);
                let remark = (asked > max).then(|| match min {
                    Some(_) => format!("asked for `min` {asked}, and `max` is {max}"),
                    None => format!("`min` was {asked}, and is {max} with it"),
                });
                ((asked.min(max), max), remark)
            }
        }
    }

    /// Learns from a look at the pool; `starting` workers are on their way.
    pub(super) fn learn(&mut self, load: &Load, starting: u16, bounds: Bounds, now: Moment) {
        let seen = Seen::of(load, starting);
        let before = self.target;
        if seen.is_short() {
            self.grow(&seen);
        } else {
            self.step = 1;
            self.keep_spare(&seen, bounds);
            self.shrink(&seen, bounds);
        }
        self.keep_within(bounds);
        self.look_at = self.next_look(&seen, bounds, before != self.target, now);
    }

    fn grow(&mut self, seen: &Seen) {
        let most = seen.serving.saturating_add(seen.waiting);
        let next = seen.serving.saturating_add(seen.starting).saturating_add(self.step);
        self.target = self.target.max(next.min(most));
        self.step = (self.step * 2).min(STEP_MOST);
    }

    fn keep_spare(&mut self, seen: &Seen, bounds: Bounds) {
        if seen.busy > 0 && seen.idle + seen.starting < bounds.spare {
            self.target = self.target.max(seen.busy + bounds.spare);
        }
    }

    fn shrink(&mut self, seen: &Seen, bounds: Bounds) {
        let due = seen.surplus(bounds) && seen.longest_idle >= bounds.idle_timeout;
        if due && self.target >= seen.serving {
            self.target = seen.serving.saturating_sub(1);
        }
    }

    fn next_look(&self, seen: &Seen, bounds: Bounds, changed: bool, now: Moment) -> Option<Moment> {
        let saturated = seen.idle == 0 && seen.busy > 0;
        let growing = seen.waiting > seen.idle && self.target < bounds.max;
        if saturated || growing || changed {
            return Some(now + if bounds.is_fixed() { LOOK_FIXED } else { LOOK });
        }
        let shrinkable = !bounds.is_fixed() && seen.surplus(bounds) && self.target > bounds.min;
        let left = bounds.idle_timeout.saturating_sub(seen.longest_idle);
        shrinkable.then(|| now + left.max(LOOK))
    }
}

/// A look at a pool, counted.
#[derive(Debug)]
struct Seen {
    waiting: u16,
    serving: u16,
    idle: u16,
    busy: u16,
    starting: u16,
    longest_idle: Duration,
}

impl Seen {
    fn of(load: &Load, starting: u16) -> Self {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let idle = load.idle.values().flatten();
        let serving = count(load.idle.len());
        let idle_count = count(idle.clone().count());
        Self {
            waiting: u16::try_from(load.waiting).unwrap_or(u16::MAX),
            serving,
            idle: idle_count,
            busy: serving - idle_count,
            starting,
            longest_idle: idle.max().copied().unwrap_or_default(),
        }
    }

    /// More people wait than the workers that are idle or on their way can serve at once. A worker
    /// with requests of microseconds is idle between two of them, whenever one looks.
    fn is_short(&self) -> bool {
        self.waiting > self.idle.saturating_add(self.starting)
    }

    /// More workers are idle than have to be kept at hand, or than people wait: one that left would
    /// have to come back at once.
    fn surplus(&self, bounds: Bounds) -> bool {
        let keep = if self.busy > 0 { bounds.spare } else { 0 };
        self.starting == 0 && self.idle > keep.max(self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scgi_protocol::name::WorkerId;

    const BOUNDS: Bounds =
        Bounds { min: 0, max: 40, spare: 1, idle_timeout: Duration::from_secs(60) };

    fn load(waiting: u32, busy: u64, idle_secs: &[u64]) -> Load {
        let idle = idle_secs.iter().map(|&secs| Some(Duration::from_secs(secs)));
        let workers = std::iter::repeat_n(None, usize::try_from(busy).unwrap()).chain(idle);
        Load { waiting, idle: (0..).map(WorkerId).zip(workers).collect(), ..Load::default() }
    }

    fn after(looks: &[(Load, u16)]) -> Demand {
        let mut demand = Demand::new(BOUNDS);
        for (load, starting) in looks {
            demand.learn(load, *starting, BOUNDS, Moment::START);
        }
        demand
    }

    #[test]
    fn a_scale_beyond_what_can_be_is_cut_and_says_so() {
        let bounds = Bounds { min: 2, max: 4, ..BOUNDS };
        let demand = Demand::new(bounds);
        let range = |min, max| Scale::Range { min, max };
        let scaled = |scale| demand.scaled(scale, bounds);
        let cut = |min, max, why: &str| ((min, max), Some(why.to_owned()));

        assert_eq!(scaled(Scale::To(7)), ((7, 7), None));
        assert_eq!(scaled(Scale::By(-1)), ((1, 1), None));
        assert_eq!(
            scaled(Scale::By(-5)),
            cut(1, 1, "asked for 5 fewer than 2, and 1 is the least")
        );
        assert_eq!(
            scaled(Scale::By(2000)),
            cut(1024, 1024, "asked for 2000 more than 2, and 1024 is the most")
        );
        assert_eq!(scaled(range(Some(0), None)), ((0, 4), None));
        assert_eq!(scaled(range(Some(9), None)), cut(4, 4, "asked for `min` 9, and `max` is 4"));
        assert_eq!(scaled(range(None, Some(1))), cut(1, 1, "`min` was 2, and is 1 with it"));
    }

    #[test]
    fn the_first_request_wakes_a_sleeping_pool_with_one_worker() {
        assert_eq!(after(&[(load(1, 0, &[]), 0)]).target(), 1);
    }

    #[test]
    fn growth_doubles_its_step_while_people_wait() {
        let busy = |n| (load(99, n, &[]), 0);

        assert_eq!(after(&[busy(1), busy(2), busy(4)]).target(), 8);
        assert_eq!(after(&[busy(1), busy(2), busy(4), busy(8), busy(16)]).target(), 32);
    }

    #[test]
    fn no_more_workers_start_than_people_wait() {
        assert_eq!(after(&[(load(3, 4, &[]), 3)]).target(), 0);
        assert_eq!(after(&[(load(9, 1, &[]), 0), (load(2, 2, &[]), 1)]).target(), 4);
    }

    #[test]
    fn a_worker_between_two_short_requests_does_not_hide_a_queue() {
        assert_eq!(after(&[(load(9, 1, &[0]), 0)]).target(), 3);
        assert_eq!(after(&[(load(1, 1, &[0]), 0)]).target(), 0);
    }

    #[test]
    fn a_spare_worker_is_kept_while_others_are_busy() {
        assert_eq!(after(&[(load(0, 3, &[]), 0)]).target(), 4);
        assert_eq!(after(&[(load(0, 3, &[0]), 0)]).target(), 0);
    }

    #[test]
    fn surplus_leaves_one_at_a_time_after_the_timeout() {
        let demand = after(&[(load(9, 3, &[]), 0), (load(0, 0, &[59, 10, 3]), 0)]);
        assert_eq!(demand.target(), 4);
        assert_eq!(demand.look_at(), Some(Moment(Duration::from_secs(1))));

        let demand = after(&[(load(9, 3, &[]), 0), (load(0, 0, &[60, 60, 60, 60]), 0)]);
        assert_eq!(demand.target(), 3);
        assert_eq!(demand.look_at(), Some(Moment::START + LOOK));
    }

    #[test]
    fn nobody_leaves_who_would_be_missed_at_once() {
        // So it looks when people wait at an address that the pool is about to give up.
        assert_eq!(after(&[(load(9, 1, &[]), 0), (load(2, 0, &[90, 90]), 0)]).target(), 2);
        assert_eq!(after(&[(load(9, 1, &[]), 0), (load(1, 0, &[90, 90]), 0)]).target(), 1);
    }

    #[test]
    fn a_quiet_pool_at_its_least_is_not_looked_at() {
        assert_eq!(after(&[(load(0, 0, &[]), 0)]).look_at(), None);
    }
}
