//! Which descriptor a process of ours finds under which number, and starting it so.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::unistd::Pid as Process;
use scgi_protocol::birth;

use crate::supervisor::Pid;

/// This program's own file, whatever became of its name.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// Which descriptor a process finds under which number.
#[derive(Debug, Default)]
pub(super) struct Layout<'fd> {
    places: Vec<(BorrowedFd<'fd>, RawFd)>,
    pub(super) next: RawFd,
}

impl<'fd> Layout<'fd> {
    pub(super) fn put(&mut self, number: RawFd, fd: BorrowedFd<'fd>) {
        self.places.push((fd, number));
    }

    pub(super) fn append(&mut self, fd: BorrowedFd<'fd>) -> RawFd {
        let number = self.next;
        self.put(number, fd);
        self.next += 1;
        number
    }

    /// Starts the launcher with this layout.
    ///
    /// A number that a worker finds something under may be one that the daemon still needs as a
    /// source: such a source goes by way of a number above all others.
    pub(super) fn spawn(&self, arguments: &[String], said: &[String]) -> io::Result<Pid> {
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
