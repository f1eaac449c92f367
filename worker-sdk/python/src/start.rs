//! `start_response` of WSGI, and the `write` it returns.
//!
//! ```text
//! uncalled ─▶ called ─first bytes─▶ begun ─some kilobytes or a flush─▶ sent
//!               ▲ └─ with exc_info: another head          └─ with exc_info: raised
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use scgi_worker::ResponseHead;

use crate::environ::bytes_of;
use crate::lent::{self, Number};

/// Headers about the connection, which is not the app's: front ends make their own.
const HOP_BY_HOP: [&str; 8] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "TE",
    "Trailers",
    "Transfer-Encoding",
    "Upgrade",
];

/// The callable that a WSGI app is given.
#[pyclass(frozen, module = "scgi_worker._native")]
pub(crate) struct StartResponse {
    number: Number,
    head: Mutex<Saying>,
}

/// What was said of the head.
enum Saying {
    Nothing,
    /// To be said when the first bytes of the body come.
    Head(ResponseHead),
    Said,
}

impl StartResponse {
    pub(crate) fn new(number: Number) -> Self {
        Self { number, head: Mutex::new(Saying::Nothing) }
    }

    /// Says the head, if that was not done yet. `whole` is the length of the body in bytes, if it
    /// is known; the app's own word counts first.
    pub(crate) fn begin(&self, whole: Option<usize>) -> PyResult<()> {
        let said = std::mem::replace(&mut *self.lock(), Saying::Said);
        match said {
            Saying::Said => Ok(()),
            Saying::Nothing => {
                *self.lock() = Saying::Nothing;
                Err(PyAssertionError::new_err("the app answered before it called start_response"))
            }
            Saying::Head(head) => {
                let length = whole.filter(|_| head.get("Content-Length").is_none());
                let head = match length {
                    Some(bytes) => head.header("Content-Length", bytes.to_string()),
                    None => head,
                };
                lent::at_once(self.number, |ends| ends.begin(head))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Saying> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info = None))]
    fn __call__(
        slf: &Bound<'_, Self>,
        status: &str,
        headers: &Bound<'_, PyList>,
        exc_info: Option<&Bound<'_, PyTuple>>,
    ) -> PyResult<Py<PyAny>> {
        let this = slf.get();
        let is_first = matches!(*this.lock(), Saying::Nothing);
        match exc_info {
            Some(exc_info) if lent::at_once(this.number, |ends| Ok(ends.is_sent()))? => {
                return Err(PyErr::from_value(exc_info.get_item(1)?));
            }
            None if !is_first => {
                return Err(PyAssertionError::new_err(
                    "start_response was called before, and this time without exc_info",
                ));
            }
            _ => {}
        }
        *this.lock() = Saying::Head(head(status, headers)?);
        Ok(slf.getattr(intern!(slf.py(), "write"))?.unbind())
    }

    /// Sends a part of the body at once, as programs older than iterables do.
    fn write(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        self.begin(None)?;
        lent::with(py, self.number, |ends| {
            ends.write(bytes)?;
            ends.flush()
        })
    }
}

fn head(status: &str, headers: &Bound<'_, PyList>) -> PyResult<ResponseHead> {
    let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
    let code: u16 = Some(code)
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok())
        .filter(|code| *code >= 200)
        .ok_or_else(|| PyValueError::new_err(format!("{status:?} is no status to answer with")))?;
    let mut head = ResponseHead::new(code);
    if !reason.is_empty() {
        head = head.with_reason(reason);
    }
    for pair in headers {
        let pair = pair.cast_into::<PyTuple>().map_err(|_| {
            PyTypeError::new_err("every header is a tuple of its name and its value")
        })?;
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyString>) = pair.extract()?;
        let name = name.to_str()?;
        if HOP_BY_HOP.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            continue;
        }
        let value = value.to_str()?;
        let sent = bytes_of(value).ok_or_else(|| {
            PyValueError::new_err(format!("the header {name} has characters beyond Latin-1"))
        })?;
        head = head.header(name, sent);
    }
    Ok(head)
}
