//! The variables of a request as a Python dictionary.
//!
//! A front end sends the same names in the same order, and most values over and over: what the
//! last request of the thread had at the same place is taken from there if it is the same, and
//! costs a comparison. Names are interned by that, so that looking them up is quick as well.

use std::cell::RefCell;

use pyo3::intern;
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

/// What was seen of a request while its variables were gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The client speaks HTTPS.
    pub(crate) is_secure: bool,
    has_script_name: bool,
    has_plain_path: bool,
}

impl Seen {
    fn look(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"HTTPS" => {
                let on: [&[u8]; 3] = [b"on", b"1", b"yes"];
                self.is_secure |= on.iter().any(|on| value.eq_ignore_ascii_case(on));
            }
            b"REQUEST_SCHEME" => self.is_secure |= value.eq_ignore_ascii_case(b"https"),
            b"SCRIPT_NAME" => self.has_script_name = true,
            b"PATH_INFO" => self.has_plain_path = value.len() > 1 && !value.contains(&b'%'),
            _ => {}
        }
    }

    /// Whether `SCRIPT_NAME` and `PATH_INFO` need no mending: no mount is configured, and both were
    /// sent, in a form that no front end gets wrong.
    fn is_split(self, is_mounted: bool) -> bool {
        !is_mounted && self.has_script_name && self.has_plain_path
    }
}

/// Puts `SCRIPT_NAME` and `PATH_INFO` right, as CGI has them.
pub(crate) fn split<S>(
    environ: &Bound<'_, PyDict>,
    request: &Request<'_, S>,
    seen: Seen,
    is_mounted: bool,
) -> PyResult<()> {
    if seen.is_split(is_mounted) {
        return Ok(());
    }
    let py = environ.py();
    environ.set_item(intern!(py, "SCRIPT_NAME"), latin1(py, &request.script_name()))?;
    environ.set_item(intern!(py, "PATH_INFO"), latin1(py, &request.path_info()))
}

/// Adds the variables of `request` to `environ`, as Latin-1, those apart that WSGI forbids.
pub(crate) fn fill<S>(environ: &Bound<'_, PyDict>, request: &Request<'_, S>) -> PyResult<Seen> {
    LAST.with_borrow_mut(|last| {
        let mut seen = Seen::default();
        for (at, (name, value)) in request.vars().enumerate() {
            if matches!(name, b"HTTP_CONTENT_LENGTH" | b"HTTP_CONTENT_TYPE") {
                continue;
            }
            seen.look(name, value);
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
        Ok(seen)
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
