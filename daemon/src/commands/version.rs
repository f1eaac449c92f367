//! `scgid version`: prints the version of this program.

use std::process::ExitCode;

use super::print;

/// Prints it, as `--version` does.
pub(crate) fn version() -> ExitCode {
    print(concat!("scgid ", env!("CARGO_PKG_VERSION"), "\n"))
}
