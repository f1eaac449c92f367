//! Writes down what the daemon is about to do, before it does it.

use std::collections::BTreeMap;

use scgi_protocol::name::AppName;

use super::Shell;
use super::state::record::{AppRecord, FORMAT, NowRecord, SiteRecord, boot_id};
use crate::supervisor::Pid;

impl Shell {
    /// Writes down the `apps` as they are, and what is under way. Those that are as new ones would
    /// be have nothing to be remembered.
    ///
    /// The apps come first: an operation whose app does not know of it yet would be taken for done.
    pub(super) fn write_down<'a>(&mut self, apps: impl IntoIterator<Item = &'a AppName>) {
        for app in apps {
            let score = self.hands.scoreboard.score(app);
            let pool = self.supervisor.pool(app).filter(|p| !p.is_fresh() || score.starts > 0);
            let record = pool.map(|pool| {
                let processes = pool.staff().filter_map(|worker| {
                    let process = self.hands.born.get(&worker.pid()?)?;
                    (process.worker == worker.id()).then_some(process.record)
                });
                AppRecord {
                    pool,
                    processes: processes.collect(),
                    listeners: self.hands.listeners.records(app),
                    score,
                    tally: self.shared.metrics.tally(app),
                }
            });
            self.state.write_app(app, record.as_ref());
        }
        let memory = self.supervisor.memory();
        self.state.write_now(&NowRecord { memory, last_operation: self.last_operation });
    }

    /// Writes down the configuration in force.
    pub(super) fn write_down_site(&mut self) {
        let Some(site) = &self.site else { return };
        let apps: BTreeMap<_, _> =
            self.supervisor.specs().map(|(app, spec)| (app.clone(), (**spec).clone())).collect();
        let record = SiteRecord {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot_id(),
            clock_ns: self.shared.clock.start_monotonic_ns(),
            daemon: Pid::try_from(std::process::id()).unwrap_or(0),
            notify_socket: self.hands.surroundings.notify_socket.clone(),
            text: self.facts.borrow().text.clone(),
            control: site.control.clone(),
            metrics: site.metrics.clone(),
            apps,
        };
        self.state.write_site(&record);
    }
}
