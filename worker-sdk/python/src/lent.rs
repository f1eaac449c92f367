//! What of a request is lent to Python code for the time of one call: reading the body, and
//! sending.
//!
//! Python objects outlive the request they were made for, and wander between threads. So none of
//! them holds anything of it: they know its number, and ask here, where a request is found only by
//! the thread that serves it, while it does. Waiting is done without the interpreter.

use std::cell::Cell;
use std::io::{self, Read};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use scgi_worker::{Body, ResponseHead, Stage};
use scoped_tls_hkt::{ReborrowMut, scoped_thread_local};

thread_local! {
    /// The number of the request that this thread served last.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

scoped_thread_local!(static mut LENT: for<'a> Lent<'a>);

/// Which request of a thread is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u64);

/// Both ends of a request.
pub(crate) trait Ends {
    /// Reads a part of the body; 0 at its end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Bytes of the body that can be read without waiting.
    fn at_hand(&self) -> usize;
    /// Reads as much as there is room for.
    fn read_all(&mut self, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` into the response.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// The same with bytes that are in memory anyway: a slow client is not waited for.
    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
    fn begin(&mut self, head: ResponseHead) -> io::Result<()>;
    fn is_sent(&self) -> bool;
    /// Whether the client has gone away. From then on nothing that goes wrong is news.
    fn is_gone(&mut self) -> bool;
}

struct Lent<'a> {
    number: Number,
    ends: &'a mut (dyn Ends + 'a),
}

impl<'a, 'b: 'a> ReborrowMut<'a> for Lent<'b> {
    type Result = Lent<'a>;

    fn reborrow_mut(&'a mut self) -> Lent<'a> {
        Lent { number: self.number, ends: self.ends }
    }
}

/// The ends of a request as the SDK gives them.
pub(crate) struct Hands<'a, 'r> {
    body: &'a mut Body<'r>,
    out: &'a mut dyn Stage,
    /// The client was found to be gone, or too slow.
    is_broken: bool,
}

impl<'a, 'r> Hands<'a, 'r> {
    pub(crate) fn new(body: &'a mut Body<'r>, out: &'a mut dyn Stage) -> Self {
        Self { body, out, is_broken: false }
    }

    /// Whether what went wrong is the client's doing, and no news for the log.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            // What a handler does wrong has no number of the kernel's, or is one of these.
            let own = matches!(error.kind(), io::ErrorKind::Other | io::ErrorKind::InvalidInput);
            self.is_broken |= !own;
        }
        result
    }
}

impl Ends for Hands<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(into);
        self.note(read)
    }

    fn at_hand(&self) -> usize {
        self.body.at_hand()
    }

    fn read_all(&mut self, into: &mut [u8]) -> io::Result<()> {
        let read = self.body.read_exact(into);
        self.note(read)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.out.write_all(bytes);
        self.note(written)
    }

    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.out.write_whole(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }

    fn begin(&mut self, head: ResponseHead) -> io::Result<()> {
        self.out.begin(head)
    }

    fn is_sent(&self) -> bool {
        self.out.is_sent()
    }

    fn is_gone(&mut self) -> bool {
        self.is_broken |= self.body.is_gone();
        self.is_broken
    }
}

/// The number of the next request of this thread.
pub(crate) fn next_number() -> Number {
    NUMBER.set(NUMBER.get() + 1);
    Number(NUMBER.get())
}

/// Lends `ends` for as long as `during` takes.
pub(crate) fn lend<R>(number: Number, ends: &mut dyn Ends, during: impl FnOnce() -> R) -> R {
    LENT.set(Lent { number, ends }, during)
}

/// Whether the client of the request that this thread serves has gone away.
///
/// # Errors
///
/// `RuntimeError` if it serves none.
#[pyfunction]
pub(crate) fn client_gone() -> PyResult<bool> {
    if !LENT.is_set() {
        return Err(PyRuntimeError::new_err(
            "this thread serves no request: ask in the call that was made for it",
        ));
    }
    Ok(LENT.with(|lent| lent.ends.is_gone()))
}

/// Uses the ends of the request `number`, without the interpreter.
///
/// # Errors
///
/// `RuntimeError` if this thread does not serve that request, or what `deed` fails with.
pub(crate) fn with<R: Send>(
    py: Python<'_>,
    number: Number,
    deed: impl FnOnce(&mut dyn Ends) -> io::Result<R> + Send,
) -> PyResult<R> {
    judged(py.detach(|| found(number, deed)))
}

/// As [`with`], for what never waits: the interpreter is not let go for it.
///
/// # Errors
///
/// As [`with`].
pub(crate) fn at_once<R>(
    number: Number,
    deed: impl FnOnce(&mut dyn Ends) -> io::Result<R>,
) -> PyResult<R> {
    judged(found(number, deed))
}

/// What `deed` comes to; `None` if this thread does not serve the request `number`.
fn found<R>(
    number: Number,
    deed: impl FnOnce(&mut dyn Ends) -> io::Result<R>,
) -> Option<io::Result<R>> {
    if !LENT.is_set() {
        return None;
    }
    LENT.with(|lent| (lent.number == number).then(|| deed(lent.ends)))
}

fn judged<R>(done: Option<io::Result<R>>) -> PyResult<R> {
    let done = done.ok_or_else(|| {
        PyRuntimeError::new_err(
            "this request is over, or another thread serves it: read and write in the call that \
             was made for it",
        )
    })?;
    Ok(done?)
}
