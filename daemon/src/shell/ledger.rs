//! Writes down what the daemon is about to do, before it does it.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use scgi_protocol::name::AppName;

use super::Shell;
use super::fdstore;
use super::perform::Hands;
use super::state::record::{AppRecord, FORMAT, NowRecord, SiteRecord, boot_id};
use crate::supervisor::{Pid, Pool, Supervisor};

impl Shell {
    /// Writes down the `apps` as they are, and what is under way.
    ///
    /// The apps come first: an operation whose app does not know of it yet would be taken for done.
    pub(super) fn write_down<'a>(&mut self, apps: impl IntoIterator<Item = &'a AppName>) {
        for app in apps {
            let record = record(&self.supervisor, &self.hands, app);
            // One that is as a new one would be has nothing to be remembered, unless a listener of
            // it is kept where it outlives all.
            let kept = self.store.is_there();
            let record = record.filter(|r| kept || !r.pool.is_fresh() || r.score.starts > 0);
            self.state.write_app(app, record.as_ref());
            if kept {
                self.store.keep(app, &to_store(&self.hands, app, record.as_ref()));
            }
        }
        self.write_down_now();
    }

    /// Writes down what is under way.
    pub(super) fn write_down_now(&mut self) {
        let now = self.now_record();
        self.state.write_now(&now);
    }

    /// Writes down the configuration in force.
    pub(super) fn write_down_site(&mut self) {
        let record = self.site_record();
        self.state.write_site(&record);
    }

    /// An app as it is written down.
    pub(super) fn app_record(&self, app: &AppName) -> Option<AppRecord<&Pool>> {
        record(&self.supervisor, &self.hands, app)
    }

    /// What is under way.
    pub(super) fn now_record(&self) -> NowRecord {
        let (memory, last_operation) = (self.supervisor.memory(), self.last_operation);
        NowRecord { memory, last_operation, ends: self.shared.metrics.ends() }
    }

    /// The configuration in force.
    ///
    /// # Panics
    ///
    /// If no site is in force yet.
    pub(super) fn site_record(&self) -> SiteRecord {
        let site = self.site.as_ref().expect("a site is in force before anything is written down");
        let apps = self.supervisor.specs();
        SiteRecord {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot_id(),
            clock_ns: self.shared.clock.start_monotonic_ns(),
            daemon: Pid::try_from(std::process::id()).unwrap_or(0),
            notify_socket: self.hands.surroundings.notify_socket.clone(),
            config: self.facts.borrow().config.as_ref().map(Into::into),
            text: self.facts.borrow().text.clone(),
            origin: self.facts.borrow().origin.clone(),
            revision: self.archive.in_force(),
            revisions: site.revisions.clone(),
            control: site.control.clone(),
            metrics: site.metrics.clone(),
            apps: apps.map(|(app, spec)| (app.clone(), (**spec).clone())).collect(),
        }
    }
}

/// What of an app is put into the service manager's store.
fn to_store<'a>(
    hands: &'a Hands,
    app: &AppName,
    record: Option<&AppRecord<&Pool>>,
) -> BTreeMap<String, BorrowedFd<'a>> {
    let is_known = record.is_some();
    let processes = record.map(|record| record.processes.clone()).unwrap_or_default().into_iter();
    let workers = processes.filter_map(|process| {
        let pipes = hands.output.pipes(process.worker)?;
        Some(fdstore::worker_names(process.worker).into_iter().zip(pipes))
    });
    let listeners = is_known.then(|| hands.listeners.to_store(app)).into_iter().flatten();
    let book = hands.books.of(app).filter(|_| is_known);
    let book = book.map(|book| (fdstore::book_name(hands.books.inode(app)), book));
    listeners.chain(book).chain(workers.flatten()).collect()
}

/// An app as it is written down; `None` if there is none.
fn record<'a>(core: &'a Supervisor, hands: &Hands, app: &AppName) -> Option<AppRecord<&'a Pool>> {
    let score = hands.scoreboard.score(app);
    let pool = core.pool(app)?;
    let processes = pool.staff().filter_map(|worker| {
        let process = hands.born.get(&worker.pid()?)?;
        (process.worker == worker.id()).then_some(process.record)
    });
    Some(AppRecord {
        pool,
        processes: processes.collect(),
        book: hands.books.inode(app),
        listeners: hands.listeners.records(app),
        score,
        tally: hands.metrics.tally(app),
        programs: hands.programs.records(app),
    })
}
