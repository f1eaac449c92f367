//! The scoreboard: what every living worker has counted, and the totals of the dead.
//!
//! ```text
//! seat ─▶ living: page + the last report seen ─retire─▶ the app's totals + the worker's last words
//! ```
//!
//! A worker writes its page at will, and it may lie or be torn down at any time. So a number is
//! taken from a page only if it is ahead of what was seen before: no total ever goes back. Locks
//! are held for as long as it takes to copy words out of memory; nothing here asks the loop, the
//! kernel or a worker, and nothing decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scgi_protocol::control::WorkerState;
use scgi_protocol::name::{AppName, Seat, WorkerId};
use scgi_protocol::page::report::Checkups;
use scgi_protocol::page::{Page, Report, Serving, State};
use serde::{Deserialize, Serialize};

use crate::supervisor::LifeView;

/// The scoreboard. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    apps: BTreeMap<AppName, Tally>,
    /// Whose worker it is, for every living one.
    owners: BTreeMap<WorkerId, AppName>,
}

/// What one app has counted.
#[derive(Debug, Default)]
struct Tally {
    dead: Report,
    living: BTreeMap<WorkerId, Seen>,
    starts: u64,
    saturated: Duration,
}

/// A living worker and how far its numbers were when last looked at.
#[derive(Debug)]
struct Seen {
    living: Living,
    last: Report,
}

/// A worker that is not retired, and the page it writes.
#[derive(Clone, Debug)]
pub struct Living {
    /// Its number.
    pub worker: WorkerId,
    /// Its seat.
    pub seat: Seat,
    /// Where it writes what it is doing.
    pub page: Arc<Page>,
    /// How many requests at once it may serve, as the configuration says; 1 if it says nothing.
    pub concurrency: u16,
}

/// The most requests at once that a worker is believed to have room for; the most that can be
/// configured.
const CAPACITY_MOST: u16 = 1024;

/// The most that a worker is believed to have of slow clients: as many as the kernel gives descriptors
/// to a process by default (`fs.nr_open`).
const PARKED_MOST: u32 = 1 << 20;

/// What one app has counted, as it is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Score {
    /// What the dead had counted.
    pub dead: Report,
    /// How far the living were when last looked at.
    pub living: BTreeMap<WorkerId, Report>,
    /// How many workers were born, all together.
    pub starts: u64,
    /// How long every serving worker was busy, all together.
    pub saturated: Duration,
}

impl Scoreboard {
    /// What an app has counted, to be written down. Looks at no page.
    pub fn score(&self, app: &AppName) -> Score {
        let kept = self.lock();
        let Some(tally) = kept.apps.get(app) else { return Score::default() };
        let Tally { dead, living, starts, saturated } = tally;
        let living = living.iter().map(|(worker, seen)| (*worker, seen.last)).collect();
        Score { dead: *dead, living, starts: *starts, saturated: *saturated }
    }

    /// Goes on from what a daemon before this one wrote down. Of those who were living then,
    /// `staying` still are, or are dead and yet to be forgotten, each with the page it writes, which
    /// is looked at; the others count among the dead.
    pub fn resume(&self, app: &AppName, score: Score, staying: Vec<Living>) {
        let Score { mut dead, living: mut last, starts, saturated } = score;
        let mut kept = self.lock();
        let mut living = BTreeMap::new();
        for worker in staying {
            kept.owners.insert(worker.worker, app.clone());
            let last = last.remove(&worker.worker).unwrap_or_default();
            let mut seen = Seen { living: worker, last };
            // Some of them are dead, and will be forgotten with their page: a daemon that is killed
            // after that must have written down all that is on it.
            seen.look();
            living.insert(seen.living.worker, seen);
        }
        for report in last.values() {
            dead = dead.plus(report);
        }
        kept.apps.insert(app.clone(), Tally { dead, living, starts, saturated });
    }

    /// Brings totals that are behind `least` up to it: somebody has been told so much already.
    pub fn raise(&self, app: &AppName, least: &Report, saturated: Duration) {
        let now = self.totals(app);
        let mut kept = self.lock();
        let Some(score) = kept.apps.get_mut(app) else { return };
        score.dead = score.dead.plus(&least.not_before(&now).minus(&now));
        score.saturated = score.saturated.max(saturated);
    }

