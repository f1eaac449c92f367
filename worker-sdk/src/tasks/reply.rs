//! Sends what a handler answers, as every front end takes it alike: head and beginning in one write,
//! `Content-Length` wherever it can be known, never `Transfer-Encoding`.
//!
//! What the kernel has no room for is kept, of a stream as much as the limits say, and sent while
//! the handler goes on. Whoever has the outlet sees to it that what is kept at the end is sent.
//!
//! Decides nothing about faults: it says what was wrong, and whether anything was sent.

use std::borrow::Cow;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http_body::{Body, Frame};
use scgi_protocol::scgi::{NGINX_HEADER_BYTES, ResponseError, ResponseWriter};

use tokio::time::{Sleep, sleep, timeout};

use super::wire::Wire;
use crate::limits::Limits;
use crate::reply::decimal;
use crate::unsent::Unsent;
use crate::wire::Wire as _;

/// Any error a handler or its body may have.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Pieces up to this size are held back while more are there to go with them.
const HELD_BYTES: usize = 16 << 10;

/// Room made at once for a head, in bytes.
const HEAD_BYTES: usize = 512;

/// How long the end of a reply is waited for, before others do it.
const SETTLE: Duration = Duration::from_millis(5);

/// What went wrong with a reply.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client went away or stopped reading.
    Client,
    /// The response cannot be sent as it is, or its body failed.
    Handler(String),
}

/// The way out for the reply to one request.
pub(super) struct Outlet<'w> {
    wire: &'w Wire,
    patience: Duration,
    /// The most of a stream that is kept, in bytes.
    most_kept: usize,
    held: Vec<u8>,
    unsent: Unsent,
    /// Since when the peer has taken nothing, if it is to take something.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The status that is meant.
    status: u16,
    sent_bytes: u64,
    /// Bytes of a head that nginx refuses unless told otherwise.
    pub(super) large_head: Option<usize>,
}

impl<'w> Outlet<'w> {
    pub(super) fn new(wire: &'w Wire, limits: &Limits) -> Self {
        Self {
            wire,
            patience: limits.write_timeout,
            most_kept: limits.output_buffer_bytes,
            held: Vec::new(),
            unsent: Unsent::default(),
            stalled: None,
            status: 0,
            sent_bytes: 0,
            large_head: None,
        }
    }

    /// The status that the client gets; 0 if it gets nothing.
    pub(super) fn status(&self) -> u16 {
        if self.has_begun() { self.status } else { 0 }
    }

    /// Whether a part of the reply has been sent, or is kept.
    pub(super) fn has_begun(&self) -> bool {
        self.sent_bytes > 0 || !self.unsent.is_empty()
    }

