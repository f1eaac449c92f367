//! The Python face of scgi-worker: what Python code cannot do as well by itself.
//!
//! ```text
//! SDK thread: accept ─▶ parse ─▶ environ ─▶ Python ─▶ send ─▶ close
//!                                  └── the interpreter is held only from here to here ──┘
//! ```
//!
//! Accepting, parsing, sending, the page, notices and leaving are the SDK's. This crate turns a
//! request into what WSGI expects, lends it to Python code for the time of one call, and never
//! lets an exception out of a request. Everything else is in the package's Python files.

mod call;
mod environ;
mod lent;
mod request;
mod serve;
mod start;
mod wsgi;

use pyo3::prelude::*;

/// What `scgi_worker` uses; the package's own files are its interface.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::lent::client_gone;
    #[pymodule_export]
    use crate::request::PyRequest;
    #[pymodule_export]
    use crate::serve::{leave_with_parent, serve_calls, serve_wsgi};
    #[pymodule_export]
    use crate::start::StartResponse;
}
