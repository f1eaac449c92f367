//! Programs that a worker runs, one for each request or connection, and whatever they leave behind.
//!
//! ```text
//! start ─▶ runs ─▶ ended, or to be ended ─▶ its group killed ─▶ buried ─▶ strays killed ─▶ over
//! ```
//!
//! A program leads a process group of its own, and what stays in that dies with it. What has moved
//! to a session of its own becomes this worker's child once its parent is gone (the worker is its
//! subreaper), and carries in its environment for which run it was started. So a daemon forked by a
//! CGI program is found and killed, and another request's helpers are not. Of a process that has
//! wiped its environment nobody can tell whose it is; it is killed as soon as nothing else runs.
//!
//! The only file of the built-in workers that waits for processes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use scgi_protocol::birth;

use crate::proc::{self, Environment};

/// The variable that says for which run of a worker a process was started.
const RUN: &str = "SCGI_RUN";

/// What of the worker's own birth its programs still carry: by these the daemon knows whose they
/// were, should the worker die before them.
const KEPT: [&str; 2] = ["SCGI_APP", "SCGI_WORKER"];

/// How long strays are looked for after a run: whoever forks faster than he is killed is left to the
/// end of the next run, and of the worker.
const PATIENCE: Duration = Duration::from_secs(2);

/// The programs of one worker.
#[derive(Debug, Default)]
pub(super) struct Nursery {
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    last: u64,
    /// Those under way, and the program of each once it has one.
    live: BTreeMap<u64, Option<Pid>>,
}

/// A running program. Dropping it ends it and all that it started.
#[derive(Debug)]
pub(super) struct Offspring {
    nursery: Arc<Nursery>,
    run: u64,
    child: Child,
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
}

impl Nursery {
    /// A nursery for the programs of this process, which becomes the parent of all that they leave
    /// behind.
    ///
    /// # Errors
    ///
    /// What prctl(2) says.
    pub(super) fn open() -> io::Result<Arc<Self>> {
        nix::sys::prctl::set_child_subreaper(true)?;
        Ok(Arc::default())
    }

    /// Starts a program with the worker's environment, its birth left out.
    ///
    /// # Errors
    ///
    /// If it cannot be started; nothing runs then.
    pub(super) fn start(self: &Arc<Self>, command: &mut Command) -> io::Result<Offspring> {
        use std::os::unix::process::CommandExt;
        let run = self.begin();
        for name in birth::VARIABLES.iter().filter(|name| !KEPT.contains(name)) {
            command.env_remove(name);
        }
        command.env(RUN, run.to_string()).process_group(0);
        let started = command.spawn().and_then(|child| {
            let pid = i32::try_from(child.id()).expect("the kernel's numbers fit");
            let number = rustix::process::Pid::from_raw(pid).expect("a process has a number");
            Ok((pid, pidfd_open(number, PidfdFlags::empty())?, child))
        });
        match started {
            Ok((pid, pidfd, child)) => {
                self.runs().live.insert(run, Some(Pid::from_raw(pid)));
                Ok(Offspring { nursery: Arc::clone(self), run, child, pidfd, status: None })
            }
            Err(error) => {
                self.runs().live.remove(&run);
                Err(error)
            }
        }
    }

    fn begin(&self) -> u64 {
        let mut runs = self.runs();
        runs.last += 1;
        let run = runs.last;
        runs.live.insert(run, None);
        run
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        // Nothing is left half done by a panic.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills whatever runs that are over have left behind.
    fn sweep(&self) {
        let until = Instant::now() + PATIENCE;
        while self.kill_strays() > 0 && Instant::now() < until {
            // The dead leave children of their own, who are strays by then; and who is becoming
            // another program is about to say whose he is, if he has a processor.
            std::thread::yield_now();
        }
    }

    /// Kills the children that belong to no run under way; tells how many there were, together
    /// with those of whom it cannot be told yet.
    fn kill_strays(&self) -> usize {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::All, flags) == Err(Errno::ECHILD) {
            return 0;
        }
        let children = proc::children().into_iter().map(Pid::from_raw);
        // Asked for after the children were listed: who was started since is not among them.
        let (programs, live): (Vec<_>, Vec<_>) = {
            let runs = self.runs();
            (runs.live.values().copied().collect(), runs.live.keys().copied().collect())
        };
        // One whose number is not known yet may be among them, and is not to be buried here.
        let all_known = !programs.contains(&None);
        let others = children.filter(|pid| !programs.contains(&Some(*pid)));
        let counts = |pid: Pid| match Run::of(pid) {
            _ if all_known && has_died(pid) => true,
            Run::Changing => true,
            Run::Number(run) => !live.contains(&run) && bury(pid),
            Run::Unknown => live.is_empty() && bury(pid),
        };
        others.filter(|pid| counts(*pid)).count()
    }
}

impl Offspring {
    /// The program's process.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Readable once the program has ended.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Ends the program if it has not ended, and all that it started; how it ended.
    pub(super) fn end(mut self) -> Option<ExitStatus> {
        self.finish();
        self.status
    }

    fn finish(&mut self) {
        if self.nursery.runs().live.remove(&self.run).is_none() {
            return;
        }
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("it fitted before"));
        // It is not buried, so the number is its own; an empty group is nobody's.
        let _ = killpg(group, Signal::SIGKILL);
        self.status = self.child.wait().ok();
        self.nursery.sweep();
    }
}

