//! The books of all apps, and which worker has which leaf.
//!
//! An app has a book for as long as somebody works for it. Leaves are given out in turn, so that
//! one is used again as late as can be.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::{Book, LEAVES, Page, PageError};

use super::state::record::inode;

/// The books.
#[derive(Debug, Default)]
pub(super) struct Books {
    open: BTreeMap<AppName, OpenBook>,
    /// Whose leaf is in which book.
    owners: BTreeMap<WorkerId, AppName>,
}

#[derive(Debug)]
struct OpenBook {
    book: Book,
    /// The kernel's number of it.
    inode: u64,
    leaves: BTreeMap<WorkerId, u16>,
    /// The leaf to begin with when one is sought that nobody has.
    next: u16,
}

/// A worker's leaf.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Which one it is.
    pub(super) number: u16,
    /// What is written on it.
    pub(super) page: Page,
}

impl Books {
    /// Gives a worker a blank leaf.
    ///
    /// # Errors
    ///
    /// If the kernel has no memory or no descriptor left, or no leaf is free.
    pub(super) fn give(&mut self, app: &AppName, worker: WorkerId) -> io::Result<Leaf> {
        if !self.open.contains_key(app) {
            self.take_back(app, Book::create(LEAVES)?);
        }
        let open = self.open.get_mut(app).expect("it was just opened");
        let number = open.free_leaf().ok_or(io::ErrorKind::QuotaExceeded)?;
        let page = open.book.blank(number)?;
        self.own(app, worker, number);
        Ok(Leaf { number, page })
    }

    /// Goes on with a book that a daemon before this one made.
    pub(super) fn take_back(&mut self, app: &AppName, book: Book) {
        let inode = inode(&book);
        let open = OpenBook { book, inode, leaves: BTreeMap::new(), next: 0 };
        self.open.insert(app.clone(), open);
    }

    /// Goes on with the leaf that a worker was given by a daemon before this one.
    ///
    /// # Errors
    ///
    /// [`PageError`], if there is none; `None` if there is no book.
    pub(super) fn reopen(
        &mut self,
        app: &AppName,
        worker: WorkerId,
        number: u16,
    ) -> Option<Result<Leaf, PageError>> {
        let page = match self.open.get(app)?.book.page(number) {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        self.own(app, worker, number);
        Some(Ok(Leaf { number, page }))
    }

    /// Erases a worker's leaf, and closes the book that nobody has a leaf in.
    pub(super) fn erase(&mut self, worker: WorkerId) {
        let Some(app) = self.owners.remove(&worker) else { return };
        let Some(open) = self.open.get_mut(&app) else { return };
        if let Some(number) = open.leaves.remove(&worker) {
            // Should the kernel not give the memory back now, it does when the book is closed.
            let _ = open.book.erase(number);
        }
        if open.leaves.is_empty() {
            self.open.remove(&app);
        }
    }

    /// An app's book, if it has one.
    pub(super) fn of(&self, app: &AppName) -> Option<BorrowedFd<'_>> {
        self.open.get(app).map(|open| open.book.as_fd())
    }

    /// The kernel's number of an app's book; 0 if it has none.
    pub(super) fn inode(&self, app: &AppName) -> u64 {
        self.open.get(app).map_or(0, |open| open.inode)
    }

    /// Under which numbers this process has them.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.open.values().map(|open| open.book.as_fd().as_raw_fd())
    }

    fn own(&mut self, app: &AppName, worker: WorkerId, number: u16) {
        let Some(open) = self.open.get_mut(app) else { return };
        open.next = (number + 1) % LEAVES;
        open.leaves.insert(worker, number);
        self.owners.insert(worker, app.clone());
    }
}

impl OpenBook {
    fn free_leaf(&self) -> Option<u16> {
        let mut in_turn = (self.next..LEAVES).chain(0..self.next);
        in_turn.find(|number| self.leaves.values().all(|taken| taken != number))
    }
}

#[cfg(test)]
mod tests {
    use scgi_protocol::page::State;

    use super::*;

    fn app() -> AppName {
        "blog".parse().unwrap()
    }

    #[test]
    fn leaves_are_given_out_in_turn_and_never_twice() {
        let mut books = Books::default();
        let give = |books: &mut Books, worker| books.give(&app(), WorkerId(worker)).unwrap().number;
        assert_eq!([1, 2, 3].map(|worker| give(&mut books, worker)), [0, 1, 2]);

        books.erase(WorkerId(2));
        assert_eq!(give(&mut books, 4), 3);
        books.open.get_mut(&app()).unwrap().next = 0;

        assert_eq!([5, 6].map(|worker| give(&mut books, worker)), [1, 4]);
    }

    #[test]
    fn a_book_is_closed_when_nobody_works_for_the_app() {
        let mut books = Books::default();
        books.give(&app(), WorkerId(1)).unwrap();
        books.give(&app(), WorkerId(2)).unwrap();
        let inode = books.inode(&app());

        books.erase(WorkerId(1));
        assert_eq!(books.inode(&app()), inode);
        books.erase(WorkerId(2));

        assert_eq!((books.inode(&app()), books.descriptors().count()), (0, 0));
    }

    #[test]
    fn a_leaf_is_found_again_as_it_was_left() {
        let mut before = Books::default();
        before.give(&app(), WorkerId(1)).unwrap();
        let leaf = before.give(&app(), WorkerId(2)).unwrap();
        leaf.page.set_state(State::Draining, 1);
        let book = before.of(&app()).unwrap().try_clone_to_owned().unwrap();
        drop(before);

        let mut books = Books::default();
        assert!(books.reopen(&app(), WorkerId(2), leaf.number).is_none());
        books.take_back(&app(), book.into());
        let again = books.reopen(&app(), WorkerId(2), leaf.number).unwrap().unwrap();

        assert_eq!(again.page.state(), State::Draining);
        assert!(books.reopen(&app(), WorkerId(3), 7).unwrap().is_err());
        assert_eq!(books.give(&app(), WorkerId(4)).unwrap().number, 2);
    }
}
