//! Workers that are part of this program: `scgid builtin NAME`.
//!
//! They run as any app does, launched by the daemon with the same birth and the same page. Only
//! here may the daemon's crate use the worker SDK; of the daemon nothing here may use anything but
//! `proc`, which knows nothing of it.

mod cgi;
mod environ;
mod form;
mod gateway;
mod guestbook;
mod html;
mod inetd;
mod offspring;
mod relief;

#[cfg(test)]
pub(crate) use offspring::shared as children_of_tests;

use std::error::Error;
use std::process::{ExitCode, Termination};

use scgi_worker::Exit;

/// The names of all of them.
pub const NAMES: [&str; 6] = ["relief", "cgi", "inetd", "gateway", "environ", "guestbook"];

/// A built-in worker; it gets its own arguments, and returns when it has left.
pub type Worker = fn(&[String]) -> Result<ExitCode, Box<dyn Error>>;

/// The worker of that name.
pub fn find(name: &str) -> Option<Worker> {
    match name {
        "relief" => Some(relief::main),
        "cgi" => Some(cgi::main),
        "inetd" => Some(inetd::main),
        "gateway" => Some(gateway::main),
        "environ" => Some(environ::main),
        "guestbook" => Some(guestbook::main),
        _ => None,
    }
}

fn left(exit: Exit) -> ExitCode {
    exit.report()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_on_the_list_is_a_worker() {
        assert!(NAMES.iter().all(|name| find(name).is_some()));
        assert!(find("nobody").is_none());
    }
}
