//! What a worker tells the daemon by its page, kept right for several threads.
//!
//! Every serving thread has a [`Record`] of its own; at the numbers they take turns. Reads no
//! clock: the times are handed in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Page, Phase, Report, State};

/// A worker's page, and what must be known to keep it.
#[derive(Debug)]
pub(crate) struct Tally {
    page: Page,
    /// Threads that serve a request; held by whoever writes a number of the page.
    busy: Mutex<u32>,
}

/// One thread's place in the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    tally: &'a Tally,
    slot: usize,
}

impl Tally {
    pub(crate) fn new(page: Page) -> Self {
        Self { page, busy: Mutex::new(0) }
    }

    /// Says that `threads` threads accept connections, idle since `now_ns`.
    pub(crate) fn accepting(&self, threads: u16, now_ns: u64) {
        self.page.set_idle_since(now_ns);
        self.page.beat(now_ns);
        self.page.set_state(State::Accepting, threads);
    }

    /// Says that no further connection is accepted.
    pub(crate) fn draining(&self, threads: u16) {
        self.page.set_state(State::Draining, threads);
    }

    fn take_turn(&self) -> MutexGuard<'_, u32> {
        // Nothing is left half done by a panic: a number is written in one piece.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, slot: usize) -> Record<'_> {
        Record { tally: self, slot }
    }

    /// The accounts as they stand.
    pub(crate) fn report(&self) -> Report {
        self.page.report()
    }

    #[cfg(test)]
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }
}

impl Record<'_> {
    /// Notes that a request began.
    pub(crate) fn begin(&self, since_ns: u64, method: &[u8], uri: &[u8]) {
        let mut busy = self.tally.take_turn();
        let page = &self.tally.page;
        page.begin(self.slot, since_ns, method, uri);
        *busy += 1;
        page.set_idle_since(0);
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.tally.page.set_phase(self.slot, phase);
    }

    pub(crate) fn waited(&self, waited: Duration) {
        let _turn = self.tally.take_turn();
        self.tally.page.count_wait(waited);
    }

    pub(crate) fn lenient(&self) {
        let _turn = self.tally.take_turn();
        self.tally.page.count_leniency();
    }

    /// Notes that the request ended, at `now_ns`.
    pub(crate) fn end(&self, end: &End, now_ns: u64) {
        let mut busy = self.tally.take_turn();
        let page = &self.tally.page;
        page.free(self.slot);
        page.count(end);
        page.beat(now_ns);
        *busy -= 1;
        if *busy == 0 {
            page.set_idle_since(now_ns);
        }
    }

    /// Counts a connection that never became a request.
    pub(crate) fn refused(&self, refusal: Refusal) {
        let _turn = self.tally.take_turn();
        self.tally.page.count_refused(refusal);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_count_at_once_lose_no_number() {
        let tally = Tally::new(Page::create().unwrap().0);
        let end = End { status: 200, bytes_in: 3, ..End::default() };
        let at_once = |count: &(dyn Fn(Record<'_>) + Sync)| {
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for slot in 0..4 {
                    let (record, start) = (tally.record(slot), &start);
                    scope.spawn(move || {
                        start.wait();
                        (0..100_000).for_each(|_| count(record));
                    });
                }
            });
        };

        at_once(&|record| {
            record.begin(1, b"GET", b"/");
            record.end(&end, 2);
        });
        at_once(&|record| record.refused(Refusal::Malformed));
        at_once(&|record| record.lenient());
        at_once(&|record| record.waited(Duration::from_nanos(1)));

        let report = tally.report();
        assert_eq!((report.begun, report.ended, report.bytes_in), (400_000, 400_000, 1_200_000));
        assert_eq!((report.refused[0], report.leniencies), (400_000, 400_000));
        assert_eq!(report.queue.sum_ns, 400_000);
        assert_eq!(tally.page().idle_since(100), Some(2));
    }

    #[test]
    fn a_worker_is_idle_only_while_none_of_its_threads_serves() {
        let tally = Tally::new(Page::create().unwrap().0);
        let (first, second) = (tally.record(0), tally.record(1));
        tally.accepting(2, 5);
        assert_eq!(tally.page().idle_since(100), Some(5));

        first.begin(10, b"GET", b"/");
        second.begin(11, b"GET", b"/");
        first.end(&End::default(), 20);
        assert_eq!(tally.page().idle_since(100), None);

        second.end(&End::default(), 30);
        assert_eq!(tally.page().idle_since(100), Some(30));
    }
}
