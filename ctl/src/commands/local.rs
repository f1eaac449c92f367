//! `check` and `schema`: what the daemon's own program knows without a daemon that runs.
//!
//! This process becomes that program, so its output and exit code are passed on as they are.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::cli::Check;
use crate::exit::Exit;
use crate::failure::Failure;

/// Becomes `scgid check`.
pub(super) fn check(check: Check) -> Result<Exit, Failure> {
    let mut command = Command::new(program());
    command.arg("check").args(check.file);
    become_it(command)
}

/// Becomes `scgid schema`.
pub(super) fn schema() -> Result<Exit, Failure> {
    let mut command = Command::new(program());
    command.arg("schema");
    become_it(command)
}

fn become_it(mut command: Command) -> Result<Exit, Failure> {
    let source = command.exec();
    Err(Failure::Daemon { program: command.get_program().into(), source })
}

/// The `scgid` that was installed with this program, else whichever is on the PATH.
fn program() -> PathBuf {
    let beside = env::current_exe().ok().map(|me| me.with_file_name("scgid"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("scgid"))
}
