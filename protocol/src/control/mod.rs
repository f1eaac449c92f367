//! What `scgictl` and the daemon say to each other: JSON over HTTP on a unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`]: the daemon and a line for every app |
//! | `GET /v1/apps`, `GET /v1/apps/{app}` | a list of [`App`], [`AppDetail`] |
//! | `POST /v1/apps/{app}/{verb}`, [`Verb`] `start`, `stop`, `restart`, `reload`, `retry` | `202`, [`Operation`] |
//! | `PUT /v1/apps/{app}/workers`, body [`Scale`] | `202`, [`Operation`] |
//! | `POST /v1/site/reload` | `202`, [`Operation`]; `422` with [`Problem::problems`] |
//! | `POST /v1/upgrade`, body [`UpgradeRequest`] | [`Upgrade`]: what the daemon is about to become |
//! | `POST /v1/plan?name=NAME`, body: a configuration | [`Plan`]; `422` with [`Problem::problems`] |
//! | `POST /v1/apply?name=NAME`, body: a configuration | `202`, [`Operation`]; `422` with [`Problem::problems`] |
//! | `GET /v1/revisions`, `GET /v1/revisions/{n}` | [`Revisions`]; the text of one, for those who may act |
//! | `POST /v1/rollback?to=N` | `202`, [`Operation`]; `404`, `409` or `422` if that cannot be |
//! | `POST /v1/shutdown` | `202`, [`Operation`] |
//! | `GET /v1/operations`, `GET /v1/operations/{id}?wait=SECONDS` | a list of [`Operation`], one |
//! | `GET /v1/events?after=ID&app=APP&limit=N` | a list of [`Event`]; as SSE if asked for `text/event-stream` |
//! | `GET /v1/apps/{app}/logs?lines=N&after=ID` | a list of [`LogLine`]; as SSE if asked so |
//! | `GET /v1/logs?lines=N&after=ID` | the same of all apps, in the order of their numbers |
//! | `GET /v1/config` | the configuration as YAML, with an `ETag`; for those who may act, since it says secrets |
//! | `GET /v1/openapi.json` | this, for machines |
//!
//! A `GET` changes nothing and needs the right to look, all else the right to act. Whoever may not
//! act cannot see the configuration's text either: of an app's `env` they see the names in
//! [`AppDetail::settings`], never the values. What takes time
//! answers `202` with an [`Operation`] that ends in a verified state; `Location` says where it is,
//! and it can be asked for at once. With `wait` the answer is held back until the operation has
//! ended or is no longer as it was when this was asked, at most 60 seconds.
//!
//! # Configurations
//!
//! A configuration that is sent to `plan` or `apply` is YAML of at most [`CONFIG_MAX_BYTES`] bytes.
//! Its problems call it by the `name` of the query; relative paths in it start from the folder of
//! the daemon's own file. Without a `name` and without a body the daemon reads that file itself. A
//! plan does all that an apply does up to the point of acting, so what it says is what would be.
//! With the `ETag` of `GET /v1/config`, or [`Plan::tag`], as `If-Match` either of them is refused
//! as `changed` if another configuration is in force by then. Whatever was in force is a
//! [`Revision`]; to return to one is to apply it again, which makes another. The daemon's own file
//! is never written: SIGHUP, `reload` and a restart take that.
//!
//! # Events and lines
//!
//! Numbers rise by one from event to event, and from line to line of any app, for as long as the
//! daemon runs. It remembers the last [`EVENTS_MAX`] events and the last [`LINES_MAX`] lines of
//! each app, fewer lines where all of them together take too much memory. A list has at most so
//! many entries, oldest first: the last 100 if nothing is said, and those after a number where
//! `after` names one. A number beyond the newest is one of an earlier daemon: reading begins with
//! the oldest that is there, in lists and in streams.
//!
//! A stream of server-sent events begins with what comes next, or as `limit`, `lines` or `after`
//! say; `Last-Event-ID` resumes it after a number. A message has the number as `id`, the value in
//! JSON as `data` and as `event` a word: the kind of the event, `stdout` or `stderr` of a line. One
//! more word is `missed`: its `data` is `{"missed": n}` and says that `n` entries were dropped
//! before the reader came for them, at least; it has no `id`. Streams end when the daemon does.
//!
//! # Refusals
//!
//! Every refusal is a [`Problem`] (RFC 9457); unless it says so nothing has changed. Its `type` is
//! `urn:scgid:problem:` and one of these; `scgictl` ends with the exit code beside it.
//!
//! | problem | status | exit | what it means |
//! |---|---|---|---|
//! | `bad-request` | 400 | 2 | what was sent makes no sense |
//! | `forbidden` | 403 | 5 | the peer may not do this |
//! | `not-found` | 404 | 1 | nothing is at this path |
//! | `no-such-app` | 404 | 4 | no app is called so |
//! | `no-such-operation` | 404 | 1 | no operation has this number; only the last are remembered |
//! | `no-such-revision` | 404 | 1 | no revision has this number; only the last are kept |
//! | `method-not-allowed` | 405 | 1 | the path is right, the method is not |
//! | `too-slow` | 408 | 1 | the body did not come in time |
//! | `conflict` | 409 | 6 | another operation, [`Problem::operation`], is in the way |
//! | `senseless` | 409 | 1 | the order makes no sense as things are, such as the reload of a stopped app |
//! | `changed` | 412 | 6 | another configuration is in force than the one that `If-Match` names |
//! | `too-large` | 413 | 1 | the body is longer than [`BODY_MAX_BYTES`], or [`CONFIG_MAX_BYTES`] |
//! | `unprepared` | 422 | 1 | something the app needs is not to be had |
//! | `invalid-config` | 422 | 2 | the configuration is wrong, as [`Problem::problems`] lists |
//! | `internal` | 500 | 1 | a fault of the daemon |
//! | `busy` | 503 | 1 | too many connections or streams are open; try again |
//! | `stopping` | 503 | 1 | the daemon is on its way out |

