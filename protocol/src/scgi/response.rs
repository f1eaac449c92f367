//! The response head as an app writes it, and as both sides hold it.
//!
//! What is written is what every front end takes alike: `Status: NNN Reason` first and always,
//! even beside `Location` (without it some front ends redirect on their own), lines ended by
//! CRLF, one block to be sent in one write. Never writes `Transfer-Encoding`: one front end would
//! chunk the chunks, another show them. How a client reads it is in `response_decode.rs`.

use std::borrow::Cow;

use super::reason::reason_phrase;

/// Largest response head, in bytes, that nginx takes unless told otherwise: its
/// `scgi_buffer_size` is one page of memory. A larger one becomes a 502, so warn above it.
pub const NGINX_HEADER_BYTES: usize = 4096;

/// Why a response head could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The status is not from 200 to 999. An SCGI response has no interim answers: front ends
    /// pass a 1xx on as if it were the last word.
    #[error("cannot answer with status {status}: it must be 200 to 999")]
    Status {
        /// The status asked for.
        status: u16,
    },
    /// CR, LF or NUL stands in the reason.
    #[error("cannot answer with the reason `{}`: a line break or NUL stands in it", reason.escape_default())]
    Reason {
        /// The reason asked for.
        reason: String,
    },
    /// The name is empty, or something other than letters, digits and ``!#$%&'*+-.^_`|~`` stands
    /// in it.
    #[error("cannot send the header `{}`: that is no name of a header", name.escape_default())]
    Name {
        /// The name asked for.
        name: String,
    },
    /// CR, LF or NUL stands in the value.
    #[error("cannot send the header `{name}`: a line break or NUL stands in its value")]
    Value {
        /// Name of the header.
        name: String,
    },
    /// The header is not the app's to send: `Transfer-Encoding` is the front end's, and `Status`
    /// is written by itself.
    #[error("cannot send the header `{name}`: it is set by others")]
    Reserved {
        /// Name of the header.
        name: String,
    },
}

/// Writes a response head into a buffer, line by line, checking each.
///
/// ```
/// use scgi_protocol::scgi::ResponseWriter;
///
/// let mut output = Vec::new();
/// let mut head = ResponseWriter::new(&mut output, 200)?;
/// head.header("Content-Type", "text/plain")?;
/// let head_bytes = head.finish();
/// output.extend_from_slice(b"hello\n");
///
/// assert_eq!(head_bytes, 44);
/// assert_eq!(output, b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n");
/// # Ok::<(), scgi_protocol::scgi::ResponseError>(())
/// ```
#[derive(Debug)]
#[must_use = "a response head is not complete before `finish`"]
pub struct ResponseWriter<'a> {
    output: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> ResponseWriter<'a> {
    /// Begins a response head at the end of `output`, with the usual reason for its status.
    ///
    /// # Errors
    ///
    /// [`ResponseError::Status`]; nothing has been written then.
    pub fn new(output: &'a mut Vec<u8>, status: u16) -> Result<Self, ResponseError> {
        Self::with_reason(output, status, reason_phrase(status))
    }

    /// Begins a response head at the end of `output`.
    ///
    /// # Errors
    ///
    /// [`ResponseError::Status`] or [`ResponseError::Reason`]; nothing has been written then.
    pub fn with_reason(
        output: &'a mut Vec<u8>,
        status: u16,
        reason: &str,
    ) -> Result<Self, ResponseError> {
        if !(200..=999).contains(&status) {
            return Err(ResponseError::Status { status });
        }
        if breaks_line(reason.as_bytes()) {
            return Err(ResponseError::Reason { reason: reason.to_owned() });
        }
        let start = output.len();
        output.extend_from_slice(b"Status: ");
        output.extend([status / 100, status / 10 % 10, status % 10].map(digit));
        output.push(b' ');
        output.extend_from_slice(reason.as_bytes());
        output.extend_from_slice(b"\r\n");
        Ok(Self { output, start })
    }

    /// Writes one header. The same name may be written again (`Set-Cookie`).
    ///
    /// # Errors
    ///
    /// If name or value cannot be sent. This header has not been written then; those before it
    /// have.
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), ResponseError> {
        let value = value.as_ref();
        let named = || name.to_owned();
        if !is_header_name(name.as_bytes()) {
            return Err(ResponseError::Name { name: named() });
        }
        if name.eq_ignore_ascii_case("Transfer-Encoding") || name.eq_ignore_ascii_case("Status") {
            return Err(ResponseError::Reserved { name: named() });
        }
        if breaks_line(value) {
            return Err(ResponseError::Value { name: named() });
        }
        self.output.reserve(name.len() + value.len() + ": \r\n\r\n".len());
        self.output.extend_from_slice(name.as_bytes());
        self.output.extend_from_slice(b": ");
        self.output.extend_from_slice(value);
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Ends the head and returns its length in bytes, to be held against
    /// [`NGINX_HEADER_BYTES`]. The body follows in the same buffer or the same write.
    pub fn finish(self) -> usize {
        self.output.extend_from_slice(b"\r\n");
        self.output.len() - self.start
    }
}

