//! The lines of all apps as one list, in the order of their numbers.
//!
//! Each app keeps its lines in a ring of its own, from which the oldest go when they must. Numbers
//! rise by one from line to line of any app, so a gap in them is exactly what is gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::sync::Arc;

use scgi_protocol::control::LogLine;

use super::Kept;
use super::ring::{Batch, Start};

/// How far a reader of all lines has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The number of the last line it has seen, or would have seen were it not gone.
    seen: u64,
    /// Gaps up to this number are no loss: the reader did not ask for what stood there.
    known: u64,
}

impl Kept {
    /// Where a reader of all lines begins who wants to begin at `start`.
    pub(super) fn progress(&self, start: Start) -> Progress {
        let last = self.last_line;
        match start {
            Start::After(id) if id <= last => Progress { seen: id, known: id },
            Start::After(_) => Progress { seen: 0, known: last },
            Start::Last(most) => Progress { seen: self.before_last(most), known: last },
        }
    }

    /// The number right before the first of the last `most` lines.
    fn before_last(&self, most: usize) -> u64 {
        let Some(wanted) = most.checked_sub(1) else { return self.last_line };
        let rings = self.lines.values().map(|lines| &lines.ring);
        let newest = rings.flat_map(|ring| ring.iter().rev().take(most));
        let mut ids: Vec<u64> = newest.map(|line| line.id).collect();
        ids.sort_unstable_by_key(|id| Reverse(*id));
        ids.get(wanted).map_or(0, |id| id - 1)
    }

    /// At most `most` lines of all apps from `progress` on, and how far the reader then is.
    pub(super) fn read_all(&self, progress: Progress, most: usize) -> (Batch<LogLine>, Progress) {
        let entries = self.merged(progress.seen, most);
        let seen = match entries.last() {
            Some(last) if entries.len() == most => last.id,
            Some(_) | None => self.last_line,
        };
        let counted = progress.seen.max(progress.known);
        let there = entries.iter().filter(|line| line.id > counted).count() as u64;
        let missed = seen.saturating_sub(counted) - there;
        (Batch { entries, missed, ..Batch::default() }, Progress { seen, ..progress })
    }

    /// At most `most` lines after the one of number `id`.
    fn merged(&self, id: u64, most: usize) -> Vec<Arc<LogLine>> {
        let rings = self.lines.values().map(|lines| &lines.ring);
        let mut rests: Vec<_> = rings.map(|ring| ring.after(id).peekable()).collect();
        let first = rests.iter_mut().enumerate();
        let mut heads: BinaryHeap<_> = first.filter_map(|(at, rest)| head(at, rest)).collect();
        let mut merged = Vec::new();
        while merged.len() < most
            && let Some(Reverse((_, at))) = heads.pop()
        {
            let rest = &mut rests[at];
            merged.extend(rest.next().cloned());
            heads.extend(head(at, rest));
        }
        merged
    }
}

/// The number of the next line of a ring's `rest`, and which ring it is.
fn head<'a>(
    at: usize,
    rest: &mut Peekable<impl Iterator<Item = &'a Arc<LogLine>>>,
) -> Option<Reverse<(u64, usize)>> {
    Some(Reverse((rest.peek()?.id, at)))
}
