//! Sends a response, as every front end takes it alike: head and body in one write where they fit,
//! `Content-Length` wherever it can be known, never `Transfer-Encoding`.
//!
//! ```text
//! Outlet: nothing sent ─▶ head sent ─▶ … ─▶ done
//!              └─ fault: a 500 can go out    └─ fault: only cutting the connection tells
//! ```
//!
//! What the kernel has no room for is kept: a response that is in memory anyway whole, of a stream
//! as much as the limits say, and then its handler waits. Whoever has the outlet sees to it that what
//! is kept at the end is sent. Decides nothing about faults: it says what was wrong, and whether anything was sent.

mod measure;
mod plain;
mod staged;
mod stream;

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use scgi_protocol::scgi::{NGINX_HEADER_BYTES, ResponseError, ResponseHead, ResponseWriter};

use crate::body::Body;
use crate::limits::Limits;
use crate::response::{Content, Response, Text};
use crate::unsent::Unsent;
use crate::wire::{Doing, Wire};

#[cfg(feature = "async")]
pub(crate) use plain::plain_text;
pub(crate) use plain::{plain, plain_bytes};
use stream::{Stream, pour};

/// Bytes of a stream that are sent together.
const STREAM_BYTES: usize = 16 << 10;

/// A body up to this size is copied behind its head: cheaper than a message in two parts.
const COPIED_BYTES: usize = 4 << 10;

/// Room that a thread's buffers keep between two requests.
const KEPT_BYTES: usize = 64 << 10;

/// The longest that a thread waits for a reader who is not slow, each time and in all.
const SETTLE_STEP: Duration = Duration::from_millis(1);
const SETTLE_ALL: Duration = Duration::from_millis(4);

/// A thread's buffers for what it sends, reused from request to request.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    head: Vec<u8>,
    held: Vec<u8>,
}

/// The way out for the reply to one request.
pub(crate) struct Outlet<'r> {
    wire: &'r dyn Wire,
    buffers: &'r mut Buffers,
    patience: Duration,
    /// The most of a stream that is kept.
    most_kept: usize,
    unsent: Unsent,
    /// Bytes of the response head, if nginx would not take it.
    large_head: Option<usize>,
    /// The request was a HEAD.
    head_only: bool,
    status: u16,
    sent_bytes: u64,
    /// Why the peer gets nothing more.
    broken: Option<io::ErrorKind>,
}

/// What went wrong with a reply.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The client went away or stopped reading.
    Client,
    /// The response cannot be sent as it is. Nothing was sent.
    Invalid(ResponseError),
    /// The handler could not write all it meant to.
    Handler(String),
}

/// How a head announces the body.
#[derive(Clone, Copy)]
enum Length {
    Known(u64),
    Unknown,
    /// 204 and 304 have none.
    NoBody,
}

/// The parts of a response that its head is written from.
struct Draft {
    status: u16,
    content_type: Option<Text>,
    headers: Vec<(Text, Text)>,
}

impl<'r> Outlet<'r> {
    pub(crate) fn new(
        wire: &'r dyn Wire,
        buffers: &'r mut Buffers,
        limits: &Limits,
        head_only: bool,
    ) -> Self {
        for buffer in [&mut buffers.head, &mut buffers.held] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        Self {
            wire,
            buffers,
            patience: limits.write_timeout,
            most_kept: limits.output_buffer_bytes,
            unsent: Unsent::default(),
            large_head: None,
            head_only,
            status: 0,
            sent_bytes: 0,
            broken: None,
        }
    }

    /// The status of the reply; 0 if there is none.
    pub(crate) fn status(&self) -> u16 {
        if self.has_begun() { self.status } else { 0 }
    }

    /// Whether a part of the reply has been sent, or is kept.
    pub(crate) fn has_begun(&self) -> bool {
        self.sent_bytes > 0 || !self.unsent.is_empty()
    }

    /// Bytes sent, head and body.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Bytes of the response head, if nginx refuses it unless told otherwise.
    pub(crate) fn large_head(&self) -> Option<usize> {
        self.large_head
    }

