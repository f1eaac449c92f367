//! What a handler answers with. Only describes: checking and sending is `reply.rs`'s.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};

use scgi_protocol::scgi::ResponseHead;

use crate::body::Body;

/// Text as a string that is known at compile time, or one made for the occasion.
pub(crate) type Text = Cow<'static, str>;

type Streamed = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;
/// What makes a response whose head is not known beforehand.
pub(crate) type Staged = Box<dyn FnOnce(&mut Body<'_>, &mut dyn Stage) -> io::Result<()> + Send>;
type Exchanged = Box<dyn FnOnce(&mut Body<'_>, &mut dyn Write) -> io::Result<()> + Send>;

/// A response: status, headers, and a body that is there already or comes piece by piece.
///
/// ```
/// use scgi_worker::Response;
///
/// let page = Response::html("<h1>Not here</h1>").status(404).header("Cache-Control", "no-store");
/// ```
///
/// Headers are checked when the response is sent: one that cannot be sent (a line break in its
/// value, a space in its name) is logged and makes the response a 500. `Status`,
/// `Content-Length` and `Transfer-Encoding` are the worker's to send.
#[derive(Debug)]
#[must_use = "a response does nothing until a handler returns it"]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: Option<Text>,
    pub(crate) headers: Vec<(Text, Text)>,
    pub(crate) content: Content,
    /// What a handler failed with; the rest is of no interest then.
    pub(crate) failure: Option<String>,
}

/// The body of a response.
pub(crate) enum Content {
    Bytes(Cow<'static, [u8]>),
    Reader { source: Box<dyn Read + Send>, length: Option<u64> },
    Stream { write: Streamed, length: Option<u64> },
    Exchange(Exchanged),
    Staged(Staged),
}

/// The way out for a response that says its head itself, see [`Response::staged`].
///
/// Bytes written are sent when some kilobytes have come together and on `flush`; if all is said
/// before that, `Content-Length` is added.
pub trait Stage: Write {
    /// Says the head. Until something of it has been sent another one may take its place.
    ///
    /// A `Content-Length` in it is held against what is written.
    ///
    /// # Errors
    ///
    /// If a head has been sent, or this one announces no number of bytes.
    fn begin(&mut self, head: ResponseHead) -> io::Result<()>;

    /// Whether a head has been sent, so that nothing can be changed about it.
    fn is_sent(&self) -> bool;

    /// Writes a part of a body that is in memory anyway: whatever of it the client does not take at
    /// once is kept, however much it is, and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`write_all`](Write::write_all).
    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Response {
    /// An empty response with this status, 200 to 999.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            headers: Vec::new(),
            content: Content::Bytes(Cow::Borrowed(&[])),
            failure: None,
        }
    }

    /// Plain text.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::of_text("text/plain; charset=utf-8", text.into())
    }

    /// An HTML page.
    pub fn html(page: impl Into<Text>) -> Self {
        Self::of_text("text/html; charset=utf-8", page.into())
    }

    /// JSON that has been written out.
    pub fn json(text: impl Into<Text>) -> Self {
        Self::of_text("application/json", text.into())
    }

    /// Bytes, called `application/octet-stream` unless [`content_type`](Self::content_type) says
    /// otherwise.
    pub fn bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self::of("application/octet-stream", Content::Bytes(bytes.into()))
    }

    /// Redirects with `303 See Other`, which is always followed by a GET.
    pub fn redirect(location: impl Into<Text>) -> Self {
        Self::new(303).header("Location", location)
    }

    /// Everything `source` yields: `length` bytes, if that is known. A source that yields fewer
    /// is an error, the connection is then cut so that nobody takes the part for the whole;
    /// more than that is not read.
    pub fn reader(source: impl Read + Send + 'static, length: Option<u64>) -> Self {
        let source = Box::new(source);
        Self::of("application/octet-stream", Content::Reader { source, length })
    }

    /// What `write` writes, while it writes it. Bytes are sent when some kilobytes have come
    /// together and on `flush`.
    ///
    /// If it fails before anything was sent, the client gets a 500; after that the connection is
    /// cut. A front end may hold the pieces back: see [`unbuffered`](Self::unbuffered).
    ///
    /// ```
    /// # use std::io::Write;
    /// use scgi_worker::Response;
    ///
    /// let count = Response::stream(|out| {
    ///     for n in 1..=3 {
    ///         writeln!(out, "{n}")?;
    ///         out.flush()?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Self {
        let write = Box::new(write);
        Self::of("text/plain; charset=utf-8", Content::Stream { write, length: None })
    }

    /// As [`stream`](Self::stream), reading the request's body at the same time: what comes in
    /// can go out again, transformed, without ever being in memory as a whole.
    pub fn exchange(
        run: impl FnOnce(&mut Body<'_>, &mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self::of("application/octet-stream", Content::Exchange(Box::new(run)))
    }

    /// A response of which nothing is known beforehand: `run` reads the request's body, says
    /// status and headers when it knows them, and writes. This is how CGI works, and it is for
    /// bringing other interfaces to this one; handlers written for it have no need of it.
    ///
    /// Headers are checked as those of other responses are. If `run` fails before anything was
    /// sent, the client gets a 500; after that the connection is cut.
    ///
    /// ```
    /// use scgi_worker::{App, Response, ResponseHead};
    ///
    /// let app = App::new().get("/", |_| {
    ///     Response::staged(|_body, out| {
    ///         out.begin(ResponseHead::new(404).with_reason("Gone Fishing"))?;
    ///         out.write_all(b"back at six\n")
    ///     })
    /// });
    ///
    /// assert_eq!(app.test().get("/").send().status(), 404);
    /// ```
    pub fn staged(
        run: impl FnOnce(&mut Body<'_>, &mut dyn Stage) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self { content: Content::Staged(Box::new(run)), ..Self::new(200) }
    }

    /// The same response with another status, 200 to 999.
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Says what the body is.
    pub fn content_type(self, content_type: impl Into<Text>) -> Self {
        Self { content_type: Some(content_type.into()), ..self }
    }

    /// Adds a header. The same name may be added again (`Set-Cookie`), except `Content-Type`.
    pub fn header(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        let name = name.into();
        if name.eq_ignore_ascii_case("Content-Type") {
            return self.content_type(value);
        }
        self.headers.push((name, value.into()));
        self
    }

    /// Says how long a stream will be, in bytes, so that the client can show progress. Writing
    /// another number of bytes is then an error. Means nothing for other bodies.
    pub fn length(mut self, bytes: u64) -> Self {
        if let Content::Stream { length, .. } = &mut self.content {
            *length = Some(bytes);
        }
        self
    }

    /// Asks nginx to pass every piece on as it comes (`X-Accel-Buffering: no`). lighttpd wants
    /// `server.stream-response-body = 2` for that, Apache does it anyway.
    pub fn unbuffered(self) -> Self {
        self.header("X-Accel-Buffering", "no")
    }

    /// The response of a handler that failed: logged, and a 500 for the client.
    pub(crate) fn failed(reason: String) -> Self {
        Self { failure: Some(reason), ..Self::new(500) }
    }

    fn of_text(content_type: &'static str, text: Text) -> Self {
        let bytes = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::of(content_type, Content::Bytes(bytes))
    }

    fn of(content_type: &'static str, content: Content) -> Self {
        Self { content, content_type: Some(Cow::Borrowed(content_type)), ..Self::new(200) }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Reader { .. } => f.write_str("a reader"),
            Self::Stream { .. } => f.write_str("a stream"),
            Self::Exchange(_) => f.write_str("an exchange"),
            Self::Staged(_) => f.write_str("staged"),
        }
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// The response it means.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// Plain text, 200.
impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

/// Plain text, 200.
impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

/// Bytes, 200.
impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::bytes(self)
    }
}

/// Bytes, 200.
impl IntoResponse for &'static [u8] {
    fn into_response(self) -> Response {
        Response::bytes(self)
    }
}

/// No content: 204.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(204)
    }
}

/// The same with another status.
impl<R: IntoResponse> IntoResponse for (u16, R) {
    fn into_response(self) -> Response {
        self.1.into_response().status(self.0)
    }
}

/// `None` is a 404.
impl<R: IntoResponse> IntoResponse for Option<R> {
    fn into_response(self) -> Response {
        self.map_or_else(
            || Response::text("404 Not Found\n").status(404),
            IntoResponse::into_response,
        )
    }
}

/// An error is logged and a 500 for the client, who does not see it; unless it was the client's
/// own: one who left gets nothing, one who was silent for too long a 408, and one whose body is
/// longer than the handler takes a 413.
impl<R: IntoResponse, E: fmt::Display> IntoResponse for Result<R, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            // The alternate form prints the causes too, for the error types that know it.
            Err(error) => Response::failed(format!("{error:#}")),
        }
    }
}
