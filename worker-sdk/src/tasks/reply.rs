//! Sends what a handler answers, as every front end takes it alike: head and beginning in one write,
//! `Content-Length` wherever it can be known, never `Transfer-Encoding`.
//!
//! Decides nothing about faults: it says what was wrong, and whether anything was sent.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http_body::{Body, Frame};
use scgi_protocol::scgi::{NGINX_HEADER_BYTES, ResponseError, ResponseWriter};

use super::wire::Wire;
use crate::reply::decimal;

/// Any error a handler or its body may have.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Pieces up to this size are held back while more are there to go with them.
const HELD_BYTES: usize = 16 << 10;

/// Room made at once for a head, in bytes.
const HEAD_BYTES: usize = 512;

/// How far a reply got.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The status that went out; 0 if nothing did.
    pub(super) status: u16,
    /// Bytes, head and body.
    pub(super) bytes: u64,
}

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
    held: Vec<u8>,
    pub(super) sent: Sent,
    /// Bytes of a head that nginx refuses unless told otherwise.
    pub(super) large_head: Option<usize>,
}

impl<'w> Outlet<'w> {
    pub(super) fn new(wire: &'w Wire, patience: Duration) -> Self {
        Self { wire, patience, held: Vec::new(), sent: Sent::default(), large_head: None }
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
        if !head_only && !has_no_body(status) {
            self.pass_on(body, status, length).await?;
        }
        self.flush(&[], status).await
    }

    async fn pass_on(
        &mut self,
        body: impl Body<Error: Into<BoxError>>,
        status: u16,
        length: Option<u64>,
    ) -> Result<(), Fault> {
        let mut body = pin!(body);
        let mut passed = 0;
        loop {
            let ready = poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await;
            let frame = match ready {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    // What is there goes out while the rest is being made.
                    self.flush(&[], status).await?;
                    poll_fn(|cx| body.as_mut().poll_frame(cx)).await
                }
            };
            let Some(piece) = frame.map(piece).transpose()? else { break };
            passed += piece.len() as u64;
            if length.is_some_and(|length| passed > length) {
                return Err(Fault::Handler("the body is longer than it was announced".to_owned()));
            }
            if self.held.len() + piece.len() <= HELD_BYTES {
                self.held.extend_from_slice(&piece);
            } else {
                self.flush(&piece, status).await?;
            }
        }
        match length {
            Some(length) if passed < length => {
                Err(Fault::Handler("the body is shorter than it was announced".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Sends what is held back, and `more` behind it.
    async fn flush(&mut self, more: &[u8], status: u16) -> Result<(), Fault> {
        if self.held.is_empty() && more.is_empty() {
            return Ok(());
        }
        let sent = self.wire.send([&self.held, more], self.patience).await;
        self.sent.status = status;
        self.sent.bytes += (self.held.len() + more.len()) as u64;
        self.held.clear();
        sent.map_err(|_| Fault::Client)
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
        _cx: &mut std::task::Context<'_>,
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
