//! The request body: so many bytes after the head, counted.
//!
//! ```text
//! remaining n ─take k─▶ remaining n-k ─…─▶ complete
//!      └──────── peer gone ────────▶ aborted
//! ```
//!
//! Never holds a byte itself. Nobody half-closes an SCGI connection, so the end of input before
//! the end of the body means that the peer has left, never that the body was short.

/// How much of one request's body is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Body {
    remaining: u64,
}

/// The peer left before the whole body had arrived: the request is to be dropped, not served
/// with what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request was aborted with {missing} bytes of its body still to come")]
pub struct Aborted {
    /// Bytes that did not arrive; at least 1.
    pub missing: u64,
}

impl Body {
    /// A body of `content_length` bytes, none of which has arrived.
    pub fn new(content_length: u64) -> Self {
        Self { remaining: content_length }
    }

    /// Bytes still to come.
    #[must_use]
    pub fn remaining(self) -> u64 {
        self.remaining
    }

    /// Whether every byte has arrived.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.remaining == 0
    }

    /// The most to read at once into a buffer of `room` bytes, so as not to read past the body.
    #[must_use]
    pub fn at_most(self, room: usize) -> usize {
        usize::try_from(self.remaining).map_or(room, |remaining| remaining.min(room))
    }

    /// Counts `arrived` and returns the part of it that belongs to the body. What follows is to
    /// be ignored: there is no second request on a connection.
    pub fn take<'a>(&mut self, arrived: &'a [u8]) -> &'a [u8] {
        let part = &arrived[..self.at_most(arrived.len())];
        self.remaining -= part.len() as u64;
        part
    }

    /// Judges the end of input.
    ///
    /// # Errors
    ///
    /// [`Aborted`] if the body is not complete.
    pub fn end_of_input(self) -> Result<(), Aborted> {
        match self.remaining {
            0 => Ok(()),
            missing => Err(Aborted { missing }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_takes_its_bytes_and_no_more() {
        let mut body = Body::new(5);

        assert_eq!(body.take(b"abc"), b"abc");
        assert_eq!((body.remaining(), body.at_most(100), body.at_most(1)), (2, 2, 1));
        assert_eq!(body.take(b"defgh"), b"de");
        assert_eq!(body.take(b"more"), b"");
        assert!(body.is_complete());
    }

    #[test]
    fn the_end_of_input_before_the_end_of_the_body_is_an_abort() {
        let mut body = Body::new(u64::MAX);
        let _ = body.take(b"x");

        assert_eq!(body.end_of_input(), Err(Aborted { missing: u64::MAX - 1 }));
        assert_eq!(Body::new(0).end_of_input(), Ok(()));
    }
}
