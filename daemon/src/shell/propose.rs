//! What becomes of a configuration that somebody proposes: read beside the loop, prepared as a
//! whole, then taken over, or only held against what is in force.
//!
//! ```text
//! file, text, revision ──read (a thread)──▶ loop: prepare ──▶ plan: told, and all is undone
//!                                                         └─▶ apply: remembered, taken over
//! ```
//!
//! Both ways are one way up to the end, so that a plan cannot promise what an apply would refuse.

use std::path::Path;

use scgi_protocol::control::{Author, ConfigProblem, Origin, Plan};
use scgi_protocol::name::OperationId;

use super::Shell;
use super::handle::{Answer, Proposal, Refusal, Source};
use super::reload::whole;
use super::revisions::Archive;
use crate::config::{self, Loaded, Problems};

/// What a configuration is proposed for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To be in force.
    Apply {
        /// Who wants it.
        by: Author,
        /// Who wants to know; `None` if it was asked for by a signal.
        answer: Option<Answer<OperationId>>,
    },
    /// To see what it would change.
    Plan(Answer<Plan>),
}

impl Purpose {
    /// Somebody wants another configuration in force: it did not just come with the daemon.
    fn is_asked_for(&self) -> bool {
        matches!(self, Self::Apply { by, .. } if *by != Author::Start)
    }
}

/// A configuration that was read beside the loop.
#[derive(Debug)]
pub(super) struct Read {
    read: Result<(Loaded, Origin), Refusal>,
    expected: Option<String>,
    purpose: Purpose,
}

impl Read {
    /// The daemon's own file, read because the daemon began and not because somebody asked.
    pub(super) fn unasked(loaded: Result<Loaded, Problems>, origin: Origin) -> Self {
        let read = loaded.map(|loaded| (loaded, origin));
        Self {
            read: read.map_err(|problems| Refusal::InvalidConfig(problems.list())),
            expected: None,
            purpose: Purpose::Apply { by: Author::Start, answer: None },
        }
    }
}

impl Shell {
    /// Reads a configuration, beside the loop: a file system or a directory of users may keep it
    /// waiting.
    pub(super) fn propose(&self, proposal: Proposal, purpose: Purpose) {
        let Proposal { source, expected } = proposal;
        let refused = self.timely(&purpose).and_then(|()| self.is_expected(expected.as_deref()));
        if let Err(refusal) = refused {
            return refuse(purpose, refusal);
        }
        if purpose.is_asked_for() {
            self.shared.board.post_read_begun();
        }
        let (reader, archive, config) =
            (self.reader.clone(), self.archive.clone(), self.config.clone());
        tokio::task::spawn_blocking(move || {
            let read = read(source, config.as_deref(), &archive);
            // The loop is gone only if the daemon is.
            let _ = reader.blocking_send(Read { read, expected, purpose });
        });
    }

    /// Takes a configuration that was read as it was meant, or refuses it as a whole.
    pub(super) fn has_read(&mut self, read: Read) {
        let Read { read, expected, purpose } = read;
        let asked_for = purpose.is_asked_for();
        // Much may have happened while it was read.
        let timely = self.timely(&purpose).and_then(|()| self.is_expected(expected.as_deref()));
        let ready = timely.and(read).and_then(|(loaded, origin)| {
            Ok((self.prepare(loaded).map_err(Refusal::InvalidConfig)?, origin))
        });
        match (ready, purpose) {
            (Err(refusal), purpose) => {
                if let (Refusal::InvalidConfig(_), Purpose::Apply { .. }) = (&refusal, &purpose) {
                    self.shared.metrics.reload_failed();
                }
                refuse(purpose, refusal);
            }
            // Who asked may have gone. What was opened for the plan is closed again.
            (Ok((ready, _)), Purpose::Plan(answer)) => drop(answer.send(Ok(self.plan(&ready)))),
            (Ok((ready, origin)), Purpose::Apply { by, answer }) => {
                self.shared.metrics.reload_succeeded(self.shared.clock.wall_now());
                self.put_in_force(ready, by, origin);
                // Who asked may have gone.
                answer.map(|answer| answer.send(Ok(self.last_operation)));
            }
        }
        if asked_for {
            self.shared.board.post_read_ended();
        }
    }

    /// One apply at a time, and none when the daemon leaves. What was under way when the daemon
    /// before ended is none of anybody's who could be told to wait.
    fn timely(&self, purpose: &Purpose) -> Result<(), Refusal> {
        match (purpose, self.supervisor.applying()) {
            (Purpose::Apply { .. }, _) if self.stopping => Err(Refusal::Stopping),
            (Purpose::Apply { by: Author::Start, .. }, _) => Ok(()),
            (Purpose::Apply { .. }, Some(other)) => Err(Refusal::Conflict(other)),
            (Purpose::Apply { .. }, None) | (Purpose::Plan(_), _) => Ok(()),
        }
    }

    fn is_expected(&self, expected: Option<&str>) -> Result<(), Refusal> {
        let facts = self.facts.borrow();
        match expected.is_none_or(|tags| facts.is_tagged(tags)) {
            true => Ok(()),
            false => Err(Refusal::Changed(facts.tag.clone())),
        }
    }
}

/// Reads a configuration from wherever it is.
fn read(
    source: Source,
    config: Option<&Path>,
    archive: &Archive,
) -> Result<(Loaded, Origin), Refusal> {
    let wrong = |problems: Problems| Refusal::InvalidConfig(problems.list());
    match source {
        Source::Configured => {
            let path = config.ok_or_else(|| {
                let why = "this site was not read from a file; there is nothing to read again";
                Refusal::Senseless(why.to_owned())
            })?;
            Ok((config::load(path).map_err(wrong)?, Origin::File(whole(path))))
        }
        Source::Text { name, text } => {
            let own = config.map(whole);
            let folder = own.as_ref().and_then(|own| Path::new(own).parent());
            let folder = folder.unwrap_or_else(|| Path::new("/"));
            let loaded = config::load_sent(&name, folder, &text).map_err(wrong)?;
            let is_own = own.as_ref() == Some(&name);
            Ok((loaded, if is_own { Origin::File(name) } else { Origin::Text(name) }))
        }
        Source::Revision(number) => {
            let number = archive.choose(number)?;
            let texts = archive.texts(number)?;
            Ok((config::load_kept(&texts).map_err(wrong)?, Origin::Rollback(number)))
        }
    }
}

fn refuse(purpose: Purpose, refusal: Refusal) {
    match purpose {
        // Who asked may have gone.
        Purpose::Apply { answer: Some(answer), by: _ } => drop(answer.send(Err(refusal))),
        Purpose::Plan(answer) => drop(answer.send(Err(refusal))),
        Purpose::Apply { answer: None, by: _ } => log(&refusal),
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
