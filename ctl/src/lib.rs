//! `scgictl`: how a person talks to scgid.
//!
//! ```text
//! cli ──▶ commands ──▶ client ──▶ socket ──▶ the daemon
//!            │
//!            └──▶ render ──▶ console ──▶ standard output (data), standard error (words)
//! ```
//!
//! Asks and prints; decides nothing about apps. Every order ends in what the daemon has verified,
//! and the exit code says which.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod client;
mod commands;
mod console;
mod exit;
mod failure;
mod parse;
mod render;
mod socket;
mod stream;

use cli::Cli;
use console::Console;
use exit::Exit;
use failure::Failure;

/// Runs the program with the arguments, environment and outputs of this process.
pub fn main() -> ExitCode {
    if let Some(code) = commands::completion::answer_shell() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _reader_may_have_left = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let mut console = Console::of_process(&cli.globals);
    let exit = run(cli, &mut console).unwrap_or_else(|failure| {
        if let Some(words) = failure.told() {
            console.complain(&words);
        }
        failure.exit()
    });
    exit.into()
}

fn run(cli: Cli, console: &mut Console) -> Result<Exit, Failure> {
    runtime()?.block_on(commands::run(cli, console))
}

/// One thread is plenty for asking.
fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
