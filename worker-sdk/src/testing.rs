//! Tests of an app without a socket: a request is encoded, served and its response decoded as
//! over a real connection, in memory.
//!
//! ```
//! use scgi_worker::App;
//!
//! let app = App::new().get("/", |_| "hello").test();
//!
//! let response = app.get("/").header("Accept-Language", "fr").send();
//!
//! assert_eq!((response.status(), response.text()), (200, "hello"));
//! ```

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::time::Duration;

use scgi_protocol::page::{Report, now_ns};
use scgi_protocol::scgi::{RequestHead, ResponseHead};

use crate::connection::Desk;
use crate::service::Service;
use crate::wire::{Doing, Wire};

/// Largest response head a test takes, in bytes.
const HEAD_MAX_BYTES: usize = 1 << 20;

/// An app to send requests to. Its state is the same from request to request.
pub struct TestApp<S> {
    service: Service<S>,
}

/// A request to an app under test.
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest<'a, S> {
    app: &'a TestApp<S>,
    variables: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    cut: bool,
    gone: bool,
}

/// What an app under test answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResponse {
    head: ResponseHead,
    body: Vec<u8>,
    spoilt: bool,
}

impl<S> TestApp<S> {
    pub(crate) fn new(service: Service<S>) -> Self {
        Self { service }
    }

    /// A GET of this path and query.
    pub fn get(&self, target: &str) -> TestRequest<'_, S> {
        self.request("GET", target)
    }

    /// A POST of `body` to this path and query.
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> TestRequest<'_, S> {
        self.request("POST", target).body(body)
    }

    /// A request with any method. `target` is what stands in the URL after the host, encoded.
    pub fn request(&self, method: &str, target: &str) -> TestRequest<'_, S> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let variables = Vec::new();
        TestRequest { app: self, variables, body: Vec::new(), cut: false, gone: false }
            .var("REQUEST_METHOD", method)
            .var("REQUEST_URI", target)
            .var("QUERY_STRING", query)
            .var("SERVER_PROTOCOL", "HTTP/1.1")
            .var("REMOTE_ADDR", "127.0.0.1")
    }

    /// The accounts the app keeps of the requests it got, as the daemon would read them.
    pub fn report(&self) -> Report {
        self.service.terms.tally.report()
    }
}

impl<S> TestRequest<'_, S> {
    /// Sets a variable, as the front end would.
    pub fn var(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Sets a request header, by its name in HTTP.
    pub fn header(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        let name = name.to_ascii_uppercase().replace('-', "_");
        match name.as_str() {
            "CONTENT_TYPE" => self.var(&name, value),
            _ => self.var(&format!("HTTP_{name}"), value),
        }
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Lets the client go away in the middle of the body.
    pub fn cut_short(self) -> Self {
        Self { cut: true, ..self }
    }

    /// Lets the client go away when it has sent its request: a handler that asks is told so.
    pub fn then_gone(self) -> Self {
        Self { gone: true, ..self }
    }

    /// Sends the request.
    ///
    /// # Panics
    ///
    /// If the request cannot be encoded, or what the app sent is no response.
    pub fn send(self) -> TestResponse {
        self.try_send().expect("the app sent a response")
    }

    /// Sends the request; `None` if the app sent nothing, as to a client that went away.
    ///
    /// # Panics
    ///
    /// If the request cannot be encoded, or what the app sent is no response.
    pub fn try_send(self) -> Option<TestResponse> {
        let head = self
            .variables
            .iter()
            .fold(RequestHead::new(self.body.len() as u64), |head, (name, value)| {
                head.variable(name, value)
            });
        let mut input = head.encode().expect("the request can be encoded");
        let body_bytes = if self.cut { self.body.len() / 2 } else { self.body.len() };
        input.extend_from_slice(&self.body[..body_bytes]);
        let wire = Memory::holding(input, self.gone);
        let service = &self.app.service;
        let tally = &service.terms.tally;
        let served = Desk::new(tally.record(0)).serve(service, &wire, now_ns());
        // In memory everything goes at once, save what nobody needs to wait for.
        drop(served);
        wire.into_response()
    }
}

impl TestResponse {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first header of this name, in whatever case; `None` if there is none, or it is not
    /// UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.head.get(name)?).ok()
    }

    /// All headers of this name.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |other: &str| other.eq_ignore_ascii_case(name);
        self.head.headers().filter_map(move |(other, value)| named(other).then_some(value))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is text")
    }

    /// Whether the app cut the connection in the middle of the body.
    pub fn is_cut(&self) -> bool {
        self.spoilt
    }
}

/// A connection in memory: all input is there, all output is kept.
struct Memory {
    input: RefCell<io::Cursor<Vec<u8>>>,
    output: RefCell<Vec<u8>>,
    spoilt: Cell<bool>,
    /// The client has left.
    gone: bool,
}

impl Memory {
    fn holding(input: Vec<u8>, gone: bool) -> Self {
        let input = RefCell::new(io::Cursor::new(input));
        Self { input, output: RefCell::default(), spoilt: Cell::new(false), gone }
    }

    fn into_response(self) -> Option<TestResponse> {
        let output = self.output.into_inner();
        if output.is_empty() {
            return None;
        }
        let decoded = ResponseHead::decode(&output, HEAD_MAX_BYTES);
        let (head, taken) =
            decoded.expect("the app sent a response").expect("the app sent a whole head");
        Some(TestResponse { head, body: output[taken..].to_vec(), spoilt: self.spoilt.get() })
    }
}

impl Wire for Memory {
    fn receive(&self, into: &mut [u8], _patience: Duration) -> io::Result<usize> {
        self.input.borrow_mut().read(into)
    }

    fn append(&self, into: &mut Vec<u8>, _patience: Duration) -> io::Result<usize> {
        let room = (into.capacity() - into.len()) as u64;
        self.input.borrow_mut().by_ref().take(room).read_to_end(into)
    }

    fn take(&self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        self.append(into, Duration::ZERO).map(Some)
    }

    fn waiting(&self) -> usize {
        let input = self.input.borrow();
        input.get_ref().len() - usize::try_from(input.position()).unwrap_or(usize::MAX)
    }

    fn give(&self, parts: &[&[u8]]) -> io::Result<usize> {
        self.output.borrow_mut().extend(parts.iter().copied().flatten());
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn wait(&self, _what: Doing, _longest: Duration) -> bool {
        true
    }

    fn is_gone(&self) -> bool {
        self.gone
    }

    fn finish(&self) {}

    fn spoil(&self) {
        self.spoilt.set(true);
    }
}

impl<S> std::fmt::Debug for TestApp<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestApp").finish_non_exhaustive()
    }
}

impl<S> std::fmt::Debug for TestRequest<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestRequest").field("variables", &self.variables).finish_non_exhaustive()
    }
}
