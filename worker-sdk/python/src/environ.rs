//! The variables of a request as a Python dictionary.
//!
//! ```text
//! the shape of the last request ─▶ a copy of its dictionary, and what has changed
//! another                       ─▶ one variable after the other
//! ```
//!
//! A front end sends the same names in the same order, and most values over and over: what the
//! last request of the thread had at the same place is taken from there if it is the same, and
//! costs a comparison. Names are interned by that, so that looking them up is quick as well.

use std::borrow::Cow;
use std::cell::RefCell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use scgi_worker::{Request, Shape};

/// Variables beyond these are made anew each time.
const KEPT: usize = 64;

/// Longer values are not kept: they are another's next time, or secret.
const KEPT_BYTES: usize = 64;

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last::nothing()) };
}

/// The variables of the last request of a thread.
struct Last {
    shape: Option<Shape>,
    /// By their place; `None` where a name is too long.
    kept: Vec<Option<Kept>>,
    /// Made when the same shape comes a second time.
    whole: Option<Whole>,
}

/// One variable.
struct Kept {
    name: Vec<u8>,
    meaning: Meaning,
    key: Py<PyString>,
    /// The last value that was short, as it was sent and as text.
    value: Option<(Vec<u8>, Py<PyString>)>,
}

/// What all requests have, and that with all values that are kept, which nobody else gets to see.
struct Whole {
    base: Py<PyDict>,
    environ: Py<PyDict>,
}

/// What a variable tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Not to be passed on.
    Forbidden,
    Https,
    Scheme,
    ScriptName,
    PathInfo,
    Other,
}

/// What was seen of a request while its variables were gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The client speaks HTTPS.
    pub(crate) is_secure: bool,
    has_script_name: bool,
    has_plain_path: bool,
}

/// What all requests have, `base`, and the variables of `request`, as Latin-1, those apart that WSGI
/// forbids.
pub(crate) fn environ<'py, S>(
    base: &Bound<'py, PyDict>,
    request: &Request<'_, S>,
) -> PyResult<(Bound<'py, PyDict>, Seen)> {
    LAST.with_borrow_mut(|last| match last.again(base, request)? {
        Some(done) => Ok(done),
        None => last.anew(base, request),
    })
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

impl Last {
    const fn nothing() -> Self {
        Self { shape: None, kept: Vec::new(), whole: None }
    }

    /// For a request of the last one's shape; `None` if it has another.
    fn again<'py, S>(
        &mut self,
        base: &Bound<'py, PyDict>,
        request: &Request<'_, S>,
    ) -> PyResult<Option<(Bound<'py, PyDict>, Seen)>> {
        if request.shape().is_none() || request.shape() != self.shape {
            return Ok(None);
        }
        let (py, whole) = (base.py(), self.whole(base)?);
        let (mut seen, mut long) = (Seen::default(), Vec::new());
        let mut variables = request.vars();
        for (kept, (_, value)) in self.kept.iter_mut().zip(&mut variables) {
            let Some(kept) = kept else { return Ok(None) };
            if kept.meaning != Meaning::Other {
                seen.look(kept.meaning, value);
            }
            if kept.has(value) || kept.meaning == Meaning::Forbidden {
                continue;
            }
            let text = kept.text(py, value);
            if value.len() > KEPT_BYTES {
                long.push((&kept.key, text));
            } else {
                whole.set_item(&kept.key, text)?;
            }
        }
        let environ = whole.copy()?;
        for (key, text) in long {
            environ.set_item(key, text)?;
        }
        for (name, value) in variables {
            seen.set(&environ, name, value)?;
        }
        Ok(Some((environ, seen)))
    }

    /// For a request of another shape than the last one; its variables are kept.
    fn anew<'py, S>(
        &mut self,
        base: &Bound<'py, PyDict>,
        request: &Request<'_, S>,
    ) -> PyResult<(Bound<'py, PyDict>, Seen)> {
        let py = base.py();
        let environ = base.copy()?;
        let mut seen = Seen::default();
        (self.shape, self.whole) = (request.shape(), None);
        self.kept.resize_with(request.vars().len().min(KEPT), || None);
        let mut places = self.kept.iter_mut();
        for (name, value) in request.vars() {
            let Some(kept) = places.next().and_then(|place| Kept::at(place, py, name)) else {
                seen.set(&environ, name, value)?;
                continue;
            };
            seen.look(kept.meaning, value);
            if kept.meaning != Meaning::Forbidden {
                let text = kept.text(py, value);
                environ.set_item(&kept.key, text)?;
            }
        }
        Ok((environ, seen))
    }

    /// The base with all that is kept.
    fn whole<'py>(&mut self, base: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(whole) = self.whole.as_ref().filter(|whole| whole.base.is(base)) {
            return Ok(whole.environ.bind(base.py()).clone());
        }
        let environ = base.copy()?;
        for kept in self.kept.iter().flatten() {
            if let Some((_, text)) = &kept.value {
                environ.set_item(&kept.key, text)?;
            }
        }
        self.whole = Some(Whole { base: base.clone().unbind(), environ: environ.clone().unbind() });
        Ok(environ)
    }
}

