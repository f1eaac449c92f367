//! `scgid schema`: prints the JSON Schema of the configuration.

use std::process::ExitCode;

use super::print;
use crate::config;

/// Prints it.
pub(crate) fn schema() -> ExitCode {
    print(&format!("{:#}\n", config::schema()))
}
