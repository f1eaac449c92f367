//! The configurations that were in force: which there were, what came of them, where their texts
//! are kept.
//!
//! ```text
//! loop ──record, settle──▶ index ◀──list── control
//!                            │ ▲
//!                            ▼ │
//!                     writer (a thread) ──▶ FOLDER/12.revision
//! ```
//!
//! What is known of them stands in memory; the texts are on disk alone. A folder that cannot be
//! written to is told, and stops nothing but the return to what it would have held.

mod file;
mod writer;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use scgi_protocol::control::{Author, Origin, Outcome, Revision, Revisions, Timestamp, Unreadable};
use scgi_protocol::name::AppName;

use super::handle::Refusal;
use crate::config::{Kept, Loaded};
use crate::digest::Digest;
use crate::spec::RevisionsSpec;
use crate::words::in_words;
use writer::Job;

/// How long the end of the daemon waits for the disk.
const FAREWELL: Duration = Duration::from_secs(1);

/// The configurations that were in force. Clones are handles of the same archive.
#[derive(Clone, Debug)]
pub struct Archive {
    index: Arc<RwLock<Index>>,
    folder: Option<PathBuf>,
    /// `None` if nothing can be kept.
    jobs: Option<SyncSender<Job>>,
}

/// What is known of the revisions.
#[derive(Debug, Default)]
struct Index {
    in_force: Option<u64>,
    revisions: BTreeMap<u64, Revision>,
    unreadable: Vec<Unreadable>,
    /// Why they are not kept.
    trouble: Option<String>,
    keep: u16,
}

/// A configuration that is about to be in force.
#[derive(Debug)]
pub(super) struct Fresh<'a> {
    pub(super) at: Timestamp,
    pub(super) by: Author,
    pub(super) origin: Origin,
    /// The apps it changes.
    pub(super) apps: Vec<AppName>,
    pub(super) loaded: &'a Loaded,
}

/// The text of a configuration: the file, and after it each one it includes.
pub fn text(loaded: &Loaded) -> String {
    file::whole(loaded.sources.texts().map(|(_, text)| text))
}

/// The text of a configuration that was kept.
pub fn joined(texts: &[Kept]) -> String {
    file::whole(texts.iter().map(|kept| kept.text.as_str()))
}

impl Archive {
    /// The archive of the daemon with this control socket. What cannot be read or made is told in
    /// the list.
    pub fn open(spec: &RevisionsSpec, control: &Path) -> Self {
        let own = |all: PathBuf| all.join(escaped(control));
        let folder = spec.directory.clone().or_else(usual).map(own);
        let mut index = Index { keep: spec.keep, ..Index::default() };
        let made = match &folder {
            None => Err("no folder is known; set `revisions.directory`".to_owned()),
            Some(folder) => index.scan(folder).map_err(|error| {
                format!("cannot use `{}`: {}", folder.display(), in_words(&error))
            }),
        };
        let index = Arc::new(RwLock::new(index));
        let jobs = made.and_then(|()| {
            let started = writer::start(folder.clone().unwrap_or_default(), Arc::clone(&index));
            started.map_err(|error| in_words(&error))
        });
        let jobs = jobs.map_err(|trouble| {
            tracing::warn!(error = trouble, "revisions are not kept");
            lock(&index).trouble = Some(trouble);
        });
        Self { index, folder, jobs: jobs.ok() }
    }

    /// All that is known.
    pub fn list(&self) -> Revisions {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        Revisions {
            in_force: index.in_force,
            revisions: index.revisions.values().cloned().collect(),
            unreadable: index.unreadable.clone(),
            directory: self.folder.as_ref().map(|folder| folder.display().to_string()),
            trouble: index.trouble.clone(),
        }
    }