    /// Waits a moment for a reader that is not slow; what is left then is for others to send.
    pub(crate) fn settle(&mut self) -> Result<(), Fault> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        while !self.unsent.is_empty()
            && begun.elapsed() < SETTLE_ALL
            && self.wire.wait(Doing::Giving, SETTLE_STEP)
        {
            self.give_unsent()?;
        }
        Ok(())
    }

    /// What the kernel had no room for.
    pub(crate) fn into_unsent(self) -> Unsent {
        self.unsent
    }

    /// Sends `response`. `body` is the request's, for those that use it.
    pub(crate) fn reply(&mut self, response: Response, body: &mut Body<'_>) -> Result<(), Fault> {
        let Response { status, content_type, headers, content, failure: _ } = response;
        self.buffers.head.clear();
        self.buffers.held.clear();
        self.status = status;
        let draft = Draft { status, content_type, headers };
        if matches!(status, 204 | 304) && !matches!(content, Content::Staged(_)) {
            return self.write_head(&draft, Length::NoBody).and_then(|()| self.send(&[]));
        }
        match content {
            Content::Bytes(bytes) => self.send_bytes(&draft, bytes),
            Content::Reader { source, length } => self.stream(draft, length, |to| match length {
                Some(length) => pour(source.take(length), to),
                None => pour(source, to),
            }),
            Content::Stream { write, length } => self.stream(draft, length, |to| write(to)),
            Content::Exchange(run) => self.stream(draft, None, |to| run(body, to)),
            Content::Staged(run) => self.staged(|out| run(body, out)),
        }
    }

    fn send_bytes(&mut self, draft: &Draft, bytes: Cow<'static, [u8]>) -> Result<(), Fault> {
        self.write_head(draft, Length::Known(bytes.len() as u64))?;
        if self.head_only {
            return self.send(&[]);
        }
        if bytes.len() <= COPIED_BYTES {
            self.buffers.head.extend_from_slice(&bytes);
            return self.send(&[]);
        }
        let sent = self.give(&bytes)?;
        if sent < bytes.len() {
            self.unsent.keep(bytes, sent);
        }
        Ok(())
    }

    fn stream(
        &mut self,
        draft: Draft,
        length: Option<u64>,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Fault> {
        if self.head_only {
            let length = length.map_or(Length::Unknown, Length::Known);
            return self.write_head(&draft, length).and_then(|()| self.send(&[]));
        }
        let mut stream = Stream::new(self, draft, length);
        let filled = fill(&mut stream);
        stream.end(filled)
    }

    /// Writes the head into its buffer, checked.
    fn write_head(&mut self, draft: &Draft, length: Length) -> Result<(), Fault> {
        let written = self.try_head(draft, length).map_err(Fault::Invalid)?;
        self.note_head(written);
        Ok(())
    }

    fn try_head(&mut self, draft: &Draft, length: Length) -> Result<usize, ResponseError> {
        let Draft { status, content_type, headers } = draft;
        let mut head = ResponseWriter::new(&mut self.buffers.head, *status)?;
        if let (Some(value), Length::Known(_) | Length::Unknown) = (content_type, length) {
            head.header("Content-Type", value.as_bytes())?;
        }
        if let Length::Known(bytes) = length {
            head.header("Content-Length", decimal(bytes, &mut [0; 20]))?;
        }
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("Content-Length") {
                return Err(ResponseError::Reserved { name: name.to_string() });
            }
            head.header(name, value.as_bytes())?;
        }
        Ok(head.finish())
    }

    /// Sends what the buffers hold, and `more` after it; keeps what there is no room for, and waits
    /// if that is too much.
    fn send(&mut self, more: &[u8]) -> Result<(), Fault> {
        self.send_whole(more)?;
        if self.unsent.bytes() > self.most_kept { self.wait_for_room() } else { Ok(()) }
    }

    /// The same without waiting.
    fn send_whole(&mut self, more: &[u8]) -> Result<(), Fault> {
        let given = self.give(more)?;
        self.unsent.copy(&more[given..]);
        Ok(())
    }

    /// Sends what the buffers hold, and `more` after it, as far as there is room: so many bytes of
    /// `more`. What of the buffers has not been sent is kept.
    fn give(&mut self, more: &[u8]) -> Result<usize, Fault> {
        if !self.unsent.is_empty() {
            self.give_unsent()?;
        }
        let mut given = if self.unsent.is_empty() { self.give_parts(more)? } else { 0 };
        for buffer in [&mut self.buffers.head, &mut self.buffers.held] {
            let gone = given.min(buffer.len());
            self.unsent.copy(&buffer[gone..]);
            given -= gone;
            buffer.clear();
        }
        Ok(given)
    }

    fn give_parts(&mut self, more: &[u8]) -> Result<usize, Fault> {
        let Buffers { head, held } = &mut *self.buffers;
        if held.len() <= COPIED_BYTES {
            head.append(held);
        }
        let mut parts: [&[u8]; 3] = [&[]; 3];
        let mut count = 0;
        for part in [&self.buffers.head, &self.buffers.held, more] {
            if !part.is_empty() {
                parts[count] = part;
                count += 1;
            }
        }
        let given = self.wire.give(&parts[..count]).map_err(|error| self.is_broken(&error))?;
        self.sent_bytes += given as u64;
        Ok(given)
    }

    fn give_unsent(&mut self) -> Result<usize, Fault> {
        let given = self.unsent.give(self.wire).map_err(|error| self.is_broken(&error))?;
        self.sent_bytes += given as u64;
        Ok(given)
    }

    /// Waits until nothing is kept.
    pub(crate) fn wait_for_room(&mut self) -> Result<(), Fault> {
        while !self.unsent.is_empty() {
            if !self.wire.wait(Doing::Giving, self.patience) {
                return Err(self.is_broken(&io::ErrorKind::TimedOut.into()));
            }
            self.give_unsent()?;
        }
        Ok(())
    }

    /// Takes a piece of what a handler writes: sent when some of them have come together.
    pub(crate) fn hold(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.holds(bytes) { Ok(()) } else { self.send(bytes) }
    }

    /// Holds a piece back, if it is not time to send what has come together.
    fn holds(&mut self, bytes: &[u8]) -> bool {
        let has_room = self.buffers.held.len() + bytes.len() < STREAM_BYTES;
        if has_room {
            self.buffers.held.extend_from_slice(bytes);
        }
        has_room
    }

    /// Sends what has come together.
    pub(crate) fn push_held(&mut self) -> Result<(), Fault> {
        if self.buffers.head.is_empty() && self.buffers.held.is_empty() {
            return Ok(());
        }
        self.send(&[])
    }

    /// Writes the head that a handler wrote into its buffer, anew.
    pub(crate) fn begin_written(&mut self, head: &ResponseHead) -> Result<(), Fault> {
        self.status = head.status();
        let written = try_written(&mut self.buffers.head, head).map_err(Fault::Invalid)?;
        self.note_head(written);
        Ok(())
    }

    /// Notes a head of so many bytes, if nginx would not take it.
    fn note_head(&mut self, bytes: usize) {
        if bytes > NGINX_HEADER_BYTES {
            self.large_head = Some(bytes);
        }
    }

    /// Says what the status is of a response that goes out as it was written.
    pub(crate) fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    /// The request was a HEAD: its reply has no body.
    pub(crate) fn is_head_only(&self) -> bool {
        self.head_only
    }

    /// Why nothing more is sent, as an error of writing.
    pub(crate) fn broken_kind(&self) -> io::ErrorKind {
        self.broken.unwrap_or(io::ErrorKind::InvalidInput)
    }

    fn is_broken(&mut self, error: &io::Error) -> Fault {
        self.broken = Some(error.kind());
        self.unsent = Unsent::default();
        Fault::Client
    }
}

/// Whether the peer should have been heard out before it is sent `response`: a handler may have to
/// wait for it, and one that is still sending may not be reading yet.
pub(crate) fn may_block(response: &Response) -> bool {
    match &response.content {
        Content::Reader { .. } | Content::Stream { .. } => true,
        Content::Bytes(_) | Content::Exchange(_) | Content::Staged(_) => false,
    }
}

/// Writes a head that somebody else composed: the status first, and nothing that is the front end's.
fn try_written(output: &mut Vec<u8>, head: &ResponseHead) -> Result<usize, ResponseError> {
    let mut writer = ResponseWriter::with_reason(output, head.status(), head.reason())?;
    for (name, value) in head.headers() {
        // How the body is parted on the way is for the front end to say.
        if !["Transfer-Encoding", "Connection"].iter().any(|other| name.eq_ignore_ascii_case(other))
        {
            writer.header(name, value)?;
        }
    }
    Ok(writer.finish())
}

/// The digits of `number`, without asking for memory.
pub(crate) fn decimal(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + u8::try_from(number % 10).expect("a digit is below ten");
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
