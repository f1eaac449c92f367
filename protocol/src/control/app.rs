//! How an app is, as a whole and worker by worker.

use serde::{Deserialize, Serialize};

use super::{Event, LogLine, Origin, Timestamp};
use crate::name::{AppName, Generation, OperationId, Seat, WorkerId};

/// The daemon and all its apps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// The daemon itself.
    pub daemon: DaemonInfo,
    /// The apps, by name.
    pub apps: Vec<App>,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DaemonInfo {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub since: Timestamp,
    /// The file it was configured from; `None` for the demo.
    pub config: Option<String>,
    /// The revision in force.
    #[serde(default)]
    pub revision: Option<u64>,
    /// Where the configuration in force came from, if not from that file; SIGHUP, `reload` and a
    /// restart take the file.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// It is on its way out.
    pub stopping: bool,
    /// Where its metrics are, if anywhere.
    pub metrics: Option<String>,
    /// Why the last program that was to take its place has not, if that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_upgraded: Option<String>,
}

/// Another program in the place of the daemon's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upgrade {
    /// The version that runs.
    pub from: String,
    /// The version of the other program, as it says itself.
    pub to: String,
    /// The other program's file.
    pub binary: String,
}

/// What is asked for of an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpgradeRequest {
    /// The other program's file; the one the daemon was started from if it is not named.
    pub binary: Option<String>,
    /// Only ask it whether it can go on where the daemon is.
    pub check: bool,
}

/// What the operator wishes of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Wish {
    /// It shall run.
    Run,
    /// It shall be stopped, until somebody starts it.
    Stop,
}

/// What kind of program an app is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AppKind {
    /// It accepts SCGI requests on the sockets it is born with.
    #[default]
    Worker,
    /// It is run once for each request, as CGI/1.1 wants it.
    Cgi,
    /// It is run once for each connection, which is its standard input and output.
    Inetd,
    /// It makes its own socket.
    Standalone,
}

impl AppKind {
    /// All of them, the usual one first.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Cgi, Self::Inetd, Self::Standalone];

    /// The kind as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Cgi => "cgi",
            Self::Inetd => "inetd",
            Self::Standalone => "standalone",
        }
    }
}

/// How an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AppState {
    /// As many workers serve as are wanted.
    Serving,
    /// On demand, and nobody asked: no worker, ready to start one.
    Idle,
    /// The first workers are on their way.
    Starting,
    /// One generation is being replaced by the next.
    Rolling,
    /// Some workers serve, fewer than wanted.
    Degraded,
    /// The latest generation spent its restart budget; the one before it serves.
    Held,
    /// The only generation spent its restart budget; tried again at the longest backoff.
    Failing,
    /// Could not be prepared: its socket, program or user is not to be had.
    Unprepared,
    /// Its workers are leaving.
    Stopping,
    /// Stopped by an operator.
    Stopped,
}

impl AppState {
    /// All of them, well ones first.
    pub const ALL: [Self; 10] = [
        Self::Serving,
        Self::Idle,
        Self::Starting,
        Self::Rolling,
        Self::Degraded,
        Self::Held,
        Self::Failing,
        Self::Unprepared,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The state as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Rolling => "rolling",
            Self::Degraded => "degraded",
            Self::Held => "held",
            Self::Failing => "failing",
            Self::Unprepared => "unprepared",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// Requests are answered by the app as wanted: nothing for a person to do.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Serving | Self::Idle | Self::Rolling)
    }
}

/// The seats of a pool, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seats {
    /// Workers that accept connections, of whatever generation.
    pub serving: u16,
    /// Workers on their way to serving.
    pub starting: u16,
    /// Workers on their way out.
    pub draining: u16,
    /// Workers that are wanted at this moment.
    pub wanted: u16,
    /// Fewest that are ever wanted.
    pub min: u16,
    /// Most that are ever wanted.
    pub max: u16,
    /// `min` and `max` come from an operator's `scale`, not from the configuration.
    pub scaled: bool,
}

