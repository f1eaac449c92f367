//! Starts workers: posix_spawn of `scgid launch`, which prepares itself and becomes the app.
//!
//! The daemon never forks: whatever its size, starting a worker costs it the same, and nothing of
//! it is shared with what runs between fork and exec. What the worker finds is laid out by its
//! descriptors' numbers:
//!
//! ```text
//! 0 first listener, or nothing to read │ 1, 2 log pipes │ 3.. listeners │ book │ kept log ends
//! then, for the launcher: the program's file │ order │ status
//! ```

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid as Process, geteuid, pipe2};
use scgi_protocol::birth::{self, Birth, LISTEN_FDS_START};
use scgi_protocol::page;

use super::adopt::identity;
use super::output::Pipes;
use super::state::record::{ProcessRecord, inode};
use crate::launch::{self, LaunchOrder, OrderError, WORDS_MAX_BYTES};
use crate::spec::{AppSpec, Cgi, Inetd, Kind, Launch, Limit, Resource, Serves};
use crate::supervisor::{Pid, Role, Spawn};

/// This program's own file, whatever became of its name.
const OURSELVES: &str = "/proc/self/exe";

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
    /// Where the launcher says why it failed.
    pub(super) status: Status,
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
    let nothing = spawn.app.kind.is_alone().then(nothing_to_read).transpose()?;
    let first = nothing.as_ref().map(AsFd::as_fd).or_else(|| listeners.first().copied());
    let first = first.ok_or(SpawnError::NoListener)?;
    let [stdout, stderr, status] = [log_pipe()?, log_pipe()?, pipe()?];

    let mut layout = Layout::default();
    layout.put(0, first);
    layout.put(1, stdout.write.as_fd());
    layout.put(2, stderr.write.as_fd());
    layout.next = LISTEN_FDS_START;
    for listener in listeners {
        layout.append(listener.as_fd());
    }
    let book = layout.append(shared.book);
    layout.append(stdout.read.as_fd());
    layout.append(stderr.read.as_fd());
    let program = shared.program.map(|file| layout.append(file));
    let (page_offset, notify_socket) = (page::offset(shared.leaf), &surroundings.notify_socket);
    let birth = birth_of(spawn, listeners.len(), notify_socket);
    let order = LaunchOrder {
        program,
        launch: what(spawn, surroundings),
        birth: Birth { page_fd: Some(book), page_offset, ..birth },
    };
    let order = order.to_memfd().map_err(SpawnError::Order)?;
    let order_number = layout.append(order.as_fd());
    let status_number = layout.append(status.write.as_fd());

    let arguments = launch::arguments(order_number, status_number);
    let said = signature(spawn, page_offset, notify_socket);
    let pid = layout.spawn(&arguments, &said).map_err(|e| SpawnError::Resource("a process", e))?;
    let record = ProcessRecord {
        worker: spawn.worker,
        pid,
        began: identity::began(pid).unwrap_or(0),
        listeners: u16::try_from(listeners.len()).unwrap_or(u16::MAX),
        leaf: shared.leaf,
        pipes: [inode(&stdout.read), inode(&stderr.read)],
    };
    nonblocking(&stdout.read)?;
    nonblocking(&stderr.read)?;
    nonblocking(&status.read)?;
    let pipes = Pipes { stdout: stdout.read, stderr: stderr.read };
    Ok(Born { pid, record, pipes, status: Status(status.read) })
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
    if let (Role::App, Some(arguments)) = (spawn.role, host(&spawn.app)) {
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

fn birth_of(spawn: &Spawn, listeners: usize, notify_socket: &Path) -> Birth {
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

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

fn pipe() -> Result<Pipe, SpawnError> {
    let made = pipe2(OFlag::O_CLOEXEC).map_err(|e| SpawnError::Resource("a pipe", e.into()));
    made.map(|(read, write)| Pipe { read, write })
}

/// The standard input of a program that no socket is handed to.
fn nothing_to_read() -> Result<OwnedFd, SpawnError> {
    let null = File::open("/dev/null").map_err(|e| SpawnError::Resource("`/dev/null`", e))?;
    Ok(null.into())
}

/// A pipe for what a worker writes, large enough for what it writes while no daemon lives.
fn log_pipe() -> Result<Pipe, SpawnError> {
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
fn nonblocking(fd: &OwnedFd) -> Result<(), SpawnError> {
    let set = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    set.map(drop).map_err(|error| SpawnError::Resource("a pipe", error.into()))
}

/// Which descriptor a worker finds under which number.
#[derive(Debug, Default)]
struct Layout<'fd> {
    places: Vec<(BorrowedFd<'fd>, RawFd)>,
    next: RawFd,
}

impl<'fd> Layout<'fd> {
    fn put(&mut self, number: RawFd, fd: BorrowedFd<'fd>) {
        self.places.push((fd, number));
    }

    fn append(&mut self, fd: BorrowedFd<'fd>) -> RawFd {
        let number = self.next;
        self.put(number, fd);
        self.next += 1;
        number
    }

    /// Starts the launcher with this layout.
    ///
    /// A number that a worker finds something under may be one that the daemon still needs as a
    /// source: such a source goes by way of a number above all others.
    fn spawn(&self, arguments: &[String], said: &[String]) -> io::Result<Pid> {
        let sources = self.places.iter().map(|(fd, _)| fd.as_raw_fd());
        let above = sources.clone().chain([self.next]).max().unwrap_or(self.next) + 1;
        let way = |(source, above)| (source, if source < self.next { above } else { source });
        let ways: Vec<(RawFd, RawFd)> = sources.zip(above..).map(way).collect();
        let mut actions = PosixSpawnFileActions::init()?;
        for (source, way) in ways.iter().filter(|(source, way)| source != way) {
            actions.add_dup2(*source, *way)?;
        }
        for ((_, number), (source, way)) in self.places.iter().zip(&ways) {
            actions.add_dup2(*way, *number)?;
            if way != source {
                actions.add_close(*way)?;
            }
        }
        let text = |text: String| CString::new(text).map_err(io::Error::from);
        let arguments: Vec<_> = arguments.iter().cloned().map(text).collect::<Result<_, _>>()?;
        // What of this reaches the app is the launcher's business.
        let ours = std::env::vars_os()
            .filter(|(name, _)| birth::VARIABLES.iter().all(|theirs| name != theirs))
            .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value.to_str()?)));
        let environment: Vec<_> =
            ours.chain(said.iter().cloned()).map(text).collect::<Result<_, _>>()?;
        let pid = posix_spawn(OURSELVES, &actions, &attributes()?, &arguments, &environment)?;
        Ok(pid.as_raw())
    }
}

/// A group of its own, no signal blocked, every signal at its default.
fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(Process::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::all())?;
    Ok(attributes)
}
