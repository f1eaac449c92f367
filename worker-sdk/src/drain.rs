//! The order to leave: a signal that can be seen in two ways, by looking and by waiting.
//!
//! A flag for who is busy, a descriptor that becomes readable (and stays so) for who sleeps. The
//! signal may come again any number of times and means nothing more then. Handlers' system calls
//! are not interrupted by it (SA_RESTART).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// How long a thread that cannot accept lets the machine recover.
const REST: Duration = Duration::from_millis(50);

/// Whether, and since when nobody knows, this worker is to leave.
#[derive(Debug)]
pub(crate) struct Drain {
    asked: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Drain {
    /// Listens to the signals of a worker: TERM asks it to leave, HUP means nothing to it.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor left.
    pub(crate) fn of_worker() -> io::Result<Self> {
        flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        Self::on(&[SIGTERM])
    }

    /// Listens to the signals of a program in a terminal: TERM and INT; a second INT ends it.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor left.
    pub(crate) fn of_program() -> io::Result<Self> {
        let once = Arc::new(AtomicBool::new(false));
        // In this order: the first INT only sets the flag that makes the second one final.
        flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&once))?;
        flag::register(SIGINT, once)?;
        Self::on(&[SIGTERM, SIGINT])
    }

    fn on(signals: &[i32]) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let (wake, poke) = UnixStream::pair()?;
        wake.set_read_timeout(Some(REST))?;
        for signal in signals {
            flag::register(*signal, Arc::clone(&asked))?;
            pipe::register(*signal, poke.try_clone()?)?;
        }
        Ok(Self { asked, wake })
    }

    /// Whether the order has come.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// Lets a moment pass, less if the order comes.
    pub(crate) fn rest(&self) {
        // The byte stays where it is, for the other threads; a time-out is what is wanted.
        let _ = recv(self.wake.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK);
    }
}

impl AsFd for Drain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
