//! Takes a site over: at the start, and whenever the configuration is read again.
//!
//! Everything that can fail is done first. A site that is read again is taken over only if all of
//! it is right; at the start, an app that cannot be prepared is left out and shown, and the others
//! run. It stays left out, and in nobody's way, until it is mended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use scgi_protocol::control::{AppState, ConfigProblem, Wish};
use scgi_protocol::name::AppName;

use super::Shell;
use super::asked::Answer;
use super::handle::Refusal;
use super::listeners::{Listeners, Prepared};
use crate::config::{self, Loaded, Problems};
use crate::control::{Door, SiteFacts};
use crate::spec::Site;
use crate::supervisor::Event;
use crate::words::in_words;

/// A configuration that was read beside the loop.
#[derive(Debug)]
pub(super) struct Read {
    loaded: Result<Loaded, Problems>,
    answer: Option<Answer>,
}

impl Read {
    /// Read because the daemon began, not because somebody asked.
    pub(super) fn unasked(loaded: Result<Loaded, Problems>) -> Self {
        Self { loaded, answer: None }
    }
}

/// What a site says about the daemon itself.
pub fn facts(site: &Site, config: Option<&Path>, text: String) -> Arc<SiteFacts> {
    Arc::new(SiteFacts {
        config: config.map(whole),
        text,
        metrics: site.metrics.as_ref().map(|metrics| metrics.listen.to_string()),
        door: Door::new(nix::unistd::geteuid().as_raw(), &site.control),
    })
}

/// The path of a file as it is found from anywhere.
fn whole(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.display().to_string()
}

/// The text of a configuration: the file, and after it each one it includes.
pub fn text(loaded: &Loaded) -> String {
    let texts: Vec<_> = loaded.sources.texts().map(|(_, text)| text).collect();
    texts.join("---\n")
}

impl Shell {
    /// Takes over the site the daemon starts with. What cannot be prepared is left out.
    pub fn begin(&mut self, loaded: Loaded) {
        let mut ready = Ready::new(loaded);
        for (app, problem) in ready.open(&self.hands.listeners, |_| true) {
            ready.leave_out(app, &[problem]);
        }
        self.take_over(ready);
    }

    /// Reads the configuration again, beside the loop: a file system or a directory of users may
    /// keep it waiting.
    pub(super) fn read_config(&mut self, answer: Option<Answer>) {
        let Some(path) = self.config.clone() else {
            let why = "this site was not read from a file; there is nothing to read again";
            return refuse(answer, Refusal::Senseless(why.to_owned()));
        };
        if let Some(other) = self.supervisor.applying() {
            return refuse(answer, Refusal::Conflict(other));
        }
        self.shared.board.post_read_begun();
        let reader = self.reader.clone();
        tokio::task::spawn_blocking(move || {
            let loaded = config::load(&path);
            // The loop is gone only if the daemon is.
            let _ = reader.blocking_send(Read { loaded, answer });
        });
    }

    /// Takes over a configuration that was read again, or refuses it as a whole.
    pub(super) fn has_read(&mut self, read: Read) {
        let Read { loaded, answer } = read;
        match loaded.map_err(|problems| problems.list()).and_then(|loaded| self.prepare(loaded)) {
            Err(problems) => {
                self.shared.metrics.reload_failed();
                refuse(answer, Refusal::InvalidConfig(problems));
            }
            Ok(ready) => {
                let text = text(&ready.loaded);
                self.facts.send_replace(facts(&ready.loaded.site, self.config.as_deref(), text));
                self.shared.metrics.reload_succeeded(self.shared.clock.wall_now());
                self.take_over(ready);
                // Who asked may have gone.
                answer.map(|answer| answer.send(Ok(self.last_operation)));
            }
        }
        self.shared.board.post_read_ended();
    }

    /// Opens what a site needs beside what is open. Stopped apps keep their listeners closed.
    ///
    /// An app that could not be prepared before and cannot be now stays as it is: what is wrong
    /// with it must not keep the others from what they need.
    fn prepare(&self, loaded: Loaded) -> Result<Ready, Vec<ConfigProblem>> {
        let was_unprepared = |app: &AppName| {
            let view = self.shared.board.pool(app);
            view.is_some_and(|view| view.state == AppState::Unprepared)
        };
        let mut problems = self.fixed(&loaded);
        if !loaded.unprepared.keys().all(was_unprepared) {
            problems.extend(loaded.unprepared.values().flatten().cloned());
        }
        let mut ready = Ready::new(loaded);
        let runs = |app: &AppName| self.supervisor.wish(app) != Some(Wish::Stop);
        for (app, problem) in ready.open(&self.hands.listeners, runs) {
            if was_unprepared(&app) {
                ready.leave_out(app, &[problem]);
            } else {
                problems.push(problem);
            }
        }
        if problems.is_empty() { Ok(ready) } else { Err(problems) }
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
        ];
        let changed = fixed.into_iter().filter(|(changed, _)| *changed);
        let tell = |path| {
            loaded.sources.problem(path, "a running daemon cannot change this", restart.clone())
        };
        changed.map(|(_, path)| tell(path)).collect()
    }

    fn take_over(&mut self, ready: Ready) {
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
        self.turn(Event::Apply { apps, unprepared, operation }, self.shared.clock.now());
        self.write_down_site();
    }
}

/// A site with all that it needs at hand.
#[derive(Debug)]
struct Ready {
    loaded: Loaded,
    prepared: Vec<Prepared>,
    /// The apps that are left out, and why.
    unprepared: BTreeMap<AppName, String>,
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
    ) -> Vec<(AppName, ConfigProblem)> {
        let mut problems = Vec::new();
        for (app, spec) in self.loaded.site.apps.iter().filter(|(app, _)| wanted(app)) {
            match listeners.prepare(spec) {
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

fn refuse(answer: Option<Answer>, refusal: Refusal) {
    match answer {
        // Who asked may have gone.
        Some(answer) => drop(answer.send(Err(refusal))),
        None => log(&refusal),
    }
}

/// A refusal that nobody waits for: the configuration was asked for by a signal.
fn log(refusal: &Refusal) {
    if let Refusal::InvalidConfig(problems) = refusal {
        for ConfigProblem { place, path, message, hint, .. } in problems {
            let place = place.as_ref().map(|at| format!("{}:{}:{}", at.file, at.line, at.column));
            tracing::error!(place, path, message, hint, "problem in the configuration");
        }
    }
    let error = refusal as &dyn std::error::Error;
    tracing::error!(error, "configuration not taken over; nothing has changed");
}

/// Why an app cannot be prepared, in one sentence.
fn sentence(problems: &[ConfigProblem]) -> String {
    let told = |problem: &ConfigProblem| match &problem.place {
        Some(place) => format!("{} ({}:{})", problem.message, place.file, place.line),
        None => problem.message.clone(),
    };
    problems.iter().map(told).collect::<Vec<_>>().join("; ")
}
