//! Sends a response, as every front end takes it alike: head and body in one write where they fit,
//! `Content-Length` wherever it can be known, never `Transfer-Encoding`.
//!
//! ```text
//! Outlet: nothing sent ─▶ head sent ─▶ … ─▶ done
//!              └─ fault: a 500 can go out    └─ fault: only cutting the connection tells
//! ```
//!
//! Decides nothing about faults: it says what was wrong, and whether anything was sent.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Once;
use std::time::Duration;

use scgi_protocol::scgi::{self, NGINX_HEADER_BYTES, ResponseError, ResponseWriter};

use crate::body::Body;
use crate::log;
use crate::response::{Content, Response, Text};
use crate::wire::Wire;

/// Bytes of a stream that are sent together.
const STREAM_BYTES: usize = 16 << 10;

/// A body up to this size is copied behind its head: cheaper than a message in two parts.
const COPIED_BYTES: usize = 4 << 10;

/// Room that a thread's buffers keep between two requests.
const KEPT_BYTES: usize = 64 << 10;

/// Bytes taken from a reader at once.
const READER_BYTES: usize = 64 << 10;

/// A response that large, in bytes, may not fit into the kernel's buffers while the peer itself
/// is still sending.
const UNSUSPICIOUS_BYTES: usize = 32 << 10;

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
        patience: Duration,
        head_only: bool,
    ) -> Self {
        for buffer in [&mut buffers.head, &mut buffers.held] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        Self { wire, buffers, patience, head_only, status: 0, sent_bytes: 0, broken: None }
    }

    /// The status that was sent; 0 if none was.
    pub(crate) fn status(&self) -> u16 {
        if self.sent_bytes > 0 { self.status } else { 0 }
    }

    /// Bytes sent, head and body.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Sends `response`. `body` is the request's, for those that use it.
    pub(crate) fn reply(&mut self, response: Response, body: &mut Body<'_>) -> Result<(), Fault> {
        let Response { status, content_type, headers, content, failure: _ } = response;
        self.buffers.head.clear();
        self.buffers.held.clear();
        self.status = status;
        let draft = Draft { status, content_type, headers };
        if matches!(status, 204 | 304) {
            return self.write_head(&draft, Length::NoBody).and_then(|()| self.send(&[]));
        }
        match content {
            Content::Bytes(bytes) => self.send_bytes(&draft, &bytes),
            Content::Reader { source, length } => self.stream(draft, length, |to| match length {
                Some(length) => pour(source.take(length), to),
                None => pour(source, to),
            }),
            Content::Stream { write, length } => self.stream(draft, length, |to| write(to)),
            Content::Exchange(run) => self.stream(draft, None, |to| run(body, to)),
        }
    }

    fn send_bytes(&mut self, draft: &Draft, bytes: &[u8]) -> Result<(), Fault> {
        self.write_head(draft, Length::Known(bytes.len() as u64))?;
        match bytes {
            _ if self.head_only => self.send(&[]),
            small if small.len() <= COPIED_BYTES => {
                self.buffers.head.extend_from_slice(small);
                self.send(&[])
            }
            large => self.send(large),
        }
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
        let mut stream = Stream { outlet: self, draft: Some(draft), length, taken: 0, fault: None };
        let filled = fill(&mut stream);
        stream.end(filled)
    }

    /// Writes the head into its buffer, checked.
    fn write_head(&mut self, draft: &Draft, length: Length) -> Result<(), Fault> {
        let written = self.try_head(draft, length).map_err(Fault::Invalid)?;
        if written > NGINX_HEADER_BYTES {
            warn_of_large_head(written);
        }
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

    /// Sends what the buffers hold, and `more` after it.
    fn send(&mut self, more: &[u8]) -> Result<(), Fault> {
        let mut parts: [&[u8]; 3] = [&[]; 3];
        let mut count = 0;
        for part in [&self.buffers.head, &self.buffers.held, more] {
            if !part.is_empty() {
                parts[count] = part;
                count += 1;
            }
        }
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let sent = self.wire.send(&parts[..count], self.patience);
        self.buffers.head.clear();
        self.buffers.held.clear();
        match sent {
            Ok(()) => {
                self.sent_bytes += bytes as u64;
                Ok(())
            }
            Err(error) => {
                self.broken = Some(error.kind());
                Err(Fault::Client)
            }
        }
    }
}

/// Whether the peer should have been heard out before it is sent `response`: one that is still
/// sending may not be reading yet.
pub(crate) fn may_block(response: &Response) -> bool {
    match &response.content {
        Content::Bytes(bytes) => bytes.len() > UNSUSPICIOUS_BYTES,
        Content::Reader { .. } | Content::Stream { .. } => true,
        Content::Exchange(_) => false,
    }
}

/// The writer a stream is given.
struct Stream<'o, 'r> {
    outlet: &'o mut Outlet<'r>,
    /// The head, until it is sent.
    draft: Option<Draft>,
    length: Option<u64>,
    taken: u64,
    fault: Option<Fault>,
}

impl Stream<'_, '_> {
    /// Sends what is held back and `more`, behind the head if that has not gone yet.
    fn push(&mut self, more: &[u8]) -> io::Result<()> {
        let length = self.length.map_or(Length::Unknown, Length::Known);
        let sent = match self.draft.take() {
            Some(draft) => self.outlet.write_head(&draft, length),
            None => Ok(()),
        }
        .and_then(|()| self.outlet.send(more));
        sent.map_err(|fault| {
            let kind = self.outlet.broken.unwrap_or(io::ErrorKind::InvalidInput);
            self.fault = Some(fault);
            kind.into()
        })
    }

    fn end(mut self, filled: io::Result<()>) -> Result<(), Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        filled.map_err(|error| Fault::Handler(error.to_string()))?;
        if let Some(length) = self.length.filter(|length| *length != self.taken) {
            let taken = self.taken;
            let reason = format!("{length} bytes were announced, {taken} written");
            return Err(Fault::Handler(reason));
        }
        self.length = Some(self.taken);
        if self.draft.is_some() || !self.outlet.buffers.held.is_empty() {
            // Its error is in `fault`, as before.
            let _ = self.push(&[]);
        }
        self.fault.map_or(Ok(()), Err)
    }
}

impl Write for Stream<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(self.outlet.broken.unwrap_or(io::ErrorKind::InvalidInput).into());
        }
        self.taken += bytes.len() as u64;
        if self.length.is_some_and(|length| self.taken > length) {
            return Err(io::Error::other("more is written than was announced"));
        }
        if self.outlet.buffers.held.len() + bytes.len() < STREAM_BYTES {
            self.outlet.buffers.held.extend_from_slice(bytes);
        } else {
            self.push(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.draft.is_none() && self.outlet.buffers.held.is_empty() {
            return Ok(());
        }
        self.push(&[])
    }
}

fn pour(mut source: impl Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; READER_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => to.write_all(&buffer[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The digits of `number`, without asking for memory.
fn decimal(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
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

/// The reply to a request that went wrong, for the client: a status and its name, no details.
pub(crate) fn plain(status: u16) -> Response {
    let reason = scgi::reason_phrase(status);
    Response::text(Cow::Owned(format!("{status} {reason}\n"))).status(status)
}

#[cold]
fn warn_of_large_head(bytes: usize) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        log::say(&format!(
            "a response head of {bytes} bytes was sent; nginx answers 502 to more than \
             {NGINX_HEADER_BYTES} unless `scgi_buffer_size` is raised (said once)"
        ));
    });
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
