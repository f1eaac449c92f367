//! Doing it: the loop, and everything that touches the world.
//!
//! ```text
//!   signals ─┐                                                 ┌─ spawn, signal, watch …
//!   notices ─┼─▶ fact ─▶ Supervisor::handle ─▶ actions ─perform┤
//!   arrivals ┤              ▲                                  └─ outcome: the next fact ─┐
//!   questions┤              └─────────────────────────────────────────────────────────────┘
//!   deadline ┘   then: post what has changed on the board
//! ```
//!
//! One `select!`, one reading of the clock a turn, one thread. Whatever may take long (reading
//! configuration, answering scrapes and control requests) is done beside the loop and reaches it
//! as a fact.

mod adopt;
mod asked;
pub mod backlog;
pub mod bind;
pub mod board;
mod books;
pub mod clock;
mod fdstore;
pub mod handle;
mod health;
mod heir;
mod knock;
mod layout;
mod ledger;
mod listeners;
mod news;
mod notices;
pub mod output;
mod perform;
mod plan;
mod programs;
mod propose;
mod reap;
pub mod reload;
pub mod revisions;
pub mod service;
mod signals;
mod spawn;
pub mod state;
mod strays;
mod sys;
mod templates;
pub mod upgrade;
mod wake;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use scgi_protocol::name::{OperationId, WorkerId};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::control::SiteFacts;
use crate::journal::Journal;
use crate::metrics::{Metrics, Pulse};
use crate::scoreboard::Scoreboard;
use crate::spec::{Limit, Site};
use crate::supervisor::{Changes, Event, Moment, Pid, Supervisor};
use adopt::Wanted;
pub use adopt::end_workers;
use backlog::Queues;
use board::Board;
use books::Books;
use clock::Clock;
use fdstore::FdStore;
use handle::Question;
use health::Checkups;
use knock::Knocks;
pub use listeners::Listeners;
use news::News;
use notices::Notices;
use output::Output;
use perform::{Hands, PULSE, patience};
use programs::Programs;
use propose::Read;
pub use reap::adopt_orphans;
use revisions::Archive;
use signals::Signals;
use spawn::Surroundings;
use state::State;
use strays::{LOOK_AGAIN, LOOKS};
pub(crate) use sys::peer_groups;
use templates::Templates;
use upgrade::{DoorDescriptors, Myself, Stock};
use wake::Wake;

/// What the loop shares with those who look.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The only clock.
    pub clock: Clock,
    /// What the loop last posted.
    pub board: Board,
    /// What happened and what workers wrote.
    pub journal: Journal,
    /// What workers counted.
    pub scoreboard: Scoreboard,
    /// Who waits at the listeners.
    pub queues: Queues,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// The loop's sign of life.
    pub pulse: Pulse,
}

/// What the loop is started with.
#[derive(Debug)]
pub struct Start {
    /// What it shares.
    pub shared: Shared,
    /// Where it is written down what goes on.
    pub state: State,
    /// What the service manager handed over.
    pub listeners: Listeners,
    /// Where workers say their notices.
    pub notify_socket: PathBuf,
    /// The socket there, if the program before this one had one.
    pub notices: Option<OwnedFd>,
    /// The daemon's own doors, to be handed on.
    pub doors: DoorDescriptors,
    /// How many descriptors a worker may have if nothing else is said.
    pub nofile: Option<Limit>,
    /// What is asked of it.
    pub questions: mpsc::Receiver<Question>,
    /// What the site says about the daemon; renewed by a reload.
    pub facts: watch::Sender<std::sync::Arc<SiteFacts>>,
    /// The configuration's file, for a reload.
    pub config: Option<PathBuf>,
    /// The configurations that were in force.
    pub archive: Archive,
}

