//! The command line of scgid: what can be typed, and which function does it.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::launch;

/// What `scgid` does when it is typed; the arguments are this process's own.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Before anything is opened: the launcher's descriptors are known by their numbers.
    if let [_, command, rest @ ..] = arguments.as_slice()
        && command == launch::NAME
    {
        return launch::main(rest);
    }
    ExitCode::FAILURE
}