/// The ASCII digit of a number below ten.
fn digit(number: u16) -> u8 {
    b"0123456789"[usize::from(number)]
}

/// Whether a value would end its line, or be cut at NUL by one front end and refused by another.
fn breaks_line(value: &[u8]) -> bool {
    // Folded, not searched: there is next to never one, and so the compiler can compare many at
    // once.
    value.iter().fold(false, |found, byte| found | matches!(byte, b'\r' | b'\n' | 0))
}

/// Whether a header may have this name: a token of RFC 9110.
pub(super) fn is_header_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| TOKEN_BYTES[usize::from(*byte)])
}

/// By byte, whether it may stand in a token.
static TOKEN_BYTES: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        may[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        may[others[at] as usize] = true;
        at += 1;
    }
    may
};

/// A response head: status, reason, and headers in order.
///
/// What [`decode`](Self::decode) returns; apps that answer in a hurry use [`ResponseWriter`] directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub(super) status: u16,
    pub(super) reason: Cow<'static, str>,
    pub(super) headers: Headers,
}

/// Headers, end to end: to make and to drop them costs the same, however many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    names: String,
    values: Vec<u8>,
    /// Where the name and the value of each end.
    ends: Vec<(usize, usize)>,
}

impl ResponseHead {
    /// A head with the usual reason for its status and no headers.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, reason: reason_phrase(status).into(), headers: Headers::default() }
    }

    /// The same head with another reason.
    #[must_use]
    pub fn with_reason(self, reason: impl AsRef<str>) -> Self {
        let reason = match (reason.as_ref(), reason_phrase(self.status)) {
            (reason, usual) if reason == usual => usual.into(),
            (reason, _) => reason.to_owned().into(),
        };
        Self { reason, ..self }
    }

    /// Adds a header after the others. Whether it can be sent, [`encode`](Self::encode) will say.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name.as_ref(), value.as_ref());
        self
    }

    /// Status code, from 100 to 999 if it was decoded.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Reason phrase; the usual one if none was sent.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Every header, name and value, in order; `Status` is not among them.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.headers.iter()
    }

    /// The first header of this name, in whatever case; `None` if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        // Mostly it is written in the usual way, and that is told at once.
        let is_it = |other: &str| {
            other.len() == name.len() && (other == name || other.eq_ignore_ascii_case(name))
        };
        self.headers().find_map(|(other, value)| is_it(other).then_some(value))
    }

    /// The head as it goes over the wire; the body follows it.
    ///
    /// # Errors
    ///
    /// What is wrong with its first part that cannot be sent.
    pub fn encode(&self) -> Result<Vec<u8>, ResponseError> {
        let mut output = Vec::new();
        let mut writer = ResponseWriter::with_reason(&mut output, self.status, &self.reason)?;
        for (name, value) in self.headers() {
            writer.header(name, value)?;
        }
        writer.finish();
        Ok(output)
    }
}