/// The loop.
#[derive(Debug)]
pub struct Shell {
    supervisor: Supervisor,
    hands: Hands,
    shared: Shared,
    signals: Signals,
    notices: Notices,
    questions: mpsc::Receiver<Question>,
    facts: watch::Sender<std::sync::Arc<SiteFacts>>,
    config: Option<PathBuf>,
    /// Configurations that were read beside the loop.
    read: mpsc::Receiver<Read>,
    reader: mpsc::Sender<Read>,
    /// The site in force.
    site: Option<Site>,
    archive: Archive,
    /// The last apply and the revision it puts in force, until its outcome is known.
    settling: Option<(OperationId, u64)>,
    last_operation: OperationId,
    stopping: bool,
    state: State,
    doors: DoorDescriptors,
    myself: Myself,
    /// Where it is told that this process shall become the program at a path.
    become_it: mpsc::Sender<PathBuf>,
    becoming: mpsc::Receiver<PathBuf>,
    /// What the service manager kept of the daemon before this one.
    stored: Stock,
    store: FdStore,
    /// Adopted processes that have ended.
    ended: mpsc::UnboundedReceiver<(Pid, WorkerId)>,
    /// When to look again for what workers of this daemon left behind. Nothing is said of who is
    /// becoming another program; of the end of who was killed something is.
    strays: Option<Moment>,
    /// When to look for what workers of the daemon before this one left behind, and whose.
    sweep: Option<(Moment, Wanted)>,
}

impl Shell {
    /// Gets ready; nothing runs yet. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the notify socket, a signal handler or the wake-up set.
    pub fn new(start: Start) -> std::io::Result<Self> {
        let Start { shared, state, listeners, notify_socket, notices, doors, .. } = start;
        let Start { nofile, questions, facts, config, archive, .. } = start;
        let (ended_tell, ended) = mpsc::unbounded_channel();
        let (reader, read) = mpsc::channel(1);
        let notices = match notices {
            Some(socket) => Notices::handed(socket, &notify_socket)?,
            None => Notices::open(&notify_socket)?,
        };
        let (become_it, becoming) = mpsc::channel(1);
        let mut listeners = listeners;
        let (stored, names) = listeners.take_stored();
        let manager = std::env::var("NOTIFY_SOCKET").ok().filter(|_| config.is_some());
        let store = FdStore::open(manager.as_deref(), names);
        let hands = Hands {
            clock: shared.clock.clone(),
            listeners,
            wake: Wake::new()?,
            output: Output::new(shared.journal.clone(), shared.clock.clone()),
            books: Books::default(),
            scoreboard: shared.scoreboard.clone(),
            queues: shared.queues.clone(),
            journal: shared.journal.clone(),
            metrics: shared.metrics.clone(),
            surroundings: Surroundings { notify_socket, nofile },
            born: BTreeMap::new(),
            programs: Programs::default(),
            checkups: Checkups::new(shared.scoreboard.clone()),
            templates: Templates::new(),
            knocks: Knocks::new(),
            traffic: BTreeMap::new(),
            ended: ended_tell,
            exit: false,
        };
        let signals = Signals::listen()?;
        upgrade::listen_to_signals();
        let supervisor = Supervisor::default();
        let last_operation = OperationId(0);
        let (site, settling, stopping) = (None, None, false);
        Ok(Self {
            supervisor,
            hands,
            shared,
            signals,
            notices,
            questions,
            facts,
            config,
            read,
            reader,
            site,
            archive,
            settling,
            last_operation,
            stopping,
            state,
            doors,
            myself: Myself::find(),
            become_it,
            becoming,
            stored,
            store,
            ended,
            strays: None,
            sweep: None,
        })
    }

