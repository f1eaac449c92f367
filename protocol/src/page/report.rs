//! The numbers of a page: how a worker counts, how the daemon reads, how two reports add up.
//!
//! They have one writer at a time: threads that share a page take turns at counting, or counts get
//! lost. Reading is for everybody at any time.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::layout::{BOUNDS_US, BUCKETS};
use super::{Page, words};

/// Why a connection never became a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Refusal {
    /// What came was not SCGI.
    Malformed = 0,
    /// The head was longer than the limit.
    TooLong = 1,
    /// The head did not come in time, or not to its end.
    Incomplete = 2,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::TooLong, Self::Incomplete];

    /// The refusal as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Incomplete => "incomplete",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// The status that was sent; 0 if none was.
    pub status: u16,
    /// The client went away before the reply was complete.
    pub aborted: bool,
    /// Bytes received, head and body.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// From accepted to answered, in nanoseconds.
    pub took_ns: u64,
    /// It was a [`CHECKUP`](super::CHECKUP).
    pub is_checkup: bool,
}

/// How often a worker was asked whether it is well, see [`CHECKUP`](super::CHECKUP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkups {
    /// How often it has answered.
    pub answered: u64,
    /// Of those, with a status of 400 or more, or without one.
    pub badly: u64,
}

/// A histogram's counts (not cumulative) and sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
pub struct Counts {
    /// By bucket: one for each of [`BOUNDS_US`], then one for all above.
    pub buckets: [u64; BUCKETS],
    /// Sum of all that was counted, in nanoseconds.
    pub sum_ns: u64,
}

/// The numbers of one worker since its birth, or of many added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// Requests that a thread took up, or that ended before one did.
    pub begun: u64,
    /// Requests that were answered or given up.
    pub ended: u64,
    /// Ends by the class of the status: 1xx and nonsense, 2xx, 3xx, 4xx, 5xx.
    pub ends: [u64; 5],
    /// Of the ends, those whose client had gone.
    pub aborted: u64,
    /// Connections that never became a request, by [`Refusal`].
    pub refused: [u64; 3],
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Nanoseconds spent on requests.
    pub busy_ns: u64,
    /// Requests that break the SCGI specification and were served nevertheless.
    pub leniencies: u64,
    /// Parked clients that were dropped to make room for others.
    #[cfg_attr(feature = "control", serde(default))]
    pub shed: u64,
    /// Requests answered 503 because they had waited too long.
    #[cfg_attr(feature = "control", serde(default))]
    pub expired: u64,
    /// Response heads larger than nginx takes by default.
    #[cfg_attr(feature = "control", serde(default))]
    pub large_heads: u64,
    /// Requests with variables that stood more than once and were joined.
    #[cfg_attr(feature = "control", serde(default))]
    pub repeats: u64,
    /// From accepted to answered, without the time that was spent on waiting for a slow client.
    pub service: Counts,
    /// From the front end's stamp to accepted.
    pub queue: Counts,
}

impl Page {
    /// Counts a request that ended.
    pub fn count(&self, end: &End) {
        let words = words(self);
        bump(&words.ends[class(end.status)], 1);
        if end.aborted {
            bump(&words.aborted, 1);
        }
        bump(&words.bytes_in, end.bytes_in);
        bump(&words.bytes_out, end.bytes_out);
        bump(&words.busy_ns, end.took_ns);
        bump(&words.service.counts[bucket(end.took_ns)], 1);
        bump(&words.service.sum_ns, end.took_ns);
        if end.is_checkup {
            let is_good = (200..400).contains(&end.status);
            bump(&words.bad_checkups, u64::from(!is_good));
            bump(&words.checkups, 1);
        }
        bump(&words.ended, 1);
    }

    /// Says that checkups are told from other requests, before the first of them.
    pub fn tells_checkups(&self) {
        words(self).checkups.store(1, Relaxed);
    }

    /// The checkups so far; `None` of a worker that does not tell them from other requests.
    pub fn checkups(&self) -> Option<Checkups> {
        let words = words(self);
        let answered = words.checkups.load(Relaxed).checked_sub(1)?;
        Some(Checkups { answered, badly: words.bad_checkups.load(Relaxed) })
    }

    /// Counts how long a request waited between the front end's stamp and its acceptance.
    pub fn count_wait(&self, waited: Duration) {
        let waited_ns = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        bump(&words(self).queue.counts[bucket(waited_ns)], 1);
        bump(&words(self).queue.sum_ns, waited_ns);
    }

