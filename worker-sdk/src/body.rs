//! The body of a request, read by a handler as it comes.
//!
//! ```text
//! bytes that have come ─▶ bytes that lie in the kernel ─▶ bytes on their way ─▶ end
//!                                peer gone, or silent for too long ─┴─▶ broken
//! ```
//!
//! Never reads past `CONTENT_LENGTH`, and never takes the end of input for the end of the body.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use scgi_protocol::page::Phase;
use scgi_protocol::scgi;

use crate::tally::Record;
use crate::wire::Wire;

/// A request's body: a reader bounded by `CONTENT_LENGTH`.
///
/// Reading fails with `UnexpectedEof` (or what the connection broke with) if the client went
/// away, and with `TimedOut` if it was silent longer than [`crate::Limits::body_timeout`]. A
/// handler may just pass the error on: the worker knows what became of the client.
pub struct Body<'r> {
    wire: &'r dyn Wire,
    /// What came with the head.
    early: &'r [u8],
    /// What was waited for, in place of `early`.
    own: Vec<u8>,
    /// How much of `own` has been read.
    read: usize,
    /// What has not been received, beyond all that was.
    coming: scgi::Body,
    /// How much of that lies in the kernel.
    lying: u64,
    length: u64,
    /// More came with the head than the body is long.
    surplus: bool,
    patience: Duration,
    record: Record<'r>,
    end: BodyEnd,
}

