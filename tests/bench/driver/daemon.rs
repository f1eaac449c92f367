//! The real daemon, run as a person runs it: `scgid run FILE`.
//!
//! It knows the daemon by its documented interface alone: the configuration, signals, `scgictl`, the
//! metrics listener. Each daemon has a directory of its own, removed with it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scgi_protocol::address::Address;
use tempfile::TempDir;

use crate::process;
use crate::server::{app_program, sibling};
use crate::wait;

/// The configuration's file in the daemon's directory.
const CONFIG: &str = "scgid.yaml";

/// What a daemon gets to stop in order before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Child,
    directory: TempDir,
    metrics: SocketAddr,
    /// Workers of daemons before it: they are no children of its.
    handed_down: Vec<u32>,
}

/// One app of a configuration, less its program, which is always the benchmark's.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) listen: Address,
    /// What stands behind `workers:`.
    pub(crate) workers: String,
    /// What the app answers on `/mark`.
    pub(crate) mark: String,
}

impl Daemon {
    /// Starts `scgid run` on a file with `apps`; it may not listen yet.
    ///
    /// # Errors
    ///
    /// The file cannot be written or the daemon cannot be started.
    pub(crate) fn start(directory: TempDir, apps: &[App]) -> io::Result<Self> {
        let metrics = free_address()?;
        write(directory.path(), metrics, apps)?;
        let process = spawn(directory.path())?;
        Ok(Self { process, directory, metrics, handed_down: Vec::new() })
    }

    /// Kills it, and starts another one in its place, which may not have taken over yet; when that was
    /// started.
    ///
    /// # Errors
    ///
    /// It is gone already, or the other one cannot be started.
    pub(crate) fn begin_again(&mut self) -> io::Result<Instant> {
        self.handed_down = self.workers();
        self.process.kill()?;
        self.process.wait()?;
        let start = Instant::now();
        self.process = spawn(self.directory.path())?;
        Ok(start)
    }

    /// Runs `scgictl` to its end: how it ended, and how long it took.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(crate) fn scgictl(&self, arguments: &[&str]) -> io::Result<(Output, Duration)> {
        let mut command = Command::new(sibling("scgictl")?);
        command.arg("--socket").arg(self.directory.path().join("control.sock")).args(arguments);
        let start = Instant::now();
        let output = command.stdin(Stdio::null()).output()?;
        Ok((output, start.elapsed()))
    }

    /// Writes its file anew.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn configure(&self, apps: &[App]) -> io::Result<()> {
        write(self.directory.path(), self.metrics, apps)
    }

    /// Writes its file anew and tells it to read it.
    ///
    /// # Errors
    ///
    /// The file cannot be written or the daemon is gone.
    pub(crate) fn reload(&self, apps: &[App]) -> io::Result<()> {
        self.configure(apps)?;
        Ok(kill(pid_of(self.pid()), Signal::SIGHUP)?)
    }

    /// Its own process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The workers it runs: its descendants that have become the app, and those it took over.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let app = app_program().ok();
        let mut workers = process::tree(self.pid());
        workers.extend(&self.handed_down);
        workers.retain(|&pid| process::program(pid) == app);
        workers
    }

    /// Waits until exactly `count` workers run.
    ///
    /// # Errors
    ///
    /// They never do; the daemon's own words are in the message.
    pub(crate) fn wait_for_workers(&self, count: usize) -> io::Result<()> {
        let what = format!("{count} workers");
        self.explain(wait::until(&what, || (self.workers().len() == count).then_some(())))
    }

    /// Adds the end of the daemon's log to an error.
    pub(crate) fn explain<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let log = fs::read_to_string(self.directory.path().join("scgid.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(8).collect();
            let words: Vec<&str> = lines.into_iter().rev().collect();
            io::Error::new(error.kind(), format!("{error}\nscgid said:\n{}", words.join("\n")))
        })
    }

    /// Fetches `path` from the metrics listener: how long it took, and all that was sent.
    ///
    /// # Errors
    ///
    /// Nothing listens, or the answer is not 200.
    pub(crate) fn fetch(&self, path: &str) -> io::Result<(Duration, Vec<u8>)> {
        let start = Instant::now();
        let mut stream = TcpStream::connect(self.metrics)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let took = start.elapsed();
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(format!("`{path}` was not answered with 200")));
        }
        Ok((took, answer))
    }
}

impl Drop for Daemon {
    /// TERM, and KILL for whoever is left: workers outlive a daemon that is killed.
    fn drop(&mut self) {
        let mut tree = process::tree(self.pid());
        tree.extend(&self.handed_down);
        let _ = kill(pid_of(self.pid()), Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < FAREWELL && matches!(self.process.try_wait(), Ok(None)) {
            wait::pause(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let app = app_program().ok();
        for pid in tree.into_iter().filter(|&pid| app.is_some() && process::program(pid) == app) {
            let _ = kill(pid_of(pid), Signal::SIGKILL);
        }
    }
}

/// The same number as the kernel's signed type.
pub(crate) fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id fits in pid_t"))
}

/// A directory for one server's sockets, configuration and log: in memory where the machine has
/// such a place, as `/run` is. On a disk's file system a socket's inode costs more than the rest.
pub(crate) fn directory() -> io::Result<TempDir> {
    let mut named = tempfile::Builder::new();
    named.prefix("scgi-bench.");
    named.tempdir_in("/dev/shm").or_else(|_| named.tempdir())
}

/// An address on loopback at which nothing listens.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// Starts the daemon whose file is in `directory`.
fn spawn(directory: &Path) -> io::Result<Child> {
    let talk = File::options().create(true).append(true).open(directory.join("scgid.log"))?;
    Command::new(sibling("scgid")?)
        .arg("run")
        .arg(directory.join(CONFIG))
        .stdin(Stdio::null())
        .stdout(talk.try_clone()?)
        .stderr(talk)
        .spawn()
}

fn write(directory: &Path, metrics: SocketAddr, apps: &[App]) -> io::Result<()> {
    let file = directory.join(CONFIG);
    let control = directory.join("control.sock");
    let program = app_program()?;
    let mut text = BufWriter::new(File::create(&file)?);
    writeln!(text, "control: {{socket: {}}}", control.display())?;
    writeln!(text, "metrics: {{listen: \"{metrics}\"}}")?;
    writeln!(text, "revisions: {{directory: {}}}", directory.join("revisions").display())?;
    writeln!(text, "defaults: {{restart: {{budget: 1000, period: 60s}}}}")?;
    writeln!(text, "apps:")?;
    for App { name, listen, workers, mark } in apps {
        writeln!(text, "  {name}:")?;
        writeln!(text, "    run: [{}]", program.display())?;
        writeln!(text, "    listen: \"{listen}\"")?;
        writeln!(text, "    workers: {workers}")?;
        writeln!(text, "    env: {{BENCH_MARK: {mark}}}")?;
    }
    text.flush()
}
