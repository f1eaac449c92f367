//! One call of Python code for one request: what is lent for it, and what becomes of exceptions.

use std::io;

use pyo3::prelude::*;
use pyo3::types::PyString;
use scgi_worker::{Body, IntoResponse, Response, Stage};

use crate::lent::{self, Hands, Number};

/// Runs `code` with both ends of the request `number` lent to it.
///
/// # Errors
///
/// If it raised, which has been told on standard error then; unless the client was at fault, which
/// is no news.
pub(crate) fn call(
    number: Number,
    body: &mut Body<'_>,
    out: &mut dyn Stage,
    code: impl FnOnce(Python<'_>) -> PyResult<()>,
) -> io::Result<()> {
    let mut hands = Hands::new(body, out);
    let done = lent::lend(number, &mut hands, || Python::attach(code));
    match done {
        Ok(()) => Ok(()),
        Err(_) if hands.is_broken() => Err(io::ErrorKind::BrokenPipe.into()),
        Err(raised) => Err(Python::attach(|py| tell(py, &raised))),
    }
}

/// Runs `code`, which prepares a call.
///
/// # Errors
///
/// The response if it raised, which has been told then.
pub(crate) fn prepare<T>(code: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T, Response> {
    Python::attach(|py| code(py).map_err(|raised| tell(py, &raised)))
        .map_err(|error| Err::<(), _>(error).into_response())
}

/// Prints the traceback of an exception in one piece; what the SDK is to say of it.
///
/// `SystemExit` and `KeyboardInterrupt` are no different: one request does not end the worker.
fn tell(py: Python<'_>, raised: &PyErr) -> io::Error {
    if let Err(second) = print(py, raised) {
        // Standard error itself is broken, or replaced by something that is.
        second.write_unraisable(py, None);
    }
    let name = raised.get_type(py).qualname();
    let name = name.map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    io::Error::other(format!("the app raised {name}, see above"))
}

fn print(py: Python<'_>, raised: &PyErr) -> PyResult<()> {
    let parts = (raised.get_type(py), raised.value(py), raised.traceback(py));
    let lines = py.import("traceback")?.call_method1("format_exception", parts)?;
    let text = PyString::new(py, "").call_method1("join", (lines,))?;
    let stderr = py.import("sys")?.getattr("stderr")?;
    stderr.call_method1("write", (text,))?;
    stderr.call_method0("flush")?;
    Ok(())
}
