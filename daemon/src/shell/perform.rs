//! Does what the core decides: the only file that performs actions.
//!
//! An action's outcome is a fact, returned at once or heard of later. Nothing here decides.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal as Kernel;
use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::Page;
use tokio::sync::mpsc::UnboundedSender;

use super::adopt::Survivor;
use super::backlog::Queues;
use super::books::Books;
use super::clock::Clock;
use super::health::Checkups;
use super::knock::Knocks;
use super::listeners::Listeners;
use super::output::{Output, Pipes};
use super::programs::Programs;
use super::reap::{self, To};
use super::spawn::{Born, Shared, Status, Surroundings, is_own_program, spawn};
use super::state::record::ProcessRecord;
use super::strays::{self, Rest};
use super::templates::Templates;
use super::wake::{Wake, is_somebody_there};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::scoreboard::{Living, Scoreboard};
use crate::spec::{AppSpec, StopSignal};
use crate::supervisor::{
    About, Action, Event, Exit, Load, Moment, Note, Pid, Pool, Role, Signal, Spawn, Supervisor,
};
use crate::words::in_words;

/// What the daemon acts with.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) clock: Clock,
    pub(super) listeners: Listeners,
    pub(super) wake: Wake,
    pub(super) output: Output,
    pub(super) books: Books,
    pub(super) scoreboard: Scoreboard,
    pub(super) queues: Queues,
    pub(super) journal: Journal,
    pub(super) metrics: Metrics,
    pub(super) surroundings: Surroundings,
    /// Workers that have a process.
    pub(super) born: BTreeMap<Pid, Process>,
    /// The programs that workers come back from.
    pub(super) programs: Programs,
    /// New workers that are asked whether they are healthy.
    pub(super) checkups: Checkups,
    /// New workers that are waited for to take connections at their own sockets.
    pub(super) knocks: Knocks,
    /// Processes that workers are forked from.
    pub(super) templates: Templates,
    /// What was last seen of each app's traffic.
    pub(super) traffic: BTreeMap<AppName, Traffic>,
    /// Where the end of an adopted process is told.
    pub(super) ended: UnboundedSender<(Pid, WorkerId)>,
    pub(super) exit: bool,
}

/// A worker's process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) worker: WorkerId,
    pub(super) kind: Kind,
    /// How it is written down.
    pub(super) record: ProcessRecord,
}

/// Whose child a process is.
#[derive(Debug)]
pub(super) enum Kind {
    /// This daemon's; it may have something to say about its start.
    Child(Option<Status>),
    /// That of a daemon that is no more.
    Adopted(Survivor),
}

/// A worker that is going to have a process.
#[derive(Debug)]
pub(super) struct Expected {
    about: About,
    app: Arc<AppSpec>,
    page: Page,
}

/// What was last seen of an app's traffic.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// When somebody last waited.
    arrival: Moment,
    /// When every worker was last seen busy, if they were at the last look.
    saturated: Option<Moment>,
}

impl Hands {
    /// Performs `action`. What comes of it at once is returned.
    pub(super) fn perform(
        &mut self,
        action: Action,
        supervisor: &Supervisor,
        now: Moment,
    ) -> Vec<Event> {
        match action {
            Action::Spawn(order) => return self.spawn(&order),
            Action::Signal { pid, signal: Signal::Kill } => {
                self.signal(pid, Kernel::SIGKILL, To::Group);
            }
            Action::Signal { pid, signal: Signal::Stop(signal) } => {
                self.signal(pid, kernel(signal), To::Process);
            }
            Action::Forget { worker } => self.forget(worker),
            Action::Watch { app } => self.wake.arm(&app, &self.listeners.all(&app)),
            Action::Sample { app } => return vec![self.look(app, supervisor, now)],
            Action::Probe { worker, app, health } => {
                let listener = self.listeners.of(&app).first().copied();
                self.checkups.ask(worker, &app, listener, health);
            }
            Action::Release { app, keep } => self.release(&app, keep.as_deref()),
            Action::Tell(note) => self.tell(&note, now),
            Action::Exit => self.exit = true,
        }
        Vec::new()
    }

    /// Sends a signal to a worker, if it is there.
    fn signal(&self, pid: Pid, signal: Kernel, to: To) {
        match self.born.get(&pid).map(|process| &process.kind) {
            Some(Kind::Child(_)) => reap::signal(pid, signal, to),
            Some(Kind::Adopted(survivor)) => survivor.signal(signal, to),
            None => {}
        }
    }

    /// The process of a worker, if it has one.
    pub(super) fn pid_of(&self, worker: WorkerId) -> Option<Pid> {
        let born = self.born.iter().find(|(_, process)| process.worker == worker);
        born.map(|(pid, _)| *pid)
    }