    /// Begins to keep an app's score; one that is kept already goes on where it is.
    pub fn add_app(&self, app: &AppName) {
        self.lock().apps.entry(app.clone()).or_default();
    }

    /// Forgets an app, its totals and its workers.
    pub fn remove_app(&self, app: &AppName) {
        let mut kept = self.lock();
        kept.apps.remove(app);
        kept.owners.retain(|_, owner| owner != app);
    }

    /// A worker of `app` was born. An app that was not added is.
    pub fn seat(&self, app: &AppName, living: Living) {
        let mut kept = self.lock();
        let worker = living.worker;
        kept.retire(worker);
        kept.owners.insert(worker, app.clone());
        let seen = Seen { living, last: Report::default() };
        let score = kept.apps.entry(app.clone()).or_default();
        score.living.insert(worker, seen);
        score.starts += 1;
    }

    /// A worker is no more: its numbers go to the totals of its app.
    ///
    /// Returns its last report and its last words, that is the requests it took with it, oldest
    /// first; `None` if it was not seated, or its app was removed.
    pub fn retire(&self, worker: WorkerId) -> Option<(Report, Vec<Serving>)> {
        let (living, last) = self.lock().retire(worker)?;
        Some((last, living.page.serving()))
    }

    /// What the app's workers have counted, dead and living together; zeros for an unknown app.
    ///
    /// Never goes back while the app is kept, whatever its workers write.
    pub fn totals(&self, app: &AppName) -> Report {
        let mut kept = self.lock();
        let Some(score) = kept.apps.get_mut(app) else { return Report::default() };
        let living = score.living.values_mut();
        living.fold(score.dead, |sum, seen| sum.plus(seen.look()))
    }

    /// How many requests a living worker has ended; `None` if it keeps no page, or is not known.
    pub fn served(&self, worker: WorkerId) -> Option<u64> {
        let mut kept = self.lock();
        let app = kept.owners.get(&worker)?.clone();
        let seen = kept.apps.get_mut(&app)?.living.get_mut(&worker)?;
        (!seen.living.is_silent()).then(|| seen.look().ended)
    }

    /// How a living worker has ended its requests; `None` if it keeps no page, or is not known.
    pub fn ends(&self, worker: WorkerId) -> Option<Ends> {
        let mut kept = self.lock();
        let app = kept.owners.get(&worker)?.clone();
        let seen = kept.apps.get_mut(&app)?.living.get_mut(&worker)?;
        let Report { ends, .. } = *seen.look();
        let checkups = seen.living.page.checkups();
        (!seen.living.is_silent()).then_some(Ends { badly: ends[3] + ends[4], checkups })
    }

    /// The app's living workers, by number.
    pub fn living(&self, app: &AppName) -> Vec<Living> {
        let kept = self.lock();
        let Some(score) = kept.apps.get(app) else { return Vec::new() };
        score.living.values().map(|seen| seen.living.clone()).collect()
    }

    /// How many workers were born to the app, all together.
    pub fn starts(&self, app: &AppName) -> u64 {
        self.lock().apps.get(app).map_or(0, |score| score.starts)
    }

    /// Counts time in which every serving worker of the app was busy.
    pub fn add_saturated(&self, app: &AppName, time: Duration) {
        if let Some(score) = self.lock().apps.get_mut(app) {
            score.saturated = score.saturated.saturating_add(time);
        }
    }

    /// How long every serving worker of the app was busy, all together.
    pub fn saturated(&self, app: &AppName) -> Duration {
        self.lock().apps.get(app).map_or(Duration::ZERO, |score| score.saturated)
    }

