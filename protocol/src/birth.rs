//! What a worker finds when it is born.
//!
//! ```text
//! fd 0      its first listening socket (the FastCGI and spawn-fcgi convention)
//! fd 1, 2   pipes to the daemon's log collector
//! fd 3..    all its listening sockets, announced as systemd does: LISTEN_FDS, LISTEN_PID,
//!           LISTEN_FDNAMES
//! then      the book its page is in (SCGI_PAGE_FD, SCGI_PAGE_OFFSET), then the read ends of its two
//!           log pipes, so that a dead daemon does not kill the worker by SIGPIPE; programs leave
//!           those two alone
//! ```
//!
//! The daemon writes it with [`Birth::environment`], the worker reads it with
//! [`Birth::from_environment`]; a program that knows only fd 0, or only systemd, needs neither.
//!
//! A template, from which workers are forked ([`crate::template`]), finds the same at the same
//! numbers, but nothing to accept at: its sockets come with the orders.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::name::{AppName, Generation, Seat, WorkerId};

/// The number of the first inherited listening socket (sd_listen_fds(3)).
pub const LISTEN_FDS_START: RawFd = 3;

/// The most listening sockets a worker inherits.
pub const LISTENERS_MAX: usize = 64;

/// Exit status of a worker that asks not to be tried again.
pub const EXIT_NEVER_AGAIN: i32 = 100;

/// Exit status of a worker that failed for a reason expected to pass.
pub const EXIT_TEMPORARY: i32 = 111;

const APP: &str = "SCGI_APP";
const SEAT: &str = "SCGI_SEAT";
const WORKER: &str = "SCGI_WORKER";
const GENERATION: &str = "SCGI_GENERATION";
const MOUNT: &str = "SCGI_MOUNT";
const CONCURRENCY: &str = "SCGI_CONCURRENCY";
const QUEUE_TIMEOUT_USEC: &str = "SCGI_QUEUE_TIMEOUT_USEC";
const STRICT: &str = "SCGI_STRICT";
const TRIAL: &str = "SCGI_TRIAL";
const PAGE_FD: &str = "SCGI_PAGE_FD";
const PAGE_OFFSET: &str = "SCGI_PAGE_OFFSET";
const TEMPLATE_FD: &str = "SCGI_TEMPLATE_FD";
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const LISTEN_FDS: &str = "LISTEN_FDS";
const LISTEN_PID: &str = "LISTEN_PID";
const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";

/// Every variable of the contract; an app's own `env` must not set them.
pub const VARIABLES: [&str; 17] = [
    APP,
    SEAT,
    WORKER,
    GENERATION,
    MOUNT,
    CONCURRENCY,
    QUEUE_TIMEOUT_USEC,
    STRICT,
    TRIAL,
    PAGE_FD,
    PAGE_OFFSET,
    TEMPLATE_FD,
    NOTIFY_SOCKET,
    WATCHDOG_USEC,
    LISTEN_FDS,
    LISTEN_PID,
    LISTEN_FDNAMES,
];

/// The circumstances of a worker's birth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
pub struct Birth {
    /// The app it works for.
    pub app: AppName,
    /// Its place in the pool.
    pub seat: Seat,
    /// Its own number.
    pub worker: WorkerId,
    /// The launch it belongs to.
    pub generation: Generation,
    /// The URL prefix the app is mounted at, if the configuration says one.
    pub mount: Option<String>,
    /// How many requests at once the configuration lets it serve; at least 1.
    pub concurrency: u16,
    /// A request that waited longer before it was accepted is not to be served any more.
    pub queue_timeout: Option<Duration>,
    /// Requests that break the rules of SCGI harmlessly are to be refused.
    #[cfg_attr(feature = "control", serde(default))]
    pub strict: bool,
    /// Nobody knows yet whether its launch is any better than the one before, whose workers are there
    /// as well: it does well to see to it that it is asked soon.
    pub on_trial: bool,
    /// The book its page is in, if it has one.
    pub page_fd: Option<RawFd>,
    /// Where in the book its page begins, in bytes.
    pub page_offset: u64,
    /// Where notices go.
    pub notify_socket: Option<String>,
    /// It must say `WATCHDOG=1` at least this often.
    pub watchdog: Option<Duration>,
    /// Names of its listening sockets, which stand at [`LISTEN_FDS_START`] and after.
    pub listeners: Vec<String>,
    /// It is no worker but what workers are forked from, and this is where it is asked to.
    pub template_fd: Option<RawFd>,
}

