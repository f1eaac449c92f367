//! A process that is no child of ours: known by a descriptor, which goes on meaning the same process
//! whatever becomes of its number.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use rustix::process::{ForeignRawFd, Pid as Number, PidfdFlags, PidfdGetfdFlags};
use rustix::process::{pidfd_getfd, pidfd_open, pidfd_send_signal};
use scgi_protocol::name::{AppName, WorkerId};
use tokio::sync::mpsc::UnboundedSender;

use super::identity::{self, Claim, Stat};
use crate::shell::reap::To;
use crate::shell::state::record::ProcessRecord;
use crate::shell::sys;
use crate::supervisor::{Exit, Pid};

/// A worker that a daemon before this one started.
#[derive(Debug)]
pub(in crate::shell) struct Survivor {
    pid: Pid,
    pidfd: OwnedFd,
}

/// Why a process that was written down is not taken for the worker it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It has ended.
    Ended(Exit),
    /// Somebody else has its number: it has ended.
    Replaced,
    /// It cannot be told whether it is the worker; it is left alone.
    Doubtful(String),
}

impl Survivor {
    /// The process that was written down as a worker of `app`, if it still is.
    pub(super) fn find(
        record: &ProcessRecord,
        app: &AppName,
        notify_socket: &str,
    ) -> Result<Self, Absence> {
        let survivor = Self::open(record.pid).ok_or(Absence::Ended(Exit::Unknown))?;
        // Looked at behind the descriptor: whose number it is now it was when that was opened.
        let stat = Stat::of(record.pid).ok_or(Absence::Ended(Exit::Unknown))?;
        if stat.began != record.began {
            return Err(Absence::Replaced);
        }
        if stat.is_dead {
            return Err(Absence::Ended(stat.exit.unwrap_or(Exit::Unknown)));
        }
        match Claim::of(record.pid, notify_socket) {
            Claim::Worker(its, worker) if its == *app && worker == record.worker => Ok(survivor),
            // It may write over its own environment; that it began when the worker did is enough.
            Claim::Silent | Claim::Changing => Ok(survivor),
            Claim::Worker(..) | Claim::Other => Err(Absence::Doubtful(format!(
                "process {} began when worker {} did, and says that it is another",
                record.pid, record.worker
            ))),
        }
    }

    /// A process that says of itself that it is `worker`, and began before it could be written down.
    pub(super) fn claimed(
        pid: Pid,
        (app, worker): (&AppName, WorkerId),
        notify_socket: &str,
    ) -> Option<Self> {
        let survivor = Self::open(pid)?;
        let ours = Claim::Worker(app.clone(), worker);
        (Claim::of(pid, notify_socket) == ours && survivor.is_alive()).then_some(survivor)
    }

    /// The process that has the number `pid` at this moment.
    pub(super) fn open(pid: Pid) -> Option<Self> {
        let number = Number::from_raw(pid).filter(|_| pid > 1)?;
        let pidfd = pidfd_open(number, PidfdFlags::empty()).ok()?;
        Some(Self { pid, pidfd })
    }

    /// Its number.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Where the file of the program that it runs is found.
    pub(super) fn program(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/exe", self.pid))
    }

    /// The descriptor by which it is known.
    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// It has not ended.
    pub(super) fn is_alive(&self) -> bool {
        let mut asked = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ended| ended == 0)
    }

    /// How it ended, as far as anybody can tell.
    pub(in crate::shell) fn exit(&self) -> Exit {
        if let Some(status) = sys::exit_status(&self.pidfd) {
            return identity::exit(status);
        }
        let stat = Stat::of(self.pid).filter(|stat| stat.is_dead);
        stat.and_then(|stat| stat.exit).unwrap_or(Exit::Unknown)
    }

    /// Another handle of the descriptor that it has under `number`.
    pub(super) fn descriptor(&self, number: i32) -> rustix::io::Result<OwnedFd> {
        // The kernel refuses numbers that are not open there.
        let number: ForeignRawFd = number;
        pidfd_getfd(&self.pidfd, number, PidfdGetfdFlags::empty())
    }

    /// Sends it a signal; or it and the group it leads, for as long as its number is its own.
    pub(in crate::shell) fn signal(&self, signal: Signal, to: To) {
        if to == To::Group && self.is_alive() {
            let _whether_there_is_one = killpg(nix::unistd::Pid::from_raw(self.pid), signal);
        }
        if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
            // It may have ended in this very moment; its end is on its way.
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// Kills what is left of the group it led, after its own end: as long as nobody has taken
    /// notice of that, its number cannot be given to anybody else.
    pub(in crate::shell) fn end_group(&self, began: u64) {
        let unburied = Stat::of(self.pid).is_some_and(|stat| stat.is_dead && stat.began == began);
        if unburied {
            let group = nix::unistd::Pid::from_raw(self.pid);
            let _whether_there_is_one = killpg(group, Signal::SIGKILL);
        }
    }

    /// Tells when it has ended. Must be called within the runtime.
    pub(in crate::shell) fn watch(
        &self,
        worker: WorkerId,
        ended: UnboundedSender<(Pid, WorkerId)>,
    ) -> std::io::Result<()> {
        let (pid, watched) = (self.pid, sys::watch(self.pidfd.try_clone()?)?);
        tokio::spawn(async move {
            if watched.readable().await.is_ok() {
                // The loop is gone only if the daemon is.
                let _ = ended.send((pid, worker));
            }
        });
        Ok(())
    }
}