impl Drop for Offspring {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Buries a child of ours if it has died; whether it had.
fn has_died(pid: Pid) -> bool {
    let status = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    status.is_ok_and(|status| status != WaitStatus::StillAlive)
}

/// Kills a child of ours and its group, and waits for its end. Not of one that may not be killed:
/// a program that has become another user.
fn bury(pid: Pid) -> bool {
    if kill(pid, Signal::SIGKILL) == Err(Errno::EPERM) {
        return false;
    }
    // It leads a group if it has a session of its own.
    let _ = killpg(pid, Signal::SIGKILL);
    waitpid(pid, None).is_ok()
}

/// For which run a process was started, as its environment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Number(u64),
    /// It does not say so any more.
    Unknown,
    /// It will say so in a moment.
    Changing,
}

impl Run {
    fn of(pid: Pid) -> Self {
        match Environment::of(pid.as_raw()) {
            Environment::Seen(block) => Self::read(&block).map_or(Self::Unknown, Self::Number),
            Environment::Hidden => Self::Unknown,
            Environment::Changing => Self::Changing,
        }
    }

    fn read(block: &[u8]) -> Option<u64> {
        let mut variables = block.split(|byte| *byte == 0);
        let value =
            variables.find_map(|said| said.strip_prefix(RUN.as_bytes())?.strip_prefix(b"="))?;
        str::from_utf8(value).ok()?.parse().ok()
    }
}

/// For tests, which share a process, and so its children.
#[cfg(test)]
pub(crate) mod shared {
    use std::sync::{LazyLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

    use super::{Arc, Nursery, PoisonError};

    static TESTS: RwLock<()> = RwLock::new(());

    /// The nursery of all tests that run programs beside each other. One run of it never ends, so
    /// that children of other tests, who say nothing of a run, are let be.
    static NURSERY: LazyLock<Arc<Nursery>> = LazyLock::new(|| {
        let nursery = Arc::<Nursery>::default();
        nursery.begin();
        nursery
    });

    /// That nursery, to be used as long as the guard is there.
    pub(in crate::builtin) fn nursery() -> (RwLockReadGuard<'static, ()>, Arc<Nursery>) {
        (beside_others(), Arc::clone(&NURSERY))
    }

    /// For a test that has children of its own.
    pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
        TESTS.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a test that has a nursery of its own.
    pub(super) fn alone() -> RwLockWriteGuard<'static, ()> {
        TESTS.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// The number that a program prints first.
    fn printed(program: &mut Offspring) -> Pid {
        let mut line = String::new();
        let stdout = program.child().stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Pid::from_raw(line.trim().parse().unwrap())
    }

    fn is_there(pid: Pid) -> bool {
        // One that has died and is not buried has no memory, and so no page of it.
        let memory = std::fs::read_to_string(format!("/proc/{pid}/statm"));
        memory.is_ok_and(|memory| !memory.starts_with("0 "))
    }

    // One test, since the children of a process are those of all its threads.
    #[test]
    fn nothing_of_a_program_is_left_when_its_run_is_over_and_others_are_let_be() {
        let _alone = shared::alone();
        let nursery = Nursery::open().unwrap();

        let mut quick = nursery.start(&mut shell("echo $$; exit 7")).unwrap();
        let _pid = printed(&mut quick);
        let mut ended = [nix::poll::PollFd::new(quick.ended(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut ended, nix::poll::PollTimeout::NONE).unwrap();
        assert_eq!(quick.end().and_then(|status| status.code()), Some(7));

        let mut helper = nursery.start(&mut shell("sleep 1000 & echo $!; wait")).unwrap();
        let helper_pid = printed(&mut helper);
        let mut daemon =
            nursery.start(&mut shell("setsid sleep 1000 & echo $!; sleep 1000")).unwrap();
        let daemon_pid = printed(&mut daemon);
        let mut wiped =
            nursery.start(&mut shell("env -i setsid sleep 1000 & echo $!; sleep 1000")).unwrap();
        let wiped_pid = printed(&mut wiped);

        daemon.end();
        assert!(!is_there(daemon_pid), "a daemon has a session of its own, and is killed");
        assert!(is_there(helper_pid), "what another run started is let be");
        drop(helper);
        assert!(!is_there(helper_pid), "what stayed in the group is killed");
        drop(wiped);
        assert!(!is_there(wiped_pid), "who says nothing is killed once nothing else runs");
    }

    #[test]
    fn a_daemon_that_is_becoming_another_program_is_found_as_well() {
        let _alone = shared::alone();
        let nursery = Nursery::open().unwrap();
        let _other = nursery.start(&mut shell("sleep 1000")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let restless = folder.path().join("restless");
        std::fs::write(&restless, "exec /bin/sh \"$0\"").unwrap();
        let restless = restless.display();
        let daemonize =
            format!("setsid /bin/sh -c 'echo $$; exec /bin/sh {restless}' & sleep 1000");

        // It is between two programs for some hundredths of its life.
        for _ in 0..200 {
            let mut program = nursery.start(&mut shell(&daemonize)).unwrap();
            let daemon = printed(&mut program);
            program.end();
            assert!(!is_there(daemon));
        }
    }

    #[test]
    fn a_program_hears_nothing_of_the_workers_birth_but_whose_it_is() {
        let _alone = shared::alone();
        let nursery = Arc::<Nursery>::default();
        let mut command = shell("env");
        command.env("SCGI_APP", "blog").env("SCGI_PAGE_FD", "3").env("LISTEN_FDS", "1");

        let mut program = nursery.start(&mut command).unwrap();
        let lines = BufReader::new(program.child().stdout.take().unwrap()).lines();
        let lines: Vec<_> = lines.map(Result::unwrap).collect();

        assert!(lines.contains(&"SCGI_APP=blog".to_owned()), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("SCGI_RUN=")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("_FD")), "{lines:?}");
    }
}