    /// Counts a connection that never became a request.
    pub fn count_refused(&self, refusal: Refusal) {
        bump(&words(self).refused[refusal as usize], 1);
    }

    /// Counts a request that breaks the specification and is served nevertheless.
    pub fn count_leniency(&self) {
        bump(&words(self).leniencies, 1);
    }

    /// Counts a parked client that was dropped to make room for another.
    pub fn count_shed(&self) {
        bump(&words(self).shed, 1);
    }

    /// Counts a request that had waited too long to be served.
    pub fn count_expired(&self) {
        bump(&words(self).expired, 1);
    }

    /// Counts a response head that is larger than nginx takes by default.
    pub fn count_large_head(&self) {
        bump(&words(self).large_heads, 1);
    }

    /// Counts a request with variables that stood more than once and were joined.
    pub fn count_repeats(&self) {
        bump(&words(self).repeats, 1);
    }

    /// Says how many clients are waited for beside the threads.
    pub fn set_parked(&self, clients: u64) {
        words(self).parked.store(clients, Relaxed);
    }

    /// How many clients are waited for beside the threads.
    pub fn parked(&self) -> u64 {
        words(self).parked.load(Relaxed)
    }

    /// Says of how many requests, begun and not ended, the reply waits for the client. Where one of
    /// them ends this is said first, then counted.
    pub fn set_replying(&self, requests: u64) {
        words(self).replying.store(requests, Relaxed);
    }

    /// Says since when the worker serves no request; 0 when it serves one.
    pub fn set_idle_since(&self, since_ns: u64) {
        words(self).idle_since_ns.store(since_ns, Relaxed);
    }

    /// Since when the worker serves no request, clamped to `now_ns`; `None` if it serves one.
    pub fn idle_since(&self, now_ns: u64) -> Option<u64> {
        let since = words(self).idle_since_ns.load(Relaxed);
        (since != 0).then_some(since.min(now_ns))
    }

    /// Requests being served, clamped to `most`: those that threads are at. One whose reply waits
    /// for a slow client is not among them.
    pub fn in_flight(&self, most: u16) -> u16 {
        // In this order: a request that ends in between is seen as still there, never as a number
        // below zero.
        let ended = words(self).ended.load(Relaxed);
        let replying = words(self).replying.load(Relaxed);
        let begun = words(self).begun.load(Relaxed);
        let at_work = begun.saturating_sub(ended).saturating_sub(replying);
        u16::try_from(at_work).unwrap_or(most).min(most)
    }

    /// Reads the numbers.
    pub fn report(&self) -> Report {
        let words = words(self);
        let read = |word: &AtomicU64| word.load(Relaxed);
        let counts = |histogram: &super::layout::Histogram| Counts {
            buckets: std::array::from_fn(|at| read(&histogram.counts[at])),
            sum_ns: read(&histogram.sum_ns),
        };
        Report {
            ended: read(&words.ended),
            begun: read(&words.begun),
            ends: std::array::from_fn(|at| read(&words.ends[at])),
            aborted: read(&words.aborted),
            refused: std::array::from_fn(|at| read(&words.refused[at])),
            bytes_in: read(&words.bytes_in),
            bytes_out: read(&words.bytes_out),
            busy_ns: read(&words.busy_ns),
            leniencies: read(&words.leniencies),
            shed: read(&words.shed),
            expired: read(&words.expired),
            large_heads: read(&words.large_heads),
            repeats: read(&words.repeats),
            service: counts(&words.service),
            queue: counts(&words.queue),
        }
    }
}

impl Report {
    /// This report and `other` together; a sum that does not fit stays at the largest number.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// By how much this report is ahead of `other`; 0 where it is not.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }

    /// This report where it is ahead of `earlier`, else `earlier`: a counter never goes back, even
    /// if the worker that writes it says so.
    #[must_use]
    pub fn not_before(&self, earlier: &Self) -> Self {
        self.zip(earlier, u64::max)
    }

