//! A request as a handler sees it: the variables in place, the body as it comes.
//!
//! Never copies a variable; the head is read from the thread's own buffer.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use scgi_protocol::scgi::{Head, Shape};

use crate::body::{Body, BodyError};
use crate::clues::Clues;
use crate::place::{Place, Split};
use crate::query;
use crate::trace::Traceparent;

/// One request, and `S`, the state the app was made with.
///
/// Reading it reads the body: it implements [`Read`].
pub struct Request<'r, S = ()> {
    pub(crate) head: &'r Head<'r>,
    pub(crate) method: &'r str,
    pub(crate) place: &'r Place<'r>,
    pub(crate) params: Option<matchit::Params<'r, 'r>>,
    pub(crate) body: Body<'r>,
    pub(crate) state: &'r S,
}

impl<'r, S> Request<'r, S> {
    /// What the app was made with, see [`App::with_state`](crate::App::with_state).
    pub fn state(&self) -> &'r S {
        self.state
    }

    /// The method; `GET` if the front end sent none, as health checks do.
    pub fn method(&self) -> &'r str {
        self.method
    }

    /// The path inside the app, decoded: begins with `/`, without the mount and the query.
    ///
    /// What is not UTF-8 in it is replaced by U+FFFD.
    pub fn path(&self) -> &'r str {
        &self.place.path
    }

    /// What stands before [`path`](Self::path) in the URL: empty for an app at the root and for a
    /// request outside of the app's mount, else `/` and more, without a final slash. Links to the app's own pages begin with it.
    pub fn mount(&self) -> &'r str {
        &self.place.mount
    }

    /// `SCRIPT_NAME` as CGI wants it and few front ends send it: the mount, decoded, byte for byte;
    /// empty for an app at the root, and for a request outside of the app's mount.
    pub fn script_name(&self) -> Cow<'r, [u8]> {
        Split::of(&Clues::of(self.head), self.place.configured).script_name
    }

    /// `PATH_INFO` as CGI wants it: what follows [`script_name`](Self::script_name) in the path,
    /// decoded, byte for byte; empty if nothing does. The whole path outside of the app's mount.
    pub fn path_info(&self) -> Cow<'r, [u8]> {
        Split::of(&Clues::of(self.head), self.place.configured).path_info
    }

    /// The part of the path that stands for `{name}` or `{*name}` in the route.
    pub fn param(&self, name: &str) -> Option<&'r str> {
        self.params.as_ref()?.get(name)
    }

    /// The query string as it was sent, without the question mark; empty if there is none.
    pub fn query(&self) -> &'r str {
        self.var("QUERY_STRING").unwrap_or_default()
    }

    /// The first value of `name` in the query string, decoded.
    pub fn query_value(&self, name: &str) -> Option<Cow<'r, str>> {
        self.query_values().find_map(|(other, value)| (other == name).then_some(value))
    }

    /// All names and values of the query string, decoded, in the order sent.
    pub fn query_values(&self) -> impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)> + use<'r, S> {
        query::pairs(self.query())
    }

    /// A request header, by its name on the way to the front end (`User-Agent`), in whatever case.
    ///
    /// `None` if it was not sent or is not UTF-8; its bytes are then in
    /// [`var_bytes`](Self::var_bytes).
    pub fn header(&self, name: &str) -> Option<&'r str> {
        let found = self.head.iter().find(|(variable, _)| is_header(variable, name));
        found.and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// A variable, by its name in the head (`REMOTE_USER`); `None` if it was not sent or is not
    /// UTF-8.
    pub fn var(&self, name: &str) -> Option<&'r str> {
        self.head.get_str(name)
    }

    /// A variable as it was sent: anything but NUL may stand in it.
    pub fn var_bytes(&self, name: &str) -> Option<&'r [u8]> {
        self.head.get(name)
    }

    /// Every variable, name and value, in the order sent.
    pub fn vars(&self) -> impl ExactSizeIterator<Item = (&'r [u8], &'r [u8])> + use<'r, S> {
        self.head.iter()
    }

    /// Which variables there are, in which order, if that is known: what was found out about the
    /// names of one request holds for all of the same shape.
    pub fn shape(&self) -> Option<Shape> {
        self.head.shape()
    }

    /// The client's address as the front end knows it.
    pub fn remote_addr(&self) -> Option<&'r str> {
        self.var("REMOTE_ADDR")
    }

    /// Length of the body in bytes.
    pub fn content_length(&self) -> u64 {
        self.head.content_length()
    }

    /// The body, to be read as it comes.
    pub fn body(&mut self) -> &mut Body<'r> {
        &mut self.body
    }

    /// Whether the client has gone away, as far as the front end lets it be seen (nginx closes the
    /// connection at once; Apache and lighttpd say nothing before they are sent something). A look
    /// that takes a microsecond and never waits, for handlers that work long.
    ///
    /// Once it was `true`, whatever the handler returns is neither sent nor an error: the request
    /// is counted as aborted.
    pub fn client_gone(&mut self) -> bool {
        self.body.is_gone()
    }

    /// Where the request stands in a distributed trace (W3C Trace Context), if the front end passes
    /// on a valid `traceparent`.
    pub fn traceparent(&self) -> Option<Traceparent<'r>> {
        Traceparent::parse(self.var("HTTP_TRACEPARENT")?)
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if it is longer than `limit` bytes or does not arrive. Pass it on with `?`,
    /// and the client gets what fits: 413, 408, or nothing if it has left.
    pub fn body_to_vec(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        self.body.to_vec(limit)
    }
}

impl<S> Read for Request<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.body.read(into)
    }
}

impl<S> fmt::Debug for Request<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, place, body, .. } = self;
        f.debug_struct("Request")
            .field("head", head)
            .field("place", place)
            .field("body", body)
            .finish_non_exhaustive()
    }
}

/// Whether `variable` is how CGI calls the header `name`.
fn is_header(variable: &[u8], name: &str) -> bool {
    let bare = match variable.strip_prefix(b"HTTP_") {
        Some(rest) => rest,
        None if matches!(variable, b"CONTENT_TYPE" | b"CONTENT_LENGTH") => variable,
        None => return false,
    };
    let as_variable = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    bare.len() == name.len() && bare.iter().copied().eq(name.bytes().map(as_variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_by_the_names_people_know() {
        assert!(is_header(b"HTTP_USER_AGENT", "User-Agent"));
        assert!(is_header(b"HTTP_USER_AGENT", "user-agent"));
        assert!(is_header(b"CONTENT_TYPE", "Content-Type"));
        assert!(!is_header(b"HTTP_USER_AGENT", "User-Agen"));
        assert!(!is_header(b"REMOTE_USER", "Remote-User"));
        assert!(!is_header(b"USER_AGENT", "User-Agent"));
    }
}