    /// The number of the revision in force.
    pub fn in_force(&self) -> Option<u64> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).in_force
    }

    /// The daemon goes on with what was in force when the one before ended.
    pub(super) fn resume(&self, number: Option<u64>) {
        let mut index = lock(&self.index);
        index.in_force = number.filter(|number| index.revisions.contains_key(number));
    }

    /// Another configuration is in force; its number. One that is in force already, comes from the
    /// same place and changes nothing is no other.
    pub(super) fn record(&self, fresh: Fresh<'_>) -> u64 {
        let Fresh { at, by, origin, apps, loaded } = fresh;
        let digest = Digest::of(&text(loaded)).to_string();
        let mut index = lock(&self.index);
        let last = index.in_force.or_else(|| index.revisions.keys().next_back().copied());
        let known = last.and_then(|last| index.revisions.get(&last)).filter(|last| {
            let same = last.digest == digest && last.origin == origin;
            same && (apps.is_empty() || by == Author::Start)
        });
        if let Some(known) = known.map(|known| known.number) {
            index.in_force = Some(known);
            return known;
        }
        let number = index.next();
        let revision = Revision {
            number,
            at,
            by,
            origin,
            outcome: Outcome::Running,
            digest,
            apps,
            kept: false,
        };
        index.revisions.insert(number, revision.clone());
        index.in_force = Some(number);
        let surplus = index.surplus();
        drop(index);
        self.ask(Job::Write(Revision { kept: true, ..revision }, loaded.sources.kept()));
        surplus.into_iter().for_each(|number| self.ask(Job::Remove(number)));
        number
    }

    /// What came of a revision is known.
    pub(super) fn settle(&self, number: u64, outcome: Outcome) {
        let mut index = lock(&self.index);
        let Some(revision) = index.revisions.get_mut(&number) else { return };
        if revision.outcome == outcome {
            return;
        }
        revision.outcome = outcome;
        let settled = Revision { kept: true, ..revision.clone() };
        drop(index);
        self.ask(Job::Settle(settled));
    }

    /// So many are kept from the next one on.
    pub(super) fn keep(&self, keep: u16) {
        lock(&self.index).keep = keep;
    }

    /// The revision to return to: `to`, or the last before the one in force that ended well and
    /// says something else.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none, or its text was not kept.
    pub(super) fn choose(&self, to: Option<u64>) -> Result<u64, Refusal> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let trouble = index.trouble.as_ref().map_or(String::new(), |why| format!("; {why}"));
        let chosen = match to {
            Some(number) => index.revisions.get(&number).ok_or(Refusal::NoSuchRevision(number))?,
            None => index.before().ok_or_else(|| {
                let why = "there is no earlier revision that ended well to return to";
                Refusal::Senseless(format!("{why}{trouble}"))
            })?,
        };
        if chosen.kept {
            return Ok(chosen.number);
        }
        Err(Refusal::Senseless(format!("revision {} was not kept{trouble}", chosen.number)))
    }

    /// The texts of a revision. Reads the disk: not to be called on the loop.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if they cannot be read.
    pub fn texts(&self, number: u64) -> Result<Vec<Kept>, Refusal> {
        self.choose(Some(number))?;
        let folder = self.folder.as_deref().ok_or(Refusal::NoSuchRevision(number))?;
        file::texts(&file::path(folder, number)).map_err(|error| {
            let why = in_words(&error);
            Refusal::Senseless(format!("revision {number} cannot be read: {why}"))
        })
    }

    /// Waits, not for long, until all is on disk.
    pub fn close(&self) {
        let (done, is_done) = channel();
        self.ask(Job::Flush(done));
        // Whether it is done or takes too long: the daemon ends.
        let _ = is_done.recv_timeout(FAREWELL);
    }

    fn ask(&self, job: Job) {
        let Some(jobs) = &self.jobs else { return };
        if jobs.try_send(job).is_err() {
            tracing::warn!("revision not kept: the disk is too slow");
            lock(&self.index).trouble = Some("the disk is too slow".to_owned());
        }
    }
}

impl Index {
    /// Makes the folder and reads what is in it.
    fn scan(&mut self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match file::head(&path) {
                Ok(revision) => drop(self.revisions.insert(revision.number, revision)),
                // What a killed daemon was about to write.
                Err(_) if name.starts_with('.') && name.ends_with(".tmp") => {}
                Err(error) => {
                    self.unreadable.push(Unreadable { file: name, why: in_words(&error) });
                }
            }
        }
        self.unreadable.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(())
    }

    /// The number of the next revision. That of a file which cannot be read is not given again.
    fn next(&self) -> u64 {
        let stem = |one: &Unreadable| one.file.split('.').next()?.parse::<u64>().ok();
        let unreadable = self.unreadable.iter().filter_map(stem).max();
        let last = self.revisions.keys().next_back().copied().max(unreadable).unwrap_or(0);
        last.saturating_add(1)
    }

    /// The last revision before the one in force that ended well and says something else.
    fn before(&self) -> Option<&Revision> {
        let now = self.revisions.get(&self.in_force?)?;
        let earlier = self.revisions.range(..now.number).rev().map(|(_, revision)| revision);
        let mut good =
            earlier.filter(|one| one.outcome == Outcome::Done && one.digest != now.digest);
        good.next()
    }

    /// Takes out those that are too many, oldest first; never the one in force.
    fn surplus(&mut self) -> Vec<u64> {
        let too_many = self.revisions.len().saturating_sub(usize::from(self.keep));
        let others = self.revisions.keys().copied().filter(|one| Some(*one) != self.in_force);
        let surplus: Vec<u64> = others.take(too_many).collect();
        surplus.iter().for_each(|number| drop(self.revisions.remove(number)));
        surplus
    }

    /// A revision is on disk.
    fn kept(&mut self, number: u64) {
        self.trouble = None;
        if let Some(revision) = self.revisions.get_mut(&number) {
            revision.kept = true;
        }
    }
}

fn lock(index: &RwLock<Index>) -> RwLockWriteGuard<'_, Index> {
    index.write().unwrap_or_else(PoisonError::into_inner)
}

/// The folder for all daemons unless the configuration names another: the one the service manager
/// gave us, root's, or the user's own.
fn usual() -> Option<PathBuf> {
    let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || path("XDG_STATE_HOME").or_else(|| Some(path("HOME")?.join(".local/state")));
    match nix::unistd::geteuid().is_root() {
        true => Some("/var/lib/scgid/revisions".into()),
        false => path("STATE_DIRECTORY")
            .or_else(|| Some(own()?.join("scgid")))
            .map(|state| state.join("revisions")),
    }
}

/// A path as the name of one folder: `/run/scgid/control.sock` is `run-scgid-control.sock`.
fn escaped(path: &Path) -> String {
    let escape = |c: char| match c {
        '/' => "-".to_owned(),
        c if c.is_ascii_alphanumeric() || "._".contains(c) => c.to_string(),
        c => format!("%{:02x}", u32::from(c)),
    };
    let path = path.display().to_string();
    path.trim_start_matches('/').chars().map(escape).collect()
}

#[cfg(test)]
mod tests;
