//! A ring: the last entries of something, for readers who come when they like.
//!
//! The writer never waits. A reader holds a [`Cursor`]; what was pushed out before it came is
//! lost to it, and it is told how much that was.

use std::collections::VecDeque;
use std::sync::Arc;

use scgi_protocol::control::{Event, LogLine};

/// What can be kept in a ring.
pub trait Entry {
    /// Its number; rises from entry to entry of a ring, not necessarily by one.
    fn id(&self) -> u64;
}

impl Entry for Event {
    fn id(&self) -> u64 {
        self.id
    }
}

impl Entry for LogLine {
    fn id(&self) -> u64 {
        self.id
    }
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With so many of the last entries.
    Last(usize),
    /// After the entry of this number; with the oldest if no entry has had it yet, which is what
    /// a reader remembers who knew an earlier daemon.
    After(u64),
}

/// How far a reader has come: the ordinal number of the last entry it saw, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor(u64);

/// What a reader gets.
#[derive(Debug)]
pub struct Batch<T> {
    /// The entries, oldest first.
    pub entries: Vec<Arc<T>>,
    /// How many the reader would have got had it come earlier; a lower bound if it named an entry
    /// that is no longer there.
    pub missed: u64,
    /// Where the next reading begins.
    pub(super) cursor: Cursor,
}

// Not derived: that would ask for `T: Default`.
impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), missed: 0, cursor: Cursor::default() }
    }
}

/// The last entries of something.
#[derive(Debug)]
pub(super) struct Ring<T> {
    entries: VecDeque<Arc<T>>,
    /// Entries ever pushed; the newest entry's ordinal number.
    pushed: u64,
    /// Number of the last entry that was dropped.
    dropped_id: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), pushed: 0, dropped_id: 0 }
    }
}

impl<T: Entry> Ring<T> {
    pub(super) fn push(&mut self, entry: T) {
        self.entries.push_back(Arc::new(entry));
        self.pushed += 1;
    }

    /// Drops the oldest entry and returns it.
    pub(super) fn drop_oldest(&mut self) -> Option<Arc<T>> {
        let oldest = self.entries.pop_front()?;
        self.dropped_id = oldest.id();
        Some(oldest)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> {
        self.entries.iter()
    }

    /// The entries after the one of number `id`, oldest first.
    pub(super) fn after(&self, id: u64) -> impl Iterator<Item = &Arc<T>> {
        self.entries.range(self.index_after(id)..)
    }

    /// Where a reader begins who wants to begin at `start`; `wanted` says which entries count.
    pub(super) fn cursor(&self, start: Start, wanted: impl Fn(&T) -> bool) -> Cursor {
        let gone = self.gone();
        let index = match start {
            Start::Last(0) => return Cursor(self.pushed),
            Start::Last(most) => {
                let mut places = self.entries.iter().enumerate().rev();
                places
                    .by_ref()
                    .filter(|(_, entry)| wanted(entry))
                    .nth(most - 1)
                    .map_or(0, |at| at.0)
            }
            Start::After(id) if id > self.newest_id() => 0,
            // Something was missed, and nobody knows how much: at least one.
            Start::After(id) if id < self.dropped_id => return Cursor(gone.saturating_sub(1)),
            Start::After(id) => self.index_after(id),
        };
        Cursor(gone + index as u64)
    }

    /// At most `most` entries that are `wanted`, from `cursor` on.
    pub(super) fn read(
        &self,
        cursor: Cursor,
        most: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Batch<T> {
        // A ring that was emptied and began anew knows less than its reader.
        let seen = if cursor.0 > self.pushed { 0 } else { cursor.0 };
        let gone = self.gone();
        let mut batch = Batch { missed: gone.saturating_sub(seen), ..Batch::default() };
        let mut at = seen.max(gone);
        let skip = usize::try_from(at - gone).expect("a ring fits in memory");
        for entry in self.entries.iter().skip(skip) {
            if batch.entries.len() == most {
                break;
            }
            at += 1;
            if wanted(entry) {
                batch.entries.push(Arc::clone(entry));
            }
        }
        batch.cursor = Cursor(at);
        batch
    }

    fn index_after(&self, id: u64) -> usize {
        self.entries.partition_point(|entry| entry.id() <= id)
    }

    /// How many entries were dropped so far.
    fn gone(&self) -> u64 {
        self.pushed - self.entries.len() as u64
    }

    fn newest_id(&self) -> u64 {
        self.entries.back().map_or(self.dropped_id, |entry| entry.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Number(u64);

    impl Entry for Number {
        fn id(&self) -> u64 {
            self.0
        }
    }

    fn ring(kept: usize, ids: impl IntoIterator<Item = u64>) -> Ring<Number> {
        let mut ring = Ring::default();
        for id in ids {
            ring.push(Number(id));
            if ring.len() > kept {
                ring.drop_oldest();
            }
        }
        ring
    }

    fn read(ring: &Ring<Number>, start: Start, most: usize) -> (Vec<u64>, u64) {
        let batch = ring.read(ring.cursor(start, |_| true), most, |_| true);
        (batch.entries.iter().map(|entry| entry.0).collect(), batch.missed)
    }

    #[test]
    fn reading_begins_where_the_reader_says() {
        let ring = ring(4, 1..=6);

        assert_eq!(read(&ring, Start::Last(2), 9), (vec![5, 6], 0));
        assert_eq!(read(&ring, Start::Last(0), 9), (vec![], 0));
        assert_eq!(read(&ring, Start::Last(99), 9), (vec![3, 4, 5, 6], 0));
        assert_eq!(read(&ring, Start::After(4), 9), (vec![5, 6], 0));
        assert_eq!(read(&ring, Start::After(6), 9), (vec![], 0));
        assert_eq!(read(&ring, Start::After(2), 3), (vec![3, 4, 5], 0));
    }

    #[test]
    fn a_reader_who_names_a_dropped_entry_is_told_that_it_missed_some() {
        let ring = ring(2, [10, 20, 30, 40]);

        assert_eq!(read(&ring, Start::After(20), 9), (vec![30, 40], 0));
        assert_eq!(read(&ring, Start::After(10), 9), (vec![30, 40], 1));
    }

    #[test]
    fn a_reader_who_knew_an_earlier_daemon_begins_with_the_oldest() {
        let ring = ring(4, 1..=3);

        assert_eq!(read(&ring, Start::After(4711), 9), (vec![1, 2, 3], 0));
    }

    #[test]
    fn a_slow_reader_is_told_exactly_how_many_it_missed() {
        let mut ring = ring(3, [10, 20, 30]);
        let first = ring.read(Cursor::default(), 2, |_| true);

        for id in [40, 50, 60, 70] {
            ring.push(Number(id));
            ring.drop_oldest();
        }
        let second = ring.read(first.cursor, 9, |_| true);

        assert_eq!(second.missed, 2, "30 and 40");
        assert_eq!(second.entries.len(), 3);
    }

    #[test]
    fn entries_nobody_wants_count_neither_as_last_nor_as_missed() {
        let ring = ring(6, 1..=6);
        let even = |number: &Number| number.0.is_multiple_of(2);

        let batch = ring.read(ring.cursor(Start::Last(2), even), 9, even);
        let after = ring.read(batch.cursor, 9, even);

        assert_eq!(batch.entries.iter().map(|entry| entry.0).collect::<Vec<_>>(), [4, 6]);
        assert!(after.entries.is_empty());
        assert_eq!(after.missed, 0);
    }
}
