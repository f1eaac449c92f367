//! One request through a WSGI app (PEP 3333): called, its answer sent, closed.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use scgi_worker::{IntoResponse, Request, Response};

use crate::call::{call, prepare};
use crate::environ::{environ, split};
use crate::lent::{self, Number};
use crate::request::PyRequest;
use crate::start::StartResponse;

/// A body up to this size, in bytes, is in memory before the app is called.
const READ_BYTES: u64 = 1 << 20;

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
    pub(crate) fn answer(this: &Arc<Self>, request: &mut Request<'_>) -> Response {
        let early = match early_body(request) {
            Ok(early) => early,
            Err(answer) => return answer,
        };
        let number = lent::next_number();
        let environ = match prepare(|py| this.environ(py, request, early.as_deref(), number)) {
            Ok(environ) => environ,
            Err(answer) => return answer,
        };
        let this = Arc::clone(this);
        Response::staged(move |body, out| {
            call(number, body, out, |py| this.call(py, environ.bind(py), number))
        })
    }

    fn environ(
        &self,
        py: Python<'_>,
        request: &Request<'_>,
        early: Option<&[u8]>,
        number: Number,
    ) -> PyResult<Py<PyDict>> {
        let (environ, seen) = environ(self.base.bind(py), request)?;
        split(&environ, request, seen, self.is_mounted)?;
        if seen.is_secure {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        let input = match early {
            Some(bytes) => self.in_memory.bind(py).call1((PyBytes::new(py, bytes),))?,
            None => {
                let length = request.content_length();
                self.as_it_comes.bind(py).call1((PyRequest { number, length },))?
            }
        };
        environ.set_item(intern!(py, "wsgi.input"), input)?;
        Ok(environ.unbind())
    }

    fn call(&self, py: Python<'_>, environ: &Bound<'_, PyDict>, number: Number) -> PyResult<()> {
        let start = Bound::new(py, StartResponse::new(number))?;
        let answer = self.app.bind(py).call1((environ, &start))?;
        let sent = send(&answer, start.get(), number);
        let closed = close(&answer);
        sent.and(closed)
    }
}

/// The body, if it is small enough to be read before anything else is done.
fn early_body(request: &mut Request<'_>) -> Result<Option<Vec<u8>>, Response> {
    let length = request.content_length();
    if length > READ_BYTES {
        return Ok(None);
    }
    let limit = usize::try_from(READ_BYTES).expect("a mebibyte is addressable");
    request.body_to_vec(limit).map(Some).map_err(|error| Err::<(), _>(error).into_response())
}

/// Sends what the app answered with: all at once if it is all there, else piece by piece.
fn send(answer: &Bound<'_, PyAny>, start: &StartResponse, number: Number) -> PyResult<()> {
    if let Ok(list) = answer.cast_exact::<PyList>() {
        return send_all(list.iter(), start, number);
    }
    if let Ok(tuple) = answer.cast_exact::<PyTuple>() {
        return send_all(tuple.iter(), start, number);
    }
    let py = answer.py();
    for piece in answer.try_iter()? {
        let piece = piece?;
        let bytes = piece.cast::<PyBytes>().map_err(|_| no_bytes(&piece))?.as_bytes();
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

fn send_all<'py>(
    pieces: impl Iterator<Item = Bound<'py, PyAny>>,
    start: &StartResponse,
    number: Number,
) -> PyResult<()> {
    let mut whole = 0;
    let mut all = Vec::with_capacity(1);
    for piece in pieces {
        let piece = piece.cast_into::<PyBytes>().map_err(|error| no_bytes(&error.into_inner()))?;
        whole += piece.as_bytes().len();
        all.push(piece);
    }
    start.begin(Some(whole))?;
    for piece in &all {
        let (py, bytes) = (piece.py(), piece.as_bytes());
        if whole <= HELD_BYTES {
            lent::at_once(number, |ends| ends.write(bytes))?;
        } else {
            lent::with(py, number, |ends| ends.write_whole(bytes))?;
        }
    }
    Ok(())
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
