//! The invented world: processes, time, and a shell that does what the core says.
//!
//! Nothing here judges; [`super::oracle`] does, after every turn. Time passes only from one
//! happening to the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};

use super::oracle::{Ledger, Scope};
use super::process::{Fate, Manners, Nature, Process};
use super::rng::Rng;
use super::story::Story;
use super::traffic::Front;
use crate::spec::{AppSpec, Ready};
use crate::supervisor::{
    Action, AppOrder, Event, Exit, Moment, Order, Pid, Role, Signal, Spawn, Supervisor,
};

/// Few, so that they are reused soon.
const PIDS: std::ops::Range<Pid> = 100..4000;

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
    freed: Option<Pid>,
}

/// One worker as the world knows it.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) app: AppName,
    pub(super) seat: Seat,
    pub(super) generation: Generation,
    pub(super) role: Role,
    pub(super) spec: Arc<AppSpec>,
    pub(super) at: Moment,
    pub(super) pid: Option<Pid>,
    pub(super) process: Option<Process>,
    /// The core has been told that it is over.
    pub(super) over: bool,
    pub(super) forgotten: bool,
    pub(super) told_gone: bool,
}

/// Whose a process number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Worker(WorkerId),
    /// A process that is none of the daemon's business.
    Stranger,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// The core hears of it.
    Told(Event),
    Spawned(WorkerId),
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

