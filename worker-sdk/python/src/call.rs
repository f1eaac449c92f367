//! One call of Python code for one request: what is lent for it, and what becomes of exceptions.

use std::io;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use scgi_worker::{Request, Stage};

use crate::lent::{self, Hands, Number};

/// Runs Python code for one request: `prepare` makes its environ, `code` does something with it, with
/// both ends of the request lent to it.
///
/// # Errors
///
/// If one of them raised, which has been told on standard error then; unless the client was at fault,
/// which is no news.
pub(crate) fn call(
    request: &mut Request<'_>,
    out: &mut dyn Stage,
    prepare: impl for<'py> FnOnce(Python<'py>, &mut Request<'_>, Number) -> PyResult<Bound<'py, PyDict>>,
    code: impl for<'py> FnOnce(Bound<'py, PyDict>, Number) -> PyResult<()>,
) -> io::Result<()> {
    let number = lent::next_number();
    Python::attach(|py| {
        let environ = prepare(py, request, number).map_err(|raised| tell(py, &raised))?;
        let mut hands = Hands::new(request.body(), out);
        let done = lent::lend(number, &mut hands, || code(environ, number));
        done.map_err(|raised| match hands.is_broken() {
            true => io::ErrorKind::BrokenPipe.into(),
            false => tell(py, &raised),
        })
    })
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
