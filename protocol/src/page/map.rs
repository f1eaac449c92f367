//! Maps a page into this process.
//!
//! One of the few files of the house that lift the ban on `unsafe`: memory that another process
//! writes can only be reached through a pointer.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapOptions, MmapRaw};

use super::layout::{BYTES, Layout};

/// A page in this process's memory. The methods are in the parts of [`super`].
pub struct Page {
    memory: MmapRaw,
}

impl Page {
    /// Maps the first [`BYTES`] bytes behind `fd`, shared with whoever else maps them.
    pub(super) fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let memory = MmapOptions::new().len(BYTES).map_raw(fd.as_raw_fd())?;
        Ok(Self { memory })
    }

    #[expect(unsafe_code, reason = "memory shared with another process is behind a pointer")]
    pub(super) fn layout(&self) -> &Layout {
        // SAFETY: `memory` is a live mapping of BYTES bytes for as long as `self` (`MmapRaw` unmaps
        // on drop), aligned to a memory page and so for `Layout`, whose size is BYTES (asserted
        // beside it). `Layout` is made of `AtomicU64` alone: every bit pattern is valid, and
        // another process's writes are atomic accesses of the same memory, not races. The pages
        // behind it exist: both ways to make a `Page` see to it that the memfd has BYTES bytes and
        // is sealed against shrinking, in `create` before the descriptor leaves this process.
        unsafe { &*self.memory.as_ptr().cast::<Layout>() }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}
