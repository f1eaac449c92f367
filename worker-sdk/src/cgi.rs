//! Handlers that write their response themselves: as CGI programs do, or byte for byte.
//!
//! ```text
//! cgi: head held back ─whole─▶ checked, written anew ─▶ body, as it comes
//! raw: everything as it comes
//! ```
//!
//! For porting: what a program reads from its environment is in the request, its standard input is
//! the request, its standard output the writer. Starts no process; says what one needs to know.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use scgi_protocol::scgi::ResponseHead;

use crate::reply::{Fault, Outlet};
use crate::request::Request;

/// Largest head that a handler may write, in bytes.
const HEAD_MAX_BYTES: usize = 64 << 10;

impl<S> Request<'_, S> {
    /// The environment that a CGI program finds: every variable of the request that an environment
    /// can hold, with `SCRIPT_NAME` and `PATH_INFO` as the app is mounted.
    ///
    /// `HTTP_PROXY` is left out: programs take it for where to send their own requests (httpoxy).
    pub fn environment(&self) -> BTreeMap<OsString, OsString> {
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let sent = self.vars().filter(|(name, _)| *name != b"HTTP_PROXY" && !name.contains(&b'='));
        let mut environment: BTreeMap<_, _> =
            sent.map(|(name, value)| (text(name), text(value))).collect();
        let own = [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("REQUEST_METHOD", self.method()),
            ("QUERY_STRING", self.query()),
        ];
        environment.extend(own.map(|(name, value)| (name.into(), value.into())));
        environment.insert("SCRIPT_NAME".into(), text(&self.script_name()));
        environment.insert("PATH_INFO".into(), text(&self.path_info()));
        environment
    }

    /// Gives `command` the [`environment`](Self::environment), and of this process's own only
    /// `PATH` and `LANG`: what belongs to the worker is not for programs it starts.
    pub fn export<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env_clear();
        for name in ["PATH", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.environment())
    }
}

/// How a handler writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Head and body, as a CGI program does.
    Cgi,
    /// Whatever it likes.
    Raw,
}

/// The writer such a handler is given.
pub(crate) struct Output<'o, 'r> {
    outlet: &'o mut Outlet<'r>,
    manner: Manner,
    /// What has been written of a head that is not whole.
    head: Vec<u8>,
    begun: bool,
    /// The status of a raw response has been seen.
    has_status: bool,
    fault: Option<Fault>,
}

impl<'o, 'r> Output<'o, 'r> {
    pub(crate) fn new(outlet: &'o mut Outlet<'r>, manner: Manner) -> Self {
        let begun = manner == Manner::Raw;
        Self { outlet, manner, head: Vec::new(), begun, has_status: false, fault: None }
    }

    /// Ends the response; `written` is what the handler made of it.
    pub(crate) fn end(mut self, written: io::Result<()>) -> Result<(), Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        written.map_err(|error| Fault::Handler(error.to_string()))?;
        if !self.begun {
            return Err(Fault::Handler(
                "no head was written, or no empty line after it".to_owned(),
            ));
        }
        self.outlet.push_held()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.begun {
            return self.pass(bytes);
        }
        self.head.extend_from_slice(bytes);
        let decoded = ResponseHead::decode(&self.head, HEAD_MAX_BYTES);
        let decoded = decoded.map_err(|error| Fault::Handler(error.to_string()))?;
        let Some((head, taken)) = decoded else { return Ok(()) };
        self.begun = true;
        self.outlet.begin_written(&head)?;
        let rest = self.head.split_off(taken);
        self.pass(&rest)
    }

    /// Passes on what needs no looking at.
    fn pass(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self.manner {
            Manner::Cgi if self.outlet.is_head_only() => Ok(()),
            Manner::Cgi => self.outlet.hold(bytes),
            Manner::Raw => {
                if !self.has_status {
                    self.outlet.set_status(status_of(bytes));
                    self.has_status = true;
                }
                self.outlet.hold(bytes)
            }
        }
    }

    fn tried(&mut self, result: Result<(), Fault>) -> io::Result<()> {
        result.map_err(|fault| {
            self.fault = Some(fault);
            self.outlet.broken_kind().into()
        })
    }
}

impl Write for Output<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(self.outlet.broken_kind().into());
        }
        let taken = self.take(bytes);
        self.tried(taken).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.begun {
            return Ok(());
        }
        let flushed = self.outlet.push_held().and_then(|()| self.outlet.wait_for_room());
        self.tried(flushed)
    }
}

/// The status in the first line of a raw response, for the accounts; 200 if none is found there.
fn status_of(bytes: &[u8]) -> u16 {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let says = first.eq_ignore_ascii_case(b"Status:") || first.starts_with(b"HTTP/");
    let code = words.next().filter(|_| says).and_then(|code| str::from_utf8(code).ok());
    code.and_then(|code| code.trim().parse().ok()).unwrap_or(200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_raw_response_is_found_in_its_first_line() {
        assert_eq!(status_of(b"Status: 404 Not Found\r\n\r\n"), 404);
        assert_eq!(status_of(b"HTTP/1.1 503 Busy\r\n\r\n"), 503);
        assert_eq!(status_of(b"Content-Type: text/plain\r\n\r\nStatus: 404"), 200);
        assert_eq!(status_of(b"Status: soon"), 200);
        assert_eq!(status_of(b""), 200);
    }
}
