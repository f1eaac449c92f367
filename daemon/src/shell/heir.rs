//! The loop of a daemon that goes on where another one was.

use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::control::Wish;
use scgi_protocol::name::{AppName, WorkerId};

use super::Shell;
use super::adopt::{Heir, Loss, Outcome, Wanted, sweep};
use super::listeners::GivenUp;
use super::propose::Read;
use super::reload::facts;
use super::revisions;
use super::state::record::{Left, SiteRecord, Told, ToldRecord};
use super::strays::LOOK_AGAIN;
use super::upgrade::{Baggage, Stock};
use crate::config::{Loaded, Problems};
use crate::spec::{ListenAt, Site};
use crate::supervisor::{AppOrder, Event, Moment, Order, Pid, Supervisor};
use crate::words::in_words;

/// How long after taking over, or after the end of an adopted worker, is looked for processes that
/// were left behind: one that was being started must have become the worker by then.
const SWEEP_AFTER: Duration = Duration::from_secs(1);

/// Why what was left cannot have been so, and the configuration to begin with instead.
type Unbelievable = Box<(String, Result<Loaded, Problems>)>;

impl Shell {
    /// Takes over what the daemon before left, and then the configuration as it is by now, if that
    /// is another one. What cannot be had is told; what is not believed is left alone.
    ///
    /// # Errors
    ///
    /// If what was left cannot have been so, in words; then nothing has changed.
    pub fn succeed(
        &mut self,
        left: Left,
        loaded: Result<Loaded, Problems>,
    ) -> Result<(), Unbelievable> {
        let site = left.site.clone();
        let in_force = loaded.as_ref().ok().map(|loaded| loaded.site.clone());
        let stock = std::mem::take(&mut self.stored);
        if let Err(why) = self.go_on(left, in_force.as_ref(), stock) {
            return Err(Box::new((why, loaded)));
        }
        self.catch_up(&site, loaded);
        Ok(())
    }

    /// Goes on where the program was that this process was before.
    pub fn go_on_with(&mut self, baggage: Baggage) -> Result<(), String> {
        let given_back = baggage.given_back().map(str::to_owned);
        let (left, stock) = baggage.unpack();
        self.go_on(left, None, stock)?;
        if let Some(why) = given_back {
            self.not_upgraded(&why);
        }
        // Children may have ended while nobody listened.
        self.bury(self.shared.clock.now());
        Ok(())
    }

    fn go_on(&mut self, left: Left, written: Option<&Site>, stock: Stock) -> Result<(), String> {
        let began = self.shared.clock.now();
        let Left { site, now, told, apps, ended, events } = left;
        // Whether it makes sense is found out before anything is touched.
        let pools = apps.iter().map(|(app, left)| (app.clone(), left.pool.clone())).collect();
        let fresh = site.apps.values().cloned().map(Arc::new);
        self.supervisor = Supervisor::resume(now.memory.clone(), pools, fresh, began)?;
        let last_ended = ended.last().map(|operation| operation.id).unwrap_or_default();
        let last_begun = now.last_operation.max(now.memory.last_operation());
        self.last_operation = last_begun.max(last_ended);
        let before = self.supervisor.next_worker();
        let wanted = Wanted { apps: apps.keys().cloned().collect(), before };
        let in_force = self.site_of(&site, written);
        let text = (site.text.clone(), site.origin.clone());
        self.facts.send_replace(facts(&in_force, self.config.as_deref(), text));
        self.site = Some(in_force);
        self.archive.resume(site.revision);
        self.settling = self.supervisor.applying().zip(site.revision);

        let mut heir = Heir::new(&mut self.hands, &apps, stock);
        for (app, left) in apps {
            heir.take(&app, left);
        }
        let mut outcome = heir.outcome;
        self.shared.metrics.resume_ends(&now.ends);
        self.remember_told(&told);
        self.shared.journal.resume_events(events);
        ended.into_iter().for_each(|operation| self.shared.board.post_operation(operation));
        self.open_the_rest(&mut outcome);
        let mut facts = std::mem::take(&mut outcome.facts);
        facts.extend(outcome.lost.iter().map(|Loss { app, what, next }| Event::Bereft {
            app: app.clone(),
            what: what.clone(),
            next: next.clone(),
        }));
        self.turn(Event::TookOver { facts }, began);
        for app in std::mem::take(&mut outcome.outdated) {
            let operation = self.next_operation();
            let order = Order::App { app, what: AppOrder::Reload };
            self.turn(Event::Order { order, operation, after: None }, began);
        }
        self.write_down_site();
        self.store.forget_unclaimed();
        self.sweep = Some((began + SWEEP_AFTER, wanted));
        self.tell_outcome(&outcome, began);
        Ok(())
    }

