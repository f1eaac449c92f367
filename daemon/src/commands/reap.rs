//! `scgid reap`: ends the workers of a daemon that will not come back.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use scgi_protocol::control::socket;

use super::{complain, say};
use crate::cli;
use crate::shell::end_workers;

/// Ends them, and tells of each.
pub(crate) fn reap(asked: &cli::Reap) -> ExitCode {
    let usual = || {
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        socket::default_path(nix::unistd::geteuid().as_raw(), xdg)
    };
    let named = std::env::var_os(socket::VARIABLE).map(PathBuf::from);
    let mut path = asked.socket.clone().or(named).unwrap_or_else(usual).into_os_string();
    path.push(".state");
    let path = PathBuf::from(path);
    if !path.exists() {
        say(&format!("nothing is left: there is no `{}`\n", path.display()));
        return ExitCode::SUCCESS;
    }
    let patience = Duration::from_secs(asked.timeout);
    match end_workers(&path, patience, |told| say(&format!("{told}\n"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
