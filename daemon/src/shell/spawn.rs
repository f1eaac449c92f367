//! Starts workers: posix_spawn of `scgid launch`, which prepares itself and becomes the app.
//!
//! The daemon never forks: whatever its size, starting a worker costs it the same, and nothing of
//! it is shared with what runs between fork and exec. What the worker finds is laid out by its
//! descriptors' numbers:
//!
//! ```text
//! 0 first listener, or nothing to read │ 1, 2 log pipes │ 3.. listeners │ book │ kept log ends
//! of a template: where it is asked
//! then, for the launcher: the program's file │ order │ status
//! ```
//!
//! A template finds nothing to read in place of each listener: its workers get theirs with the order
//! to fork them (`templates.rs`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::unistd::{geteuid, pipe2};
use scgi_protocol::birth::{self, Birth, LISTEN_FDS_START};
use scgi_protocol::name::WorkerId;
use scgi_protocol::page;

use super::adopt::identity;
use super::layout::{Layout, OURSELVES};
use super::output::Pipes;
use super::state::record::{ProcessRecord, inode};
use crate::launch::{self, LaunchOrder, OrderError, WORDS_MAX_BYTES};
use crate::spec::{AppSpec, Cgi, Inetd, Kind, Launch, Limit, Resource, Serves};
use crate::supervisor::{Pid, Role, Spawn};

/// What a log pipe holds if the daemon may have it so. Memory is used by what is in it; an empty one
/// costs 10 KiB.
const LOG_PIPE_BYTES: i32 = 1 << 20;

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    /// There is no listener for it.
    #[error("it has no listener")]
    NoListener,
    /// The kernel has no memory, descriptor or process left.
    #[error("cannot get {0} for it")]
    Resource(&'static str, #[source] io::Error),
    /// The launcher's order could not be written.
    #[error("cannot write its launch order")]
    Order(#[source] OrderError),
}

/// A worker's process and the daemon's ends of what connects them.
#[derive(Debug)]
pub(super) struct Born {
    /// Its process.
    pub(super) pid: Pid,
    /// How it is written down.
    pub(super) record: ProcessRecord,
    /// What it writes to its standard output and error.
    pub(super) pipes: Pipes,
    /// Where the launcher says why it failed; `None` if it was forked.
    pub(super) status: Option<Status>,
    /// Where it is asked to fork, if it is a template.
    pub(super) template: Option<OwnedFd>,
}

/// What all workers have in common.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Where they say their notices.
    pub(super) notify_socket: PathBuf,
    /// How many descriptors they may have if nothing else is said.
    pub(super) nofile: Option<Limit>,
}

/// The descriptors that workers of one app share, and what is one worker's of them.
#[derive(Debug)]
pub(super) struct Shared<'fd> {
    /// The app's listeners.
    pub(super) listeners: &'fd [BorrowedFd<'fd>],
    /// The app's book.
    pub(super) book: BorrowedFd<'fd>,
    /// The worker's leaf in it.
    pub(super) leaf: u16,
    /// The file of its program, if that is kept.
    pub(super) program: Option<BorrowedFd<'fd>>,
}

