//! A connection whose handler is done, if there was one: the rest of the reply goes out, the rest of
//! the request is heard out, and it is closed.
//!
//! ```text
//! sending ─all sent─▶ hearing out ─the end, or enough─▶ over
//!    └ gone, or takes nothing for too long ─▶ over
//! ```
//!
//! Closing while bytes of the peer are unread makes the kernel throw the reply away (TCP), and Apache
//! takes no reply before it has sent all of its request. So both go on at once: what the peer sends is
//! thrown away while he has not taken everything. Never waits.

use std::time::Duration;

use scgi_protocol::page::report::End;

use crate::limits::Limits;
use crate::tally::Tally;
use crate::unsent::Unsent;
use crate::wire::Wire;

/// The most pieces that are received in one go, so that others get their turn.
const PIECES: usize = 8;

/// Bytes that are heard at once.
const PIECE_BYTES: usize = 16 << 10;

/// How long a peer that did not speak SCGI gets to take the answer in.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(200);

/// The most that is read from such a peer before he is left, in bytes.
const REFUSAL_BYTES: u64 = 64 << 10;

/// What is to be done before a connection is closed.
#[derive(Debug)]
pub(crate) struct Leaving {
    unsent: Unsent,
    /// The end of the request, to be told when everything is sent.
    end: Option<End>,
    /// Bytes to be heard and thrown away yet; `None` if the peer has been heard out.
    rest: Option<u64>,
    /// How long they are waited for, once everything is sent.
    hearing: Duration,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bytes went one way or the other, or none did.
    Waits { moved: bool },
    /// It is time to close.
    Over,
}

impl Leaving {
    /// The rest of a reply; `rest` bytes of the request are unread. `end` is told at the end, if
    /// it has not been. If all is sent, the peer has been told so.
    pub(crate) fn reply(
        unsent: Unsent,
        end: Option<End>,
        rest: Option<u64>,
        limits: &Limits,
    ) -> Self {
        let rest = rest.map(|bytes| bytes.min(limits.discard_bytes));
        Self { unsent, end, rest, hearing: limits.discard_timeout }
    }

    /// The answer to a peer that brought no request.
    pub(crate) fn refusal(answer: &[u8], limits: &Limits) -> Self {
        let mut unsent = Unsent::default();
        unsent.copy(answer);
        let hearing = limits.discard_timeout.min(REFUSAL_PATIENCE);
        Self { unsent, end: None, rest: Some(REFUSAL_BYTES), hearing }
    }

