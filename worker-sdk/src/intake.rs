//! What has come of one request: its head, then as much of its body as is waited for.
//!
//! ```text
//! head ──whole──▶ body ──whole──▶ to be served
//!   │               └ longer than is waited for: served at once, the handler reads on
//!   └ not SCGI: refused
//! ```
//!
//! Whoever has the connection receives into the room made here and asks what it came to. Performs
//! no I/O and reads no clock, so that a thread before its handler and the shield beside it judge
//! alike.

use scgi_protocol::scgi::{self, HeadError};

use crate::limits::Limits;

/// Where a head is received: room for the usual head and a small body in one go, and not for much of
/// a long one, since what comes with the head is copied.
pub(crate) const INPUT_BYTES: usize = 4 << 10;

/// A buffer that grew beyond this is given back after the request.
pub(crate) const KEPT_BYTES: usize = 64 << 10;

/// Room made at once for a body that did not all come with its head.
const BODY_BYTES: usize = 64 << 10;

/// The part of a request that has come.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The head, and what was received with it.
    input: Vec<u8>,
    has_head: bool,
    tail: Tail,
}

/// A body that is waited for, if it did not all come with its head.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// All that has come of it, also what came with the head; empty if nothing was missing.
    bytes: Vec<u8>,
    wanted: usize,
}

impl Default for Intake {
    fn default() -> Self {
        let input = Vec::with_capacity(INPUT_BYTES);
        Self { input, has_head: false, tail: Tail::default() }
    }
}

impl Intake {
    /// Makes ready for the next request.
    pub(crate) fn clear(&mut self) {
        if self.input.capacity() > KEPT_BYTES {
            self.input = Vec::with_capacity(INPUT_BYTES);
        }
        self.input.clear();
        self.has_head = false;
        self.tail = Tail::default();
    }

    /// Where to receive what comes next: a buffer with room to spare.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        if self.has_head {
            return self.tail.room();
        }
        let filled = self.input.len();
        if filled == self.input.capacity() {
            // By what has come, not by what is announced: announcing costs a peer nothing.
            self.input.reserve_exact(filled.max(INPUT_BYTES));
        }
        &mut self.input
    }

    /// Whether the head is whole.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as far as that can be seen.
    pub(crate) fn is_head_whole(&self, codec: &scgi::Limits) -> Result<bool, HeadError> {
        let needed = scgi::needed(&self.input, codec)?;
        Ok(needed.is_some_and(|needed| needed <= self.input.len()))
    }

    /// The bytes of the head and what came with them, and the body behind.
    pub(crate) fn parts(&mut self) -> (&[u8], &mut Tail) {
        (&self.input, &mut self.tail)
    }

    /// Judges what has come: whether the request may be served.
    ///
    /// # Errors
    ///
    /// What is wrong with its head.
    pub(crate) fn is_whole(
        &mut self,
        limits: &Limits,
        codec: &scgi::Limits,
    ) -> Result<bool, HeadError> {
        if !self.has_head {
            if !self.is_head_whole(codec)? {
                return Ok(false);
            }
            let Some((head, taken)) = scgi::decode(&self.input, codec)? else { return Ok(false) };
            self.tail.expect(head.content_length(), &self.input[taken..], limits);
            self.has_head = true;
        }
        Ok(self.tail.is_whole())
    }

    /// Says that the head is whole, as somebody has seen who looked at its [`parts`](Self::parts).
    pub(crate) fn has_seen_head(&mut self) {
        self.has_head = true;
    }

    /// Whether nothing has come at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Whether the head is whole, so that it is a request.
    pub(crate) fn is_request(&self) -> bool {
        self.has_head
    }

    /// Bytes of memory that what has come takes.
    pub(crate) fn weight(&self) -> usize {
        self.input.len() + self.tail.bytes.len()
    }
}

impl Tail {
    /// Waits for a body of `length` bytes, of which `early` has come with the head, unless it is
    /// longer than is waited for: the handler may not even want it.
    pub(crate) fn expect(&mut self, length: u64, early: &[u8], limits: &Limits) {
        let missing = missing(length, early, limits);
        if missing == 0 {
            return;
        }
        let length = early.len() + missing;
        self.wanted = length;
        self.bytes = Vec::with_capacity(length.min(BODY_BYTES.max(2 * early.len())));
        self.bytes.extend_from_slice(early);
    }

