//! The variables of a request as a Python dictionary.
//!
//! A front end sends the same names in the same order, and most values over and over: what the
//! last request of the thread had at the same place is taken from there if it is the same, and
//! costs a comparison. Names are interned by that, so that looking them up is quick as well.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use scgi_worker::Request;

/// Variables beyond these are made anew each time.
const KEPT: usize = 64;

/// Longer values are not kept: they are another's next time, or secret.
const KEPT_BYTES: usize = 64;

thread_local! {
    static LAST: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// One variable of the last request.
struct Kept {
    name: Vec<u8>,
    value: Vec<u8>,
    key: Py<PyString>,
    text: Py<PyString>,
}

/// Adds the variables of `request` to `environ`, as Latin-1, those apart that WSGI forbids.
pub(crate) fn fill<S>(environ: &Bound<'_, PyDict>, request: &Request<'_, S>) -> PyResult<()> {
    LAST.with_borrow_mut(|last| {
        for (at, (name, value)) in request.vars().enumerate() {
            if matches!(name, b"HTTP_CONTENT_LENGTH" | b"HTTP_CONTENT_TYPE") {
                continue;
            }
            if at >= KEPT {
                let py = environ.py();
                environ.set_item(latin1(py, name), latin1(py, value))?;
                continue;
            }
            if last.len() <= at {
                last.resize_with(at + 1, || None);
            }
            set(environ, &mut last[at], name, value)?;
        }
        Ok(())
    })
}

fn set(
    environ: &Bound<'_, PyDict>,
    kept: &mut Option<Kept>,
    name: &[u8],
    value: &[u8],
) -> PyResult<()> {
    let py = environ.py();
    match kept {
        Some(kept) if kept.name == name => {
            if kept.value != value {
                let text = latin1(py, value);
                if value.len() > KEPT_BYTES {
                    return environ.set_item(&kept.key, text);
                }
                kept.value.clear();
                kept.value.extend_from_slice(value);
                kept.text = text.unbind();
            }
            environ.set_item(&kept.key, &kept.text)
        }
        _ => {
            let (key, text) = (latin1(py, name), latin1(py, value));
            environ.set_item(&key, &text)?;
            *kept = (name.len() <= KEPT_BYTES && value.len() <= KEPT_BYTES).then(|| Kept {
                name: name.to_vec(),
                value: value.to_vec(),
                key: key.unbind(),
                text: text.unbind(),
            });
            Ok(())
        }
    }
}

/// Bytes as WSGI has them in strings: every byte the character of its number.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &bytes.iter().copied().map(char::from).collect::<String>()),
    }
}

/// The bytes of a string that came of [`latin1`]; `None` if it did not.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    if text.is_ascii() {
        return Some(text.as_bytes().to_vec());
    }
    text.chars().map(|character| u8::try_from(character).ok()).collect()
}
