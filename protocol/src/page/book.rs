//! The book: the memory that holds the pages of all workers of one app, a leaf for each.
//!
//! Every worker of the app holds the whole book. So what a worker counted is there for as long as
//! any of them lives, also if it ended while nobody watched. That one of them writes on another's
//! leaf harms their own app and no other.
//!
//! It is far longer than any pool needs: memory that nobody wrote on costs nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc::off_t;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use super::layout::BYTES;
use super::{Page, PageError};

/// Leaves of a book that the daemon makes: the most workers an app can have at one moment, those
/// that leave included.
pub const LEAVES: u16 = 16 * 1024;

/// A book. Sealed (memfd_create(2)): nobody can change its size.
#[derive(Debug)]
pub struct Book {
    fd: OwnedFd,
}

impl Book {
    /// Makes a book of so many leaves.
    ///
    /// # Errors
    ///
    /// If the kernel has no memory or no descriptor left.
    pub fn create(leaves: u16) -> io::Result<Self> {
        let fd = memfd_create("scgi-book", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        ftruncate(&fd, signed(offset(leaves)))?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals()))?;
        Ok(Self { fd })
    }

    /// A leaf as a page that nothing is written on. Whoever still has it sees it so as well.
    ///
    /// # Errors
    ///
    /// If there is no such leaf, or the kernel has no memory left.
    pub fn blank(&self, leaf: u16) -> io::Result<Page> {
        self.erase(leaf)?;
        let page = map(self.fd.as_fd(), offset(leaf)).map_err(io::Error::other)?;
        page.inscribe();
        Ok(page)
    }

    /// Erases a leaf: its memory is given back, and whoever still has the page reads zeros.
    ///
    /// # Errors
    ///
    /// What fallocate(2) says.
    pub fn erase(&self, leaf: u16) -> io::Result<()> {
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(&self.fd, hole, signed(offset(leaf)), signed(BYTES as u64))?)
    }

    /// A leaf as the page somebody made it.
    ///
    /// # Errors
    ///
    /// [`PageError`], if it is none.
    pub fn page(&self, leaf: u16) -> Result<Page, PageError> {
        Page::open(&self.fd, offset(leaf))
    }
}

impl From<OwnedFd> for Book {
    /// Takes a descriptor for that of a book; whether it is one is seen when a leaf is opened.
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl From<Book> for OwnedFd {
    fn from(book: Book) -> Self {
        book.fd
    }
}

impl AsFd for Book {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where a leaf begins, in bytes.
pub fn offset(leaf: u16) -> u64 {
    u64::from(leaf) * BYTES as u64
}

/// The leaf that begins at `offset`; `None` if none does.
pub fn leaf_at(offset: u64) -> Option<u16> {
    let leaf = offset.is_multiple_of(BYTES as u64).then_some(offset / BYTES as u64)?;
    u16::try_from(leaf).ok().filter(|leaf| *leaf < LEAVES)
}

/// Maps the page that begins at `offset` of a book, whatever is written on it.
pub(super) fn map(fd: BorrowedFd<'_>, offset: u64) -> Result<Page, PageError> {
    let size = fstat(fd).map_err(|error| PageError::Map(error.into()))?.st_size;
    let sealed = fcntl(fd, FcntlArg::F_GET_SEALS).unwrap_or(0);
    if sealed & seals().bits() != seals().bits() {
        return Err(PageError::NotSealed);
    }
    let bytes = BYTES as u64;
    let fits = offset
        .checked_add(bytes)
        .is_some_and(|end| i64::try_from(end).is_ok_and(|end| end <= size));
    if !fits || !offset.is_multiple_of(bytes) {
        return Err(PageError::NoLeaf { offset, size });
    }
    Page::map(fd, offset).map_err(PageError::Map)
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

fn signed(bytes: u64) -> off_t {
    off_t::try_from(bytes).expect("a book is smaller than any file may be")
}

#[cfg(test)]
mod tests {
    use crate::page::State;

    use super::*;

    #[test]
    fn each_leaf_is_a_page_of_its_own() {
        let book = Book::create(3).unwrap();
        book.blank(0).unwrap().set_state(State::Draining, 1);
        let last = book.blank(2).unwrap();

        book.page(2).unwrap().set_state(State::Accepting, 3);

        assert_eq!((last.state(), last.capacity(8)), (State::Accepting, 3));
        assert_eq!(book.page(0).unwrap().state(), State::Draining);
        assert!(matches!(book.page(1), Err(PageError::Layout { magic: 0, .. })));
    }

    #[test]
    fn a_leaf_is_blank_again_for_the_next_one() {
        let book = Book::create(1).unwrap();
        book.blank(0).unwrap().set_state(State::Accepting, 1);

        assert_eq!(book.blank(0).unwrap().state(), State::Silent);
    }

    #[test]
    fn nobody_can_change_the_size_of_a_book() {
        let book = Book::create(2).unwrap();

        assert!(ftruncate(&book, 0).is_err());
        assert!(ftruncate(&book, 3 * 4096).is_err());
    }

    #[test]
    fn what_is_no_leaf_is_refused() {
        let book = Book::create(2).unwrap();

        assert_eq!(
            [8192, 8191, offset(LEAVES), u64::MAX].map(leaf_at),
            [Some(2), None, None, None]
        );
        assert!(book.blank(2).is_err());
        for offset in [8192, 4095, 1, u64::MAX, u64::MAX - 4095, i64::MAX.cast_unsigned()] {
            let opened = Page::open(&book, offset);
            assert!(matches!(opened, Err(PageError::NoLeaf { .. })), "{offset}: {opened:?}");
        }
    }

    #[test]
    fn a_long_book_takes_no_memory_until_it_is_written_on() {
        let book = Book::create(LEAVES).unwrap();

        book.blank(LEAVES - 1).unwrap();

        assert!(fstat(&book).unwrap().st_blocks <= 16, "in blocks of 512 bytes");
        book.erase(LEAVES - 1).unwrap();
        assert_eq!(fstat(&book).unwrap().st_blocks, 0);
    }
}
