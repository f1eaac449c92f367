//! Takes over what a daemon left that is no more: its workers, listeners, books and log pipes.
//!
//! ```text
//! state ─▶ each process: same number, same birth, same claim? ─▶ survivor ─▶ its descriptors
//!            └─ no: it has ended, or is left alone and told of        each what was written down?
//! ```
//!
//! Nothing is decided here: what is found out is told to the core in one fact. Nobody is sent a
//! signal, and nothing is used, that was not made sure of. What cannot be had is told in words.

mod end;
pub(in crate::shell) mod identity;
mod pages;
mod steal;
mod survivor;
mod sweep;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::{Page, State};

use super::perform::{Hands, Kind, Process};
use super::state::record::{AppLeft, ListenerRecord, ProcessRecord, ProgramRecord};
use super::upgrade::Stock;
use crate::scoreboard::Living;
use crate::spec::ListenAt;
use crate::supervisor::{Event, Exit, Pid, Pool, Role, Worker};
use crate::words::in_words;
pub use end::end_workers;
use identity::Claim;
use survivor::Absence;
pub(super) use survivor::Survivor;
pub(super) use sweep::{Wanted, sweep};

/// Takes over, app by app.
#[derive(Debug)]
pub(super) struct Heir<'a> {
    hands: &'a mut Hands,
    notify_socket: String,
    /// Descriptors that are at hand.
    stock: Stock,
    /// Processes that claim to be workers of whom no process was written down.
    claims: BTreeMap<WorkerId, Pid>,
    pub(super) outcome: Outcome,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What the core has to know.
    pub(super) facts: Vec<Event>,
    /// How many workers were taken over.
    pub(super) workers: usize,
    /// How many listeners were.
    pub(super) listeners: usize,
    /// What could not be had, and why.
    pub(super) lost: Vec<Loss>,
    /// Apps whose old workers listen at a socket that nobody reaches any more.
    pub(super) outdated: Vec<AppName>,
}

/// Something of an app that could not be had.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) app: AppName,
    /// What, and why.
    pub(super) what: String,
    /// What a person can do about it.
    pub(super) next: String,
}

/// A worker that lives, as it was written down.
type Found = (Survivor, ProcessRecord);

impl<'a> Heir<'a> {
    /// Gets ready to take over the `apps`, with the descriptors that are at hand.
    pub(super) fn new(
        hands: &'a mut Hands,
        apps: &BTreeMap<AppName, AppLeft>,
        mut stock: Stock,
    ) -> Self {
        stock.programs.drain(..).for_each(|file| hands.programs.take(file));
        let notify_socket = hands.surroundings.notify_socket.display().to_string();
        let unknown = |left: &AppLeft| left.pool.staff().any(|worker| worker.pid().is_none());
        // Looking at every process of the machine takes a while, and is rarely needed.
        let claims = match apps.values().any(unknown) {
            true => claims(&notify_socket),
            false => BTreeMap::new(),
        };
        Self { hands, notify_socket, stock, claims, outcome: Outcome::default() }
    }

    /// Takes one app over, as far as it can be had.
    pub(super) fn take(&mut self, app: &AppName, left: AppLeft) {
        let AppLeft { pool, processes, book, listeners, score, tally, programs } = left;
        let processes: BTreeMap<_, _> = processes.iter().map(|p| (p.worker, *p)).collect();
        let staff: Vec<_> = pool.staff().cloned().collect();
        let (mut found, mut dead) = (Vec::new(), Vec::new());
        for worker in &staff {
            let record = processes.get(&worker.id());
            match worker.pid() {
                Some(pid) => match self.known(app, pid, record) {
                    Ok(here) => found.push((worker, here)),
                    Err(exit) => dead.push((worker, pid, exit)),
                },
                None => {
                    let here = self.unknown(app, &pool, worker, &listeners);
                    found.extend(here.map(|here| (worker, here)));
                }
            }
        }
        let from: Vec<_> = found.iter().map(|(_, found)| found).collect();
        // A template has no listeners.
        let workers = found.iter().filter(|(worker, _)| worker.role() != Role::Template);
        let workers: Vec<_> = workers.map(|(_, found)| found).collect();
        self.listeners(app, &pool, listeners, &workers);
        self.programs(app, &pool, &programs, &from);
        self.book(app, book, &from);
        self.outcome.workers += found.len();
        let mut seen = Vec::new();
        for (worker, found) in found {
            seen.push(self.seat(&pool, worker, found));
        }
        for (worker, pid, exit) in dead {
            let left = self.last_page(app, worker.id(), processes.get(&worker.id()));
            let counted = left.as_ref().map(|page| page.report().ended);
            let told = || score.living.get(&worker.id()).map(|report| report.ended);
            let served = counted.or_else(told).filter(|requests| *requests > 0);
            self.outcome.facts.push(Event::Exited {
                pid,
                exit,
                served,
                words: None,
                said: Vec::new(),
            });
            // The core has it forgotten, and its numbers go to the totals as those of any dead do.
            seen.extend(left.map(|page| living(&pool, worker, page)));
        }
        self.hands.scoreboard.resume(app, score, seen);
        self.hands.metrics.resume(app, tally);
        self.hands.relist(app);
    }

