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
    /// Maps [`BYTES`] bytes behind `fd`, shared with whoever else maps them, from `offset` on: a
    /// multiple of [`BYTES`], so that no memory beyond the size of a sealed memfd is reached.
    pub(super) fn map(fd: BorrowedFd<'_>, offset: u64) -> io::Result<Self> {
        let memory = MmapOptions::new().len(BYTES).offset(offset).map_raw(fd.as_raw_fd())?;
        Ok(Self { memory })
    }

    #[expect(unsafe_code, reason = "memory shared with another process is behind a pointer")]
    pub(super) fn layout(&self) -> &Layout {
        // SAFETY: `memory` is a live mapping of BYTES bytes for as long as `self` (`MmapRaw` unmaps
        // on drop). It begins where a memory page does, or a multiple of BYTES after that, and is
        // so aligned for `Layout`, whose size is BYTES (asserted beside it). `Layout` is made of
        // `AtomicU64` alone: every bit pattern is valid, and another process's writes are atomic
        // accesses of the same memory, not races. The memory behind it exists: the only caller of
        // `map`, `book::map`, has seen that the memfd reaches beyond `offset` + BYTES and is sealed
        // against shrinking. Holes punched into it read as zeros.
        unsafe { &*self.memory.as_ptr().cast::<Layout>() }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}
