//! Takes a site over: at the start, and whenever another one is wanted.
//!
//! Everything that can fail is done first. A site that is wanted later is taken over only if all of
//! it is right; at the start, an app that cannot be prepared is left out and shown, and the others
//! run. It stays left out, and in nobody's way, until it is mended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use scgi_protocol::control::{
    AppState, Author, ConfigProblem, OperationState, Origin, Outcome, Wish,
};
use scgi_protocol::name::AppName;

use super::Shell;
use super::listeners::{GivenUp, Listeners, Prepared};
use super::revisions::{self, Fresh};
use crate::config::Loaded;
use crate::control::{Door, SiteFacts};
use crate::digest::Digest;
use crate::spec::{AppSpec, Change, ListenAt, Site};
use crate::supervisor::{Event, OperationView};
use crate::words::in_words;

/// What a site says about the daemon itself; its text, and where that came from if not from the
/// daemon's own file.
pub fn facts(
    site: &Site,
    config: Option<&Path>,
    (text, origin): (String, Option<Origin>),
) -> Arc<SiteFacts> {
    let Site { control, metrics, .. } = site;
    Arc::new(SiteFacts {
        config: config.map(whole),
        tag: format!("\"{}\"", Digest::of(&text)),
        text,
        origin,
        metrics: metrics.as_ref().map(|metrics| metrics.listen.to_string()),
        door: Door::new(nix::unistd::geteuid().as_raw(), control),
    })
}

/// The path of a file as it is found from anywhere.
pub(super) fn whole(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.display().to_string()
}

impl Shell {
    /// Takes over the site the daemon starts with. What cannot be prepared is left out.
    pub fn begin(&mut self, loaded: Loaded) {
        // Whatever is left of another daemon had numbers that are given again.
        self.state.forget_ended(0);
        let mut ready = Ready::new(loaded);
        for (app, problem) in ready.open(&self.hands.listeners, |_| true, &GivenUp::new()) {
            ready.leave_out(app, &[problem]);
        }
        let origin = self.configured();
        self.put_in_force(ready, Author::Start, origin);
    }

    /// The daemon's own file as the origin of a site; a name in its place if there is none.
    pub(super) fn configured(&self) -> Origin {
        match &self.config {
            Some(path) => Origin::File(whole(path)),
            None => Origin::Text("demo".to_owned()),
        }
    }

    /// Takes a site over and remembers it.
    pub(super) fn put_in_force(&mut self, ready: Ready, by: Author, origin: Origin) {
        let at = self.shared.clock.wall_now().into();
        let apps = self.plan(&ready).changes.into_iter().map(|change| change.app).collect();
        let loaded = &ready.loaded;
        self.archive.keep(loaded.site.revisions.keep);
        let fresh = Fresh { at, by, origin: origin.clone(), apps, loaded };
        let revision = self.archive.record(fresh);
        let elsewhere = Some(origin).filter(|origin| *origin != self.configured());
        let text = (revisions::text(loaded), elsewhere);
        self.facts.send_replace(facts(&loaded.site, self.config.as_deref(), text));
        self.take_over(ready, revision);
    }

    /// Opens what a site needs beside what is open. Stopped apps keep their listeners closed.
    ///
    /// An app that could not be prepared before and cannot be now stays as it is: what is wrong
    /// with it must not keep the others from what they need.
    pub(super) fn prepare(&self, loaded: Loaded) -> Result<Ready, Vec<ConfigProblem>> {
        let was_unprepared = |app: &AppName| {
            let view = self.shared.board.pool(app);
            view.is_some_and(|view| view.state == AppState::Unprepared)
        };
        let mut problems = self.fixed(&loaded);
        problems.extend(self.occupied(&loaded));
        if !loaded.unprepared.keys().all(was_unprepared) {
            problems.extend(loaded.unprepared.values().flatten().cloned());
        }
        let mut ready = Ready::new(loaded);
        let runs = |app: &AppName| self.supervisor.wish(app) != Some(Wish::Stop);
        let given_up = self.given_up(&ready.loaded, was_unprepared);
        for (app, problem) in ready.open(&self.hands.listeners, runs, &given_up) {
            if was_unprepared(&app) {
                ready.leave_out(app, &[problem]);
            } else {
                problems.push(problem);
            }
        }
        if problems.is_empty() { Ok(ready) } else { Err(problems) }
    }

    /// The listeners that this site takes from apps which run, so that others may have them at
    /// once. Whatever an app would go on serving at, should its next generation fail, it keeps.
    fn given_up(&self, next: &Loaded, stays: impl Fn(&AppName) -> bool) -> GivenUp {
        let gives_up = |app: &AppName, at: &ListenAt| match next.site.apps.get(app) {
            None => !next.unprepared.contains_key(app),
            Some(spec) => {
                let rolls = |now: &Arc<AppSpec>| now.change_to(spec) == Change::Roll;
                spec.listen.iter().all(|listen| listen.at != *at)
                    && self.supervisor.spec(app).is_some_and(rolls)
            }
        };
        let places = self.hands.listeners.places();
        let given_up = places.filter(|(app, at)| !stays(app) && gives_up(app, at));
        given_up.map(|(app, at)| (app.clone(), at.clone())).collect()
    }