    /// Bytes sent, head and body.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Bytes that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.unsent.bytes()
    }

    /// What is kept.
    pub(super) fn into_unsent(self) -> Unsent {
        self.unsent
    }

    /// Sends what is kept to a peer who is not slow; all of it if `wholly`, however slow he is.
    ///
    /// # Errors
    ///
    /// [`Fault::Client`].
    pub(super) async fn settle(&mut self, wholly: bool) -> Result<(), Fault> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let all = poll_fn(|cx| self.poll_drain(0, cx));
        if wholly { all.await } else { timeout(SETTLE, all).await.unwrap_or(Ok(())) }
    }

    /// Sends `response`; without its body if `head_only`.
    ///
    /// # Errors
    ///
    /// [`Fault`]; whether anything was sent is to be seen.
    pub(super) async fn reply(
        &mut self,
        response: http::Response<impl Body<Error: Into<BoxError>>>,
        head_only: bool,
    ) -> Result<(), Fault> {
        let (parts, body) = response.into_parts();
        let length = announced(&parts, &body, head_only);
        self.held.clear();
        let short = length.and_then(|length| usize::try_from(length).ok());
        self.held.reserve(HEAD_BYTES + short.filter(|bytes| *bytes <= HELD_BYTES).unwrap_or(0));
        let written = write_head(&mut self.held, &parts, length);
        let bytes = written.map_err(|error| Fault::Handler(error.to_string()))?;
        self.large_head = Some(bytes).filter(|bytes| *bytes > NGINX_HEADER_BYTES);
        let status = parts.status.as_u16();
        self.status = status;
        if !head_only && !has_no_body(status) {
            self.pass_on(body, length).await?;
        }
        self.pass(Bytes::new())
    }

    async fn pass_on(
        &mut self,
        body: impl Body<Error: Into<BoxError>>,
        length: Option<u64>,
    ) -> Result<(), Fault> {
        let mut body = pin!(body);
        let mut passed = 0;
        loop {
            let frame = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                // What is there goes out while the rest is being made.
                Poll::Pending => self.poll_meanwhile(cx).map(Err),
            });
            let Some(piece) = frame.await?.map(piece).transpose()? else { break };
            passed += piece.len() as u64;
            if length.is_some_and(|length| passed > length) {
                return Err(Fault::Handler("the body is longer than it was announced".to_owned()));
            }
            if self.held.len() + piece.len() <= HELD_BYTES {
                self.held.extend_from_slice(&piece);
            } else {
                self.pass(piece)?;
            }
            // What is in memory anyway is kept whole.
            if self.unsent.bytes() > self.most_kept && !body.is_end_stream() {
                poll_fn(|cx| self.poll_drain(self.most_kept, cx)).await?;
            }
        }
        match length {
            Some(length) if passed < length => {
                Err(Fault::Handler("the body is shorter than it was announced".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Sends what is held back, and `more` behind it; keeps what there is no room for.
    fn pass(&mut self, more: Bytes) -> Result<(), Fault> {
        let (mut of_held, mut of_more) = (0, 0);
        while self.unsent.is_empty() {
            let left: [&[u8]; 2] = [&self.held[of_held..], &more[of_more..]];
            let parts = match left.map(<[u8]>::is_empty) {
                [true, true] => break,
                [false, true] => &left[..1],
                [true, false] => &left[1..],
                [false, false] => &left[..],
            };
            let given = self.wire.socket().give(parts).map_err(|_| Fault::Client)?;
            if given == 0 {
                break;
            }
            self.sent_bytes += given as u64;
            let first = given.min(left[0].len());
            of_held += first;
            of_more += given - first;
        }
        self.unsent.copy(&self.held[of_held..]);
        self.held.clear();
        if of_more < more.len() {
            self.unsent.keep(Cow::Owned(more.into()), of_more);
        }
        Ok(())
    }

    /// Goes on sending while more is being made; ready only if that fails.
    fn poll_meanwhile(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let passed = if self.held.is_empty() { Ok(()) } else { self.pass(Bytes::new()) };
        match passed.map(|()| self.poll_drain(0, cx)) {
            Ok(Poll::Ready(Ok(())) | Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Err(fault))) | Err(fault) => Poll::Ready(fault),
        }
    }

    /// Sends what is kept, until it is `most` bytes.
    fn poll_drain(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.unsent.bytes() > most {
            match self.wire.poll_give(&mut self.unsent, cx) {
                Poll::Ready(Ok(given)) => {
                    self.sent_bytes += given as u64;
                    self.stalled = None;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Client)),
                Poll::Pending => {
                    let patience = self.patience;
                    let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
                    ready!(stalled.as_mut().poll(cx));
                    return Poll::Ready(Err(Fault::Client));
                }
            }
        }
        self.stalled = None;
        Poll::Ready(Ok(()))
    }
}

/// A part of a body; trailers, which SCGI cannot carry, are an empty one.
fn piece<D: Buf, E: Into<BoxError>>(frame: Result<Frame<D>, E>) -> Result<Bytes, Fault> {
    let frame = frame.map_err(|error| Fault::Handler(error.into().to_string()))?;
    Ok(frame.into_data().map(|mut data| data.copy_to_bytes(data.remaining())).unwrap_or_default())
}

/// How long the body will be, if that is known.
fn announced(parts: &http::response::Parts, body: &impl Body, head_only: bool) -> Option<u64> {
    let said = || parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let exact = body.size_hint().exact();
    // The answer to a HEAD speaks of a body that it does not have.
    if head_only { said().or(exact) } else { exact.or_else(said) }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// Writes a head; how many bytes it has.
fn write_head(
    into: &mut Vec<u8>,
    parts: &http::response::Parts,
    length: Option<u64>,
) -> Result<usize, ResponseError> {
    let status = parts.status.as_u16();
    let mut head = ResponseWriter::new(into, status)?;
    for (name, value) in &parts.headers {
        // What is between this worker and the front end only, and what is said below.
        if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE].contains(name) {
            head.header(name.as_str(), value.as_bytes())?;
        }
    }
    if let Some(length) = length.filter(|_| !has_no_body(status)) {
        head.header("Content-Length", decimal(length, &mut [0; 20]))?;
    }
    Ok(head.finish())
}

/// Whether a response may not fit into the kernel's buffers while the peer is still sending.
pub(super) fn may_block(response: &http::Response<impl Body>) -> bool {
    const UNSUSPICIOUS_BYTES: u64 = 32 << 10;
    response.body().size_hint().upper().is_none_or(|most| most > UNSUSPICIOUS_BYTES)
}

/// A body that is there already.
#[derive(Debug, Default)]
pub(super) struct Whole(pub(super) Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.len() as u64)
    }
}
