//! The two ways to serve: a WSGI app, and calls to a function of the package.
//!
//! Returns to Python when the worker leaves, with the exit status to leave with.

use std::io;

use pyo3::exceptions::PyProcessLookupError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::process::Signal;
use scgi_protocol::inherit;
use scgi_worker::{App, Request, Stage};

use crate::call::call;
use crate::environ::{environ, split};
use crate::request::PyRequest;
use crate::wsgi::Wsgi;

/// Where and how to serve; what is not said is found as by every worker.
#[derive(FromPyObject)]
pub(crate) struct Place {
    listen: Option<String>,
    threads: Option<u16>,
    /// A listening socket, handed over for good.
    socket: Option<i32>,
}

/// What WSGI requests are made of.
#[derive(FromPyObject)]
pub(crate) struct Parts {
    base: Py<PyDict>,
    in_memory: Py<PyAny>,
    as_it_comes: Py<PyAny>,
    is_mounted: bool,
}

/// Serves a WSGI app until told to leave; the exit status.
#[pyfunction]
pub(crate) fn serve_wsgi(
    py: Python<'_>,
    app: Py<PyAny>,
    parts: Parts,
    place: Place,
) -> PyResult<i32> {
    let Parts { base, in_memory, as_it_comes, is_mounted } = parts;
    let wsgi = Wsgi { app, base, in_memory, as_it_comes, is_mounted };
    serve(py, place, move |request, out| wsgi.answer(request, out))
}

/// Serves by calling `target(environ, request)` for each request; the exit status.
///
/// The variables are as the front end sent them, save `SCRIPT_NAME` and `PATH_INFO` if they are to
/// be split as CGI has them (`is_split`).
#[pyfunction]
pub(crate) fn serve_calls(
    py: Python<'_>,
    target: Py<PyAny>,
    is_split: bool,
    place: Place,
) -> PyResult<i32> {
    let calls = Calls { target, base: PyDict::new(py).unbind(), is_split };
    serve(py, place, move |request, out| calls.answer(request, out))
}

/// Makes this process leave, by SIGTERM, when `parent` is no more.
///
/// # Errors
///
/// If it is no more already.
#[pyfunction]
pub(crate) fn leave_with_parent(parent: i32) -> PyResult<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(io::Error::from)?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if now == Some(parent) {
        return Ok(());
    }
    Err(PyProcessLookupError::new_err(format!("the process {parent} has ended")))
}

fn serve(
    py: Python<'_>,
    place: Place,
    answer: impl Fn(&mut Request<'_>, &mut dyn Stage) -> io::Result<()> + Send + Sync + 'static,
) -> PyResult<i32> {
    let Place { listen, threads, socket } = place;
    let mut app = App::new().staged(answer).around(|serve| {
        // A thread has a state in the interpreter for as long as it lives, not anew for each
        // request: what Python calls thread-local would be lost between two of them.
        Python::attach(|py| py.detach(serve));
    });
    if let Some(address) = listen {
        app = app.listen(address.parse().map_err(
            |error: scgi_protocol::address::AddressError| {
                pyo3::exceptions::PyValueError::new_err(error.to_string())
            },
        )?);
    }
    if let Some(threads) = threads {
        app = app.threads(threads);
    }
    if let Some(number) = socket {
        app = app.socket(inherit::take(number)?);
    }
    Ok(py.detach(|| app.run()).status().into())
}

/// A function that is called for each request.
struct Calls {
    target: Py<PyAny>,
    /// Nothing, which is what all of its requests have.
    base: Py<PyDict>,
    is_split: bool,
}

impl Calls {
    fn answer(&self, request: &mut Request<'_>, out: &mut dyn Stage) -> io::Result<()> {
        let length = request.content_length();
        call(
            request,
            out,
            |py, request, _| {
                let (environ, seen) = environ(self.base.bind(py), request)?;
                if self.is_split {
                    split(&environ, request, seen, true)?;
                }
                Ok(environ)
            },
            |environ, number| {
                let py = environ.py();
                self.target.call1(py, (environ, PyRequest { number, length })).map(drop)
            },
        )
    }
}
