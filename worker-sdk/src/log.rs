//! What a worker tells the people who run it: lines on standard error, one write each, so that
//! several threads never tear each other's. Never prints what a client sent unescaped.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Prints one line. A standard error nobody reads is not worth dying for.
pub(crate) fn say(text: &str) {
    let line = format!("scgi-worker: {text}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// An error and everything that caused it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a string takes everything");
        cause = error.source();
    }
    text
}
