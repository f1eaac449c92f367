//! The invented world: processes, time, and a shell that does what the core says.
//!
//! Nothing here judges; [`super::oracle`] does, after every turn. Time passes only from one
//! happening to the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::name::{AppName, OperationId, WorkerId};

use super::lives::{Holder, Life, Word};
use super::oracle::{Ledger, Scope};
use super::process::Nature;
use super::rng::Rng;
use super::story::Story;
use super::traffic::Front;
use crate::spec::AppSpec;
use crate::supervisor::operation::Operation;
use crate::supervisor::{Action, AppOrder, Event, Exit, Moment, Order, Pid, Supervisor};

/// A world and the core that looks after it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) core: Supervisor,
    pub(super) now: Moment,
    pub(super) rng: Rng,
    /// Every worker that was ever asked for.
    pub(super) lives: BTreeMap<WorkerId, Life>,
    /// Workers whose end the core does not know yet.
    pub(super) alive: BTreeSet<WorkerId>,
    pub(super) pids: BTreeMap<Pid, Holder>,
    pub(super) fronts: BTreeMap<AppName, Front>,
    /// The apps last applied.
    pub(super) site: BTreeMap<AppName, Arc<AppSpec>>,
    /// What the programs are like, by app and version; good if not said.
    pub(super) natures: BTreeMap<(AppName, String), Nature>,
    pub(super) relief: Nature,
    pub(super) ledger: Ledger,
    pub(super) story: Story,
    queue: BTreeMap<(Moment, u64), Happening>,
    happened: u64,
    last_operation: OperationId,
    /// The number that became free last.
    pub(super) freed: Option<Pid>,
    /// In how many of a thousand deeds the daemon is killed before it does them.
    pub(super) mortality: u64,
    /// No daemon lives: nobody is told anything.
    pub(super) orphaned: bool,
    /// How often a daemon took over from another.
    pub(super) successions: u64,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// The core hears of it.
    Told(Event),
    Spawned(WorkerId),
    /// A template has come to an order.
    Forked(WorkerId),
    Exited(WorkerId, Exit),
    Ready(WorkerId),
    Leaves(WorkerId),
    Pleads(WorkerId, Duration),
    Ends(WorkerId, Exit),
    /// A notice arrives.
    Says(WorkerId, Word),
    /// A request is done.
    Answered(WorkerId),
    /// Somebody was seen waiting at an app that is watched.
    Woken(AppName),
    StrangerEnds(Pid),
}

