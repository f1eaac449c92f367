//! What a worker tells the daemon by its page, kept right for several threads.
//!
//! Every serving thread has a [`Record`] of its own; at the numbers they take turns. Reads no
//! clock: the times are handed in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Page, Phase, RECORDS_MAX, Report, State};

/// A worker's page, and what must be known to keep it.
#[derive(Debug)]
pub(crate) struct Tally {
    page: Page,
    /// Held by whoever writes a number of the page.
    work: Mutex<Work>,
}

/// Who is at work.
#[derive(Debug, Default)]
struct Work {
    /// Threads that serve a request.
    busy: u32,
    /// Requests whose reply waits for a slow client.
    replying: u64,
}

/// One thread's place in the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    tally: &'a Tally,
    slot: usize,
}

impl Tally {
    pub(crate) fn new(page: Page) -> Self {
        Self { page, work: Mutex::default() }
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

    fn take_turn(&self) -> MutexGuard<'_, Work> {
        // Nothing is left half done by a panic: a number is written in one piece.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that never became a request.
    pub(crate) fn refused(&self, refusal: Refusal) {
        let _turn = self.take_turn();
        self.page.count_refused(refusal);
    }

    /// Notes that a request began for which there is no thread: its reply is all there is.
    pub(crate) fn begin_reply(&self) {
        let mut work = self.take_turn();
        self.page.begin(RECORDS_MAX, 0, &[], &[]);
        work.replying += 1;
        self.page.set_replying(work.replying);
    }

    /// Notes that a request ended that no thread was at any more.
    pub(crate) fn end_reply(&self, end: &End) {
        let mut work = self.take_turn();
        work.replying -= 1;
        self.page.set_replying(work.replying);
        self.page.count(end);
    }

    /// Says how many clients are waited for beside the threads.
    pub(crate) fn parked(&self, clients: usize) {
        let _turn = self.take_turn();
        self.page.set_parked(clients as u64);
    }

    /// Counts a client that was dropped to make room for another.
    pub(crate) fn shed(&self) {
        let _turn = self.take_turn();
        self.page.count_shed();
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
        let mut work = self.tally.take_turn();
        let page = &self.tally.page;
        page.begin(self.slot, since_ns, method, uri);
        work.busy += 1;
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

    /// Counts a response head that nginx refuses unless told otherwise.
    #[cold]
    pub(crate) fn large_head(&self) {
        let _turn = self.tally.take_turn();
        self.tally.page.count_large_head();
    }

    /// Counts a request that had waited too long.
    #[cold]
    pub(crate) fn expired(&self) {
        let _turn = self.tally.take_turn();
        self.tally.page.count_expired();
    }

    /// Counts a request with variables that stood more than once.
    #[cold]
    pub(crate) fn repeats(&self) {
        let _turn = self.tally.take_turn();
        self.tally.page.count_repeats();
    }

    /// Notes that the request ended, at `now_ns`.
    pub(crate) fn end(&self, end: &End, now_ns: u64) {
        let mut work = self.tally.take_turn();
        self.tally.page.count(end);
        self.leave(&mut work, now_ns);
    }

    /// Notes that the thread is done with the request, at `now_ns`, and its client is not: the end
    /// is told by [`Tally::end_reply`].
    pub(crate) fn hand_over(&self, now_ns: u64) {
        let mut work = self.tally.take_turn();
        work.replying += 1;
        self.tally.page.set_replying(work.replying);
        self.leave(&mut work, now_ns);
    }

    fn leave(&self, work: &mut Work, now_ns: u64) {
        let page = &self.tally.page;
        page.free(self.slot);
        page.beat(now_ns);
        work.busy -= 1;
        if work.busy == 0 {
            page.set_idle_since(now_ns);
        }
    }

    /// Counts a connection that never became a request.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.tally.refused(refusal);
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

    #[test]
    fn a_worker_is_idle_while_clients_take_its_replies_and_each_request_ends_once() {
        let tally = Tally::new(Page::create().unwrap().0);
        let record = tally.record(0);
        tally.accepting(1, 5);

        record.begin(10, b"GET", b"/");
        record.hand_over(20);

        assert_eq!((tally.page().idle_since(100), tally.page().in_flight(8)), (Some(20), 0));
        assert_eq!((tally.report().begun, tally.report().ended), (1, 0));
        assert_eq!(tally.page().serving(), []);

        tally.begin_reply();
        assert_eq!(tally.page().in_flight(8), 0);
        for status in [200, 408] {
            tally.end_reply(&End { status, ..End::default() });
        }
        assert_eq!((tally.report().ended, tally.report().ends), (2, [0, 1, 0, 1, 0]));
        assert_eq!(tally.page().in_flight(8), 0);
    }
}