    /// Looks at an app's pool.
    pub(super) fn look(&mut self, app: AppName, supervisor: &Supervisor, now: Moment) -> Event {
        let somebody = is_somebody_there(&self.listeners.all(&app));
        let depth = self.queues.waiting(&app).filter(|_| somebody);
        let waiting = depth.map_or_else(|| u32::from(somebody), |depth| depth.waiting.max(1));
        let traffic = self.traffic.entry(app.clone()).or_default();
        if somebody {
            traffic.arrival = now;
        }
        let quiet = now.since(traffic.arrival);
        let serving = supervisor.serving(&app);
        let idle = self.scoreboard.load(&app, &serving, Clock::monotonic_ns(), quiet);
        let saturated = !idle.is_empty() && idle.values().all(Option::is_none);
        let before = std::mem::replace(&mut traffic.saturated, saturated.then_some(now));
        // A saturated pool is looked at again soon; after a longer time nobody knows.
        let between = before.map(|before| now.since(before)).filter(|time| *time <= LOOKED_LATELY);
        if let Some(between) = between.filter(|_| saturated) {
            self.scoreboard.add_saturated(&app, between);
        }
        let answered =
            serving.into_iter().filter(|worker| self.scoreboard.served(*worker) > Some(0));
        Event::Load { app, load: Load { waiting, idle, answered: answered.collect() } }
    }

    /// A connection arrived at an app that was watched.
    pub(super) fn arrived(&mut self, app: &AppName, now: Moment) {
        self.traffic.entry(app.clone()).or_default().arrival = now;
    }

    /// A child was buried: what the core should know of it, if it was a worker.
    pub(super) fn buried(&mut self, pid: Pid, exit: Exit) -> Option<Event> {
        let process = self.born.remove(&pid)?;
        let said = self.output.last_words(process.worker);
        let served = self.scoreboard.served(process.worker);
        let words = match process.kind {
            Kind::Child(status) => status.and_then(Status::words),
            Kind::Adopted(_) => None,
        };
        Some(Event::Exited { pid, exit, served, words, said })
    }

    /// An adopted process has ended: what the core should know of it, unless it knows already.
    pub(super) fn ended(&mut self, pid: Pid, worker: WorkerId) -> Option<Event> {
        let process = self.born.get(&pid).filter(|process| process.worker == worker)?;
        let Kind::Adopted(survivor) = &process.kind else { return None };
        survivor.end_group(process.record.began);
        let exit = survivor.exit();
        self.buried(pid, exit)
    }

    /// Kills what dead workers left behind.
    pub(super) fn kill_strays(&self) -> Rest {
        let pids: BTreeSet<_> = self.born.keys().copied().collect();
        strays::kill(&pids, &self.living())
    }

    /// The workers that have a process, or may have one that has not been heard of yet.
    pub(super) fn living(&self) -> BTreeSet<WorkerId> {
        let born = self.born.values().map(|process| process.worker);
        born.chain(self.templates.unborn()).collect()
    }

    /// Tells the kernel's names of an app's listeners to whoever asks for their queues.
    pub(super) fn relist(&mut self, app: &AppName) {
        self.queues.set(app, self.listeners.inodes(app));
    }

    /// Keeps the programs that the core may have workers of these `apps` come back from, and no
    /// others.
    pub(super) fn keep_programs(&mut self, apps: &BTreeSet<AppName>, supervisor: &Supervisor) {
        for app in apps {
            let wanted = supervisor.pool(app).into_iter().flat_map(Pool::true_to_their_program);
            self.programs.keep_only(app, &wanted.collect::<Vec<_>>());
        }
    }

    fn spawn(&mut self, order: &Spawn) -> Vec<Event> {
        let (app, worker) = (&order.app.name, order.worker);
        let failed = |error| vec![Event::NotSpawned { worker, error }];
        let leaf = match self.books.give(app, worker) {
            Ok(leaf) => leaf,
            Err(error) => return failed(format!("cannot get a page for it: {error}")),
        };
        if order.waits {
            self.listeners.wait_again(&order.app);
        }
        let listeners = self.listeners.of(&order.app);
        let program = match order.role {
            Role::App | Role::Template if is_own_program(&order.app) => {
                self.programs.of(app, order.generation, &order.app.launch.program)
            }
            Role::App | Role::Template | Role::Relief => None,
        };
        let book = self.books.of(app).expect("its worker has a leaf in it");
        let shared = Shared { listeners: &listeners, book, leaf: leaf.number, program };
        let about = About {
            app: order.app.name.clone(),
            seat: order.seat,
            worker,
            generation: order.generation,
            role: order.role,
        };
        let expected = Expected { about, app: Arc::clone(&order.app), page: leaf.page };
        let surroundings = &self.surroundings;
        let begun = match order.template {
            Some(template) => {
                let asked = self.templates.ask((template, order), &shared, surroundings, expected);
                asked.map(|()| None)
            }
            None => spawn(order, &shared, surroundings).map(|born| Some((expected, born))),
        };
        match begun {
            Ok(Some((expected, born))) => self.settle(expected, born),
            Ok(None) => Vec::new(),
            Err(error) => {
                self.books.erase(worker);
                failed(in_words(&error))
            }
        }
    }