    /// A worker whose process was written down; how it ended if it is no more.
    fn known(
        &mut self,
        app: &AppName,
        pid: Pid,
        record: Option<&ProcessRecord>,
    ) -> Result<Found, Exit> {
        let record = record.filter(|record| record.pid == pid).ok_or(Exit::Unknown)?;
        let survivor = match self.stock.children.contains(&pid) {
            // Its number is its own until this process buries it.
            true => Survivor::open(pid).ok_or(Absence::Replaced),
            false => Survivor::find(record, app, &self.notify_socket),
        };
        match survivor {
            Ok(survivor) => Ok((survivor, *record)),
            Err(Absence::Ended(exit)) => Err(exit),
            Err(Absence::Replaced) => Err(Exit::Unknown),
            Err(Absence::Doubtful(why)) => {
                let next = "look at the process, and end it if it is one of the app's";
                self.lose_with(app, format!("{why}; it is left alone"), next.to_owned());
                Err(Exit::Unknown)
            }
        }
    }

    /// A worker that was being started when the daemon ended.
    fn unknown(
        &mut self,
        app: &AppName,
        pool: &Pool,
        worker: &Worker,
        listeners: &[ListenerRecord],
    ) -> Option<Found> {
        let id = worker.id();
        let claimed = self.claims.get(&id).and_then(|pid| {
            let survivor = Survivor::claimed(*pid, (app, id), &self.notify_socket)?;
            // Anybody can claim to be one; a listener of ours nobody else has.
            let first = survivor.descriptor(0).ok()?;
            listeners.iter().find(|known| steal::is_listener(&first, known).is_ok())?;
            let spec = pool.spec_of(worker.generation());
            let listeners = u16::try_from(spec.listen.len()).unwrap_or(u16::MAX);
            let record = steal::discover(&survivor, id, listeners);
            Some((survivor, record))
        });
        self.outcome.facts.push(match &claimed {
            Some((survivor, _)) => Event::Spawned { worker: id, pid: survivor.pid() },
            None => Event::Lost { worker: id },
        });
        claimed
    }

    /// Gets the listeners of an app back.
    fn listeners(
        &mut self,
        app: &AppName,
        pool: &Pool,
        records: Vec<ListenerRecord>,
        from: &[&Found],
    ) {
        for record in records {
            if !pool.open().contains(&record.spec) {
                // It was to be closed: what is left of it is its file.
                if let (ListenAt::Address(address), Some(file)) = (&record.spec.at, record.file) {
                    super::bind::forget_file(address, file);
                }
                continue;
            }
            let had = match self.hands.listeners.is_superseded(&record) {
                true => Err("the service manager has opened another one".to_owned()),
                false => self.listener(&record, from),
            };
            match had {
                Ok(fd) => {
                    self.outcome.listeners += 1;
                    self.hands.listeners.take_back(app, record, fd, from.len());
                }
                // Nobody serves there: it is opened anew, as on the first day.
                Err(_) if from.is_empty() => {}
                Err(why) => self.lost_listener(app, &record, &why),
            }
        }
    }

    fn listener(&mut self, record: &ListenerRecord, from: &[&Found]) -> Result<OwnedFd, String> {
        if let Some(fd) = self.stock.socket(&record.socket) {
            return steal::is_listener(&fd, record).map(|()| fd);
        }
        let mut why = "no worker has it".to_owned();
        for (survivor, process) in from {
            match steal::listener(survivor, process.listeners, record) {
                Ok(fd) => return Ok(fd),
                Err(wrong) => why = wrong,
            }
        }
        Err(why)
    }