/// Starts a worker.
///
/// # Errors
///
/// [`SpawnError`]; no process has come to be.
pub(super) fn spawn(
    spawn: &Spawn,
    shared: &Shared<'_>,
    surroundings: &Surroundings,
) -> Result<Born, SpawnError> {
    let listeners = shared.listeners;
    let is_template = spawn.role == Role::Template;
    let nothing = (spawn.app.kind.is_alone() || is_template).then(nothing_to_read).transpose()?;
    let first = nothing.as_ref().map(AsFd::as_fd).or_else(|| listeners.first().copied());
    let first = first.ok_or(SpawnError::NoListener)?;
    let [stdout, stderr, status] = [log_pipe()?, log_pipe()?, pipe()?];
    let template = is_template.then(template_socket).transpose()?;

    let mut layout = Layout::default();
    layout.put(0, first);
    layout.put(1, stdout.write.as_fd());
    layout.put(2, stderr.write.as_fd());
    layout.next = LISTEN_FDS_START;
    for listener in listeners {
        layout.append(if is_template { first } else { listener.as_fd() });
    }
    let book = layout.append(shared.book);
    layout.append(stdout.read.as_fd());
    layout.append(stderr.read.as_fd());
    let template_fd = template.as_ref().map(|(_, theirs)| layout.append(theirs.as_fd()));
    let program = shared.program.map(|file| layout.append(file));
    let (page_offset, notify_socket) = (page::offset(shared.leaf), &surroundings.notify_socket);
    let birth = birth_of(spawn, listeners.len(), notify_socket);
    let order = LaunchOrder {
        program,
        launch: what(spawn, surroundings),
        birth: Birth { page_fd: Some(book), page_offset, template_fd, ..birth },
    };
    let order = order.to_memfd().map_err(SpawnError::Order)?;
    let order_number = layout.append(order.as_fd());
    let status_number = layout.append(status.write.as_fd());

    let arguments = launch::arguments(order_number, status_number);
    let said = signature(spawn, page_offset, notify_socket);
    let pid = layout.spawn(&arguments, &said).map_err(|e| SpawnError::Resource("a process", e))?;
    let pipes = Pipes { stdout: stdout.read, stderr: stderr.read };
    let record = record(pid, (spawn.worker, shared.leaf), listeners.len(), &pipes);
    nonblocking(&pipes.stdout)?;
    nonblocking(&pipes.stderr)?;
    nonblocking(&status.read)?;
    let template = template.map(|(ours, _)| ours);
    Ok(Born { pid, record, pipes, status: Some(Status(status.read)), template })
}

/// How a worker is written down.
pub(super) fn record(
    pid: Pid,
    (worker, leaf): (WorkerId, u16),
    listeners: usize,
    pipes: &Pipes,
) -> ProcessRecord {
    ProcessRecord {
        worker,
        pid,
        began: identity::began(pid).unwrap_or(0),
        listeners: u16::try_from(listeners).unwrap_or(u16::MAX),
        leaf,
        pipes: [inode(&pipes.stdout), inode(&pipes.stderr)],
    }
}

/// By what the launcher is known while it is not yet the worker.
fn signature(spawn: &Spawn, page_offset: u64, notify_socket: &Path) -> [String; 4] {
    let notify_socket = notify_socket.display().to_string();
    let said = birth::signature(&spawn.app.name, spawn.worker, page_offset, &notify_socket);
    said.map(|(name, value)| format!("{name}={value}"))
}

/// What is run: the app's program, one of our own that runs it, or one in its place.
fn what(spawn: &Spawn, surroundings: &Surroundings) -> Launch {
    let mut launch = spawn.app.launch.clone();
    if let (Role::App | Role::Template, Some(arguments)) = (spawn.role, host(&spawn.app)) {
        launch.program = OURSELVES.into();
        launch.arguments = arguments;
    }
    if spawn.role == Role::Relief {
        // It has the app's rights, since it stands in its place, and nothing else of it.
        launch = Launch {
            program: OURSELVES.into(),
            arguments: ["scgid", "builtin", "relief"].map(str::to_owned).to_vec(),
            directory: None,
            env: BTreeMap::new(),
            env_files: Vec::new(),
            clear_env: true,
            limits: BTreeMap::new(),
            ..launch
        };
    }
    if let Some(usual) = surroundings.nofile {
        launch.limits.entry(Resource::Nofile).or_insert(usual);
    }
    launch
}

/// How the built-in worker is called that runs the program of such an app; `None` if the program is
/// the worker.
fn host(app: &AppSpec) -> Option<Vec<String>> {
    let AppSpec { kind, launch, .. } = app;
    let span = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
    let mut arguments = vec!["scgid".to_owned(), "builtin".to_owned()];
    let mut say = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    match kind {
        Kind::Worker | Kind::Standalone(_) => return None,
        Kind::Cgi(Cgi { serves, timeout, output }) => {
            say(&["cgi", "--timeout", &span(*timeout)]);
            if let Some(bytes) = output {
                say(&["--output", &bytes.to_string()]);
            }
            if let Some(directory) = &launch.directory {
                say(&["--directory", &directory.display().to_string()]);
            }
            match serves {
                Serves::Directory => say(&["--scripts"]),
                Serves::Program => say(&["--"]),
            }
        }
        Kind::Inetd(Inetd { timeout }) => say(&["inetd", "--timeout", &span(*timeout), "--"]),
    }
    say(&[&launch.program.display().to_string()]);
    arguments.extend(launch.arguments.iter().skip(1).cloned());
    Some(arguments)
}