    /// Looks after a worker that has a process.
    pub(super) fn settle(&mut self, expected: Expected, born: Born) -> Vec<Event> {
        let Expected { about, app, page } = expected;
        let Born { pid, record, pipes, status, template } = born;
        let worker = about.worker;
        // An adopted process may have ended just now, and its number be this one's already.
        let before = self.buried(pid, Exit::Unknown);
        let living =
            Living { worker, seat: about.seat, page: Arc::new(page), concurrency: app.concurrency };
        self.scoreboard.seat(&app.name, living);
        self.collect(&about, pipes);
        self.born.insert(pid, Process { worker, kind: Kind::Child(status), record });
        if let Some(Err(error)) = template.map(|socket| self.templates.listen(worker, socket)) {
            tracing::error!(%worker, error = &error as &dyn Error, "template is not heard");
        }
        if about.role == Role::App {
            self.knocks.at_door_of(worker, &app);
        }
        before.into_iter().chain([Event::Spawned { worker, pid }]).collect()
    }

    /// Begins to collect what a worker writes.
    pub(super) fn collect(&mut self, about: &About, pipes: Pipes) {
        if let Err(error) = self.output.collect(about, pipes) {
            let (app, worker) = (&about.app, about.worker);
            let error = &error as &dyn Error;
            tracing::error!(%app, %worker, error, "output is not collected");
        }
    }

    fn forget(&mut self, worker: WorkerId) {
        self.knocks.forget(worker);
        if let Some((_, serving)) = self.scoreboard.retire(worker) {
            for request in serving {
                let (method, uri) = (request.method, request.uri);
                tracing::warn!(%worker, method, uri, "request lost with its worker");
            }
        }
        self.books.erase(worker);
        self.output.finish(worker);
    }

    fn release(&mut self, app: &AppName, keep: Option<&AppSpec>) {
        self.wake.disarm(&self.listeners.all(app));
        self.listeners.release(app, keep);
        if keep.is_some() {
            // The core may be waiting for a connection; being told of one too many does no harm.
            self.wake.arm(app, &self.listeners.all(app));
        }
        self.relist(app);
    }

    fn tell(&mut self, note: &Note, now: Moment) {
        self.journal.tell(note, self.clock.wall(now));
        self.metrics.tell(note);
        if let Note::Removed { app } = note {
            self.scoreboard.remove_app(app);
            self.output.forget(app);
            self.traffic.remove(app);
        }
    }
}

/// The app whose listeners an action closes.
pub(super) fn released(action: &Action) -> Option<AppName> {
    if let Action::Release { app, .. } = action { Some(app.clone()) } else { None }
}

/// How long an action can wait for the others that the core asks for with it: who needs a worker
/// need not wait until the dead one is forgotten, nor for the log. Equals keep the core's order.
pub(super) fn patience(action: &Action) -> u8 {
    match action {
        Action::Spawn(_)
        | Action::Signal { .. }
        | Action::Watch { .. }
        | Action::Sample { .. }
        | Action::Probe { .. }
        | Action::Release { .. }
        | Action::Exit => 0,
        Action::Forget { .. } => 1,
        // A note of a death tells the last lines, which are read when the worker is forgotten.
        Action::Tell(_) => 2,
    }
}

fn kernel(signal: StopSignal) -> Kernel {
    match signal {
        StopSignal::Term => Kernel::SIGTERM,
        StopSignal::Int => Kernel::SIGINT,
        StopSignal::Quit => Kernel::SIGQUIT,
        StopSignal::Hup => Kernel::SIGHUP,
        StopSignal::Usr1 => Kernel::SIGUSR1,
        StopSignal::Usr2 => Kernel::SIGUSR2,
    }
}

/// The longest time between two looks for which a pool that was saturated at both is taken to have
/// been so in between.
const LOOKED_LATELY: Duration = Duration::from_secs(1);

/// The longest the loop sleeps: its sign of life has to be renewed.
pub(super) const PULSE: Duration = Duration::from_secs(5);