impl Birth {
    /// The variables that tell a worker of its birth; `pid` is the worker's own.
    pub fn environment(&self, pid: i32) -> Vec<(&'static str, String)> {
        let mut said = self.told();
        said.extend(self.template_fd.is_none().then(|| (LISTEN_PID, pid.to_string())));
        said
    }

    /// The same but for the worker's own process number, which only itself knows if it is forked
    /// from a template.
    ///
    /// A template gets no `LISTEN_…`, and every number that is another one in its workers with as
    /// many digits as it can ever have: they write their own in its place, where others look for it
    /// (`/proc/PID/environ`).
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let number = |number: u64, most: u64| match self.template_fd {
            Some(_) => format!("{number:0width$}", width = most.to_string().len()),
            None => number.to_string(),
        };
        let mut said = vec![
            (APP, self.app.to_string()),
            (SEAT, number(self.seat.0.into(), u16::MAX.into())),
            (WORKER, number(self.worker.0, u64::MAX)),
            (GENERATION, self.generation.to_string()),
            (CONCURRENCY, self.concurrency.to_string()),
        ];
        if self.template_fd.is_none() {
            said.push((LISTEN_FDS, self.listeners.len().to_string()));
            said.push((LISTEN_FDNAMES, self.listeners.join(":")));
        }
        said.extend(self.mount.iter().map(|mount| (MOUNT, mount.clone())));
        said.extend(
            self.queue_timeout.iter().map(|d| (QUEUE_TIMEOUT_USEC, d.as_micros().to_string())),
        );
        said.extend(self.strict.then(|| (STRICT, "1".to_owned())));
        said.extend(self.on_trial.then(|| (TRIAL, "1".to_owned())));
        said.extend(self.page_fd.iter().map(|fd| (PAGE_FD, fd.to_string())));
        let offset = || (PAGE_OFFSET, number(self.page_offset, u64::MAX));
        said.extend(self.page_fd.iter().map(|_| offset()));
        said.extend(self.notify_socket.iter().map(|path| (NOTIFY_SOCKET, path.clone())));
        said.extend(self.watchdog.iter().map(|d| (WATCHDOG_USEC, d.as_micros().to_string())));
        said.extend(self.template_fd.iter().map(|fd| (TEMPLATE_FD, fd.to_string())));
        said
    }

    /// Reads the variables through `look`, usually [`std::env::var_os`]; `pid` is the reader's.
    ///
    /// `None` if this is not the birth of a scgid worker: a variable is missing or unreadable, or
    /// `LISTEN_PID` means another process (the variables were inherited from a worker).
    pub fn from_environment(look: impl Fn(&str) -> Option<OsString>, pid: u32) -> Option<Self> {
        let text = |name| look(name)?.into_string().ok();
        if text(LISTEN_PID)?.parse() != Ok(pid) {
            return None;
        }
        let count: usize = text(LISTEN_FDS)?.parse().ok()?;
        let mut listeners: Vec<String> =
            text(LISTEN_FDNAMES)?.split(':').map(str::to_owned).collect();
        listeners.resize(count.min(LISTENERS_MAX), "unknown".to_owned());
        Some(Self {
            app: text(APP)?.parse().ok()?,
            seat: text(SEAT)?.parse().ok()?,
            worker: text(WORKER)?.parse().ok()?,
            generation: text(GENERATION)?.parse().ok()?,
            mount: text(MOUNT),
            concurrency: text(CONCURRENCY).and_then(|n| n.parse().ok()).unwrap_or(1).max(1),
            queue_timeout: text(QUEUE_TIMEOUT_USEC)
                .and_then(|usec| usec.parse().ok())
                .map(Duration::from_micros),
            strict: text(STRICT).is_some_and(|said| said == "1"),
            on_trial: text(TRIAL).is_some_and(|said| said == "1"),
            page_fd: text(PAGE_FD).and_then(|fd| fd.parse().ok()),
            page_offset: text(PAGE_OFFSET).and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
            notify_socket: text(NOTIFY_SOCKET),
            watchdog: text(WATCHDOG_USEC)
                .and_then(|usec| usec.parse().ok())
                .map(Duration::from_micros),
            listeners,
            template_fd: None,
        })
    }
}

/// Whether this process was born to be a template, as its environment says through `look`.
pub fn is_template(look: impl Fn(&str) -> Option<OsString>) -> bool {
    look(TEMPLATE_FD).is_some()
}

