//! The shapes of what is written down. Both sides are this program; the form (JSON) and its version
//! are nobody else's business.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::stat::fstat;
use scgi_protocol::control::{Event, Origin};
use scgi_protocol::name::{AppName, Generation, OperationId, WorkerId};
use scgi_protocol::page::Report;
use serde::{Deserialize, Serialize};

use super::disk::LoadError;
use crate::metrics::{Ends, Tally};
use crate::scoreboard::Score;
use crate::spec::{AppSpec, ControlSpec, ListenSpec, MetricsSpec, RevisionsSpec, Site};
use crate::supervisor::{Memory, OperationView, Pid, Pool};

/// The version of the form. One that cannot be read by an older daemon has another number.
pub const FORMAT: u32 = 1;

/// Where the kernel says which start of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The configuration in force, and whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// The program's version, to be told.
    pub version: String,
    /// Which start of the machine this was.
    pub boot: String,
    /// What `CLOCK_MONOTONIC` showed at the first moment, in nanoseconds.
    pub clock_ns: u64,
    /// The daemon's process.
    pub daemon: Pid,
    /// Where workers say their notices.
    pub notify_socket: PathBuf,
    /// The whole path of the file the daemon was configured from.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// The configuration as it was written.
    pub text: String,
    /// Where it came from, if not from the daemon's own file.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Its number among the configurations that were in force.
    #[serde(default)]
    pub revision: Option<u64>,
    /// Where those are kept.
    #[serde(default)]
    pub revisions: RevisionsSpec,
    /// How people talk to the daemon.
    pub control: ControlSpec,
    /// Where the metrics are.
    pub metrics: Option<MetricsSpec>,
    /// The apps; those with a file of their own are as that says.
    pub apps: BTreeMap<AppName, AppSpec>,
}

impl SiteRecord {
    /// Makes sure that the processes spoken of can still be there.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        if self.format != FORMAT {
            let (format, version) = (self.format, &self.version);
            return Err(LoadError::NotOurs(format!(
                "the state was written by scgid {version} in form {format}; this one reads \
                 {FORMAT}"
            )));
        }
        if self.boot != boot_id() {
            return Err(LoadError::NotOurs(
                "the state is from before the machine was started".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Which start of the machine this is; empty if the kernel does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

/// The number of what is behind a descriptor, by which it is known again; 0 if the kernel does not
/// say.
pub fn inode(fd: impl AsFd) -> u64 {
    fstat(fd).map_or(0, |found| found.st_ino)
}

/// What is under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NowRecord {
    /// What the core knows beside its pools.
    pub memory: Memory,
    /// The operation that was accepted last.
    pub last_operation: OperationId,
    /// How many have ended.
    #[serde(default)]
    pub ends: Ends,
}

/// One app. `P` is its pool, borrowed when it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppRecord<P> {
    /// What the core knows of it.
    pub pool: P,
    /// Its workers' processes.
    pub processes: Vec<ProcessRecord>,
    /// The kernel's number of the memory that holds their pages; 0 if nobody works for it.
    pub book: u64,
    /// Its open listeners.
    pub listeners: Vec<ListenerRecord>,
    /// What its workers counted.
    pub score: Score,
    /// What was counted of its notes.
    pub tally: Tally,
    /// The programs that its workers come back from.
    #[serde(default)]
    pub programs: Vec<ProgramRecord>,
}

/// An app as a daemon left it.
pub type AppLeft = AppRecord<Pool>;

/// A worker's process, and where in it the descriptors stand that the daemon shares with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The worker.
    pub worker: WorkerId,
    /// Its process.
    pub pid: Pid,
    /// When that began, in clock ticks since the machine did (proc_pid_stat(5), field 22).
    pub began: u64,
    /// How many listeners it has; they stand from number 3 on, then the book, stdout, stderr.
    pub listeners: u16,
    /// Its leaf in the app's book.
    pub leaf: u16,
    /// The kernel's numbers of its log pipes.
    pub pipes: [u64; 2],
}

/// An open listener, and how it is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRecord {
    /// What it is.
    pub spec: ListenSpec,
    /// How the socket is known.
    pub socket: SocketMark,
    /// Device and number of the socket's file, if the daemon made one.
    pub file: Option<(u64, u64)>,
    /// Workers of the SDK have it so that accepting never waits. A service manager that hands a
    /// socket over makes it wait again, below workers that live on.
    #[serde(default)]
    pub nonblocking: bool,
}

/// How a socket is known again: the kernel gives no two the same cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SocketMark {
    /// The number of its file.
    pub inode: u64,
    /// Its cookie.
    pub cookie: u64,
}

/// The program that the workers of a generation run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// The generation.
    pub generation: Generation,
    /// How the program's file is known.
    pub file: FileMark,
}

/// How a file is known again, whatever its name is by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileMark {
    /// The file system it is in.
    pub device: u64,
    /// Its number there, which another file may get once it is gone.
    pub inode: u64,
    /// When it was made, since 1970; zero if its file system does not tell.
    pub made: Duration,
}

/// What the last scrape was told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldRecord {
    /// Of each app.
    pub apps: BTreeMap<AppName, Told>,
    /// Of operations that ended.
    pub ends: Ends,
}

/// What a scrape was told of an app.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// What its workers counted, dead and living.
    pub totals: Report,
    /// How long all of them were busy.
    pub saturated: Duration,
    /// What was counted of its notes.
    pub tally: Tally,
    /// Lines of its workers that came too fast to be written down.
    #[serde(default)]
    pub lines_dropped: u64,
}

/// All that a daemon left.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Left {
    /// The configuration that was in force.
    pub site: SiteRecord,
    /// What was under way.
    pub now: NowRecord,
    /// What the last scrape was told.
    pub told: ToldRecord,
    /// The apps that had something to remember.
    pub apps: BTreeMap<AppName, AppLeft>,
    /// Operations that had ended.
    #[serde(default)]
    pub ended: Vec<OperationView>,
    /// What happened, as far as that is kept; only a program that makes room for another tells.
    #[serde(default)]
    pub events: Vec<Event>,
}

impl Left {
    /// The site that was in force, without its apps: what the daemon itself needs of it.
    pub fn site_alone(&self) -> Site {
        let SiteRecord { control, metrics, revisions, .. } = self.site.clone();
        Site { control, metrics, revisions, apps: BTreeMap::new() }
    }
}