    /// Whether nothing is missing that is waited for.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.bytes.len() >= self.wanted
    }

    /// Where to receive what is missing.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        let filled = self.bytes.len();
        if filled == self.bytes.capacity() {
            self.bytes.reserve_exact(filled.min(self.wanted - filled).max(1));
        }
        &mut self.bytes
    }

    /// Bytes of it that have come, with what came with the head.
    pub(crate) fn received(&self) -> usize {
        self.bytes.len()
    }

    /// What was waited for, in a buffer of its own; `None` if it all came with the head.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        (self.wanted > 0).then(|| std::mem::take(&mut self.bytes))
    }
}

/// How many bytes of a body are waited for.
pub(crate) fn missing(length: u64, early: &[u8], limits: &Limits) -> usize {
    match usize::try_from(length) {
        Ok(length) if length <= limits.body_buffer_bytes => length.saturating_sub(early.len()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scgi_protocol::scgi::RequestHead;

    use super::*;

    fn limits(body_buffer_bytes: usize) -> Limits {
        Limits { body_buffer_bytes, ..Limits::default() }
    }

    /// How many bytes of `request` had to come until it could be served, and its body by then.
    fn fed(request: &[u8], pieces: &[usize], limits: &Limits) -> Option<(usize, Vec<u8>)> {
        let codec = limits.codec();
        let mut intake = Intake::default();
        let mut at = 0;
        for piece in pieces.iter().chain([&request.len()]) {
            let end = (at + piece).min(request.len());
            while at < end {
                let room = intake.room();
                let bytes = (room.capacity() - room.len()).min(end - at);
                room.extend_from_slice(&request[at..at + bytes]);
                at += bytes;
                if intake.is_whole(limits, &codec).unwrap() {
                    let (input, tail) = intake.parts();
                    let (_, taken) = scgi::decode(input, &codec).unwrap().unwrap();
                    let early = input[taken..].to_vec();
                    return Some((at, tail.take().unwrap_or(early)));
                }
            }
        }
        None
    }

    #[test]
    fn a_body_that_is_too_long_to_wait_for_is_left_to_the_handler() {
        let head = RequestHead::new(1001).encode().unwrap();

        assert_eq!(fed(&head, &[], &limits(1000)), Some((head.len(), vec![])));
        assert_eq!(fed(&head, &[], &limits(1001)), None);
    }

    #[test]
    fn room_grows_with_what_comes_and_not_with_what_is_announced() {
        let head = RequestHead::new(900_000).encode().unwrap();
        let limits = limits(1 << 20);
        let mut intake = Intake::default();
        intake.room().extend_from_slice(&head);

        assert!(!intake.is_whole(&limits, &limits.codec()).unwrap());

        assert!(intake.room().capacity() <= BODY_BYTES);
    }

    proptest! {
        #[test]
        fn a_request_in_whatever_pieces_is_the_same_request(
            length in 0..300_000_usize,
            pieces in proptest::collection::vec(1..100_000_usize, 0..12),
        ) {
            // No two pieces of it are alike.
            let body: Vec<_> = (0_u32..).flat_map(u32::to_le_bytes).take(length).collect();
            let head = RequestHead::new(length as u64).variable("A", "b").encode().unwrap();
            let request = [head, body.clone()].concat();

            let (at, seen) = fed(&request, &pieces, &limits(1 << 20)).unwrap();

            prop_assert_eq!(at, request.len());
            prop_assert_eq!(seen, body);
        }

        #[test]
        fn a_head_is_seen_to_be_whole_at_its_last_byte_wherever_it_is_cut(cut in 1..200_usize) {
            let request = RequestHead::new(0).variable("NAME", "value").encode().unwrap();

            let (at, _) = fed(&request, &[cut], &limits(1000)).unwrap();

            prop_assert_eq!(at, request.len());
        }
    }
}