/// The variables by which a process is known as a worker's before it has become one.
pub fn signature(
    app: &AppName,
    worker: WorkerId,
    page_offset: u64,
    notify_socket: &str,
) -> [(&'static str, String); 4] {
    [
        (APP, app.to_string()),
        (WORKER, worker.to_string()),
        (PAGE_OFFSET, page_offset.to_string()),
        (NOTIFY_SOCKET, notify_socket.to_owned()),
    ]
}

/// The worker an environment block belongs to, by the variables that `scgid` puts there.
///
/// `block` is what `/proc/PID/environ` holds. A process that a worker left behind still carries
/// them, which is how it is recognised.
pub fn worker_of(block: &[u8]) -> Option<(AppName, WorkerId)> {
    Some((find(block, APP)?.parse().ok()?, find(block, WORKER)?.parse().ok()?))
}

/// Where in its book the page of a process with this environment block begins, in bytes.
pub fn page_offset_of(block: &[u8]) -> Option<u64> {
    find(block, PAGE_OFFSET)?.parse().ok()
}

/// Where a process with this environment block says its notices.
pub fn notify_socket_of(block: &[u8]) -> Option<&str> {
    find(block, NOTIFY_SOCKET)
}

fn find<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    let value = block
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn birth() -> Birth {
        Birth {
            app: "blog".parse().unwrap(),
            seat: Seat(2),
            worker: WorkerId(77),
            generation: Generation(3),
            mount: Some("/blog".into()),
            concurrency: 4,
            queue_timeout: Some(Duration::from_millis(1500)),
            strict: true,
            on_trial: true,
            page_fd: Some(5),
            page_offset: 8192,
            notify_socket: Some("/run/scgid/notify.sock".into()),
            watchdog: Some(Duration::from_secs(10)),
            listeners: vec!["unix-0".into(), "tcp-1".into()],
            template_fd: None,
        }
    }

    fn read(variables: &[(&'static str, String)], pid: u32) -> Option<Birth> {
        let map: BTreeMap<_, _> = variables.iter().cloned().collect();
        Birth::from_environment(|name| map.get(name).map(OsString::from), pid)
    }

    #[test]
    fn a_worker_reads_what_the_daemon_wrote() {
        assert_eq!(read(&birth().environment(4711), 4711), Some(birth()));
    }

    #[test]
    fn a_program_started_by_a_worker_is_not_taken_for_one() {
        assert_eq!(read(&birth().environment(4711), 4712), None);
    }

    #[test]
    fn every_variable_that_is_said_is_on_the_list() {
        let template = Birth { template_fd: Some(9), ..birth() };

        for (name, _) in birth().environment(1).into_iter().chain(template.environment(1)) {
            assert!(VARIABLES.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_template_is_told_nothing_to_accept_at_and_leaves_room_for_its_workers_numbers() {
        let template = Birth { template_fd: Some(9), ..birth() };

        let said = template.environment(4711);

        assert_eq!(read(&said, 4711), None, "it is taken for a worker");
        let map: BTreeMap<_, _> = said.into_iter().collect();
        assert_eq!(map[WORKER].len(), u64::MAX.to_string().len());
        assert_eq!(map[SEAT].parse(), Ok(Seat(2)));
        assert_eq!(map[TEMPLATE_FD], "9");
        assert_eq!(map.keys().filter(|name| name.starts_with("LISTEN_")).count(), 0);
    }

    #[test]
    fn numbers_with_room_are_read_as_those_without() {
        let template = Birth { template_fd: Some(9), ..birth() };
        let block: Vec<u8> = template
            .told()
            .iter()
            .flat_map(|(name, value)| format!("{name}={value}\0").into_bytes())
            .collect();

        assert_eq!(worker_of(&block), Some(("blog".parse().unwrap(), WorkerId(77))));
        assert_eq!(page_offset_of(&block), Some(8192));
    }

    #[test]
    fn what_a_worker_left_behind_is_recognised_by_its_environment() {
        let block = b"PATH=/bin\0SCGI_APP=blog\0XSCGI_WORKER=1\0SCGI_WORKER=77\0";

        assert_eq!(worker_of(block), Some(("blog".parse().unwrap(), WorkerId(77))));
        assert_eq!(worker_of(b"PATH=/bin\0"), None);
        assert_eq!(worker_of(b"SCGI_APP=\xff\0SCGI_WORKER=1\0"), None);
    }
}
