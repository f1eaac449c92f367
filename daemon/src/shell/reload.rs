//! Takes a site over: at the start, and whenever the configuration is read again.
//!
//! Everything that can fail is done first. A site that is read again is taken over only if all of
//! it is right; at the start, an app that cannot be prepared is left out and shown, and the others
//! run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use scgi_protocol::control::{ConfigProblem, Wish};
use scgi_protocol::name::AppName;

use super::Shell;
use super::asked::Answer;
use super::handle::Refusal;
use super::listeners::Prepared;
use crate::config::{self, Loaded, Problems};
use crate::control::{Door, SiteFacts};
use crate::spec::{AppSpec, Site};
use crate::supervisor::Event;
use crate::words::in_words;

/// A configuration that was read beside the loop.
#[derive(Debug)]
pub(super) struct Read {
    loaded: Result<Loaded, Problems>,
    answer: Option<Answer>,
}

/// What a site says about the daemon itself.
pub fn facts(site: &Site, config: Option<&Path>, text: String) -> Arc<SiteFacts> {
    Arc::new(SiteFacts {
        config: config.map(|path| path.display().to_string()),
        text,
        metrics: site.metrics.as_ref().map(|metrics| metrics.listen.to_string()),
        door: Door::new(nix::unistd::geteuid().as_raw(), &site.control),
    })
}

/// The text of a configuration: the file, and after it each one it includes.
pub fn text(loaded: &Loaded) -> String {
    let texts: Vec<_> = loaded.sources.texts().map(|(_, text)| text).collect();
    texts.join("---\n")
}

impl Shell {
    /// Takes over the site the daemon starts with. What cannot be prepared is left out.
    pub fn begin(&mut self, loaded: Loaded) {
        let Loaded { mut site, unprepared, sources, .. } = loaded;
        let mut unprepared: BTreeMap<_, _> =
            unprepared.into_iter().map(|(app, problems)| (app, sentence(&problems))).collect();
        let mut prepared = Vec::new();
        for (app, spec) in &site.apps {
            match self.hands.listeners.prepare(spec) {
                Ok(opened) => prepared.push(opened),
                Err(error) => {
                    let path = format!("apps.{app}.listen");
                    let problem = sources.problem(&path, in_words(&error), None);
                    unprepared.insert(app.clone(), sentence(&[problem]));
                }
            }
        }
        site.apps.retain(|app, _| !unprepared.contains_key(app));
        self.take_over(site, unprepared, prepared);
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
        let reader = self.reader.clone();
        tokio::task::spawn_blocking(move || {
            let loaded = config::load(&path).and_then(Loaded::strict);
            // The loop is gone only if the daemon is.
            let _ = reader.blocking_send(Read { loaded, answer });
        });
    }

    /// Takes over a configuration that was read again, or refuses it as a whole.
    pub(super) fn has_read(&mut self, read: Read) {
        let Read { loaded, answer } = read;
        let ready = loaded.map_err(|problems| problems.list()).and_then(|loaded| {
            let prepared = self.prepare(&loaded)?;
            Ok((loaded, prepared))
        });
        match ready {
            Err(problems) => {
                self.shared.metrics.reload_failed();
                refuse(answer, Refusal::InvalidConfig(problems));
            }
            Ok((loaded, prepared)) => {
                let text = text(&loaded);
                self.facts.send_replace(facts(&loaded.site, self.config.as_deref(), text));
                self.shared.metrics.reload_succeeded(self.shared.clock.wall_now());
                self.take_over(loaded.site, BTreeMap::new(), prepared);
                // Who asked may have gone.
                answer.map(|answer| answer.send(Ok(self.last_operation)));
            }
        }
    }

    /// Opens what a site needs beside what is open. Stopped apps keep their listeners closed.
    fn prepare(&self, loaded: &Loaded) -> Result<Vec<Prepared>, Vec<ConfigProblem>> {
        let mut problems = self.fixed(loaded);
        let mut prepared = Vec::new();
        let runs = |app: &AppName| self.supervisor.wish(app) != Some(Wish::Stop);
        for (app, spec) in loaded.site.apps.iter().filter(|(app, _)| runs(app)) {
            match self.hands.listeners.prepare(spec) {
                Ok(opened) => prepared.push(opened),
                Err(error) => {
                    let path = format!("apps.{app}.listen");
                    problems.push(loaded.sources.problem(&path, in_words(&error), None));
                }
            }
        }
        if problems.is_empty() { Ok(prepared) } else { Err(problems) }
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

    fn take_over(
        &mut self,
        site: Site,
        unprepared: BTreeMap<AppName, String>,
        prepared: Vec<Prepared>,
    ) {
        for opened in prepared {
            self.hands.listeners.install(opened);
        }
        let apps: BTreeMap<AppName, Arc<AppSpec>> = site.apps.clone();
        for app in apps.keys() {
            self.hands.scoreboard.add_app(app);
            self.hands.relist(app);
        }
        self.site = Some(site);
        let operation = self.next_operation();
        self.turn(Event::Apply { apps, unprepared, operation }, self.shared.clock.now());
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
        for ConfigProblem { path, message, hint, .. } in problems {
            tracing::error!(path, message, hint, "problem in the configuration");
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