mod app;
mod event;
mod operation;
mod plan;
mod problem;
mod revision;
mod time;

pub use app::{
    App, AppDetail, AppKind, AppState, CurrentRequest, DaemonInfo, Roll, Seats, Status, Trouble,
    Upgrade, UpgradeRequest, Wish, Worker, WorkerState,
};
pub use event::{Event, Level, LogLine, Stream};
pub use operation::{AppFailure, Operation, OperationState, Scale, Verb};
pub use plan::{AppPlan, Difference, Means, Plan, PlanAction, Unprepared};
pub use problem::{ConfigProblem, PROBLEM_MEDIA_TYPE, Place, Problem, ProblemKind};
pub use revision::{Author, Origin, Outcome, Revision, Revisions, Unreadable};
pub use time::Timestamp;

/// Version of this API: the first segment of every path.
pub const API_VERSION: &str = "v1";

/// Longest body of a control request, in bytes; one that is a configuration may be longer.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// Longest text of a configuration, in bytes, be it sent or one file.
pub const CONFIG_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The media type of a configuration.
pub const YAML_MEDIA_TYPE: &str = "application/yaml";

/// How many events are remembered and listed, at most.
pub const EVENTS_MAX: usize = 2048;

/// How many lines of an app are remembered, and how many lines are listed, at most.
pub const LINES_MAX: usize = 1000;

/// The media type of a stream of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// Where the daemon's control socket is when nothing else is said: for root, and below
/// `$XDG_RUNTIME_DIR` or `/tmp/scgid-UID` for anybody else.
pub mod socket {
    use std::path::PathBuf;

    /// The control socket of root's daemon.
    pub const SYSTEM: &str = "/run/scgid/control.sock";

    /// The name of the environment variable that names the control socket.
    pub const VARIABLE: &str = "SCGI_SOCKET";

    /// The runtime directory of the daemon of user `uid`; `xdg` is `$XDG_RUNTIME_DIR`.
    pub fn runtime_dir(uid: u32, xdg: Option<PathBuf>) -> PathBuf {
        match (uid, xdg) {
            (0, _) => PathBuf::from("/run/scgid"),
            (_, Some(xdg)) if xdg.is_absolute() => xdg.join("scgid"),
            (uid, _) => PathBuf::from(format!("/tmp/scgid-{uid}")),
        }
    }

    /// The control socket of the daemon of user `uid`; `xdg` is `$XDG_RUNTIME_DIR`.
    pub fn default_path(uid: u32, xdg: Option<PathBuf>) -> PathBuf {
        runtime_dir(uid, xdg).join("control.sock")
    }
}
