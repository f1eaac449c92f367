//! The pages of workers, living and dead: in their app's book, which any of them holds.

use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::{Book, Page};

use super::{Found, Heir, steal};
use crate::shell::state::record::ProcessRecord;

impl Heir<'_> {
    /// Gets an app's book back.
    pub(super) fn book(&mut self, app: &AppName, inode: u64, from: &[&Found]) {
        // A book that was made for a worker that was being started was not written down yet.
        let found = || from.first().map_or(0, |(first, record)| steal::book_inode(first, record));
        let inode = if inode == 0 { found() } else { inode };
        if inode == 0 {
            return;
        }
        let mut had = match self.stock.file(inode) {
            Some(fd) => Ok(Book::from(fd)),
            None => Err("nobody has it".to_owned()),
        };
        for (survivor, record) in from {
            had = had.or_else(|_| steal::book(survivor, record, inode));
        }
        match had {
            Ok(book) => self.hands.books.take_back(app, book),
            Err(why) => self.lose(
                app,
                &format!("what its workers counted while no daemon lived is lost ({why})"),
            ),
        }
    }

    /// What a worker that is no more has left on its page.
    pub(super) fn last_page(
        &mut self,
        app: &AppName,
        worker: WorkerId,
        record: Option<&ProcessRecord>,
    ) -> Option<Page> {
        let leaf = self.hands.books.reopen(app, worker, record?.leaf)?;
        leaf.ok().map(|leaf| leaf.page)
    }

    /// The page of a living worker; another one, which it does not know of, if it is lost.
    pub(super) fn page(
        &mut self,
        app: &AppName,
        worker: WorkerId,
        record: &mut ProcessRecord,
    ) -> Page {
        match self.hands.books.reopen(app, worker, record.leaf) {
            Some(Ok(leaf)) => return leaf.page,
            Some(Err(why)) => {
                self.lose(app, &format!("the page of worker {worker} is lost: {why}"));
            }
            None => {}
        }
        let leaf = self.hands.books.give(app, worker).expect("there is memory for a page");
        record.leaf = leaf.number;
        leaf.page
    }
}