    /// The site that was in force. What it says of the daemon itself is as it is by now.
    fn site_of(&self, record: &SiteRecord, written: Option<&Site>) -> Site {
        let daemon = written.map(|site| (&site.control, &site.metrics, &site.revisions));
        let (control, metrics, revisions) =
            daemon.unwrap_or((&record.control, &record.metrics, &record.revisions));
        let (control, metrics, revisions) = (control.clone(), metrics.clone(), revisions.clone());
        Site { control, metrics, revisions, apps: self.supervisor.site() }
    }

    /// No counter falls behind what a scrape was told.
    fn remember_told(&self, told: &ToldRecord) {
        self.shared.metrics.resume_ends(&told.ends);
        for (app, Told { totals, saturated, tally, lines_dropped }) in &told.apps {
            if self.supervisor.spec(app).is_some() {
                self.hands.scoreboard.add_app(app);
                self.hands.scoreboard.raise(app, totals, *saturated);
                self.shared.metrics.resume(app, *tally);
                self.shared.journal.resume_dropped(app, *lines_dropped);
            }
        }
    }

    /// Opens the listeners that nobody held any more: those of apps without workers.
    fn open_the_rest(&mut self, outcome: &mut Outcome) {
        let specs = self.supervisor.site();
        // An app that was about to take another's place has it from there.
        let stays = |app: &AppName, at: &ListenAt| {
            specs.get(app).is_some_and(|spec| spec.listen.iter().any(|listen| listen.at == *at))
        };
        let places = self.hands.listeners.places();
        let given_up = places.filter(|(app, at)| !stays(app, at));
        let given_up: GivenUp = given_up.map(|(app, at)| (app.clone(), at.clone())).collect();
        for (app, spec) in specs {
            self.hands.scoreboard.add_app(&app);
            if self.supervisor.wish(&app) != Some(Wish::Run) {
                continue;
            }
            match self.hands.listeners.prepare(&spec, &given_up) {
                Ok(prepared) => self.hands.listeners.install(prepared),
                Err(error) => {
                    let next = format!("mend that, then `scgictl reload {app}`");
                    let (app, what) = (app.clone(), in_words(&error));
                    outcome.lost.push(Loss { app, what, next });
                }
            }
            self.hands.relist(&app);
        }
    }

    fn tell_outcome(&self, outcome: &Outcome, began: Moment) {
        let Outcome { workers, listeners, lost, .. } = outcome;
        let took_ms = self.shared.clock.now().since(began).as_millis();
        for Loss { app, what, .. } in lost {
            tracing::warn!(%app, what, "not to be had back from the daemon before this one");
        }
        let lost = lost.len();
        tracing::info!(workers, listeners, lost, took_ms, "took over from the daemon before");
    }

    /// Takes over the daemon's file as it is by now, if it is another one. Where an operator put
    /// something else in force, that is gone on with.
    fn catch_up(&mut self, site: &SiteRecord, loaded: Result<Loaded, Problems>) {
        let is_same = loaded.as_ref().is_ok_and(|loaded| revisions::text(loaded) == site.text);
        if !is_same && site.origin.is_none() {
            self.has_read(Read::unasked(loaded, self.configured()));
        }
    }

    /// An adopted process has ended.
    pub(super) fn ended(&mut self, pid: Pid, worker: WorkerId, now: Moment) -> Vec<Event> {
        if let Some((at, _)) = &mut self.sweep {
            *at = now + SWEEP_AFTER;
        }
        self.hands.ended(pid, worker).into_iter().collect()
    }

    /// Looks for what was left behind, if that is due.
    pub(super) fn sweep(&mut self, now: Moment) {
        let Some((at, wanted)) = self.sweep.as_mut().filter(|(at, _)| *at <= now) else { return };
        let living = self.hands.living();
        let notify_socket = self.hands.surroundings.notify_socket.display().to_string();
        let rest = sweep(wanted, &living, &notify_socket);
        // Otherwise not until another adopted worker ends.
        *at = if rest.changing { now + LOOK_AGAIN } else { Moment(Duration::MAX) };
    }
}