/// Whether a worker of this app is the app's own program, and not one of ours that runs it.
pub(super) fn is_own_program(app: &AppSpec) -> bool {
    host(app).is_none()
}

pub(super) fn birth_of(spawn: &Spawn, listeners: usize, notify_socket: &Path) -> Birth {
    let AppSpec { name, listen, launch, concurrency, .. } = &*spawn.app;
    Birth {
        app: name.clone(),
        seat: spawn.seat,
        worker: spawn.worker,
        generation: spawn.generation,
        mount: launch.mount.clone(),
        concurrency: *concurrency,
        queue_timeout: launch.queue_timeout,
        strict: launch.strict,
        on_trial: spawn.on_trial,
        page_fd: None,
        page_offset: 0,
        notify_socket: Some(notify_socket.display().to_string()),
        watchdog: None,
        listeners: listen.iter().take(listeners).map(|at| fd_name(&at.at.to_string())).collect(),
        template_fd: None,
    }
}

/// A listener's name as `LISTEN_FDNAMES` can carry it: without `:`, which parts the names there.
fn fd_name(address: &str) -> String {
    address.replace(':', "_")
}

/// Where the launcher says why it failed.
#[derive(Debug)]
pub(super) struct Status(OwnedFd);

impl From<OwnedFd> for Status {
    fn from(pipe: OwnedFd) -> Self {
        Self(pipe)
    }
}

impl AsFd for Status {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Status {
    /// What the launcher said; `None` if it did its work. To be asked once its process has ended.
    pub(super) fn words(self) -> Option<String> {
        let mut words = Vec::new();
        let file = File::from(self.0);
        // Nothing to read, or nobody left to write: silence either way.
        let _ = file.take(WORDS_MAX_BYTES as u64).read_to_end(&mut words);
        let words = String::from_utf8_lossy(&words).trim_end().to_owned();
        (!words.is_empty()).then_some(words)
    }
}

/// A pipe of which the daemon keeps one end.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

fn pipe() -> Result<Pipe, SpawnError> {
    let made = pipe2(OFlag::O_CLOEXEC).map_err(|e| SpawnError::Resource("a pipe", e.into()));
    made.map(|(read, write)| Pipe { read, write })
}

/// Where a template is asked to fork workers: our end, on which the kernel says who speaks, and its.
fn template_socket() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let wrong = |error: nix::Error| SpawnError::Resource("a socket", error.into());
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(wrong)?;
    nonblocking(&ours)?;
    setsockopt(&ours, sockopt::PassCred, &true).map_err(wrong)?;
    Ok((ours, theirs))
}

/// The standard input of a program that no socket is handed to.
fn nothing_to_read() -> Result<OwnedFd, SpawnError> {
    let null = File::open("/dev/null").map_err(|e| SpawnError::Resource("`/dev/null`", e))?;
    Ok(null.into())
}

/// A pipe for what a worker writes, large enough for what it writes while no daemon lives.
pub(super) fn log_pipe() -> Result<Pipe, SpawnError> {
    let pipe = pipe()?;
    // Another user's pipes all count against one limit, beyond which each further one is tiny
    // (pipe(7), `pipe-user-pages-soft`): what other programs of that user need is not taken.
    if geteuid().is_root() {
        // A smaller one does as well for as long as somebody reads it.
        let _ = fcntl(&pipe.read, FcntlArg::F_SETPIPE_SZ(LOG_PIPE_BYTES));
    }
    Ok(pipe)
}

/// Makes our reads return at once. The worker's own end of the pipe is the writing one.
pub(super) fn nonblocking(fd: &OwnedFd) -> Result<(), SpawnError> {
    let set = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    set.map(drop).map_err(|error| SpawnError::Resource("a pipe", error.into()))
}
