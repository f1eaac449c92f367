//! What a worker tells the daemon by its page, kept right for several threads.
//!
//! Every serving thread has a [`Record`] of its own. Reads no clock: the times are handed in.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Page, Phase, Report, State};

/// A worker's page, and what must be known to keep it.
#[derive(Debug)]
pub(crate) struct Tally {
    page: Page,
    /// Threads that serve a request.
    busy: AtomicUsize,
}

/// One thread's place in the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    tally: &'a Tally,
    slot: usize,
}

impl Tally {
    pub(crate) fn new(page: Page) -> Self {
        Self { page, busy: AtomicUsize::new(0) }
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
        let Tally { page, busy } = self.tally;
        page.begin(self.slot, since_ns, method, uri);
        if busy.fetch_add(1, Relaxed) == 0 {
            page.set_idle_since(0);
        }
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.tally.page.set_phase(self.slot, phase);
    }

    pub(crate) fn waited(&self, waited: Duration) {
        self.tally.page.count_wait(waited);
    }

    pub(crate) fn lenient(&self) {
        self.tally.page.count_leniency();
    }

    /// Notes that the request ended, at `now_ns`.
    pub(crate) fn end(&self, end: &End, now_ns: u64) {
        let Tally { page, busy } = self.tally;
        page.free(self.slot);
        page.count(end);
        page.beat(now_ns);
        if busy.fetch_sub(1, Relaxed) == 1 {
            page.set_idle_since(now_ns);
        }
    }

    /// Counts a connection that never became a request.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.tally.page.count_refused(refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
