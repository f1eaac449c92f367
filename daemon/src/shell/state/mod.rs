//! The state directory: what the daemon would need to know if it were killed at this moment.
//!
//! ```text
//! control.sock.state/
//!   lock             held for as long as a daemon lives
//!   apps/blog.json   a pool that is not as a new one: its workers, processes, listeners, counts
//!   site.json        the configuration in force, and the apps that have no file of their own
//!   now.json         operations under way, how many ended, the next worker's number
//!   ended/17.json    an operation that ended, and how; the last few hundred
//!   told.json        what the last scrape was told, so that no counter goes back
//! ```
//!
//! Nothing is done to the world before it is written here that it is going to be done. Files are
//! replaced whole, and only if they differ; none is synced to disk, since processes do not survive
//! a crash of the machine either. A disk that is full or read-only is told once and stops nobody.
//! What is read is believed only if nobody else can have written it, and only in part even then:
//! `shell::adopt` looks at every process before it is taken for ours.

mod disk;
pub mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use scgi_protocol::name::{AppName, OperationId};
use serde::Serialize;

use disk::Folder;
pub use disk::LoadError;
use record::{AppLeft, Left, NowRecord, SiteRecord, ToldRecord};

use super::board::OPERATIONS_KEPT;
use crate::supervisor::OperationView;

const SITE: &str = "site.json";
const NOW: &str = "now.json";
const TOLD: &str = "told.json";
const APPS: &str = "apps";
const ENDED: &str = "ended";

/// The state directory of a living daemon.
#[derive(Debug)]
pub struct State {
    folder: Option<Folder>,
    lock: Option<Flock<File>>,
    /// What was last written, by file.
    written: BTreeMap<String, u64>,
    /// Apps that have a file, whoever wrote it.
    apps: BTreeSet<AppName>,
    /// Operations that ended and are written down.
    ended: BTreeSet<OperationId>,
    /// The last attempt to write failed, and how.
    failing: Option<String>,
}

/// Why there is no state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another daemon has it.
    #[error("another scgid holds `{}`; it answers at the same control socket", .0.display())]
    Taken(PathBuf),
    /// It cannot be made, or is not ours.
    #[error("cannot use the state directory `{}`", path.display())]
    Unusable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
}

/// What was found of a daemon that is no more.
#[derive(Debug)]
pub struct Found {
    /// What it left, if enough of it can be believed.
    pub left: Option<Box<Left>>,
    /// What of it was refused, and why.
    pub refused: Vec<String>,
}

impl State {
    /// Takes the directory at `path` for this daemon's own, and makes it if need be.
    ///
    /// # Errors
    ///
    /// [`StateError::Taken`] if another daemon lives, [`StateError::Unusable`] if the directory is
    /// not to be had.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
        let folder = Folder::open(path).map_err(unusable)?;
        let lock = folder.lock_file().map_err(unusable)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| StateError::Taken(path.to_owned()))?;
        Ok(Self::of(folder, lock))
    }

    /// The directory at `path`, whose `lock` the program before this one held.
    ///
    /// # Errors
    ///
    /// As [`State::open`].
    pub fn handed(path: &Path, lock: OwnedFd) -> Result<Self, StateError> {
        let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
        let folder = Folder::open(path).map_err(unusable)?;
        let lock = Flock::lock(File::from(lock), FlockArg::LockExclusiveNonblock)
            .map_err(|_| StateError::Taken(path.to_owned()))?;
        Ok(Self::of(folder, lock))
    }

    /// The directory at `path` and what is in it, if a daemon left it that was configured from the
    /// file `config` and is no more. Nothing is made.
    pub fn of_dead(path: &Path, config: &Path) -> Option<(Self, Box<Left>)> {
        path.join(SITE).symlink_metadata().ok()?;
        let state = Self::open(path).ok()?;
        let left = state.find().left?;
        let is_its = left.site.config.as_deref() == std::path::absolute(config).ok().as_deref();
        is_its.then_some((state, left))
    }

    fn of(folder: Folder, lock: Flock<File>) -> Self {
        let names = folder.names(ENDED);
        let ended = names.iter().filter_map(|name| ended_id(name)).collect();
        let apps = folder.names(APPS).iter().filter_map(|name| app_of(name)).collect();
        Self { folder: Some(folder), lock: Some(lock), apps, ended, ..Self::none() }
    }

    /// No directory: nothing is written, and nobody will be able to take over.
    pub fn none() -> Self {
        let (written, apps, ended) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { folder: None, lock: None, written, apps, ended, failing: None }
    }

    /// The descriptor that holds the directory.
    pub fn lock(&self) -> Option<&File> {
        self.lock.as_deref()
    }

    /// Reads what the daemon before left.
    pub fn find(&self) -> Found {
        let mut found = Found { left: None, refused: Vec::new() };
        let Some(folder) = &self.folder else { return found };
        if !folder.has(SITE) {
            return found;
        }
        match read_all(folder, &mut found.refused) {
            Ok(left) => found.left = Some(Box::new(left)),
            Err(why) => found.refused.push(why.to_string()),
        }
        found
    }

    /// Writes down an app, or that there is nothing to be known of it.
    pub fn write_app(&mut self, app: &AppName, record: Option<&impl Serialize>) {
        match record {
            Some(record) => {
                self.apps.insert(app.clone());
                self.write(&app_name(app), record);
            }
            // Most apps never had a file.
            None if self.apps.contains(app) => self.forget_app(app),
            None => {}
        }
    }

    /// Forgets all apps: what is there is of a daemon that nobody takes over from.
    pub fn forget_apps(&mut self) {
        self.apps.clone().iter().for_each(|app| self.forget_app(app));
    }

    /// Writes down the configuration in force.
    pub fn write_site(&mut self, site: &SiteRecord) {
        self.write(SITE, site);
    }

    /// Writes down what is under way.
    pub fn write_now(&mut self, now: &NowRecord) {
        self.write(NOW, now);
    }

    /// Writes down an operation that has ended; of too many the first is forgotten.
    pub fn write_ended(&mut self, operation: &OperationView) {
        let Some(folder) = &self.folder else { return };
        let bytes = serde_json::to_vec(operation).map_err(io::Error::from);
        let done = bytes.and_then(|bytes| folder.write(&ended_name(operation.id), &bytes));
        self.ended.insert(operation.id);
        self.outcome(done);
        self.forget_ended(OPERATIONS_KEPT);
    }

    /// Forgets operations that ended, all but the last `most`.
    pub fn forget_ended(&mut self, most: usize) {
        let Some(folder) = &self.folder else { return };
        while self.ended.len() > most
            && let Some(first) = self.ended.pop_first()
        {
            // One that stays is shown a little longer than the others.
            let _ = folder.remove(&ended_name(first));
        }
    }

    /// Where a scrape writes down what it told.
    pub fn told_file(&self) -> Option<ToldFile> {
        self.folder.clone().map(ToldFile)
    }

    /// Why nothing can be written down at the moment.
    pub fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// Forgets everything: there is nothing left to take over.
    pub fn clear(&mut self) {
        self.written.clear();
        if let Some(folder) = self.folder.take() {
            folder.remove_all();
        }
    }

    fn write(&mut self, name: &str, value: &impl Serialize) {
        let Some(folder) = &self.folder else { return };
        let done = serde_json::to_vec(value).map_err(io::Error::from).and_then(|bytes| {
            let mark = mark(&bytes);
            if self.written.get(name) != Some(&mark) {
                folder.write(name, &bytes)?;
                self.written.insert(name.to_owned(), mark);
            }
            Ok(())
        });
        self.outcome(done);
    }

    fn forget_app(&mut self, app: &AppName) {
        let Some(folder) = &self.folder else { return };
        let name = app_name(app);
        let done = folder.remove(&name);
        if done.is_ok() {
            self.written.remove(&name);
            self.apps.remove(app);
        }
        self.outcome(done);
    }

    /// Tells once that nothing can be written down, and once that it can be again.
    fn outcome(&mut self, done: io::Result<()>) {
        match (done, &self.failing) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => {
                self.failing = None;
                tracing::info!("state is written down again");
            }
            (Err(error), None) => {
                self.failing = Some(error.to_string());
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "state not written down; a crash of scgid would cost more");
            }
        }
    }
}

