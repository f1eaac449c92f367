//! Commands under way: what each waits for, and how it ends.

use std::collections::{BTreeMap, BTreeSet};

use scgi_protocol::control::{OperationState, Verb, Wish};
use scgi_protocol::name::{AppName, OperationId};
use serde::{Deserialize, Serialize};

use super::event::AppOrder;
use super::failure::{self, Failure};
use super::moment::Moment;
use super::pool::Pool;
use super::view::OperationView;

/// What is left of an app that left.
const NOBODY: &str = "no worker is left";

/// One command under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) id: OperationId,
    pub(super) verb: Verb,
    /// The app it is about; `None` if about the site.
    pub(super) app: Option<AppName>,
    pub(super) since: Moment,
    /// The apps it waits for.
    waits_for: BTreeSet<AppName>,
    /// How many those were in the beginning.
    apps: usize,
    /// What the last pool that was looked at said.
    progress: String,
    /// Why what was asked for is not quite what comes of it.
    remark: Option<String>,
    /// What went wrong with apps it no longer waits for.
    #[serde(default)]
    failed: Vec<Failure>,
    /// The operation that has to end before this one begins, and with what it does.
    after: Option<(OperationId, AppOrder)>,
}

/// How an operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Under way, and how far.
    Running(String),
    /// As it was asked to be, and what that is.
    Done(String),
    /// Not so; the operation knows why.
    Failed,
}

/// How an operation stands with one of the apps it waits for.
enum Stand {
    /// Under way, and how far.
    Running(String),
    /// As it was asked to be, and what that is.
    Done(String),
    /// It will not be so.
    Failed(Failure),
}

impl Operation {
    pub(super) fn new(
        id: OperationId,
        verb: Verb,
        app: Option<AppName>,
        waits_for: BTreeSet<AppName>,
        since: Moment,
    ) -> Self {
        let (apps, progress, failed) = (waits_for.len(), String::new(), Vec::new());
        let (remark, after) = (None, None);
        Self { id, verb, app, since, waits_for, apps, progress, remark, failed, after }
    }

    /// It ends with `remark`, if there is one.
    pub(super) fn remark(&mut self, remark: Option<String>) {
        self.remark = remark;
    }

    /// The operation that has to end before this one begins.
    pub(super) fn queued_behind(&self) -> Option<OperationId> {
        self.after.map(|(other, _)| other)
    }

    /// It can have been as it is: what was written down may be anything.
    pub(super) fn is_consistent(&self, id: OperationId) -> bool {
        self.id == id && self.waits_for.len() <= self.apps
    }

    /// It fails in the end, whatever becomes of the apps it waits for.
    pub(super) fn failing(mut self, failure: Failure) -> Self {
        self.fail(failure);
        self
    }

    /// It fails now, and waits for nobody any more.
    pub(super) fn give_up(&mut self, failure: Failure) {
        self.fail(failure);
        self.waits_for.clear();
    }

    /// Remembers what went wrong; lines only of the first.
    fn fail(&mut self, failure: Failure) {
        let is_told = self.failed.len() < failure::TOLD;
        let said = if is_told { failure.said } else { Vec::new() };
        self.failed.push(Failure { said, ..failure });
    }

    /// The roll of `pool` was undone: if it is this operation's, nothing comes of that.
    pub(super) fn undone(&mut self, pool: &Pool) {
        if self.after.is_none() && self.replaces(pool.name()) {
            self.waits_for.remove(pool.name());
            self.fail(why_out(pool));
        }
    }

    /// It was given up.
    pub(super) fn is_lost(&self) -> bool {
        self.waits_for.is_empty() && !self.failed.is_empty()
    }

    /// It waits for `app`.
    pub(super) fn waits_for(&self, app: &AppName) -> bool {
        self.waits_for.contains(app)
    }

    /// It replaces workers of `app`.
    pub(super) fn replaces(&self, app: &AppName) -> bool {
        let replacing = matches!(self.verb, Verb::Reload | Verb::Restart | Verb::Apply);
        replacing && self.waits_for(app)
    }

    /// Looks at the pools it waits for, as far as they are among the `touched`; at all of them if it
    /// has just begun.
    pub(super) fn judge(
        &mut self,
        pools: &BTreeMap<AppName, Pool>,
        touched: &BTreeSet<AppName>,
        now: Moment,
    ) -> Verdict {
        if let Some((other, _)) = self.after {
            return Verdict::Running(format!("waits for operation {other} to end"));
        }
        let fresh = self.since == now;
        let looked_at = if fresh { &self.waits_for } else { touched };
        for app in looked_at.intersection(&self.waits_for).cloned().collect::<Vec<_>>() {
            match self.judge_one(&app, pools.get(&app)) {
                Stand::Running(text) => {
                    self.progress = text;
                    continue;
                }
                Stand::Done(text) => self.progress = text,
                Stand::Failed(failure) => self.fail(failure),
            }
            self.waits_for.remove(&app);
        }
        match (self.waits_for.is_empty(), self.failed.is_empty()) {
            (false, _) => Verdict::Running(self.progress()),
            (true, true) if self.verb == Verb::Shutdown => Verdict::Running("leaving".to_owned()),
            (true, true) => Verdict::Done(self.end()),
            (true, false) => Verdict::Failed,
        }
    }

