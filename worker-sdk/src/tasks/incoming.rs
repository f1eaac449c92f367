//! The body of a request, as a task reads it: frame by frame, while it comes.
//!
//! Never reads past `CONTENT_LENGTH`, and never takes the end of input for the end of the body.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::wire::Wire;

/// The most that is received at once, in bytes.
const FRAME_BYTES: u64 = 64 << 10;

/// The body of a request that a task serves.
///
/// Yields `UnexpectedEof` (or what the connection broke with) if the client went away, and
/// `TimedOut` if it was silent longer than [`crate::Limits::body_timeout`]. A handler may just pass
/// the error on: the worker knows what became of the client.
#[derive(Debug)]
pub struct Incoming {
    wire: Arc<Wire>,
    /// What came with the head.
    early: Bytes,
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// The body behind a head; `early` is its beginning, [`Wire::unread`] how much is on its way.
    pub(super) fn new(wire: Arc<Wire>, early: Bytes, patience: Duration) -> Self {
        Self { wire, early, patience, silence: None }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> u64 {
        self.early.len() as u64 + self.wire.unread.load(Relaxed)
    }

    /// What came of a body with its head, and behind that what else of it has come by now: a short
    /// body is then one piece, which nobody has to put together again.
    pub(super) fn begun(wire: &Wire, early: &[u8]) -> Bytes {
        let unread = wire.unread.load(Relaxed);
        if unread == 0 || early.len() as u64 + unread > FRAME_BYTES {
            return Bytes::copy_from_slice(early);
        }
        let room = early.len() + usize::try_from(unread).expect("a frame fits into memory");
        let mut frame = Vec::with_capacity(room);
        frame.extend_from_slice(early);
        if let Some(Ok(got @ 1..)) = wire.try_append(&mut frame) {
            take(wire, &mut frame, got);
        }
        frame.into()
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let unread = self.wire.unread.load(Relaxed);
        let room = usize::try_from(unread.min(FRAME_BYTES)).expect("a frame fits into memory");
        let mut frame = Vec::with_capacity(room);
        if let Poll::Ready(got) = receive(&self.wire, &mut frame, cx) {
            self.silence = None;
            return Poll::Ready(got.map(|()| frame.into()));
        }
        let patience = self.patience;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(silence.as_mut().poll(cx));
        self.wire.silent.store(true, Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Receives a part of the body into the memory that `frame` has, and no more than the body has.
pub(super) fn receive(
    wire: &Wire,
    frame: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    match ready!(wire.poll_append(frame, cx)) {
        Ok(0) => {
            wire.gone.store(true, Relaxed);
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        Ok(got) => {
            take(wire, frame, got);
            Poll::Ready(Ok(()))
        }
        Err(error) => {
            wire.gone.store(true, Relaxed);
            Poll::Ready(Err(error))
        }
    }
}

/// Takes what of the last `got` bytes of `frame` is the body's, and leaves off the rest: the allocator
/// may have given more room than was asked for, and the peer sent more.
fn take(wire: &Wire, frame: &mut Vec<u8>, got: usize) {
    let unread = wire.unread.load(Relaxed);
    let of_body = unread.min(got as u64);
    let surplus = usize::try_from(got as u64 - of_body).expect("a part of a frame");
    frame.truncate(frame.len() - surplus);
    wire.surplus.fetch_or(surplus > 0, Relaxed);
    wire.unread.store(unread - of_body, Relaxed);
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.early.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.early)))));
        }
        if self.wire.unread.load(Relaxed) == 0 {
            return Poll::Ready(None);
        }
        if self.wire.closed.load(Relaxed) {
            let why = "the request was answered before its body was read";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::NotConnected, why))));
        }
        self.poll_more(cx).map(|got| Some(got.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}