    fn lost_listener(&mut self, app: &AppName, record: &ListenerRecord, why: &str) {
        let at = &record.spec.at;
        match self.hands.listeners.replace(app, &record.spec) {
            Ok(()) => {
                self.lose(app, &format!("`{at}` is not to be had back ({why}) and was made anew"));
                self.outcome.outdated.push(app.clone());
            }
            Err(error) => {
                let next = format!(
                    "its workers serve on and cannot be replaced; `scgictl stop {app}` and `scgictl \
                     start {app}` open it anew"
                );
                self.lose_with(app, format!("{} ({why})", in_words(&error)), next);
            }
        }
    }

    /// Finds the programs again that workers come back from.
    fn programs(&mut self, app: &AppName, pool: &Pool, records: &[ProgramRecord], from: &[&Found]) {
        for generation in pool.true_to_their_program() {
            let path = &pool.spec_of(generation).launch.program;
            let known = records.iter().find(|record| record.generation == generation);
            let running = from.iter().map(|(survivor, _)| survivor.program());
            let places = || [path.clone()].into_iter().chain(running);
            let programs = &mut self.hands.programs;
            if known.is_some_and(|record| !programs.take_back(app, record, places())) {
                let path = path.display();
                self.lose(
                    app,
                    &format!(
                        "the program that generation {generation} runs is not to be had back; its \
                         workers come back from what stands at `{path}`"
                    ),
                );
            }
        }
    }

    /// Takes a living worker for ours.
    fn seat(&mut self, pool: &Pool, worker: &Worker, (survivor, mut record): Found) -> Living {
        let (spec, pid) = (pool.spec_of(worker.generation()), survivor.pid());
        let app = spec.name.clone();
        let page = self.page(&app, worker.id(), &mut record);
        if worker.awaits_ready() && page.state() == State::Accepting {
            self.outcome.facts.push(Event::Ready { pid });
        }
        if worker.awaits_ready() {
            self.hands.knocks.at_door_of(worker.id(), spec);
        }
        let [stdout, stderr] = record.pipes.map(|pipe| self.stock.file(pipe));
        let pipes = match stdout.zip(stderr) {
            Some((stdout, stderr)) => steal::both_reading(stdout, stderr),
            None => steal::pipes(&survivor, &record),
        };
        match pipes {
            Ok(pipes) => self.hands.collect(&worker.about(spec), pipes),
            Err(why) => {
                let id = worker.id();
                let what = format!("what worker {id} writes is lost, and fills its pipe: {why}");
                self.lose(&app, &what);
            }
        }
        if let Some(begun) = self.stock.begun_lines.remove(&worker.id()) {
            self.hands.output.resume(worker.id(), &begun);
        }
        let kind = match self.stock.statuses.remove(&worker.id()) {
            Some(status) => Kind::Child(Some(status.into())),
            None => self.adopt(&app, worker.id(), survivor),
        };
        self.hands.born.insert(pid, Process { worker: worker.id(), kind, record });
        living(pool, worker, page)
    }

    fn adopt(&mut self, app: &AppName, worker: WorkerId, survivor: Survivor) -> Kind {
        if let Err(error) = survivor.watch(worker, self.hands.ended.clone()) {
            self.lose(app, &format!("worker {worker} cannot be watched: {error}"));
        }
        Kind::Adopted(survivor)
    }

    fn lose(&mut self, app: &AppName, what: &str) {
        let next = format!("`scgictl reload {app}` replaces its workers by others that are whole");
        self.lose_with(app, what.to_owned(), next);
    }

    fn lose_with(&mut self, app: &AppName, what: String, next: String) {
        self.outcome.lost.push(Loss { app: app.clone(), what, next });
    }
}

fn living(pool: &Pool, worker: &Worker, page: Page) -> Living {
    Living {
        worker: worker.id(),
        seat: worker.seat(),
        page: Arc::new(page),
        concurrency: pool.spec_of(worker.generation()).concurrency,
    }
}

/// Every process that claims to be a worker of this site, or to have been left behind by one; of
/// several the one that came first.
fn claims(notify_socket: &str) -> BTreeMap<WorkerId, Pid> {
    let mut found: BTreeMap<WorkerId, (u64, Pid)> = BTreeMap::new();
    // A worker leads its group; what it started carries its claim as well.
    for pid in identity::everybody().into_iter().filter(|pid| identity::leads_group(*pid)) {
        if let Claim::Worker(_, worker) = Claim::of(pid, notify_socket)
            && let Some(began) = identity::began(pid)
        {
            let first = found.entry(worker).or_insert((began, pid));
            *first = (began, pid).min(*first);
        }
    }
    found.into_iter().map(|(worker, (_, pid))| (worker, pid)).collect()
}
