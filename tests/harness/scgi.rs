//! A front end in a few lines: one SCGI request at a time, over a unix socket or TCP.

use std::io::{self, Read, Write};

use scgi_protocol::address::Address;
use scgi_protocol::scgi::{RequestHead, ResponseHead};

use crate::connect::{self, Connection, Manner};
use crate::eventually::PATIENCE;
use crate::http::Answer;

/// Longest head of an answer.
const HEAD_MAX_BYTES: usize = 64 << 10;

/// Whoever asks an app directly.
#[derive(Clone, Debug)]
pub struct ScgiClient {
    address: Address,
    manner: Manner,
}

/// A request about to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    pub body: Vec<u8>,
}

impl ScgiClient {
    /// A client of whoever listens at `address`.
    pub fn new(address: &str) -> Self {
        Self { address: address.parse().unwrap(), manner: Manner::Blocking }
    }

    /// The same, connecting in this manner.
    #[must_use]
    pub fn connecting(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// Where it asks.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Answers of GET.
    ///
    /// # Errors
    ///
    /// If there was no complete answer.
    pub fn get(&self, target: &str) -> io::Result<Answer> {
        self.send(&Request { method: "GET", target: target.to_owned(), body: Vec::new() })
    }

    /// The answer to POST with `body`.
    ///
    /// # Errors
    ///
    /// If there was no complete answer.
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> io::Result<Answer> {
        self.send(&Request { method: "POST", target: target.to_owned(), body: body.into() })
    }

    /// The answer to `request`.
    ///
    /// # Errors
    ///
    /// If there was no complete answer.
    pub fn send(&self, request: &Request) -> io::Result<Answer> {
        self.begin(request)?.finish()
    }

    /// Sends `request` and does not wait for its answer.
    ///
    /// # Errors
    ///
    /// If nobody takes it.
    pub fn begin(&self, request: &Request) -> io::Result<Exchange> {
        let mut connection = self.connect()?;
        connection.write_all(&encode(request))?;
        Ok(Exchange { connection })
    }

    /// A bare connection.
    ///
    /// # Errors
    ///
    /// If nobody listens.
    pub fn connect(&self) -> io::Result<Box<dyn Connection>> {
        connect::open(&self.address, self.manner, PATIENCE)
    }

    /// Sends bytes that may be anything, and returns what comes back until the other side closes.
    /// A connection that is reset has been closed.
    ///
    /// # Errors
    ///
    /// If nobody listens, or nobody closes.
    pub fn throw(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut connection = self.connect()?;
        let thrown = connection.write_all(bytes);
        let mut answer = Vec::new();
        match thrown.and_then(|()| connection.read_to_end(&mut answer)) {
            Err(error) if !is_closed(&error) => Err(error),
            _ => Ok(answer),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// A request that was sent.
pub struct Exchange {
    connection: Box<dyn Connection>,
}

impl Exchange {
    /// The answer, once it is complete.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub fn finish(mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        self.connection.read_to_end(&mut bytes)?;
        decode(&bytes)
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange")
    }
}

/// The request as nginx would send it.
fn encode(request: &Request) -> Vec<u8> {
    let Request { method, target, body } = request;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = RequestHead::new(body.len() as u64)
        .variable("REQUEST_METHOD", method)
        .variable("REQUEST_URI", target)
        .variable("QUERY_STRING", query)
        .variable("DOCUMENT_URI", path)
        .variable("PATH_INFO", path)
        .variable("SCRIPT_NAME", "")
        .variable("SERVER_PROTOCOL", "HTTP/1.1")
        .variable("SERVER_NAME", "localhost")
        .variable("SERVER_PORT", "80")
        .variable("REMOTE_ADDR", "127.0.0.1");
    let mut bytes = head.encode().unwrap();
    bytes.extend_from_slice(body);
    bytes
}

fn decode(bytes: &[u8]) -> io::Result<Answer> {
    let head = ResponseHead::decode(bytes, HEAD_MAX_BYTES).map_err(io::Error::other)?;
    let (head, at) = head.ok_or(io::ErrorKind::UnexpectedEof)?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<_> =
        head.headers().map(|(name, value)| (name.to_lowercase(), text(value))).collect();
    let answer = Answer { status: head.status(), headers, body: bytes[at..].to_vec() };
    let announced = answer.header("content-length").and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: usize| length != answer.body.len()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}
