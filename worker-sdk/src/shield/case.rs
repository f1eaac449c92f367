//! One parked connection: what it waits for, how long, and what becomes of it.
//!
//! ```text
//! coming ──whole──▶ ready: a thread takes it up
//!    │ not SCGI, or a body that stops coming: answered      gone: over, counted
//!    ▼
//! leaving ──────▶ over
//! ```
//!
//! Reads no clock and never waits. Counts in the page whatever ends here.

use std::time::Duration;

use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::scgi::HeadError;

use crate::account::refusal;
use crate::connection::Parked;
use crate::intake::Intake;
use crate::leaving::{Leaving, Progress};
use crate::reply;
use crate::service::Terms;
use crate::unsent::Unsent;
use crate::wire::Wire;

/// The most pieces that are received in one go, so that others get their turn.
const PIECES: usize = 8;

/// A connection that waits for its client.
#[derive(Debug)]
pub(super) struct Case<W> {
    pub(super) wire: W,
    parked: Parked,
    /// When the client did something last.
    heard_ns: u64,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on waiting.
    Waits,
    /// The request may be served.
    Ready,
    /// The connection is to be closed.
    Over,
}

/// Who is dropped first if there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No request is lost with it.
    NoRequest,
    /// Its request has not been served.
    Request,
    /// It has a reply coming.
    Reply,
}

impl<W: Wire> Case<W> {
    pub(super) fn new(wire: W, parked: Parked, now_ns: u64) -> Self {
        Self { wire, parked, heard_ns: now_ns }
    }

    /// Whether a thread may have to serve it yet.
    pub(super) fn is_coming(&self) -> bool {
        matches!(self.parked, Parked::Coming { .. })
    }

    /// Whether it could be served now: its head is there.
    pub(super) fn is_request(&self) -> bool {
        matches!(&self.parked, Parked::Coming { intake, .. } if intake.is_request())
    }

    /// Whether it waits for the client to send, and to take.
    pub(super) fn wants(&self) -> (bool, bool) {
        match &self.parked {
            Parked::Coming { .. } => (true, false),
            Parked::Leaving(leaving) => (leaving.is_hearing(), leaving.is_sending()),
        }
    }

    /// Bytes of memory it holds.
    pub(super) fn weight(&self) -> usize {
        match &self.parked {
            Parked::Coming { intake, .. } => intake.weight(),
            Parked::Leaving(leaving) => leaving.weight(),
        }
    }

    /// Who goes first if one must: the lower rank, and the longer silence.
    pub(super) fn rank(&self) -> (Rank, u64) {
        let rank = match &self.parked {
            Parked::Coming { intake, .. } if intake.is_request() => Rank::Request,
            Parked::Leaving(leaving) if leaving.is_sending() => Rank::Reply,
            Parked::Coming { .. } | Parked::Leaving(_) => Rank::NoRequest,
        };
        (rank, self.heard_ns)
    }

    /// When it is given up, in nanoseconds of the monotonic clock.
    pub(super) fn deadline_ns(&self, terms: &Terms) -> u64 {
        let limits = &terms.limits;
        let (from_ns, patience) = match &self.parked {
            Parked::Coming { intake, .. } if intake.is_request() => {
                (self.heard_ns, limits.body_timeout)
            }
            Parked::Coming { since_ns, .. } => (*since_ns, limits.head_timeout),
            Parked::Leaving(leaving) => (self.heard_ns, leaving.patience(limits)),
        };
        from_ns.saturating_add(nanoseconds(patience))
    }

    /// Does what can be done without waiting.
    pub(super) fn step(&mut self, terms: &Terms, now_ns: u64) -> Step {
        match &mut self.parked {
            Parked::Coming { .. } => self.receive(terms, now_ns),
            Parked::Leaving(_) => self.leave(terms, now_ns),
        }
    }

