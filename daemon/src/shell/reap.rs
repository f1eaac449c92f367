//! Waits for children: the only file that does.
//!
//! A child is looked at before it is buried. Until then its number cannot be given to anybody
//! else, so that what is left of its process group can be killed without hitting a stranger.

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid as Process;

use crate::supervisor::{Exit, Pid};

/// The next child that has ended, if one has: buried, and with it the rest of its process group.
/// Never waits.
pub(super) fn next() -> Option<(Pid, Exit)> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let (process, exit) = match waitid(Id::All, flags).ok()? {
        WaitStatus::Exited(process, code) => (process, Exit::Code(code)),
        WaitStatus::Signaled(process, signal, _) => (process, Exit::Signal(signal as i32)),
        _ => return None,
    };
    // A child that leads no group has left none; that is the usual case.
    let _ = killpg(process, Signal::SIGKILL);
    // It has ended, so this does not wait; its status is known.
    let _ = waitpid(process, Some(WaitPidFlag::WNOHANG));
    Some((process.as_raw(), exit))
}

/// Whether `pid` is a child of this process, ended or not.
pub(super) fn is_child(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    pid > 1 && waitid(Id::Pid(Process::from_raw(pid)), flags).is_ok()
}

/// Makes this process the parent of whatever its workers leave behind.
///
/// # Errors
///
/// What prctl(2) says.
pub fn adopt_orphans() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Sends `signal` to a child, or to it and its group.
pub(super) fn signal(pid: Pid, signal: Signal, to: To) {
    let process = Process::from_raw(pid);
    // It may have ended in this very moment: then there is nobody to tell, and its exit is on its
    // way. Its number is ours until it is buried.
    let _ = nix::sys::signal::kill(process, signal);
    if to == To::Group {
        let _ = killpg(process, signal);
    }
}

/// Whom a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The process alone.
    Process,
    /// The process and the group it leads.
    Group,
}
