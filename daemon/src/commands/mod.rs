//! What each word of the command line does. Results go to standard output, talk to standard error.

pub(crate) mod builtin;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod init;
pub(crate) mod reap;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod take_over_check;
pub(crate) mod version;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::config::{Paint, Problems};

/// Exit status of a wrong usage or configuration.
const WRONG: u8 = 2;

/// Prints a result.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says something to the person at the terminal.
fn say(text: &str) {
    // Nobody is left to hear that standard error is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says what went wrong, with its causes.
fn complain(error: &dyn Error) {
    let mut line = format!("scgid: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line.push('\n');
    say(&line);
}

/// Says what is wrong with a configuration.
fn refuse(problems: &Problems) -> ExitCode {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&problems.render(if colour { Paint::Colour } else { Paint::Plain }));
    ExitCode::from(WRONG)
}