    /// Whether there is something to send.
    pub(crate) fn is_sending(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether there is something to hear.
    pub(crate) fn is_hearing(&self) -> bool {
        self.rest.is_some()
    }

    /// Bytes of memory it holds.
    pub(crate) fn weight(&self) -> usize {
        self.unsent.bytes()
    }

    /// How long nothing may move before it is given up.
    pub(crate) fn patience(&self, limits: &Limits) -> Duration {
        if self.is_sending() { limits.write_timeout } else { self.hearing }
    }

    /// Does what can be done without waiting.
    pub(crate) fn go_on(&mut self, wire: &dyn Wire, tally: &Tally) -> Progress {
        let mut moved = false;
        if self.is_sending() {
            match self.unsent.give(wire) {
                Ok(given) => {
                    moved = given > 0;
                    self.count(given);
                }
                Err(_) => return self.give_up(tally),
            }
            if self.is_sending() {
                self.hear(wire);
                return Progress::Waits { moved };
            }
            self.told(tally);
            if self.is_hearing() {
                wire.finish();
            }
        }
        self.hear(wire);
        if self.is_hearing() { Progress::Waits { moved } } else { Progress::Over }
    }

    /// Ends it before its time.
    pub(crate) fn give_up(&mut self, tally: &Tally) -> Progress {
        if let Some(end) = &mut self.end {
            end.aborted = true;
        }
        self.told(tally);
        self.unsent = Unsent::default();
        Progress::Over
    }

    fn count(&mut self, given: usize) {
        if let Some(end) = &mut self.end {
            end.bytes_out += given as u64;
        }
    }

    fn told(&mut self, tally: &Tally) {
        let Some(mut end) = self.end.take() else { return };
        if end.bytes_out == 0 {
            end.status = 0;
        }
        tally.end_reply(&end);
    }

    /// Hears what there is and throws it away.
    fn hear(&mut self, wire: &dyn Wire) {
        let mut waste = Vec::with_capacity(if self.is_hearing() { PIECE_BYTES } else { 0 });
        for _ in 0..PIECES {
            let Some(rest) = self.rest else { return };
            waste.clear();
            self.rest = match wire.take(&mut waste) {
                Ok(None) => return,
                Ok(Some(0)) | Err(_) => None,
                Ok(Some(heard)) => rest.checked_sub(heard as u64).filter(|rest| *rest > 0),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use scgi_protocol::page::Page;

    use super::*;
    use crate::scripted::Scripted;

    struct World {
        wire: Scripted,
        tally: Tally,
    }

    impl World {
        fn new() -> Self {
            let tally = Tally::new(Page::create().unwrap().0);
            tally.begin_reply();
            Self { wire: Scripted::default(), tally }
        }

        fn replying(&self, bytes: &[u8], rest: Option<u64>) -> Leaving {
            let mut unsent = Unsent::default();
            unsent.copy(bytes);
            let end = End { status: 200, bytes_out: 1, ..End::default() };
            Leaving::reply(unsent, Some(end), rest, &Limits::default())
        }

        fn go_on(&self, leaving: &mut Leaving) -> Progress {
            leaving.go_on(&self.wire, &self.tally)
        }
    }

    #[test]
    fn a_reply_goes_out_as_there_is_room_and_its_request_ends_with_the_last_byte() {
        let world = World::new();
        let mut leaving = world.replying(b"reply", None);

        assert_eq!(world.go_on(&mut leaving), Progress::Waits { moved: false });
        world.wire.make_room(3);
        assert_eq!(world.go_on(&mut leaving), Progress::Waits { moved: true });
        assert_eq!(world.tally.report().ended, 0);
        world.wire.make_room(3);
        assert_eq!(world.go_on(&mut leaving), Progress::Over);

        let report = world.tally.report();
        assert_eq!((report.ended, report.aborted, report.bytes_out), (1, 0, 6));
        assert_eq!(world.wire.sent(), b"reply");
    }

    #[test]
    fn a_client_that_leaves_before_it_has_everything_is_an_abort() {
        let world = World::new();
        let mut leaving = world.replying(b"reply", None);
        world.wire.make_room(2);
        let _ = world.go_on(&mut leaving);

        world.wire.leave();

        assert_eq!(world.go_on(&mut leaving), Progress::Over);
        let report = world.tally.report();
        assert_eq!((report.ended, report.aborted, report.bytes_out), (1, 1, 3));
    }

    #[test]
    fn a_peer_that_must_send_everything_before_it_listens_is_heard_meanwhile() {
        let world = World::new();
        let mut leaving = world.replying(b"reply", Some(4));
        world.wire.say(b"rest");

        assert_eq!(world.go_on(&mut leaving), Progress::Waits { moved: false });
        assert!(!leaving.is_hearing());
        world.wire.make_room(100);

        assert_eq!(world.go_on(&mut leaving), Progress::Over);
        assert_eq!(world.wire.sent(), b"reply");
    }

    #[test]
    fn a_peer_with_more_to_send_is_told_that_nothing_more_comes_and_heard_out() {
        let world = World::new();
        let mut leaving = world.replying(b"reply", Some(4));
        world.wire.make_room(100);

        assert_eq!(world.go_on(&mut leaving), Progress::Waits { moved: true });
        assert!(world.wire.is_finished());
        assert_eq!(world.tally.report().ended, 1);

        world.wire.say(b"rest");
        assert_eq!(world.go_on(&mut leaving), Progress::Over);
    }

    #[test]
    fn who_sends_for_ever_is_heard_no_further_than_the_limit() {
        let world = World::new();
        let mut leaving = world.replying(b"reply", Some(u64::MAX));
        world.wire.make_room(100);
        let mut heard = 0;

        while world.go_on(&mut leaving) != Progress::Over {
            world.wire.say(&[0; PIECES * PIECE_BYTES]);
            heard += (PIECES * PIECE_BYTES) as u64;
        }

        let most = Limits::default().discard_bytes;
        assert!((most..2 * most).contains(&heard), "{heard}");
    }
}