    /// How far it is: for an app its pool's words, for a site the apps that are done.
    fn progress(&self) -> String {
        match self.app {
            Some(_) => self.progress.clone(),
            None => format!("{} of {} apps done", self.apps - self.waits_for.len(), self.apps),
        }
    }

    /// What came of it.
    fn end(&self) -> String {
        let so = match (&self.app, self.apps) {
            (Some(_), _) => self.progress.clone(),
            (None, 0) => "no app had to change".to_owned(),
            (None, 1) => "1 app changed".to_owned(),
            (None, apps) => format!("{apps} apps changed"),
        };
        self.remark.as_ref().map_or_else(|| so.clone(), |remark| format!("{so}; {remark}"))
    }

    fn judge_one(&self, app: &AppName, pool: Option<&Pool>) -> Stand {
        let failed = |why: &str| Stand::Failed(Failure::of(app, why.to_owned()));
        let Some(pool) = pool else {
            return match self.verb {
                Verb::Stop | Verb::Apply | Verb::Shutdown => Stand::Done(NOBODY.to_owned()),
                Verb::Start
                | Verb::Restart
                | Verb::Reload
                | Verb::Scale
                | Verb::Retry
                | Verb::Pause
                | Verb::Resume
                | Verb::Undo => failed("the app was removed meanwhile"),
            };
        };
        if self.verb == Verb::Stop && pool.wish == Wish::Run && !pool.removed && !pool.shutdown {
            return failed("the app was started meanwhile");
        }
        let leaving = self.verb == Verb::Stop || self.verb == Verb::Shutdown || pool.removed;
        if leaving {
            return match pool.workers.len() {
                0 => Stand::Done(NOBODY.to_owned()),
                _ => Stand::Running(pool.progress()),
            };
        }
        if matches!(self.verb, Verb::Pause | Verb::Resume) {
            return Stand::Done(pool.progress());
        }
        if self.verb == Verb::Undo && pool.latest.undone {
            return Stand::Running(pool.progress());
        }
        if let (Verb::Undo, Some(why)) = (self.verb, &pool.undo_failed) {
            return failed(why);
        }
        if pool.latest.is_out() && !pool.latest.undone && pool.awaits_last_words() {
            return Stand::Running(pool.progress());
        }
        if pool.latest.is_out() {
            return Stand::Failed(why_out(pool));
        }
        match (pool.is_settled(), pool.wish, self.verb) {
            (true, _, _) => Stand::Done(self.settled(pool)),
            (_, Wish::Stop, Verb::Apply | Verb::Scale) => {
                Stand::Done("stopped until it is started".to_owned())
            }
            (_, Wish::Stop, _) => failed("the app was stopped meanwhile"),
            (false, Wish::Run, _) => Stand::Running(pool.progress()),
        }
    }

    /// It begins with `what` only once `other` has ended.
    pub(super) fn after(mut self, other: OperationId, what: AppOrder) -> Self {
        self.after = Some((other, what));
        self
    }

    /// It has not begun.
    #[cfg(test)]
    pub(super) fn is_queued(&self) -> bool {
        self.after.is_some()
    }

    /// What it begins with, if it waited for `other`.
    pub(super) fn begin_after(&mut self, other: OperationId) -> Option<AppOrder> {
        self.after.take_if(|(before, _)| *before == other).map(|(_, what)| what)
    }

    /// What a pool is that has come to rest.
    fn settled(&self, pool: &Pool) -> String {
        let serving = match pool.wanted_seats() {
            0 => "no worker until somebody asks".to_owned(),
            _ => pool.progress(),
        };
        let bounds = pool.bounds();
        if self.verb == Verb::Scale && !bounds.is_fixed() {
            return format!("{serving}, {} to {} allowed", bounds.min, bounds.max);
        }
        serving
    }

    /// Why it fails, in one sentence.
    pub(super) fn reason(&self) -> String {
        match (&self.app, &self.failed[..]) {
            (Some(_), [only]) => only.why.clone(),
            (_, failed) => failure::sentence(failed),
        }
    }

    /// What it shows of itself.
    pub(super) fn view(&self, verdict: &Verdict, now: Moment) -> OperationView {
        let (state, progress) = match verdict {
            Verdict::Running(progress) => (OperationState::Running, progress.clone()),
            Verdict::Done(end) => (OperationState::Done, end.clone()),
            Verdict::Failed => (OperationState::Failed, "failed".to_owned()),
        };
        let has_failed = state == OperationState::Failed;
        OperationView {
            id: self.id,
            verb: self.verb,
            app: self.app.clone(),
            ended: (state != OperationState::Running).then_some(now),
            state,
            progress,
            since: self.since,
            reason: has_failed.then(|| self.reason()),
            failures: if has_failed { self.failed.clone() } else { Vec::new() },
        }
    }
}

/// Why nothing comes of the latest launch of `pool`.
fn why_out(pool: &Pool) -> Failure {
    let generation = pool.latest.generation;
    let rest = match &pool.fallback {
        Some(older) => format!("; generation {} serves on", older.generation),
        None => String::new(),
    };
    if pool.latest.undone {
        let why = format!("an operator undid generation {generation}{rest}");
        return Failure::of(pool.name(), why);
    }
    let trail = &pool.latest.trail;
    let how = trail.how();
    let why =
        format!("generation {generation} spent its restart budget; its last worker: {how}{rest}");
    Failure { said: trail.said().to_vec(), ..Failure::of(pool.name(), why) }
}
