//! One request through a WSGI app (PEP 3333): called, its answer sent, closed.

use std::io::{self, Read};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use scgi_worker::{Body, Request, Stage};

use crate::call::call;
use crate::environ::{environ, split};
use crate::lent::{self, Number};
use crate::request::PyRequest;
use crate::start::StartResponse;

/// An answer up to this size, in bytes, is sent when it is whole; writing it does not wait.
const HELD_BYTES: usize = 8 << 10;

/// A WSGI app, and what every request of it has.
pub(crate) struct Wsgi {
    pub(crate) app: Py<PyAny>,
    /// The variables that are the same in all requests.
    pub(crate) base: Py<PyDict>,
    /// Makes `wsgi.input` of a body in memory.
    pub(crate) in_memory: Py<PyAny>,
    /// Makes `wsgi.input` of a request.
    pub(crate) as_it_comes: Py<PyAny>,
    /// The configuration says where the app is mounted.
    pub(crate) is_mounted: bool,
}

impl Wsgi {
    /// Answers `request`.
    pub(crate) fn answer(&self, request: &mut Request<'_>, out: &mut dyn Stage) -> io::Result<()> {
        call(
            request,
            out,
            |py, request, number| self.environ(py, request, number),
            |environ, number| self.call(&environ, number),
        )
    }

    fn environ<'py>(
        &self,
        py: Python<'py>,
        request: &mut Request<'_>,
        number: Number,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (environ, seen) = environ(self.base.bind(py), request)?;
        split(&environ, request, seen, self.is_mounted)?;
        if seen.is_secure {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        let input = match body_at_hand(py, request.body())? {
            Some(bytes) => self.in_memory.bind(py).call1((bytes,))?,
            None => {
                let length = request.content_length();
                self.as_it_comes.bind(py).call1((PyRequest { number, length },))?
            }
        };
        environ.set_item(intern!(py, "wsgi.input"), input)?;
        Ok(environ)
    }

    fn call(&self, environ: &Bound<'_, PyDict>, number: Number) -> PyResult<()> {
        let py = environ.py();
        let start = Bound::new(py, StartResponse::new(number))?;
        let answer = self.app.bind(py).call1((environ, &start))?;
        let sent = send(&answer, start.get(), number);
        let closed = close(&answer);
        sent.and(closed)
    }
}

/// The whole body, if it has come already: then reading it does not wait, and it is received right
/// into the memory that the app gets.
fn body_at_hand<'py>(
    py: Python<'py>,
    body: &mut Body<'_>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    match usize::try_from(body.length()) {
        Ok(length) if length <= body.at_hand() => {
            PyBytes::new_with(py, length, |into| Ok(body.read_exact(into)?)).map(Some)
        }
        _ => Ok(None),
    }
}

/// Sends what the app answered with: all at once if it is all there, else piece by piece.
fn send(answer: &Bound<'_, PyAny>, start: &StartResponse, number: Number) -> PyResult<()> {
    if let Ok(list) = answer.cast_exact::<PyList>() {
        return send_all(|| list.iter(), start, number);
    }
    if let Ok(tuple) = answer.cast_exact::<PyTuple>() {
        return send_all(|| tuple.iter(), start, number);
    }
    let py = answer.py();
    for piece in answer.try_iter()? {
        let piece = piece?;
        let bytes = piece_of(&piece)?.as_bytes();
        if bytes.is_empty() {
            continue;
        }
        start.begin(None)?;
        lent::with(py, number, |ends| {
            ends.write(bytes)?;
            ends.flush()
        })?;
    }
    start.begin(None)
}

/// Sends pieces that are all there.
fn send_all<'py, I: Iterator<Item = Bound<'py, PyAny>>>(
    pieces: impl Fn() -> I,
    start: &StartResponse,
    number: Number,
) -> PyResult<()> {
    let mut whole = 0;
    for piece in pieces() {
        whole += piece_of(&piece)?.as_bytes().len();
    }
    // What is held until the end is counted there.
    start.begin(Some(whole).filter(|bytes| *bytes > HELD_BYTES))?;
    for piece in pieces() {
        let (py, bytes) = (piece.py(), piece_of(&piece)?.as_bytes());
        if whole <= HELD_BYTES {
            lent::at_once(number, |ends| ends.write(bytes))?;
        } else {
            lent::with(py, number, |ends| ends.write_whole(bytes))?;
        }
    }
    Ok(())
}

fn piece_of<'a, 'py>(piece: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    piece.cast::<PyBytes>().map_err(|_| no_bytes(piece))
}

fn close(answer: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = answer.py();
    if answer.is_exact_instance_of::<PyList>() {
        return Ok(());
    }
    match answer.getattr_opt(intern!(py, "close"))? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}

fn no_bytes(piece: &Bound<'_, PyAny>) -> PyErr {
    let kind = piece.get_type().qualname();
    let kind = kind.map_or_else(|_| "something else".to_owned(), |kind| kind.to_string());
    PyTypeError::new_err(format!("a WSGI app answers with bytes, not with {kind}"))
}