    /// For each of the workers in `serving`: how long it has been without a request, or `None` if
    /// it has no room for another one; what the supervisor wants to know of a pool.
    ///
    /// `quiet` is for how long nobody has waited in the queues of the app's listeners, zero while
    /// somebody does. It speaks for workers that keep no page: one of them that had room would
    /// have accepted who waits.
    pub fn load(
        &self,
        app: &AppName,
        serving: &[WorkerId],
        now_ns: u64,
        quiet: Duration,
    ) -> BTreeMap<WorkerId, Option<Duration>> {
        let kept = self.lock();
        let Some(score) = kept.apps.get(app) else { return BTreeMap::new() };
        let seen = serving.iter().filter_map(|worker| score.living.get(worker));
        seen.map(|seen| (seen.living.worker, seen.living.idle(now_ns, quiet))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn retire(&mut self, worker: WorkerId) -> Option<(Living, Report)> {
        let app = self.owners.remove(&worker)?;
        let score = self.apps.get_mut(&app)?;
        let mut seen = score.living.remove(&worker)?;
        score.dead = score.dead.plus(seen.look());
        Some((seen.living, seen.last))
    }
}

/// How a worker has ended its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// How many of all with a status of 400 or more.
    pub badly: u64,
    /// Those by which the daemon asked; `None` if the worker does not tell them from others.
    pub checkups: Option<Checkups>,
}

impl Seen {
    /// Reads the page; a number that went back stays where it was.
    fn look(&mut self) -> &Report {
        self.last = self.living.page.report().not_before(&self.last);
        &self.last
    }
}

impl Living {
    /// The worker has written nothing: a program that does not know of the page.
    pub fn is_silent(&self) -> bool {
        self.page.state() == State::Silent
    }

    /// For how many requests at once it has room: what it says within what the configuration
    /// allows, and all of that for a worker that says nothing. Where the configuration leaves it at
    /// one, which is what it says if nobody says anything, the worker knows better: a server of
    /// tasks, or one that was given threads by its own code.
    pub fn capacity(&self) -> u16 {
        match (self.is_silent(), self.concurrency) {
            (true, concurrency) => concurrency.max(1),
            (false, 0 | 1) => self.page.capacity(CAPACITY_MOST),
            (false, most) => self.page.capacity(most),
        }
    }

    /// Slow clients it waits for beside its threads; never more than it can have connections.
    pub fn parked(&self) -> u32 {
        u32::try_from(self.page.parked()).unwrap_or(u32::MAX).min(PARKED_MOST)
    }

    /// Requests it is serving, at most its capacity; 0 for a worker that says nothing.
    pub fn in_flight(&self) -> u16 {
        self.page.in_flight(self.capacity())
    }

    /// There is no room for another request, while `waiting` connections wait to be accepted.
    ///
    /// Those speak for a worker that keeps no page: if it had room, it would accept them.
    pub fn is_full(&self, waiting: u32) -> bool {
        match self.page.state() {
            State::Silent => waiting > 0,
            State::Accepting => self.in_flight() >= self.capacity(),
            State::Draining => true,
        }
    }

    /// Requests it is serving, at most its capacity; a worker that keeps no page is taken to serve
    /// none or all it can, as [`Self::is_full`] says.
    pub fn busy(&self, waiting: u32) -> u16 {
        if self.is_silent() && self.is_full(waiting) {
            return self.capacity();
        }
        self.in_flight()
    }

    /// Since when it serves no request, in nanoseconds of `CLOCK_MONOTONIC`; `None` if it serves
    /// one or says nothing.
    pub fn idle_since(&self, now_ns: u64) -> Option<u64> {
        self.page.idle_since(now_ns)
    }

    /// The requests it is serving, oldest first.
    pub fn serving(&self) -> Vec<Serving> {
        self.page.serving()
    }

    fn idle(&self, now_ns: u64, quiet: Duration) -> Option<Duration> {
        if self.is_full(quiet.is_zero().into()) {
            return None;
        }
        if self.is_silent() {
            return Some(quiet);
        }
        let since = self.idle_since(now_ns).unwrap_or(now_ns);
        Some(Duration::from_nanos(now_ns.saturating_sub(since)))
    }
}

/// How a worker is, as a person would say it, while `waiting` connections wait to be accepted.
///
/// Without `living`, that is while it is not seated, a serving worker counts as idle.
pub fn worker_state(life: LifeView, living: Option<&Living>, waiting: u32) -> WorkerState {
    match life {
        LifeView::Starting => WorkerState::Starting,
        LifeView::Serving if living.is_some_and(|living| living.is_full(waiting)) => {
            WorkerState::Busy
        }
        LifeView::Serving => WorkerState::Idle,
        LifeView::Draining => WorkerState::Draining,
        LifeView::Killed => WorkerState::Killed,
    }
}

#[cfg(test)]
mod tests;