fn mark(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Where a scrape writes down what it told.
#[derive(Clone, Debug)]
pub struct ToldFile(Folder);

impl ToldFile {
    /// Writes it down. A failure is not told: the loop's own are.
    pub fn write(&self, told: &ToldRecord) {
        let bytes = serde_json::to_vec(told).map_err(io::Error::from);
        let _whether_it_could_be = bytes.and_then(|bytes| self.0.write(TOLD, &bytes));
    }
}

fn read_all(folder: &Folder, refused: &mut Vec<String>) -> Result<Left, LoadError> {
    let site: SiteRecord = folder.read(SITE)?;
    site.check()?;
    let now: NowRecord = folder.read(NOW)?;
    let told = folder.read(TOLD).unwrap_or_default();
    let mut apps = BTreeMap::new();
    for name in folder.names(APPS) {
        let Some(app) = app_of(&name) else { continue };
        match folder.read::<AppLeft>(&format!("{APPS}/{name}")) {
            Ok(record) => match record.pool.check(&app) {
                Ok(()) => drop(apps.insert(app, record)),
                Err(why) => refused.push(why),
            },
            Err(error) => refused.push(error.to_string()),
        }
    }
    let ended = read_ended(folder, refused);
    Ok(Left { site, now, told, apps, ended, events: Vec::new() })
}

/// The operations that had ended, oldest first.
fn read_ended(folder: &Folder, refused: &mut Vec<String>) -> Vec<OperationView> {
    let names = folder.names(ENDED);
    let mut ids: Vec<_> = names.iter().filter_map(|name| ended_id(name)).collect();
    ids.sort_unstable();
    let mut ended = Vec::new();
    for id in ids.into_iter().rev().take(OPERATIONS_KEPT).rev() {
        match folder.read::<OperationView>(&ended_name(id)) {
            Ok(view) if view.id == id && view.ended.is_some() => ended.push(view),
            Ok(_) => refused.push(format!("operation {id} cannot have ended so")),
            Err(error) => refused.push(error.to_string()),
        }
    }
    ended
}

/// The file of an app.
fn app_name(app: &AppName) -> String {
    format!("{APPS}/{app}.json")
}

/// Whose file it is.
fn app_of(name: &str) -> Option<AppName> {
    name.strip_suffix(".json")?.parse().ok()
}

/// The file of an operation that ended.
fn ended_name(id: OperationId) -> String {
    format!("{ENDED}/{id}.json")
}

/// Whose file it is.
fn ended_id(name: &str) -> Option<OperationId> {
    name.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests;
