//! The page: 4 KiB of shared memory in which one worker writes what it is doing.
//!
//! The daemon makes it, the worker writes it, the daemon only reads. It is a leaf of its app's
//! [`Book`], memory that is sealed (memfd_create(2)): nobody can change its size, so that reading
//! can never fail. Every word is an atomic; nothing is locked, and a worker that dies in the middle
//! of a write leaves nothing held.
//!
//! A worker can write anything here. Readers therefore bound every loop, clamp what they read and
//! take no identity from it; a lie harms only the app that tells it.
//!
//! [`layout`] is the contract to the byte, [`report`] the numbers and how they add up, [`request`]
//! the records of what is being served right now; `map` holds the one `unsafe` of it all.

mod book;
pub mod layout;
mod map;
pub mod report;
pub mod request;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use nix::time::{ClockId, clock_gettime};

pub use book::{Book, LEAVES, leaf_at, offset};
use layout::{Layout, MAGIC, RECORDS, VERSION};
pub use map::Page;
pub use report::Report;
pub use request::{Phase, Serving};

/// Why a descriptor is not a page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The kernel refused to tell about the descriptor or to map it.
    #[error("the descriptor of the page cannot be mapped")]
    Map(#[source] io::Error),
    /// It is not memory that keeps its size.
    #[error("the descriptor of the page is not a memfd sealed in its size")]
    NotSealed,
    /// It does not reach so far, or a page cannot begin there.
    #[error("no page begins at byte {offset} of the {size} bytes behind the page's descriptor")]
    NoLeaf {
        /// Where the page was said to begin, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        size: i64,
    },
    /// It does not begin as a page does.
    #[error("the page has another layout: magic {magic:#x}, version {version}; this is {VERSION}")]
    Layout {
        /// The word where [`MAGIC`] belongs.
        magic: u64,
        /// The word where [`VERSION`] belongs.
        version: u64,
    },
}

/// The variable that marks a request by which the daemon asks whether an app is well, a *checkup*. No
/// header of a client's can become it.
///
/// All workers of an app accept at one socket, and nobody can choose who answers. A worker that counts
/// these apart lets the daemon know that it was this one who did.
pub const CHECKUP: &str = "SCGID_CHECKUP";

/// What a worker says it is doing as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Nothing was written: a program that does not know of the page.
    Silent = 0,
    /// Accepting connections.
    Accepting = 1,
    /// Leaving; no further connection is accepted.
    Draining = 2,
}

impl Page {
    /// Makes a page in a book of its own, and the descriptor by which a worker can have it.
    ///
    /// # Errors
    ///
    /// If the kernel has no memory or no descriptor left.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let book = Book::create(1)?;
        Ok((book.blank(0)?, book.into()))
    }

    /// Maps the page that begins at byte `offset` of the book behind a descriptor.
    ///
    /// # Errors
    ///
    /// [`PageError`], if there is none, or one of another version.
    pub fn open(fd: impl AsFd, offset: u64) -> Result<Self, PageError> {
        let page = book::map(fd.as_fd(), offset)?;
        let magic = page.layout().magic.load(Relaxed);
        let version = page.layout().version.load(Relaxed);
        if (magic, version) != (MAGIC, VERSION) {
            return Err(PageError::Layout { magic, version });
        }
        Ok(page)
    }

    /// Makes a page of memory that nothing is written on.
    fn inscribe(&self) {
        self.layout().magic.store(MAGIC, Relaxed);
        self.layout().version.store(VERSION, Relaxed);
    }

    /// Says what the worker is doing as a whole, and for how many requests at once it has room.
    pub fn set_state(&self, state: State, capacity: u16) {
        self.layout().capacity.store(capacity.into(), Relaxed);
        self.layout().state.store(state as u64, Release);
    }

    /// What the worker says it is doing as a whole; nonsense counts as silence.
    pub fn state(&self) -> State {
        match self.layout().state.load(Acquire) {
            1 => State::Accepting,
            2 => State::Draining,
            _ => State::Silent,
        }
    }

    /// For how many requests at once the worker has room, clamped to `1..=most`.
    pub fn capacity(&self, most: u16) -> u16 {
        let said = self.layout().capacity.load(Relaxed);
        u16::try_from(said).unwrap_or(most).clamp(1, most.max(1))
    }

    /// The requests being served, oldest first.
    pub fn serving(&self) -> Vec<Serving> {
        let mut serving: Vec<_> = self.layout().records.iter().filter_map(request::read).collect();
        serving.sort_by_key(|request| request.since_ns);
        serving
    }

    /// Turns of the worker's loop are proven by this; `now_ns` is [`now_ns`].
    pub fn beat(&self, now_ns: u64) {
        self.layout().heartbeat_ns.store(now_ns, Relaxed);
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which all processes of a boot share.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock");
    let part = |n: i64| u64::try_from(n).expect("the monotonic clock does not go below zero");
    part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec())
}

/// The number of requests whose details a page can show at once.
pub const RECORDS_MAX: usize = RECORDS;

/// The layout behind a page, for this module's parts.
fn words(page: &Page) -> &Layout {
    page.layout()
}

#[cfg(test)]
mod tests {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;

    use super::*;

    #[test]
    fn a_worker_and_the_daemon_see_the_same_page() {
        let (daemon, fd) = Page::create().unwrap();

        let worker = Page::open(&fd, 0).unwrap();
        worker.set_state(State::Accepting, 3);

        assert_eq!(daemon.state(), State::Accepting);
        assert_eq!(daemon.capacity(8), 3);
        assert_eq!(daemon.capacity(2), 2);
    }

    #[test]
    fn what_is_not_a_page_is_refused() {
        let unsealed = memfd_create("x", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&unsealed, 4096).unwrap();
        let strange = Book::create(1).unwrap();

        assert!(matches!(Page::open(&unsealed, 0), Err(PageError::NotSealed)));
        assert!(matches!(Page::open(&strange, 0), Err(PageError::Layout { magic: 0, .. })));
        assert!(Page::open(std::fs::File::open("/dev/null").unwrap(), 0).is_err());
    }
}
