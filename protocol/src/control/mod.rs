//! What `scgictl` and the daemon say to each other: JSON over HTTP on a unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`]: the daemon and a line for every app |
//! | `GET /v1/apps`, `GET /v1/apps/{app}` | a list of [`App`], [`AppDetail`] |
//! | `POST /v1/apps/{app}/{verb}`, [`Verb`] `start`, `stop`, `restart`, `reload`, `retry` | `202`, [`Operation`] |
//! | `PUT /v1/apps/{app}/workers`, body [`Scale`] | `202`, [`Operation`] |
//! | `POST /v1/site/reload` | `202`, [`Operation`]; `422` with [`Problem::problems`] |
//! | `POST /v1/shutdown` | `202`, [`Operation`] |
//! | `GET /v1/operations`, `GET /v1/operations/{id}?wait=SECONDS` | a list of [`Operation`], one |
//! | `GET /v1/events?after=ID&app=APP&limit=N` | a list of [`Event`]; as SSE if asked for `text/event-stream` |
//! | `GET /v1/apps/{app}/logs?lines=N&after=ID` | a list of [`LogLine`]; as SSE if asked so |
//! | `GET /v1/config` | the configuration as YAML, with an `ETag` |
//! | `GET /v1/openapi.json` | this, for machines |
//!
//! Every refusal is a [`Problem`] (RFC 9457). A `GET` changes nothing. What takes time answers
//! with an [`Operation`] that ends in a verified state. In server-sent events `id` is the number
//! of the event or line, `event` its kind, and `Last-Event-ID` resumes after it.

mod app;
mod event;
mod operation;
mod problem;
mod time;

pub use app::{
    App, AppDetail, AppState, CurrentRequest, DaemonInfo, Seats, Status, Trouble, Wish, Worker,
    WorkerState,
};
pub use event::{Event, Level, LogLine, Stream};
pub use operation::{Operation, OperationState, Scale, Verb};
pub use problem::{ConfigProblem, PROBLEM_MEDIA_TYPE, Place, Problem};
pub use time::Timestamp;

/// Version of this API: the first segment of every path.
pub const API_VERSION: &str = "v1";

/// Longest body of a control request, in bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

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
