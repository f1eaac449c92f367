//! Becomes another program: the same process, the same children, the same sockets.
//!
//! ```text
//! asked ─▶ probe: the other program reads a copy of the state, says whether it can ─no─▶ refused
//!              └─yes─▶ answer, then: write down ▶ seal ▶ keep descriptors ▶ execve ─failed─▶ go on
//! other program: reads ─cannot─▶ execve of the one before, with the reason
//!                      └─can─▶ takes up everything, goes on
//! ```
//!
//! Listeners stay open all the while, so that whoever connects meanwhile waits and is served.
//! Signals that ask something of the daemon are held back until the other program listens to them.

mod baggage;
mod probe;

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::FdFlag;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::unistd::execve;
use scgi_protocol::control::Upgrade;
use scgi_protocol::inherit;

use super::Shell;
use super::handle::{Answer, Refusal};
use super::perform::Kind;
use super::state::record::{AppRecord, Left};
use crate::words::in_words;
pub(super) use baggage::Stock;
pub use baggage::{Baggage, BaggageError};
use baggage::{keep_over_exec, number};
pub use probe::{NAME as CHECK, Verdict};

/// The option by which a program is told where its baggage is.
pub const OPTION: &str = "--take-over";

/// How long whoever asked has to hear the answer before this program is no more.
const FAREWELL: Duration = Duration::from_millis(50);

/// What is asked for.
#[derive(Debug, Default)]
pub struct UpgradeOrder {
    /// The program; the file this one was started from if it is not named.
    pub binary: Option<PathBuf>,
    /// Only ask it whether it could.
    pub check: bool,
}

/// The daemon's own doors, to be handed on.
#[derive(Debug)]
pub struct DoorDescriptors {
    /// The control socket.
    pub control: OwnedFd,
    /// The metrics' listener.
    pub metrics: Option<OwnedFd>,
}

/// This program's file, by the name it was started by and by itself.
#[derive(Debug)]
pub(super) struct Myself {
    path: io::Result<PathBuf>,
    file: io::Result<File>,
}

impl Myself {
    pub(super) fn find() -> Self {
        Self { path: Self::path(), file: File::open("/proc/self/exe") }
    }

    /// The name it was called by rather than the file that stood behind it: another file may stand
    /// there by the time of an upgrade.
    fn path() -> io::Result<PathBuf> {
        let called = std::env::args_os().next().map(PathBuf::from);
        match called.filter(|path| path.components().count() > 1) {
            Some(path) => std::path::absolute(path),
            None => std::env::current_exe(),
        }
    }
}

impl Shell {
    /// Begins an upgrade: asks the other program first.
    pub(super) fn upgrade(&self, order: UpgradeOrder, answer: Option<Answer<Upgrade>>) {
        let prepared = self.prepare_upgrade(order.binary);
        let (path, copy) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return answer_upgrade(answer, Err(why)),
        };
        let become_it = self.become_it.clone();
        self.shared.board.post_not_upgraded(None);
        tokio::spawn(async move {
            let version = match probe::ask(&path, copy).await {
                Ok(version) => version,
                Err(error) => {
                    let why = Refusal::Unprepared(in_words(&error));
                    return answer_upgrade(answer, Err(why));
                }
            };
            let from = env!("CARGO_PKG_VERSION").to_owned();
            let binary = path.display().to_string();
            tracing::info!(from, to = version, binary, "another scgid can go on from here");
            answer_upgrade(answer, Ok(Upgrade { from, to: version, binary }));
            if !order.check {
                tokio::time::sleep(FAREWELL).await;
                // The loop is gone only if the daemon is.
                let _ = become_it.send(path).await;
            }
        });
    }

    fn prepare_upgrade(&self, binary: Option<PathBuf>) -> Result<(PathBuf, OwnedFd), Refusal> {
        if self.stopping {
            return Err(Refusal::Stopping);
        }
        if self.config.is_none() {
            let why = "this site was not read from a file; the demo is not upgraded";
            return Err(Refusal::Senseless(why.to_owned()));
        }
        let unknown = |error: &io::Error| {
            Refusal::Unprepared(format!("this program's own file is not known: {error}"))
        };
        let path = match (binary, &self.myself.path) {
            (Some(path), _) => path,
            (None, Ok(path)) => path.clone(),
            (None, Err(error)) => return Err(unknown(error)),
        };
        let sealed = self.baggage().and_then(|baggage| baggage.seal());
        let sealed = sealed.map_err(|error| Refusal::Unprepared(error.to_string()))?;
        Ok((path, sealed))
    }

    /// Becomes the program at `path`; comes back only if that failed, and then goes on as before.
    pub(super) fn become_it(&mut self, path: &Path) {
        if self.stopping {
            return;
        }
        tracing::info!(binary = %path.display(), "becoming another scgid");
        let error = match self.try_to_become(path) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        self.not_upgraded(&in_words(&error));
    }

    /// Tells that the program which was to take this one's place has not.
    pub(super) fn not_upgraded(&self, why: &str) {
        tracing::error!(error = why, "upgrade failed; this scgid goes on");
        self.shared.board.post_not_upgraded(Some(why.to_owned()));
    }

    fn try_to_become(&mut self, path: &Path) -> io::Result<std::convert::Infallible> {
        let apps: Vec<_> = self.supervisor.specs().map(|(app, _)| app.clone()).collect();
        self.write_down(&apps);
        // Its thread goes with this program.
        self.archive.close();
        let baggage = self.baggage()?;
        let sealed = baggage.seal()?;
        let mut kept = baggage.numbers();
        kept.push(sealed.as_raw_fd());
        let program = CString::new(path.as_os_str().as_bytes())?;
        let arguments = arguments(sealed.as_raw_fd())?;
        let environment = environment()?;
        let held_back = signals();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held_back), None)?;
        let failed = kept
            .iter()
            .try_for_each(|number| keep_over_exec(*number, FdFlag::empty()))
            .err()
            .unwrap_or_else(|| {
                let Err(errno) = execve(&program, &arguments, &environment);
                errno.into()
            });
        for number in kept {
            // They were open a moment ago, and are.
            let _ = keep_over_exec(number, FdFlag::FD_CLOEXEC);
        }
        listen_to_signals();
        Err(failed)
    }

    /// All that the program needs to go on from here.
    fn baggage(&self) -> io::Result<Baggage> {
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        let previous = self.myself.file.as_ref().map_err(again)?;
        let born = || self.hands.born.values();
        let mut stock: Vec<_> = self.hands.books.descriptors().collect();
        stock.extend(self.hands.output.descriptors());
        stock.extend(self.hands.listeners.descriptors());
        let status = |process: &super::perform::Process| match &process.kind {
            Kind::Child(Some(status)) => Some((process.worker, number(&status.as_fd()))),
            Kind::Child(None) | Kind::Adopted(_) => None,
        };
        let children = self.hands.born.iter();
        let children = children.filter(|(_, process)| matches!(process.kind, Kind::Child(_)));
        Ok(Baggage {
            left: self.left(),
            lock: self.state.lock().map(number),
            notices: number(&self.notices.as_fd()),
            control: number(&self.doors.control),
            metrics: self.doors.metrics.as_ref().map(number),
            inherited: self.hands.listeners.inherited_descriptors(),
            stock,
            programs: self.hands.programs.descriptors().collect(),
            statuses: born().filter_map(status).collect(),
            children: children.map(|(pid, _)| *pid).collect(),
            begun_lines: self.hands.output.begun_lines(),
            nofile: self.hands.surroundings.nofile,
            previous: number(previous),
            given_back: None,
        })
    }

    /// What would be found if this program were killed.
    fn left(&self) -> Left {
        let apps = self.supervisor.specs().filter_map(|(app, _)| {
            let record = self.app_record(app)?;
            let AppRecord { pool, processes, book, listeners, score, tally, programs } = record;
            let pool = pool.clone();
            let record = AppRecord { pool, processes, book, listeners, score, tally, programs };
            Some((app.clone(), record))
        });
        Left {
            site: self.site_record(),
            now: self.now_record(),
            told: self.shared.metrics.told(),
            apps: apps.collect(),
            ended: self.shared.board.ended(),
            events: self.shared.journal.all_events(),
        }
    }
}

