//! The program, run as a process.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// Nothing here takes this long unless it hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// The program about to be run.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The program with `args`, split at spaces, in an environment without any say in it.
    pub(crate) fn new(args: &str) -> Self {
        Self::of(env!("CARGO_BIN_EXE_scgictl"), args)
    }

    /// Another program in the place of ours.
    pub(crate) fn of(program: impl AsRef<Path>, args: &str) -> Self {
        let mut command = Command::new(program.as_ref());
        command
            .args(args.split_whitespace())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command }
    }

    pub(crate) fn socket(self, path: impl AsRef<Path>) -> Self {
        self.env("SCGI_SOCKET", path.as_ref())
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.command.arg(arg.into());
        self
    }

    /// Takes root's privileges from it, if the test has them: nothing is forbidden to root.
    pub(crate) fn unprivileged(mut self) -> Self {
        if geteuid().is_root() {
            self.command.uid(65534).gid(65534);
        }
        self
    }

    /// Gives it `text` on standard input.
    pub(crate) fn input(mut self, text: &str) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        self.command.stdin(file);
        self
    }

    /// Runs it with both outputs on a terminal, to its end: the exit code and all that was
    /// written to the terminal.
    pub(crate) fn on_terminal(mut self, columns: u16) -> (Option<i32>, String) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(Some(&size), None).unwrap();
        let (out, err) = (terminal.slave.try_clone().unwrap(), terminal.slave);
        self.command.stdout(out).stderr(err);
        let mut process = self.started();
        // The command keeps its ends of the terminal, which would never end.
        drop(self);
        let mut screen = Vec::new();
        // A terminal that nobody writes to any more ends with an error.
        let _end = File::from(terminal.master).read_to_end(&mut screen);
        (process.wait().unwrap().code(), String::from_utf8(screen).unwrap())
    }

    /// Runs it, to be read from and killed by the caller.
    pub(crate) fn spawned(mut self) -> Child {
        self.started()
    }

    /// Starts it. A test in another thread that is about to start a program holds a copy of every
    /// descriptor for a moment, also of one through which our program was just written.
    fn started(&mut self) -> Child {
        loop {
            match self.command.spawn() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => thread::yield_now(),
                started => return started.unwrap(),
            }
        }
    }

    /// Runs it to its end.
    pub(crate) fn ended(self) -> Ended {
        self.interrupted_when(|| true, None)
    }

    /// Runs it, and sends it SIGINT as soon as `when` says so.
    pub(crate) fn interrupted(self, when: impl Fn() -> bool) -> Ended {
        self.interrupted_when(when, Some(Signal::SIGINT))
    }

    fn interrupted_when(mut self, when: impl Fn() -> bool, signal: Option<Signal>) -> Ended {
        let process = self.started();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(process.wait_with_output().unwrap()));
        if let Some(signal) = signal {
            eventually(when);
            kill(pid, signal).unwrap();
        }
        match ended.recv_timeout(HANGS_AFTER) {
            Ok(output) => Ended::from(output),
            Err(_) => {
                kill(pid, Signal::SIGKILL).unwrap();
                panic!("it hangs: {:?}", ended.recv());
            }
        }
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        assert_eq!(
            output.status.signal().filter(|signal| *signal != 2),
            None,
            "killed by a signal"
        );
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed() < HANGS_AFTER, "it never came to be so");
        thread::yield_now();
    }
}