impl Kept {
    /// What is kept at a place of the variable `name`; `None` if its name is too long.
    fn at<'k>(place: &'k mut Option<Self>, py: Python<'_>, name: &[u8]) -> Option<&'k mut Self> {
        if place.as_ref().is_none_or(|kept| kept.name != name) {
            *place = (name.len() <= KEPT_BYTES).then(|| Self {
                name: name.to_vec(),
                meaning: Meaning::of(name),
                key: latin1(py, name).unbind(),
                value: None,
            });
        }
        place.as_mut()
    }

    /// Whether this is the value that is kept.
    fn has(&self, value: &[u8]) -> bool {
        self.value.as_ref().is_some_and(|(kept, _)| kept == value)
    }

    /// The text of a value, which is kept if it is short.
    fn text<'py>(&mut self, py: Python<'py>, value: &[u8]) -> Bound<'py, PyString> {
        match &mut self.value {
            Some((kept, text)) if kept == value => text.bind(py).clone(),
            kept => {
                let text = latin1(py, value);
                if value.len() <= KEPT_BYTES {
                    *kept = Some((value.to_vec(), text.clone().unbind()));
                }
                text
            }
        }
    }
}

impl Meaning {
    fn of(name: &[u8]) -> Self {
        match name {
            b"HTTP_CONTENT_LENGTH" | b"HTTP_CONTENT_TYPE" => Self::Forbidden,
            b"HTTPS" => Self::Https,
            b"REQUEST_SCHEME" => Self::Scheme,
            b"SCRIPT_NAME" => Self::ScriptName,
            b"PATH_INFO" => Self::PathInfo,
            _ => Self::Other,
        }
    }
}

impl Seen {
    fn look(&mut self, meaning: Meaning, value: &[u8]) {
        match meaning {
            Meaning::Https => {
                let on: [&[u8]; 3] = [b"on", b"1", b"yes"];
                self.is_secure |= on.iter().any(|on| value.eq_ignore_ascii_case(on));
            }
            Meaning::Scheme => self.is_secure |= value.eq_ignore_ascii_case(b"https"),
            Meaning::ScriptName => self.has_script_name = true,
            Meaning::PathInfo => self.has_plain_path = value.len() > 1 && !value.contains(&b'%'),
            Meaning::Forbidden | Meaning::Other => {}
        }
    }

    /// Looks at a variable of which nothing is kept, and adds it.
    fn set(&mut self, environ: &Bound<'_, PyDict>, name: &[u8], value: &[u8]) -> PyResult<()> {
        let (py, meaning) = (environ.py(), Meaning::of(name));
        self.look(meaning, value);
        if meaning == Meaning::Forbidden {
            return Ok(());
        }
        environ.set_item(latin1(py, name), latin1(py, value))
    }

    /// Whether `SCRIPT_NAME` and `PATH_INFO` need no mending: no mount is configured, and both were
    /// sent, in a form that no front end gets wrong.
    fn is_split(self, is_mounted: bool) -> bool {
        !is_mounted && self.has_script_name && self.has_plain_path
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
pub(crate) fn bytes_of(text: &str) -> Option<Cow<'_, [u8]>> {
    if text.is_ascii() {
        return Some(text.as_bytes().into());
    }
    text.chars()
        .map(|character| u8::try_from(character).ok())
        .collect::<Option<_>>()
        .map(Cow::Owned)
}