/// What a process says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Ready,
    Stopping,
    Extend(Duration),
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
        self.tell(Event::Apply { apps, unprepared, operation });
        operation
    }

    /// Orders something of one app.
    pub(super) fn order(&mut self, app: &AppName, what: AppOrder) -> OperationId {
        if what == AppOrder::Start
            && !self.core.shutdown
            && let Some(spec) = self.core.spec(app).cloned()
        {
            self.front(app).bind(&spec.listen);
        }
        let operation = self.next_operation();
        let order = Order::App { app: app.clone(), what };
        self.tell(Event::Order { order, operation });
        operation
    }

    /// Orders the end of everything.
    pub(super) fn shutdown(&mut self) -> OperationId {
        let operation = self.next_operation();
        self.tell(Event::Order { order: Order::Shutdown, operation });
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
            self.tell(Event::Tick);
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

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Told(event) => self.tell(event),
            Happening::Spawned(id) => self.spawned(id),
            Happening::Exited(id, exit) => self.exited(id, exit),
            Happening::Ready(id) => self.becomes_ready(id),
            Happening::Leaves(id) => self.leaves(id),
            Happening::Pleads(id, by) => self.say(id, Word::Extend(by)),
            Happening::Ends(id, exit) => self.ends(id, exit),
            Happening::Says(id, word) => self.says(id, word),
            Happening::Answered(id) => self.answered(id),
            Happening::Woken(app) => {
                let load = self.load(&app);
                self.tell(Event::Load { app, load });
            }
            Happening::StrangerEnds(pid) => {
                if self.pids.get(&pid) == Some(&Holder::Stranger) {
                    self.pids.remove(&pid);
                }
            }
        }
    }

    /// The living process of a worker.
    fn process(&mut self, id: WorkerId) -> Option<&mut Process> {
        self.lives.get_mut(&id)?.process.as_mut().filter(|process| !process.dead)
    }

    fn becomes_ready(&mut self, id: WorkerId) {
        let now = self.now;
        let Some(process) = self.process(id).filter(|process| !process.ready) else { return };
        process.ready = true;
        process.idle_since = now;
        let twice = process.fate.ready_twice;
        self.say(id, Word::Ready);
        if twice {
            self.say(id, Word::Ready);
        }
        let app = self.lives[&id].app.clone();
        self.serve(&app);
    }

    fn leaves(&mut self, id: WorkerId) {
        let Some(process) = self.process(id) else { return };
        if !std::mem::replace(&mut process.leaving, true) {
            let drain = process.fate.drain;
            self.say(id, Word::Stopping);
            self.end_after(id, drain, Exit::Code(0));
        }
    }

    fn end_after(&mut self, id: WorkerId, time: Duration, exit: Exit) {
        let Some(process) = self.process(id) else { return };
        process.ending = true;
        self.later(time, Happening::Ends(id, exit));
    }

    fn ends(&mut self, id: WorkerId, exit: Exit) {
        let Some(process) = self.process(id) else { return };
        process.dead = true;
        let soon = self.rng.ms(0..=5);
        self.later(soon, Happening::Exited(id, exit));
    }

    fn exited(&mut self, id: WorkerId, exit: Exit) {
        let life = &self.lives[&id];
        let (pid, process) = (life.pid, life.process.clone());
        let (Some(pid), Some(process)) = (pid, process) else { return };
        if !process.known {
            return self.later(Duration::from_millis(1), Happening::Exited(id, exit));
        }
        // The shell takes its status in the same breath, so that the number is free from here on.
        self.pids.remove(&pid);
        self.freed = Some(pid);
        if self.rng.chance(20) {
            let time = self.rng.ms(0..=20_000);
            self.pids.insert(pid, Holder::Stranger);
            self.freed = None;
            self.later(time, Happening::StrangerEnds(pid));
        }
        let served = self.rng.chance(80).then_some(process.served);
        self.tell_end(id, Event::Exited { pid, exit, served, words: None });
    }

    fn say(&mut self, id: WorkerId, word: Word) {
        if self.process(id).is_some() {
            let soon = self.rng.ms(0..=5);
            self.later(soon, Happening::Says(id, word));
        }
    }

    fn says(&mut self, id: WorkerId, word: Word) {
        let life = &self.lives[&id];
        let (Some(pid), false) = (life.pid, life.over) else { return };
        if !life.process.as_ref().is_some_and(|process| process.known) {
            return self.later(Duration::from_millis(1), Happening::Says(id, word));
        }
        self.tell(match word {
            Word::Ready => Event::Ready { pid },
            Word::Stopping => Event::Stopping { pid },
            Word::Extend(by) => Event::Extend { pid, by },
        });
    }

    // ---- what the core says ----

    /// Tells the core something, and does what it answers, and so on.
    pub(super) fn tell(&mut self, event: Event) {
        let scope = self.scope(&event);
        self.tell_scoped(event, scope);
    }

    /// Tells the core of the end of a worker whose process is there no more.
    fn tell_end(&mut self, id: WorkerId, event: Event) {
        self.over(id);
        let scope = Scope::App(self.lives[&id].app.clone());
        self.tell_scoped(event, scope);
        self.check_buried(id);
    }

    fn tell_scoped(&mut self, event: Event, scope: Scope) {
        let mut heard = vec![scope.clone()];
        let mut facts = VecDeque::new();
        self.turn(event, &scope, &mut facts);
        while let Some(fact) = facts.pop_front() {
            let scope = self.scope(&fact);
            self.turn(fact, &scope, &mut facts);
            heard.push(scope);
        }
        self.check_rest(&heard);
    }

    fn over(&mut self, id: WorkerId) {
        self.alive.remove(&id);
        self.lives.get_mut(&id).expect("only the born die").over = true;
    }

    fn turn(&mut self, fact: Event, scope: &Scope, facts: &mut VecDeque<Event>) {
        let never = match &fact {
            Event::NotSpawned { worker, .. } if self.alive.contains(worker) => Some(*worker),
            _ => None,
        };
        never.into_iter().for_each(|id| self.over(id));
        if let Event::Spawned { worker, .. } = &fact
            && let Some(process) = self.lives.get_mut(worker).and_then(|l| l.process.as_mut())
        {
            process.known = true;
        }
        self.learn(&fact);
        let actions = self.core.handle(fact.clone(), self.now);
        self.story.add(self.now, &fact, &actions);
        for action in &actions {
            self.check_action(action, scope);
        }
        for action in actions {
            self.perform(action, facts);
        }
        never.into_iter().for_each(|id| self.check_buried(id));
        self.check_state(scope);
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
            Action::Release { app, keep } => {
                let keep = keep.map(|spec| spec.listen.clone()).unwrap_or_default();
                self.front(&app).release(&keep);
            }
            Action::Tell(_) | Action::Exit => {}
        }
    }

    fn spawn(&mut self, spawn: Spawn, facts: &mut VecDeque<Event>) {
        let Spawn { worker, seat, generation, app: spec, role } = spawn;
        let fate = self.fate(&spec, role);
        let spawns = fate.spawns;
        let life = Life {
            app: spec.name.clone(),
            seat,
            generation,
            role,
            spec,
            at: self.now,
            pid: None,
            process: None,
            over: false,
            forgotten: false,
            told_gone: false,
        };
        self.lives.insert(worker, life);
        self.alive.insert(worker);
        let event = if spawns {
            let pid = self.birth(worker, fate);
            Event::Spawned { worker, pid }
        } else {
            Event::NotSpawned { worker, error: "no more processes".to_owned() }
        };
        if self.rng.chance(95) {
            facts.push_back(event);
        } else if spawns {
            let soon = self.rng.ms(0..=50);
            self.later(soon, Happening::Spawned(worker));
        } else {
            let soon = self.rng.ms(0..=50);
            self.later(soon, Happening::Told(event));
        }
    }

    fn fate(&mut self, spec: &AppSpec, role: Role) -> Fate {
        let version = spec.launch.arguments[1].clone();
        let nature = match role {
            Role::Relief => self.relief,
            Role::App => {
                let key = (spec.name.clone(), version.clone());
                self.natures.get(&key).copied().unwrap_or(Nature::Good)
            }
        };
        let same = |id: &&WorkerId| {
            let life = &self.lives[id];
            life.role == role
                && life.app == spec.name
                && life.spec.launch.arguments[1] == version
                && life.process.as_ref().is_some_and(|process| !process.dead)
        };
        let others = self.alive.iter().filter(same).count();
        Fate::of(nature, others, &mut self.rng)
    }

    fn birth(&mut self, id: WorkerId, fate: Fate) -> Pid {
        let reused = self.freed.take().filter(|_| self.rng.chance(70));
        let free = || PIDS.find(|pid| !self.pids.contains_key(pid));
        let pid = reused.or_else(free).expect("there are more numbers than processes");
        self.pids.insert(pid, Holder::Worker(id));
        if let Some(at) = fate.ready {
            self.later(at, Happening::Ready(id));
        }
        if let Some(at) = fate.leaves {
            self.later(at, Happening::Leaves(id));
        }
        if let Some((at, by)) = fate.extends {
            self.later(at, Happening::Pleads(id, by));
        }
        if let Some((at, exit)) = fate.dies {
            self.later(at, Happening::Ends(id, exit));
        }
        let life = self.lives.get_mut(&id).expect("it was just put there");
        life.pid = Some(pid);
        life.process = Some(Process::new(fate, self.now));
        pid
    }

    fn spawned(&mut self, id: WorkerId) {
        if let Some(pid) = self.lives[&id].pid {
            self.tell(Event::Spawned { worker: id, pid });
        }
    }

    fn signal(&mut self, id: WorkerId, signal: Signal) {
        let Some(process) = self.process(id) else { return };
        let Fate { manners, drain, burial, .. } = process.fate;
        if signal == Signal::Kill {
            return self.end_after(id, burial, Exit::Signal(9));
        }
        process.asked += 1;
        let hears = match manners {
            Manners::Obeys | Manners::Answers => true,
            Manners::Misses(times) => process.asked > times,
            Manners::Ignores => false,
        };
        if !hears || std::mem::replace(&mut process.leaving, true) {
            return;
        }
        let exit = if process.ready { Exit::Code(0) } else { Exit::Signal(15) };
        if manners == Manners::Answers {
            self.say(id, Word::Stopping);
        }
        self.end_after(id, drain, exit);
    }

    /// The process accepts connections, as far as its spec makes that known.
    pub(super) fn is_ready(&self, id: WorkerId) -> bool {
        let life = &self.lives[&id];
        let Some(process) = &life.process else { return false };
        let by_living = match life.spec.timing.ready {
            Ready::After(time) => life.role == Role::App && self.now >= process.born + time,
            Ready::Notify => false,
        };
        process.ready || by_living
    }
}