impl Default for Headers {
    /// None, with room for what most responses have.
    fn default() -> Self {
        Self {
            names: String::with_capacity(64),
            values: Vec::with_capacity(128),
            ends: Vec::with_capacity(8),
        }
    }
}

impl Headers {
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        self.names.push_str(name);
        self.values.extend_from_slice(value);
        self.ends.push((self.names.len(), self.values.len()));
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.ends.iter().enumerate().map(|(nth, end)| {
            let start = nth.checked_sub(1).map_or((0, 0), |before| self.ends[before]);
            (&self.names[start.0..end.0], &self.values[start.1..end.1])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_as_they_were_added() {
        let headers = [("", ""), ("A", "1"), ("Füße", ""), ("A", "22"), ("", "3")];

        let head = headers
            .iter()
            .fold(ResponseHead::new(200), |head, (name, value)| head.header(name, value));

        let kept: Vec<_> = head.headers().collect();
        assert_eq!(kept, headers.map(|(name, value)| (name, value.as_bytes())));
        assert_eq!((head.get("füße"), head.get("b")), (Some(&b""[..]), None));
    }

    #[test]
    fn status_comes_first_and_stands_beside_location() {
        let head = ResponseHead::new(302).header("Location", "/next").encode().unwrap();

        assert_eq!(head, b"Status: 302 Found\r\nLocation: /next\r\n\r\n");
    }

    #[test]
    fn repeated_headers_and_bytes_beyond_ascii_are_kept() {
        let head = ResponseHead::new(200)
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", *b"b=\xe9")
            .encode()
            .unwrap();

        assert_eq!(head, b"Status: 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=\xe9\r\n\r\n");
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_head() {
        let refused = |name: &str, value: &str| {
            ResponseHead::new(200).header(name, value).encode().unwrap_err()
        };
        let value = || ResponseError::Value { name: "X".into() };
        let name = |name: &str| ResponseError::Name { name: name.into() };

        assert_eq!(refused("X", "a\r\nSet-Cookie: b"), value());
        assert_eq!(refused("X", "a\nb"), value());
        assert_eq!(refused("X", "a\rb"), value());
        assert_eq!(refused("X", "a\0b"), value());
        assert_eq!(refused("", "a"), name(""));
        assert_eq!(refused("X Y", "a"), name("X Y"));
        assert_eq!(refused("X:", "a"), name("X:"));
        assert_eq!(refused("X\n", "a"), name("X\n"));
        assert_eq!(refused("Füße", "a"), name("Füße"));
    }

    #[test]
    fn what_others_set_is_refused_in_whatever_case() {
        for name in ["Transfer-Encoding", "transfer-encoding", "Status", "STATUS"] {
            let error = ResponseHead::new(200).header(name, "x").encode().unwrap_err();

            assert_eq!(error, ResponseError::Reserved { name: name.into() });
        }
    }

    #[test]
    fn interim_and_impossible_statuses_are_refused() {
        for status in [0, 99, 100, 103, 199, 1000, u16::MAX] {
            let error = ResponseHead::new(status).encode().unwrap_err();

            assert_eq!(error, ResponseError::Status { status });
        }
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        let error = ResponseHead::new(200).with_reason("a\nb").encode().unwrap_err();

        assert_eq!(error, ResponseError::Reason { reason: "a\nb".into() });
    }

    #[test]
    fn a_head_can_be_held_against_the_limit_of_nginx() {
        let mut output = b"kept".to_vec();
        let mut writer = ResponseWriter::new(&mut output, 200).unwrap();
        writer.header("X", "x".repeat(NGINX_HEADER_BYTES)).unwrap();

        let head_bytes = writer.finish();

        assert!(head_bytes > NGINX_HEADER_BYTES);
        assert_eq!(output.len(), head_bytes + "kept".len());
    }
}