fn answer_upgrade(answer: Option<Answer<Upgrade>>, outcome: Result<Upgrade, Refusal>) {
    match (answer, outcome) {
        // Who asked may have gone.
        (Some(answer), outcome) => drop(answer.send(outcome)),
        (None, Ok(_)) => {}
        (None, Err(refusal)) => {
            let error = &refusal as &dyn std::error::Error;
            tracing::error!(error, "upgrade refused; nothing has changed");
        }
    }
}

/// How this program was called, and where the baggage is.
fn arguments(baggage: i32) -> io::Result<Vec<CString>> {
    let ours = |argument: &OsString| argument.as_bytes().starts_with(OPTION.as_bytes());
    let typed = std::env::args_os().filter(|argument| !ours(argument));
    let option = OsString::from(format!("{OPTION}={baggage}"));
    typed.chain([option]).map(|argument| Ok(CString::new(argument.as_bytes())?)).collect()
}

fn environment() -> io::Result<Vec<CString>> {
    let text = |(name, value): (OsString, OsString)| {
        Ok(CString::new([name.as_bytes(), value.as_bytes()].join(&b'='))?)
    };
    std::env::vars_os().map(text).collect()
}

/// The signals that ask something of the daemon.
fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2].into_iter().collect()
}

/// Listens to signals again that were held back by this program, or by the one it was before.
pub(super) fn listen_to_signals() {
    // It fails only for a set that cannot be.
    let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&signals()), None);
}

/// Takes what the program before this one handed over, or becomes that one again.
///
/// Must be called before this program opens anything of its own.
///
/// # Errors
///
/// If neither could be done.
pub fn receive(baggage: i32) -> Result<Baggage, BaggageError> {
    let file = inherit::take(baggage).map(File::from).map_err(BaggageError::Read)?;
    Baggage::read(&file).inspect_err(|refusal| drop(step_back(&file, &in_words(refusal))))
}

/// Becomes the program again that handed over the `baggage`, which this one cannot go on with, and
/// tells it `why`. Comes back only if that cannot be done.
pub fn give_back(baggage: i32, why: &str) {
    // If there is nothing to be had there is nothing to give back.
    let _ = inherit::take(baggage).and_then(|file| step_back(&file.into(), why));
}

fn step_back(file: &File, why: &str) -> io::Result<std::convert::Infallible> {
    let version = env!("CARGO_PKG_VERSION");
    let why = format!("scgid {version} could not go on after all: {why}");
    let (previous, baggage) = Baggage::to_give_back(file, &why)?;
    let path = format!("/proc/self/fd/{previous}");
    let (before, this) = (std::fs::metadata(&path)?, std::fs::metadata("/proc/self/exe")?);
    if (before.dev(), before.ino()) == (this.dev(), this.ino()) {
        // It would come to the same conclusion, over and over.
        return Err(io::ErrorKind::Unsupported.into());
    }
    let program = CString::new(path)?;
    let arguments = arguments(baggage.as_raw_fd())?;
    keep_over_exec(baggage.as_raw_fd(), FdFlag::empty())?;
    let Err(errno) = execve(&program, &arguments, &environment()?);
    Err(errno.into())
}
