//! `scgid launch`: the small program that prepares itself and then becomes a worker.
//!
//! ```text
//! daemon ─posix_spawn─▶ scgid launch ─limits, directory, identity, environment─▶ execve ─▶ app
//!    ▲                       │
//!    └────── status pipe ────┘   words if a step failed; closed in silence if the app runs
//! ```
//!
//! Chain loading: what must happen between fork and exec happens here, in an ordinary program with
//! one thread, rather than in a forked copy of the daemon where hardly any call is allowed.
//!
//! Whoever starts it (with [`arguments`]) has set already what posix_spawn(3) sets best: an empty
//! signal mask, every signal at its default, a process group of its own, and these descriptors:
//!
//! ```text
//! 0 first listener   1, 2 log pipes   3.. listeners, page, kept ends of the log pipes
//! then the program's file if it is kept, the order ([`LaunchOrder`]), the write end of the status
//! pipe
//! ```
//!
//! What stands at the numbers of these is not the app's, nor is anything above, and is closed before
//! it runs. Only a script that is run by the file that was kept finds that open: its interpreter
//! reads it from there.
//! This module never waits, starts no other process, and never panics: a step that fails is said
//! in one line, and the exit status is 111, a failure that may pass.

mod envfile;
mod environment;
mod exec;
mod identity;
mod limits;
mod order;
mod sealed;

use std::convert::Infallible;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::errno::Errno;
use scgi_protocol::birth::EXIT_TEMPORARY;
use scgi_protocol::inherit;

pub(crate) use envfile::read as read_env_file;
pub(crate) use exec::{Why, obstacle};
pub(crate) use limits::hard as hard_limit;
pub use order::{LaunchOrder, OrderError};
pub(crate) use sealed::sealed;

use crate::words;

/// The subcommand's name.
pub const NAME: &str = "launch";

/// Longest message in bytes; fits a pipe in one piece.
pub const WORDS_MAX_BYTES: usize = 2048;

/// Why an app could not be started. Nothing of it has run.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("cannot read the launch order")]
    Order(#[source] OrderError),
    #[error("cannot use the file that was kept of the program")]
    Program(#[source] io::Error),
    #[error(transparent)]
    EnvFile(envfile::EnvFileError),
    #[error("cannot change to directory `{}`", path.display())]
    Directory { path: PathBuf, source: Errno },
    #[error(transparent)]
    Limits(limits::LimitsError),
    #[error(transparent)]
    Identity(identity::IdentityError),
    #[error(transparent)]
    Exec(exec::ExecError),
}

/// The arguments that make this program's own file the launcher, the name it is called by first.
pub fn arguments(order: RawFd, status: RawFd) -> [String; 4] {
    ["scgid".to_owned(), NAME.to_owned(), order.to_string(), status.to_string()]
}

/// Launches; comes back only to say that it failed. `arguments` are those after the subcommand.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let [order, status] = arguments else {
        complain("`scgid launch` is how scgid starts workers; it is not called by hand");
        return failed();
    };
    let status = match descriptor(status) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("cannot use status pipe `{}`: {error}", status.display()));
            return failed();
        }
    };
    let Err(error) = launch(order);
    let mut line = in_words(&error);
    line.push('\n');
    if File::from(status).write_all(line.as_bytes()).is_err() {
        complain(line.trim_end());
    }
    failed()
}

/// The whole of it, in the order in which one step allows the next: files are read and limits
/// raised with the daemon's rights, the program is run with the app's.
fn launch(order: &OsStr) -> Result<Infallible, LaunchError> {
    let file = descriptor(order).map_err(|source| LaunchError::Order(OrderError::Read(source)))?;
    let LaunchOrder { launch, birth, program } =
        LaunchOrder::from_file(&File::from(file)).map_err(LaunchError::Order)?;
    let kept = program.map(inherit::take).transpose().map_err(LaunchError::Program)?;
    close_from(order);
    let written = envfile::read_all(&launch.env_files).map_err(LaunchError::EnvFile)?;
    let environment = environment::build(&launch, written, &birth);
    limits::apply(&launch).map_err(LaunchError::Limits)?;
    let path = launch.directory.clone().unwrap_or_else(|| PathBuf::from("/"));
    nix::unistd::chdir(&path).map_err(|source| LaunchError::Directory { path, source })?;
    launch.identity.as_ref().map_or(Ok(()), identity::take).map_err(LaunchError::Identity)?;
    let kept = kept.filter(|kept| exec::is_elsewhere(kept, &launch.program));
    if kept.is_some() {
        let (path, generation) = (launch.program.display(), birth.generation);
        complain(&format!(
            "`{path}` is another file by now; generation {generation} goes on with its own"
        ));
    }
    exec::exec(&launch, kept.as_ref(), &environment).map_err(LaunchError::Exec)
}

/// Takes the descriptor whose number is written in `argument`.
fn descriptor(argument: &OsStr) -> io::Result<OwnedFd> {
    let number = argument.to_str().and_then(|text| text.parse().ok());
    inherit::take(number.ok_or(io::ErrorKind::InvalidInput)?)
}

/// Closes whatever came from the daemon's own parent and would otherwise reach the app: all
/// descriptors from the order's number on, save those this program took.
fn close_from(order: &OsStr) {
    let Some(first) = order.to_str().and_then(|text| text.parse::<RawFd>().ok()) else { return };
    // Without /proc there is nothing to go by; the daemon marks all its own as closed on exec.
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<RawFd> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number >= first)
        .collect();
    for number in numbers {
        // Taking and dropping closes. What is refused is ours (taken before, closed on exec) or
        // was the directory just read.
        drop(inherit::take(number));
    }
}

/// The error in one line that fits a pipe.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut line = words::in_words(error);
    let mut end = line.len().min(WORDS_MAX_BYTES - 1);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line.replace(char::is_control, " ")
}

fn complain(line: &str) {
    // Nobody is left to hear that standard error is closed.
    let _ = writeln!(io::stderr(), "scgid: {line}");
}

fn failed() -> ExitCode {
    u8::try_from(EXIT_TEMPORARY).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_causes_in_one_line() {
        let error = LaunchError::Directory { path: "/srv/x".into(), source: Errno::ENOENT };
        let broken = LaunchError::Order(OrderError::Read(io::Error::from_raw_os_error(9)));

        assert_eq!(
            in_words(&error),
            "cannot change to directory `/srv/x`: No such file or directory"
        );
        assert_eq!(
            in_words(&broken),
            "cannot read the launch order: cannot read it: Bad file number"
        );
    }

    #[test]
    fn a_message_stays_one_line_and_within_a_pipe() {
        let path = PathBuf::from(format!("/a\nb{}", "é".repeat(WORDS_MAX_BYTES)));

        let line = in_words(&LaunchError::Directory { path, source: Errno::ENOENT });

        assert!(line.len() < WORDS_MAX_BYTES);
        assert!(!line.contains('\n'));
    }
}