    /// What a running daemon cannot change about itself.
    fn fixed(&self, loaded: &Loaded) -> Vec<ConfigProblem> {
        let Some(now) = &self.site else { return Vec::new() };
        let next = &loaded.site;
        let restart = Some("restart scgid to change it".to_owned());
        let fixed = [
            (now.control.socket != next.control.socket, "control.socket"),
            (now.control.ownership != next.control.ownership, "control"),
            (now.metrics != next.metrics, "metrics.listen"),
            (now.revisions.directory != next.revisions.directory, "revisions.directory"),
        ];
        let changed = fixed.into_iter().filter(|(changed, _)| *changed);
        let tell = |path| {
            loaded.sources.problem(path, "a running daemon cannot change this", restart.clone())
        };
        changed.map(|(_, path)| tell(path)).collect()
    }

    /// Programs that could not make their sockets, because the daemon listens there.
    fn occupied(&self, loaded: &Loaded) -> Vec<ConfigProblem> {
        let places: BTreeMap<_, _> =
            self.hands.listeners.places().map(|(app, at)| (at, app)).collect();
        let alone = loaded.site.apps.values().filter(|spec| spec.kind.is_alone());
        let wanted = alone.filter_map(|spec| {
            let owner = spec.places().iter().find_map(|at| places.get(at).copied());
            Some((&spec.name, owner?))
        });
        let told = |(app, owner): (&AppName, &AppName)| {
            let message = format!("scgid itself listens there, for the workers of app `{owner}`");
            let hint = format!(
                "`scgictl stop {owner}` closes that socket; then apply, and `scgictl start {app}`"
            );
            let path = format!("apps.{app}.listen");
            loaded.sources.problem(&path, message, Some(hint))
        };
        wanted.map(told).collect()
    }

    /// Remembers what came of a configuration once that is known.
    pub(super) fn settle(&mut self, operation: &OperationView) {
        let outcome = match operation.state {
            OperationState::Running => return,
            OperationState::Done => Outcome::Done,
            OperationState::Failed => Outcome::Failed(operation.reason.clone().unwrap_or_default()),
        };
        if let Some((_, revision)) = self.settling.take_if(|(id, _)| *id == operation.id) {
            self.archive.settle(revision, outcome);
        }
    }

    fn take_over(&mut self, ready: Ready, revision: u64) {
        let Ready { loaded, prepared, unprepared } = ready;
        for opened in prepared {
            self.hands.listeners.install(opened);
        }
        let apps = loaded.site.apps.clone();
        for app in apps.keys() {
            self.hands.scoreboard.add_app(app);
            self.hands.relist(app);
        }
        self.site = Some(loaded.site);
        let operation = self.next_operation();
        self.settling = Some((operation, revision));
        self.turn(Event::Apply { apps, unprepared, operation }, self.shared.clock.now());
        self.write_down_site();
    }
}

/// A site with all that it needs at hand.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    prepared: Vec<Prepared>,
    /// The apps that are left out, and why.
    pub(super) unprepared: BTreeMap<AppName, String>,
}

impl Ready {
    fn new(loaded: Loaded) -> Self {
        let told = loaded.unprepared.iter();
        let unprepared = told.map(|(app, problems)| (app.clone(), sentence(problems))).collect();
        Self { loaded, prepared: Vec::new(), unprepared }
    }

    /// Opens the listeners of the apps that are `wanted` open, and returns what is wrong with the
    /// others.
    fn open(
        &mut self,
        listeners: &Listeners,
        wanted: impl Fn(&AppName) -> bool,
        given_up: &GivenUp,
    ) -> Vec<(AppName, ConfigProblem)> {
        let mut problems = Vec::new();
        for (app, spec) in self.loaded.site.apps.iter().filter(|(app, _)| wanted(app)) {
            match listeners.prepare(spec, given_up) {
                Ok(opened) => self.prepared.push(opened),
                Err(error) => {
                    let path = format!("apps.{app}.listen");
                    let problem = self.loaded.sources.problem(&path, in_words(&error), None);
                    problems.push((app.clone(), problem));
                }
            }
        }
        problems
    }

    fn leave_out(&mut self, app: AppName, problems: &[ConfigProblem]) {
        self.loaded.site.apps.remove(&app);
        self.unprepared.insert(app, sentence(problems));
    }
}

/// Why an app cannot be prepared, in one sentence.
fn sentence(problems: &[ConfigProblem]) -> String {
    let told = |problem: &ConfigProblem| match &problem.place {
        Some(place) => format!("{} ({}:{})", problem.message, place.file, place.line),
        None => problem.message.clone(),
    };
    problems.iter().map(told).collect::<Vec<_>>().join("; ")
}