    /// Does what is to be done when its time has passed.
    pub(super) fn expire(&mut self, terms: &Terms, now_ns: u64) -> Step {
        match &self.parked {
            Parked::Coming { intake, .. } if intake.is_request() => {
                let bytes_in = intake.weight() as u64;
                terms.tally.begin_reply();
                let end = End { status: 408, bytes_in, ..End::default() };
                let mut unsent = Unsent::default();
                unsent.copy(&reply::plain_bytes(end.status));
                let leaving = Leaving::reply(unsent, Some(end), Some(u64::MAX), &terms.limits);
                self.turn_to(leaving, terms, now_ns)
            }
            Parked::Coming { .. } | Parked::Leaving(_) => self.give_up(terms),
        }
    }

    /// Ends it for a reason that is not its own; counts what is lost.
    pub(super) fn give_up(&mut self, terms: &Terms) -> Step {
        match &mut self.parked {
            Parked::Coming { intake, .. } if intake.is_request() => {
                let bytes_in = intake.weight() as u64;
                terms.tally.begin_reply();
                terms.tally.end_reply(&End { aborted: true, bytes_in, ..End::default() });
            }
            Parked::Coming { .. } => terms.tally.refused(Refusal::Incomplete),
            Parked::Leaving(leaving) => {
                let _ = leaving.give_up(&terms.tally);
            }
        }
        Step::Over
    }

    /// The connection, what has come of its request, and when it was accepted, in nanoseconds;
    /// `None` if nothing is to be served.
    pub(super) fn into_request(self) -> Option<(W, Intake, u64)> {
        match self.parked {
            Parked::Coming { intake, since_ns } => Some((self.wire, intake, since_ns)),
            Parked::Leaving(_) => None,
        }
    }

    fn receive(&mut self, terms: &Terms, now_ns: u64) -> Step {
        for _ in 0..PIECES {
            let Parked::Coming { intake, .. } = &mut self.parked else { return Step::Waits };
            match self.wire.take(intake.room()) {
                Ok(None) => return Step::Waits,
                // Somebody who connects and leaves is no fault.
                Ok(Some(0)) | Err(_) if intake.is_empty() => return Step::Over,
                Ok(Some(0)) | Err(_) => return self.give_up(terms),
                Ok(Some(_)) => self.heard_ns = now_ns,
            }
            match intake.is_whole(&terms.limits, &terms.codec) {
                Ok(true) => return Step::Ready,
                Ok(false) => {}
                Err(error) => return self.refuse(&error, terms, now_ns),
            }
        }
        Step::Waits
    }

    fn refuse(&mut self, error: &HeadError, terms: &Terms, now_ns: u64) -> Step {
        terms.tally.refused(refusal(error));
        self.turn_to(Leaving::refusal(&error.answer(), &terms.limits), terms, now_ns)
    }

    fn turn_to(&mut self, leaving: Leaving, terms: &Terms, now_ns: u64) -> Step {
        self.parked = Parked::Leaving(leaving);
        self.heard_ns = now_ns;
        self.leave(terms, now_ns)
    }