impl World {
    /// A world without apps.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            core: Supervisor::default(),
            now: Moment::START,
            rng: Rng::new(seed),
            lives: BTreeMap::new(),
            alive: BTreeSet::new(),
            pids: BTreeMap::new(),
            fronts: BTreeMap::new(),
            site: BTreeMap::new(),
            natures: BTreeMap::new(),
            relief: Nature::Good,
            ledger: Ledger::default(),
            story: Story::new(seed),
            queue: BTreeMap::new(),
            happened: 0,
            last_operation: OperationId(0),
            freed: None,
            mortality: 0,
            orphaned: false,
            successions: 0,
        }
    }

    // ---- what people do ----

    /// Takes a site over, with listeners bound as the shell would.
    pub(super) fn apply(&mut self, apps: Vec<AppSpec>) -> OperationId {
        self.apply_in_part(apps, BTreeMap::new())
    }

    /// Takes a site over of which some apps could not be prepared.
    pub(super) fn apply_in_part(
        &mut self,
        apps: Vec<AppSpec>,
        unprepared: BTreeMap<AppName, String>,
    ) -> OperationId {
        let apps: BTreeMap<_, _> =
            apps.into_iter().map(|spec| (spec.name.clone(), Arc::new(spec))).collect();
        if !self.core.shutdown {
            for spec in apps.values() {
                self.front(&spec.name).bind(&spec.listen);
            }
            self.site.retain(|app, _| unprepared.contains_key(app));
            self.site.extend(apps.clone());
        }
        let operation = self.next_operation();
        self.tell(&Event::Apply { apps, unprepared, operation });
        operation
    }

    /// Orders something of one app.
    pub(super) fn order(&mut self, app: &AppName, what: AppOrder) -> OperationId {
        self.order_after(app, what, None)
    }

    /// Orders something of one app, to begin when what stands in its way has ended.
    pub(super) fn queue(&mut self, app: &AppName, what: AppOrder) -> OperationId {
        self.order_after(app, what, Some(()))
    }

    fn order_after(&mut self, app: &AppName, what: AppOrder, after: Option<()>) -> OperationId {
        let order = Order::App { app: app.clone(), what };
        let after = after.and_then(|()| self.core.conflict(&order)).map(|other| other.last);
        if what.needs_listeners()
            && after.is_none()
            && !self.core.shutdown
            && let Some(spec) = self.core.spec(app).cloned()
        {
            self.front(app).bind(&spec.listen);
        }
        let operation = self.next_operation();
        self.tell(&Event::Order { order, operation, after });
        operation
    }

    /// Orders the end of everything.
    pub(super) fn shutdown(&mut self) -> OperationId {
        let operation = self.next_operation();
        self.tell(&Event::Order { order: Order::Shutdown, operation, after: None });
        operation
    }

    fn next_operation(&mut self) -> OperationId {
        self.last_operation = self.last_operation.next();
        self.last_operation
    }

    pub(super) fn front(&mut self, app: &AppName) -> &mut Front {
        self.fronts.entry(app.clone()).or_default()
    }

    // ---- time ----

    /// When something happens next, or the core wants to be called.
    pub(super) fn next_at(&self) -> Option<Moment> {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        queued.into_iter().chain(self.core.deadline()).min()
    }

    /// Lets the next thing happen; false if nothing ever will.
    pub(super) fn step(&mut self) -> bool {
        let Some(at) = self.next_at() else { return false };
        self.now = self.now.max(at);
        if self.core.deadline() == Some(at) {
            // Timers are never early and often a little late.
            self.now = self.now + self.rng.ms(0..=1);
            self.tell(&Event::Tick);
        } else if let Some((_, happening)) = self.queue.pop_first() {
            self.happen(happening);
        }
        true
    }

    /// Lets everything happen that happens within `time`.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Lets time pass without anybody being told, as when the machine is suspended.
    pub(super) fn oversleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(super) fn later(&mut self, after: Duration, happening: Happening) {
        self.happened += 1;
        self.queue.insert((self.now + after, self.happened), happening);
    }

    // ---- what happens ----

    /// The next happening, if it is due by `end`.
    pub(super) fn due_by(&mut self, end: Moment) -> Option<(Moment, Happening)> {
        let next = self.queue.first_entry().filter(|next| next.key().0 <= end)?;
        let ((at, _), happening) = next.remove_entry();
        Some((at, happening))
    }

    /// Whatever was to be told of anybody's health is not.
    pub(super) fn forget_answers(&mut self) {
        let answer = |h: &Happening| matches!(h, Happening::Told(Event::Probed { .. }));
        self.queue.retain(|_, happening| !answer(happening));
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Told(event) => self.tell(&event),
            Happening::Spawned(id) => self.spawned(id),
            Happening::Forked(id) => self.forked(id),
            Happening::Exited(id, exit) => self.exited(id, exit),
            Happening::Ready(id) => self.becomes_ready(id),
            Happening::Leaves(id) => self.leaves(id),
            Happening::Pleads(id, by) => self.say(id, Word::Extend(by)),
            Happening::Ends(id, exit) => self.ends(id, exit),
            Happening::Says(id, word) => self.says(id, word),
            Happening::Answered(id) => self.answered(id),
            Happening::Woken(app) => {
                let load = self.load(&app);
                self.tell(&Event::Load { app, load });
            }
            Happening::StrangerEnds(pid) => {
                if self.pids.get(&pid) == Some(&Holder::Stranger) {
                    self.pids.remove(&pid);
                }
            }
        }
    }

    // ---- what the core says ----

    /// Tells the core something, and does what it answers, and so on.
    pub(super) fn tell(&mut self, event: &Event) {
        let scope = self.scope(event);
        self.tell_scoped(event, scope);
    }

    /// Tells the core of the end of a worker whose process is there no more.
    pub(super) fn tell_end(&mut self, id: WorkerId, event: &Event) {
        if self.orphaned {
            return;
        }
        self.over(id);
        let scope = Scope::App(self.lives[&id].app.clone());
        self.tell_scoped(event, scope);
        if !self.orphaned {
            self.check_buried(id);
        }
    }

    pub(super) fn tell_scoped(&mut self, event: &Event, scope: Scope) {
        if self.orphaned {
            return;
        }
        let mut facts = VecDeque::new();
        self.turn(event, &scope, &mut facts);
        let mut heard = vec![scope];
        while let Some(fact) = facts.pop_front() {
            let scope = self.scope(&fact);
            self.turn(&fact, &scope, &mut facts);
            heard.push(scope);
        }
        if self.orphaned {
            return self.succeed();
        }
        self.check_rest(&heard);
    }

    /// What ends an operation about one app may begin one about another that waited for it.
    fn wide(&self, scope: Scope) -> Scope {
        let queued = self.core.operations.values().any(Operation::is_queued);
        match scope {
            Scope::App(_) if queued => Scope::Everybody,
            Scope::Everybody | Scope::App(_) | Scope::Nobody => scope,
        }
    }

    pub(super) fn over(&mut self, id: WorkerId) {
        self.alive.remove(&id);
        self.lives.get_mut(&id).expect("only the born die").over = true;
    }

    fn turn(&mut self, fact: &Event, scope: &Scope, facts: &mut VecDeque<Event>) {
        let mut never = None;
        if let Event::NotSpawned { worker, .. } = fact
            && self.alive.contains(worker)
        {
            never = Some(*worker);
        }
        never.into_iter().for_each(|id| self.over(id));
        if let Event::Spawned { worker, .. } = fact {
            self.known(*worker);
        }
        self.learn(fact);
        let allowed = self.wide(scope.clone());
        let actions = self.core.handle(fact.clone(), self.now);
        self.story.add(self.now, fact, &actions);
        for action in &actions {
            self.check_action(action, &allowed);
        }
        for action in actions {
            if self.mortality > 0 && self.rng.below(1000) < self.mortality {
                self.orphaned = true;
                return facts.clear();
            }
            self.perform(action, facts);
        }
        never.into_iter().for_each(|id| self.check_buried(id));
        self.check_state(scope);
    }

    pub(super) fn known(&mut self, id: WorkerId) {
        if let Some(process) = self.lives.get_mut(&id).and_then(|life| life.process.as_mut()) {
            process.known = true;
        }
    }

    fn perform(&mut self, action: Action, facts: &mut VecDeque<Event>) {
        match action {
            Action::Spawn(spawn) => self.spawn(spawn, facts),
            Action::Signal { pid, signal } => {
                if let Some(Holder::Worker(id)) = self.pids.get(&pid) {
                    self.signal(*id, signal);
                }
            }
            Action::Forget { worker } => {
                self.lives.get_mut(&worker).expect("checked before").forgotten = true;
            }
            Action::Watch { app } => self.arm(&app),
            Action::Sample { app } => {
                let load = self.load(&app);
                facts.push_back(Event::Load { app, load });
            }
            Action::Probe { worker, .. } => self.examine(worker),
            Action::Release { app, keep } => {
                let keep = keep.map(|spec| spec.listen.clone()).unwrap_or_default();
                self.front(&app).release(&keep);
            }
            Action::Tell(_) | Action::Exit => {}
        }
    }

    /// How `operation` ended: why it failed, if it did.
    pub(super) fn outcome(&self, operation: OperationId) -> Result<(), String> {
        let ended = self.ledger.operations[&operation].ended.clone();
        let (_, failure) = ended.expect("it has ended");
        failure.map_or(Ok(()), Err)
    }

    /// Runs until `operation` has ended; returns the fewest workers of `app` that accepted
    /// connections meanwhile.
    pub(super) fn least_until(&mut self, operation: OperationId, app: &AppName) -> usize {
        let mut least = self.accepting_for(app).len();
        while self.ledger.operations[&operation].ended.is_none() {
            assert!(self.step(), "nothing ends it");
            least = least.min(self.accepting_for(app).len());
        }
        least
    }
}
