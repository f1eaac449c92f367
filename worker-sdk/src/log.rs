//! What a worker tells the people who run it: lines on standard error, one write each, so that
//! several threads never tear each other's. Never prints what a client sent unescaped.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use scgi_protocol::scgi::NGINX_HEADER_BYTES;

/// The most requests that are told apart by what they are warned of.
const WARNINGS_MAX: usize = 32;

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

/// Warns of a response head that nginx refuses: once for each `request` (method and path), and of so
/// many only.
#[cold]
pub(crate) fn large_head(bytes: usize, request: &str) {
    static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let form = form(request);
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.len() < WARNINGS_MAX && warned.insert(form.clone()) {
        say(&format!(
            "a response head of {bytes} bytes answers {form}; nginx makes a 502 of more than \
             {NGINX_HEADER_BYTES} unless `scgi_buffer_size` is raised (said once for each)"
        ));
    }
}

/// What requests of one kind have in common: without the query, and with a number for any number.
fn form(request: &str) -> String {
    let path = request.split('?').next().unwrap_or(request);
    let mut form = String::with_capacity(path.len());
    for character in path.chars() {
        if !character.is_ascii_digit() {
            form.push(character);
        } else if !form.ends_with('0') {
            form.push('0');
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_differ_in_numbers_and_queries_are_of_one_form() {
        assert_eq!(form("GET /user/1742/posts/3?page=2"), "GET /user/0/posts/0");
        assert_eq!(form("GET /user/8/posts/11"), "GET /user/0/posts/0");
    }
}