/// What is wrong with an app, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trouble {
    /// What happened, in one sentence.
    pub cause: String,
    /// What shows it: the last words of the workers that died.
    pub evidence: Vec<String>,
    /// The next step for a person.
    pub next: String,
    /// When the daemon tries again by itself.
    pub retry_at: Option<Timestamp>,
}

/// An app in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// How it is.
    pub state: AppState,
    /// How it shall be.
    pub wish: Wish,
    /// Its seats, counted.
    pub workers: Seats,
    /// The latest generation.
    pub generation: Generation,
    /// Requests being served, as far as the workers tell.
    pub busy: u32,
    /// Requests that could be served at once.
    pub capacity: u32,
    /// Workers that accept connections and keep no page: whether they are busy is a guess from the
    /// queue, and their requests are not counted.
    #[serde(default)]
    pub silent: u16,
    /// Connections waiting to be accepted; `None` if the kernel does not say.
    pub queue: Option<u32>,
    /// Requests served since the daemon started.
    pub requests: u64,
    /// Workers that died without being asked and were replaced, since the daemon started.
    pub restarts: u64,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// Where it listens: `unix:PATH` or `IP:PORT`. A socket of the service manager stands here
    /// under its real address, or as `systemd:NAME` if it has none that can be connected to.
    pub listen: Vec<String>,
    /// What is wrong, if something is.
    pub trouble: Option<Trouble>,
    /// The operation under way, if one is.
    pub operation: Option<OperationId>,
    /// The roll under way, or the last one for as long as it can be undone.
    #[serde(default)]
    pub roll: Option<Roll>,
}

/// One generation of an app's workers being replaced by the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Roll {
    /// The generation that is replaced, and returned to by an undo.
    pub from: Generation,
    /// The generation that replaces it.
    pub to: Generation,
    /// Seats the one serves.
    pub old: u16,
    /// Seats the other serves.
    pub new: u16,
    /// It goes on; otherwise the new generation has every seat and has yet to prove itself.
    pub under_way: bool,
    /// An operator stopped it half way.
    pub paused: bool,
}

/// An app with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppDetail {
    /// The app in one line.
    #[serde(flatten)]
    pub app: App,
    /// What kind of program it is.
    #[serde(default)]
    pub kind: AppKind,
    /// What nobody can see of it because of its kind, a sentence each.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// Program and arguments.
    pub run: Vec<String>,
    /// Its settings, each as `key` and value, in the words of the configuration.
    pub settings: Vec<(String, String)>,
    /// Its workers, by seat and age.
    pub workers_now: Vec<Worker>,
    /// The last events about it, oldest first.
    pub events: Vec<Event>,
    /// The last lines its workers wrote, oldest first.
    pub log: Vec<LogLine>,
}

/// How a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WorkerState {
    /// Started, not ready.
    Starting,
    /// Ready, with room for a request.
    Idle,
    /// Ready, with no room.
    Busy,
    /// Asked to leave.
    Draining,
    /// Killed, not yet gone.
    Killed,
}

impl WorkerState {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 5] =
        [Self::Starting, Self::Idle, Self::Busy, Self::Draining, Self::Killed];

    /// The state as a word and metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Killed => "killed",
        }
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Worker {
    /// Its seat.
    pub seat: Seat,
    /// Its number.
    pub id: WorkerId,
    /// The generation it belongs to.
    pub generation: Generation,
    /// Its process; `None` while it is being started.
    pub pid: Option<i32>,
    /// How it is.
    pub state: WorkerState,
    /// It answers 503 in the app's place.
    pub relief: bool,
    /// It answers nobody: workers are forked from it (`preload`).
    #[serde(default)]
    pub template: bool,
    /// When it was started.
    pub since: Timestamp,
    /// Requests it has served; `None` if it keeps no page.
    pub requests: Option<u64>,
    /// What it says about itself.
    pub status: Option<String>,
    /// The requests it is serving, oldest first.
    pub current: Vec<CurrentRequest>,
}

/// A request being served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CurrentRequest {
    /// `GET` and the like.
    pub method: String,
    /// The URI, cut.
    pub uri: String,
    /// `reading`, `handling` or `writing`.
    pub phase: String,
    /// For how long it has been served, in milliseconds.
    pub for_ms: u64,
}
