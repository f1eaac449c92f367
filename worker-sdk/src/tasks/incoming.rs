//! The body of a request, as a task reads it: frame by frame, while it comes.
//!
//! Never reads past `CONTENT_LENGTH`, and never takes the end of input for the end of the body.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep, timeout};

use super::wire::Wire;

/// The most that is received at once, in bytes.
const FRAME_BYTES: u64 = 64 << 10;

/// Bytes that nobody wants, received at once.
const WASTE_BYTES: usize = 16 << 10;

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

    /// Bytes that have come already.
    #[cfg(test)]
    pub(super) fn at_hand(&self) -> usize {
        self.early.len()
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
fn receive(wire: &Wire, frame: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let unread = wire.unread.load(Relaxed);
    match ready!(wire.poll_append(frame, cx)) {
        Ok(0) => {
            wire.gone.store(true, Relaxed);
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        Ok(got) => {
            // The allocator may have given more room than was asked for, and the peer sent more.
            let of_body = unread.min(got as u64);
            let surplus = usize::try_from(got as u64 - of_body).expect("a part of a frame");
            frame.truncate(frame.len() - surplus);
            wire.surplus.fetch_or(surplus > 0, Relaxed);
            wire.unread.store(unread - of_body, Relaxed);
            Poll::Ready(Ok(()))
        }
        Err(error) => {
            wire.gone.store(true, Relaxed);
            Poll::Ready(Err(error))
        }
    }
}

/// Receives of the body what nobody wants, until its end, `most` bytes or `longest`.
pub(super) async fn discard(wire: &Wire, most: u64, longest: Duration) {
    let mut frame = Vec::with_capacity(WASTE_BYTES);
    let before = wire.unread.load(Relaxed);
    let read = async {
        while wire.unread.load(Relaxed) > 0 && before - wire.unread.load(Relaxed) < most {
            frame.clear();
            if poll_fn(|cx| receive(wire, &mut frame, cx)).await.is_err() {
                return;
            }
        }
    };
    // Whoever sends for longer than this has had time enough to take the answer.
    let _ = timeout(longest, read).await;
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
