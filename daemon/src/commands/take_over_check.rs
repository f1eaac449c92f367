//! `scgid take-over-check`: says whether this program could go on where the one is that asks.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use super::{complain, print};
use crate::shell::upgrade::Verdict;

/// Reads what would be handed over from standard input, and prints the verdict.
pub(crate) fn take_over_check() -> ExitCode {
    let file = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(fd) => File::from(fd),
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    match serde_json::to_string(&Verdict::on(&file)) {
        Ok(verdict) => print(&verdict),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
