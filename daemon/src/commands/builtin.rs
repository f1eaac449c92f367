//! `scgid builtin NAME`: the workers that are part of this program.

use std::process::ExitCode;

use scgi_protocol::birth::EXIT_NEVER_AGAIN;

use super::{WRONG, complain, say};
use crate::builtin;
use crate::cli::Builtin;

/// Becomes the worker of that name.
pub(crate) fn builtin(asked: &Builtin) -> ExitCode {
    match builtin::find(&asked.name) {
        Some(worker) => match worker(&asked.arguments) {
            Ok(status) => status,
            Err(error) => {
                complain(&*error);
                // The same arguments would be as wrong the next time.
                u8::try_from(EXIT_NEVER_AGAIN).map_or(ExitCode::FAILURE, ExitCode::from)
            }
        },
        None => {
            let names = builtin::NAMES.join(", ");
            say(&format!(
                "scgid: no built-in worker is called `{}`; there are {names}\n",
                asked.name
            ));
            ExitCode::from(WRONG)
        }
    }
}