    /// The configuration's file.
    pub fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }

    /// Turns until the last worker is gone after somebody asked the daemon to leave.
    pub async fn run(mut self) {
        self.shared.pulse.beat(Clock::monotonic_ns());
        while !self.hands.exit {
            let news = self.next().await;
            let now = self.shared.clock.now();
            self.shared.pulse.beat(Clock::monotonic_ns());
            for fact in self.understand(news, now) {
                self.turn(fact, now);
            }
            if self.strays.is_some_and(|at| at <= now) {
                self.kill_strays(now);
            }
            self.sweep(now);
        }
        self.leave_nothing_behind().await;
        self.state.clear();
        self.store.forget_unclaimed();
    }

    async fn next(&mut self) -> News {
        let clock = &self.shared.clock;
        let pulse = clock.now() + PULSE;
        let sweep = self.sweep.as_ref().map(|(at, _)| *at);
        let looks = self.strays.into_iter().chain(sweep);
        let due = self.supervisor.deadline().into_iter().chain(looks).fold(pulse, Moment::min);
        let wait = due.since(clock.now());
        // In no order: a flood of one kind, notices say, must not keep the others waiting.
        tokio::select! {
            word = self.signals.next() => News::Signal(word),
            (pid, notice) = self.notices.next() => News::Notice(pid, Box::new(notice)),
            apps = self.hands.wake.arrivals() => News::Arrivals(apps),
            Some(question) = self.questions.recv() => News::Question(question),
            Some(read) = self.read.recv() => News::Read(Box::new(read)),
            outcome = self.hands.checkups.next() => News::Probed(outcome),
            worker = self.hands.knocks.next() => News::Opened(worker),
            heard = self.hands.templates.next() => News::Template(heard),
            Some((pid, worker)) = self.ended.recv() => News::Ended(pid, worker),
            Some(path) = self.becoming.recv() => News::Become(path),
            () = sleep(wait) => News::Deadline,
        }
    }

    /// Lets the core take in one fact and all that comes of it.
    fn turn(&mut self, fact: Event, now: Moment) {
        let mut facts = VecDeque::from([fact]);
        let mut changed = Changes::default();
        while let Some(fact) = facts.pop_front() {
            let is_look = matches!(fact, Event::Load { .. });
            let mut actions = self.supervisor.handle(fact, now);
            actions.sort_by_key(patience);
            let Changes { pools, operations } = self.supervisor.take_changes();
            self.hands.keep_programs(&pools, &self.supervisor);
            let ended: Vec<_> = operations.iter().filter(|one| one.ended.is_some()).collect();
            // One that is nowhere is one that nobody ever heard of: so this comes first.
            ended.iter().for_each(|operation| self.state.write_ended(operation));
            let has_ended = !ended.is_empty();
            // What a look alone changes is looked at again soon.
            if !is_look || !actions.is_empty() {
                self.write_down(&pools);
            }
            changed.pools.extend(pools);
            changed.operations.extend(operations);
            let released: Vec<_> = actions.iter().filter_map(perform::released).collect();
            for action in actions {
                facts.extend(self.hands.perform(action, &self.supervisor, now));
            }
            if !released.is_empty() {
                // Nobody keeps a listener open that was closed.
                self.write_down(&released);
            } else if has_ended {
                // By now they are counted.
                self.write_down_now();
            }
        }
        self.post(changed, now);
    }

    /// Posts what has changed.
    fn post(&mut self, changed: Changes, now: Moment) {
        let Changes { pools, operations } = changed;
        for app in pools {
            self.shared.board.post_pool(&app, self.supervisor.view(&app, now));
        }
        for operation in operations {
            self.settle(&operation);
            self.shared.board.post_operation(operation);
        }
    }

    /// Buries the dead one by one: a number that is free again may be given to a new worker, or be
    /// sent a signal, before the core has heard of the one that had it.
    fn bury(&mut self, now: Moment) {
        loop {
            // Who was forked from a template has said so before it could end.
            self.hands.hear_templates().into_iter().for_each(|fact| self.turn(fact, now));
            let Some((pid, exit)) = reap::next() else { break };
            let dead = self.hands.born.get(&pid).map(|process| process.worker);
            if let Some(fact) = self.hands.buried(pid, exit) {
                self.turn(fact, now);
            }
            let unforked = dead.map(|dead| self.hands.unforked(dead)).unwrap_or_default();
            unforked.into_iter().for_each(|fact| self.turn(fact, now));
        }
        // After the dead have been replaced: nobody waits for this.
        self.kill_strays(now);
    }

    fn kill_strays(&mut self, now: Moment) {
        let rest = self.hands.kill_strays();
        self.strays = rest.changing.then(|| now + LOOK_AGAIN);
    }

    /// The last look, or looks.
    async fn leave_nothing_behind(&self) {
        let mut looks = 1..LOOKS;
        while !self.hands.kill_strays().is_nobody() && looks.next().is_some() {
            sleep(LOOK_AGAIN).await;
        }
    }
}
