//! A worker process, started as the daemon starts one, and what can be seen of it from outside.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scgi_protocol::birth::Birth;
use scgi_protocol::name::{Generation, Seat, WorkerId};
use scgi_protocol::notice::Notice;
use scgi_protocol::page::Page;
use scgi_worker::Address;
use tempfile::TempDir;

use crate::client::{PATIENCE, until};

/// Set in a process that is to be a worker.
pub(crate) const ROLE: &str = "SDK_TEST_WORKER";

/// Puts the descriptors where a worker finds them, then becomes it: the daemon's launcher in a
/// few words. Standard input and error are listening sockets, standard output is the page.
const LAUNCH: &str = "exec 3<&0 4<&2 5>&1 >/dev/null 2>&1; export LISTEN_PID=$$; \
    exec \"$0\" --exact the_worker --nocapture --test-threads=1";

/// The listening sockets of an app; they outlive its workers.
pub(crate) struct Site {
    _directory: TempDir,
    pub(crate) address: Address,
    socket: OwnedFd,
    second: Option<OwnedFd>,
}

impl Site {
    pub(crate) fn unix() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let socket = UnixListener::bind(&path).unwrap().into();
        Self { _directory: directory, address: Address::Unix(path), socket, second: None }
    }

    pub(crate) fn tcp() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(socket.local_addr().unwrap());
        Self { _directory: directory, address, socket: socket.into(), second: None }
    }

    /// The same with the socket of `other` besides.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self { second: Some(other.socket.try_clone().unwrap()), ..self }
    }

    /// A worker that says it is ready.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_as("usual", |_| {})
    }

    /// A worker with another role or birth, that says it is ready.
    pub(crate) fn worker_as(&self, role: &str, change: impl FnOnce(&mut Birth)) -> Worker {
        let worker = Worker::start(self, role, change);
        worker.until_said("READY", |notice| notice.ready);
        worker
    }
}

/// One worker process, killed when dropped.
pub(crate) struct Worker {
    pub(crate) page: Page,
    child: Child,
    notices: UnixDatagram,
    _directory: TempDir,
}

impl Worker {
    fn start(site: &Site, role: &str, change: impl FnOnce(&mut Birth)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify.sock");
        let notices = UnixDatagram::bind(&path).unwrap();
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        let (page, page_fd) = Page::create().unwrap();
        let mut birth = Birth {
            app: "test".parse().unwrap(),
            seat: Seat(0),
            worker: WorkerId(1),
            generation: Generation(1),
            mount: None,
            concurrency: 1,
            queue_timeout: None,
            strict: false,
            on_trial: false,
            page_fd: Some(5),
            page_offset: 0,
            notify_socket: Some(path.to_str().unwrap().to_owned()),
            watchdog: None,
            listeners: vec!["first".into()],
            template_fd: None,
        };
        birth.listeners.extend(site.second.iter().map(|_| "second".into()));
        change(&mut birth);
        let second = site.second.as_ref().unwrap_or(&site.socket).try_clone().unwrap();
        let child = Command::new("sh")
            .args(["-c", LAUNCH])
            .arg(std::env::current_exe().unwrap())
            .env(ROLE, role)
            .envs(birth.environment(0))
            .stdin(Stdio::from(site.socket.try_clone().unwrap()))
            .stdout(Stdio::from(page_fd))
            .stderr(Stdio::from(second))
            .spawn()
            .unwrap();
        Self { page, child, notices, _directory: directory }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits until it says something that `fits`.
    pub(crate) fn until_said(&self, what: &str, fits: impl Fn(&Notice) -> bool) {
        let mut datagram = [0; 4096];
        loop {
            let bytes = self.notices.recv(&mut datagram).unwrap_or_else(|error| {
                panic!("waited in vain for {what}: {error}");
            });
            if fits(&Notice::decode(&datagram[..bytes])) {
                return;
            }
        }
    }

    pub(crate) fn until_ended(&mut self) -> ExitStatus {
        until("the worker ends", || self.child.try_wait().unwrap())
    }

    /// What its descriptor `number` is, in the words of the kernel.
    pub(crate) fn descriptor(&self, number: i32) -> String {
        let link = format!("/proc/{}/fd/{number}", self.child.id());
        std::fs::read_link(link).unwrap().to_str().unwrap().to_owned()
    }

    /// TERM, and the end.
    pub(crate) fn leave(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.until_ended()
    }

    /// Waits until it serves a request.
    pub(crate) fn until_busy(&self) {
        until("a request is served", || (self.page.in_flight(99) > 0).then_some(()));
    }

    /// Waits until `count` requests ended.
    pub(crate) fn until_ended_requests(&self, count: u64) {
        until("requests end", || (self.page.report().ended >= count).then_some(()));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker's longest silence that some tests allow.
pub(crate) const WATCHDOG: Duration = Duration::from_millis(100);