    fn leave(&mut self, terms: &Terms, now_ns: u64) -> Step {
        let Parked::Leaving(leaving) = &mut self.parked else { return Step::Waits };
        let was_sending = leaving.is_sending();
        match leaving.go_on(&self.wire, &terms.tally) {
            Progress::Over => Step::Over,
            Progress::Waits { moved } => {
                if moved || was_sending != leaving.is_sending() {
                    self.heard_ns = now_ns;
                }
                Step::Waits
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use scgi_protocol::page::{Page, Report};
    use scgi_protocol::scgi::RequestHead;

    use super::*;
    use crate::limits::Limits;
    use crate::scripted::Scripted;

    const SECOND: u64 = 1_000_000_000;

    struct World {
        terms: Terms,
        case: Case<Scripted>,
    }

    impl World {
        /// A client that was accepted at 0 and has said nothing.
        fn silent() -> Self {
            let terms = Terms::new(Limits::default(), Page::create().unwrap().0);
            let parked = Parked::Coming { intake: Intake::default(), since_ns: 0 };
            Self { terms, case: Case::new(Scripted::default(), parked, 0) }
        }

        fn says(&mut self, bytes: &[u8], now_ns: u64) -> Step {
            self.case.wire.say(bytes);
            self.case.step(&self.terms, now_ns)
        }

        fn leaves(&mut self) -> Step {
            self.case.wire.leave();
            self.case.step(&self.terms, 0)
        }

        fn report(&self) -> Report {
            self.terms.tally.report()
        }
    }

    fn head(length: u64) -> Vec<u8> {
        RequestHead::new(length).encode().unwrap()
    }

    #[test]
    fn a_request_in_pieces_is_ready_with_its_last_byte() {
        let mut world = World::silent();
        let request = [head(4), b"body".to_vec()].concat();
        let (last, first) = request.split_last().unwrap();

        for byte in first {
            assert_eq!(world.says(&[*byte], 0), Step::Waits);
        }
        assert_eq!(world.says(&[*last], 0), Step::Ready);

        assert_eq!(world.report(), Report::default(), "whoever serves it counts it");
    }

    #[test]
    fn who_leaves_without_a_word_is_no_fault_and_one_with_half_a_head_is_counted() {
        let mut silent = World::silent();
        assert_eq!(silent.leaves(), Step::Over);
        assert_eq!(silent.report(), Report::default());

        let mut half = World::silent();
        half.says(b"70:CONT", 0);
        assert_eq!(half.leaves(), Step::Over);
        assert_eq!(half.report().refused, [0, 0, 1]);
    }

    #[test]
    fn who_leaves_in_the_middle_of_a_body_is_an_abort() {
        let mut world = World::silent();
        world.says(&head(10), 0);
        world.says(b"half", 0);

        assert_eq!(world.leaves(), Step::Over);

        let report = world.report();
        assert_eq!((report.begun, report.ended, report.aborted), (1, 1, 1));
        assert_eq!(report.bytes_in, head(10).len() as u64 + 4);
    }

    #[test]
    fn a_head_has_its_time_from_acceptance_and_a_body_from_its_last_byte() {
        let mut world = World::silent();
        world.says(b"1", 4 * SECOND);
        assert_eq!(world.case.deadline_ns(&world.terms), 10 * SECOND);

        let mut world = World::silent();
        world.says(&head(10), 4 * SECOND);
        world.says(b"a", 30 * SECOND);
        assert_eq!(world.case.deadline_ns(&world.terms), 90 * SECOND);
    }

    #[test]
    fn a_head_that_is_too_late_is_closed_and_a_body_is_answered_408() {
        let mut world = World::silent();
        world.says(b"1", 0);
        assert_eq!(world.case.expire(&world.terms, SECOND), Step::Over);
        assert_eq!(world.report().refused, [0, 0, 1]);

        let mut world = World::silent();
        world.says(&head(10), 0);
        world.case.wire.make_room(1000);
        assert_eq!(world.case.expire(&world.terms, SECOND), Step::Waits);
        assert!(world.case.wire.sent().starts_with(b"Status: 408 "));
        assert!(!world.case.is_coming());
        let report = world.report();
        assert_eq!((report.begun, report.ended, report.ends), (1, 1, [0, 0, 0, 1, 0]));
    }

    #[test]
    fn what_is_no_head_is_answered_and_heard_out() {
        let mut world = World::silent();
        world.case.wire.make_room(1000);

        assert_eq!(world.says(b"GET / HTTP/1.1\r\n", 0), Step::Waits);

        assert!(world.case.wire.sent().starts_with(b"HTTP/1.1 400 "));
        assert_eq!((world.report().refused, world.report().begun), ([1, 0, 0], 0));
        assert_eq!(world.leaves(), Step::Over);
    }

    #[test]
    fn those_with_nothing_to_lose_go_before_those_with_a_request_and_the_silent_before_others() {
        let mut half = World::silent();
        half.says(b"7", 9);
        let mut later = World::silent();
        later.says(b"7", 10);
        let mut request = World::silent();
        request.says(&head(10), 1);

        assert!(half.case.rank() < later.case.rank());
        assert!(later.case.rank() < request.case.rank());
    }
}