/// What has come of a body when its request is taken up.
#[derive(Debug)]
pub(crate) enum Arrived<'r> {
    /// With the head, in its buffer.
    WithHead(&'r [u8]),
    /// All of it, in a buffer of its own.
    Behind(Vec<u8>),
    /// The first bytes with the head, and all the others are in the kernel, to be received once by
    /// whoever wants them, to where he wants them.
    Lying(&'r [u8]),
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// Nothing unusual, so far.
    Sound,
    /// The client went away.
    Gone,
    /// The client was silent for too long.
    Silent,
    /// The handler wanted less than was announced.
    TooLong,
}

/// Why a body could not be had whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More is announced than the handler takes. A handler that passes this on answers 413.
    #[error("the body has {length} bytes, more than {limit}")]
    TooLong {
        /// What `CONTENT_LENGTH` says.
        length: u64,
        /// What the handler takes, in bytes.
        limit: usize,
    },
    /// It stopped coming.
    #[error("the body did not arrive")]
    Broken(#[source] io::Error),
}

impl<'r> Body<'r> {
    /// A body of `length` bytes, of which `arrived` may hold the first, and more than that.
    pub(crate) fn new(
        wire: &'r dyn Wire,
        arrived: Arrived<'r>,
        length: u64,
        patience: Duration,
        record: Record<'r>,
    ) -> Self {
        let mut coming = scgi::Body::new(length);
        let (mut early, mut own, mut lying): (&[u8], _, _) = (&[], Vec::new(), 0);
        let surplus = match arrived {
            Arrived::WithHead(bytes) => {
                early = coming.take(bytes);
                early.len() < bytes.len()
            }
            Arrived::Behind(bytes) => {
                let all = bytes.len();
                let wanted = coming.take(&bytes).len();
                own = bytes;
                own.truncate(wanted);
                wanted < all
            }
            Arrived::Lying(bytes) => {
                early = coming.take(bytes);
                lying = coming.remaining();
                false
            }
        };
        let end = BodyEnd::Sound;
        Self { wire, early, own, read: 0, coming, lying, length, surplus, patience, record, end }
    }

    /// Bytes announced by `CONTENT_LENGTH`.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> u64 {
        self.received_ahead() as u64 + self.coming.remaining()
    }

    /// Bytes that have come already: reading so many does not wait.
    pub fn at_hand(&self) -> usize {
        self.received_ahead() + usize::try_from(self.lying).unwrap_or(usize::MAX)
    }

    /// Bytes that were received and not read.
    fn received_ahead(&self) -> usize {
        self.early.len() + self.own.len() - self.read
    }

    /// The connection that the rest comes by, for who waits for more than one thing at a time:
    /// readable once reading does not wait, and hung up once the client has gone. To be waited for
    /// only, neither read nor written. `None` in tests, where nothing is waited for.
    pub fn connection(&self) -> Option<BorrowedFd<'r>> {
        self.wire.descriptor()
    }

    /// Looks whether the client has gone away. A handler that ends for it is not to blame, whatever it
    /// ends with.
    pub fn is_gone(&mut self) -> bool {
        if self.end != BodyEnd::Gone && self.wire.is_gone() {
            self.end = BodyEnd::Gone;
        }
        self.end == BodyEnd::Gone
    }

    /// Reads the rest into memory.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`] if more than `limit` bytes are left, of which none is read then;
    /// [`BodyError::Broken`] if they do not arrive.
    pub fn to_vec(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let length = self.remaining();
        let Some(bytes) = usize::try_from(length).ok().filter(|bytes| *bytes <= limit) else {
            self.end = BodyEnd::TooLong;
            return Err(BodyError::TooLong { length, limit });
        };
        let mut whole = std::mem::take(&mut self.own);
        whole.drain(..std::mem::take(&mut self.read));
        whole.reserve_exact(bytes - whole.len());
        whole.extend_from_slice(std::mem::take(&mut self.early));
        while !self.coming.is_complete() {
            self.append(&mut whole).map_err(BodyError::Broken)?;
        }
        Ok(whole)
    }

    pub(crate) fn end(&self) -> BodyEnd {
        self.end
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.length - self.coming.remaining()
    }

    /// How many bytes the peer has to send yet, or is known to. Closing before they have come would
    /// make the kernel throw away the reply as well (TCP). `None` if none that is known of.
    pub(crate) fn rest(&self) -> Option<u64> {
        match self.coming.remaining() - self.lying {
            _ if self.end == BodyEnd::Gone => None,
            // Nobody knows how much comes that should not.
            _ if self.surplus => Some(u64::MAX),
            0 => None,
            remaining => Some(remaining),
        }
    }

    /// Reads what nobody asked for, within bounds, and throws it away: the rest of the body, and
    /// if more than that comes, everything to the end.
    #[cold]
    pub(crate) fn discard(&mut self, most_bytes: u64, longest: Duration) {
        let begun = Instant::now();
        let mut thrown = 0;
        let mut waste = [0; 16 << 10];
        self.forget_received();
        self.record.phase(Phase::Reading);
        while thrown < most_bytes && (self.surplus || !self.coming.is_complete()) {
            let Some(left) = longest.checked_sub(begun.elapsed()) else { return };
            match self.wire.receive(&mut waste, left) {
                Ok(0) | Err(_) => return,
                Ok(received) => {
                    thrown += received as u64;
                    self.surplus |= self.take(&waste[..received]) < received;
                }
            }
        }
    }

    /// Throws away what lies in the kernel, which never waits. Closing would leave it unread, for
    /// which the kernel tells the peer that the connection broke.
    pub(crate) fn discard_lying(&mut self) {
        if self.lying > 0 {
            self.forget_received();
            let mut waste = [0; 16 << 10];
            while self.lying > 0 && self.receive(&mut waste).is_ok() {}
        }
    }

    fn forget_received(&mut self) {
        self.early = &[];
        (self.own, self.read) = (Vec::new(), 0);
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = self.coming.at_most(into.len());
        self.record.phase(Phase::Reading);
        let received = self.wire.receive(&mut into[..room], self.patience);
        self.record.phase(Phase::Handling);
        let received = self.arrived(received)?;
        Ok(self.take(&into[..received]))
    }

    /// Receives into the memory `into` has to spare.
    fn append(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let before = into.len();
        self.record.phase(Phase::Reading);
        let received = self.wire.append(into, self.patience);
        self.record.phase(Phase::Handling);
        let received = self.arrived(received)?;
        let wanted = self.take(&into[before..]);
        self.surplus |= wanted < received;
        into.truncate(before + wanted);
        Ok(())
    }

    /// Counts what was received; how many bytes of it belong to the body.
    fn take(&mut self, received: &[u8]) -> usize {
        let taken = self.coming.take(received).len();
        self.lying = self.lying.saturating_sub(taken as u64);
        taken
    }

    /// Judges what receiving came to: some bytes, or how the body ends.
    fn arrived(&mut self, received: io::Result<usize>) -> io::Result<usize> {
        match received {
            Ok(0) => {
                self.end = BodyEnd::Gone;
                let gone = self.coming.end_of_input().expect_err("the body is not complete");
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, gone))
            }
            Ok(received) => Ok(received),
            Err(error) => {
                let silent = error.kind() == io::ErrorKind::TimedOut;
                self.end = if silent { BodyEnd::Silent } else { BodyEnd::Gone };
                Err(error)
            }
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            return self.early.read(into);
        }
        if self.read < self.own.len() {
            let bytes = (&self.own[self.read..]).read(into)?;
            self.read += bytes;
            return Ok(bytes);
        }
        if into.is_empty() || self.coming.is_complete() {
            return Ok(0);
        }
        self.receive(into)
    }
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { length, end, .. } = self;
        f.debug_struct("Body").field("length", length).field("end", end).finish_non_exhaustive()
    }
}