    fn zip(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let counts = |a: &Counts, b: &Counts| Counts {
            buckets: std::array::from_fn(|at| with(a.buckets[at], b.buckets[at])),
            sum_ns: with(a.sum_ns, b.sum_ns),
        };
        // Destructured so that a new number must be thought about here.
        let Self { begun, ended, ends, aborted, refused, bytes_in, bytes_out, .. } = *other;
        let Self { busy_ns, leniencies, shed, expired, large_heads, repeats, .. } = *other;
        let Self { ref service, ref queue, .. } = *other;
        Self {
            begun: with(self.begun, begun),
            ended: with(self.ended, ended),
            ends: std::array::from_fn(|at| with(self.ends[at], ends[at])),
            aborted: with(self.aborted, aborted),
            refused: std::array::from_fn(|at| with(self.refused[at], refused[at])),
            bytes_in: with(self.bytes_in, bytes_in),
            bytes_out: with(self.bytes_out, bytes_out),
            busy_ns: with(self.busy_ns, busy_ns),
            leniencies: with(self.leniencies, leniencies),
            shed: with(self.shed, shed),
            expired: with(self.expired, expired),
            large_heads: with(self.large_heads, large_heads),
            repeats: with(self.repeats, repeats),
            service: counts(&self.service, service),
            queue: counts(&self.queue, queue),
        }
    }
}

/// Adds to a word that nobody else writes at the same time.
///
/// Not an atomic addition, which would make the processor wait, a dozen times for each request.
pub(super) fn bump(word: &AtomicU64, by: u64) {
    word.store(word.load(Relaxed).wrapping_add(by), Relaxed);
}

fn class(status: u16) -> usize {
    match status {
        200..=299 => 1,
        300..=399 => 2,
        400..=499 => 3,
        500..=599 => 4,
        _ => 0,
    }
}

fn bucket(took_ns: u64) -> usize {
    let took_us = took_ns.div_ceil(1_000);
    BOUNDS_US.partition_point(|&bound| bound < took_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(status: u16, took_ns: u64) -> End {
        End { status, took_ns, bytes_in: 10, bytes_out: 20, ..End::default() }
    }

    #[test]
    fn a_report_says_what_was_counted() {
        let (page, _fd) = Page::create().unwrap();

        page.count(&end(200, 1_000_000));
        page.count(&end(503, 1));
        page.count_refused(Refusal::TooLong);

        let report = page.report();
        assert_eq!((report.ended, report.ends), (2, [0, 1, 0, 0, 1]));
        assert_eq!((report.bytes_in, report.bytes_out), (20, 40));
        assert_eq!(report.refused, [0, 1, 0]);
        assert_eq!(report.service.buckets.iter().sum::<u64>(), 2);
        assert_eq!(report.service.sum_ns, 1_000_001);
    }

    #[test]
    fn checkups_are_told_by_who_tells_them_from_other_requests() {
        let (page, _fd) = Page::create().unwrap();
        page.count(&end(500, 1));
        assert_eq!(page.checkups(), None);

        page.tells_checkups();
        assert_eq!(page.checkups(), Some(Checkups::default()));

        for status in [200, 399, 400, 0] {
            page.count(&End { status, is_checkup: true, ..End::default() });
        }
        assert_eq!(page.checkups(), Some(Checkups { answered: 4, badly: 2 }));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_above_all_to_the_last() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(250_000), 0);
        assert_eq!(bucket(250_001), 1);
        assert_eq!(bucket(30_000_000_000), 15);
        assert_eq!(bucket(u64::MAX), 16);
    }

    #[test]
    fn a_counter_that_a_worker_turns_back_stays_where_it_was() {
        let before = Report { begun: 7, ended: 5, ..Report::default() };
        let lie = Report { begun: 2, ended: 6, ..Report::default() };

        let seen = lie.not_before(&before);

        assert_eq!((seen.begun, seen.ended), (7, 6));
    }

    #[test]
    fn sums_do_not_wrap() {
        let huge = Report { bytes_in: u64::MAX, begun: 1, ..Report::default() };

        let sum = huge.plus(&huge);

        assert_eq!((sum.bytes_in, sum.begun), (u64::MAX, 2));
    }

    #[test]
    fn a_request_whose_reply_waits_for_its_client_is_not_being_served() {
        let (page, _fd) = Page::create().unwrap();
        page.begin(0, 1, b"GET", b"/");
        page.begin(1, 1, b"GET", b"/");
        assert_eq!(page.in_flight(8), 2);

        page.set_replying(1);
        assert_eq!(page.in_flight(8), 1);

        page.set_replying(0);
        page.count(&end(200, 1));
        assert_eq!(page.in_flight(8), 1);
    }

    #[test]
    fn requests_in_flight_are_never_more_than_there_can_be() {
        let (page, _fd) = Page::create().unwrap();
        words(&page).begun.store(u64::MAX, Relaxed);
        assert_eq!(page.in_flight(4), 4);

        words(&page).ended.store(u64::MAX, Relaxed);
        words(&page).begun.store(0, Relaxed);
        assert_eq!(page.in_flight(4), 0);
    }
}
