//! `cgi`: runs a CGI program for every request.
//!
//! ```text
//! request ─▶ which program? ─▶ its variables ─▶ run it: body to its input, its output to the client
//!               404, 403                           502, 504, or cut: whatever goes wrong with it
//! ```
//!
//! A worker runs as many programs at once as it has threads (`concurrency`). What they write to
//! standard error is the worker's own, and so the app's log. Knows nothing of SCGI, which is the SDK's
//! business, nor of what the programs are.

mod answer;
mod exchange;
mod failure;
mod script;
mod variables;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use scgi_worker::{App, Request, Response};

use super::offspring::Nursery;
use exchange::{Bounds, Run};
use failure::Failure;
use script::{Script, Source};

/// Why the arguments are not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write `scgid builtin cgi [--timeout 60s] [--output BYTES] [--directory PATH] \
     (--scripts DIRECTORY | -- PROGRAM [ARGUMENT …])`, not `{0}`"
)]
struct UsageError(String);

/// Everything that is said about the programs.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    source: Source,
    directory: Option<PathBuf>,
    bounds: Bounds,
}

/// What all requests of this worker share.
#[derive(Debug)]
struct Bridge {
    usage: Usage,
    nursery: Arc<Nursery>,
}

/// Serves until told to leave.
pub(super) fn main(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let usage = usage(arguments)?;
    let bridge = Bridge { usage, nursery: Nursery::open()? };
    Ok(super::left(App::with_state(bridge).fallback(serve).run()))
}

fn serve(request: &mut Request<'_, Bridge>) -> Response {
    match request.state().answer(request) {
        Ok(response) => response,
        Err(failure) => {
            if failure.is_the_programs() {
                tell(&format!("{failure} ({})", described(request)));
            }
            failure.response()
        }
    }
}

/// What was asked for, for a line of the log.
fn described(request: &Request<'_, Bridge>) -> String {
    let uri = request.var_bytes("REQUEST_URI").unwrap_or_else(|| request.path().as_bytes());
    format!("{} {}", request.method().escape_default(), uri.escape_ascii())
}

/// Writes a line to the app's log.
fn tell(line: &str) {
    // A standard error nobody reads is not worth dying for.
    let _ = writeln!(io::stderr().lock(), "scgid cgi: {line}");
}

impl Bridge {
    fn answer(&self, request: &mut Request<'_, Self>) -> Result<Response, Failure> {
        let script = self.usage.source.find(&request.path_info())?;
        let mut command = self.command(&script, request);
        let program = self.nursery.start(&mut command).map_err(|source| {
            let program = script.program.clone();
            Failure::Start { program, source }
        })?;
        let run = Run::of(program, self.usage.bounds)?;
        answer::of(run, request.method() == "HEAD", request.body())
    }

    fn command(&self, script: &Script<'_>, request: &Request<'_, Self>) -> Command {
        let mut command = Command::new(&script.program);
        command.args(script.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Where the program stands, as RFC 3875 (7.2) has it.
        let own = script.program.parent().map(PathBuf::from);
        if let Some(directory) = self.usage.directory.clone().or(own) {
            command.current_dir(directory);
        }
        command.env_remove("HTTP_PROXY").envs(variables::of(request, script));
        command
    }
}

fn usage(arguments: &[String]) -> Result<Usage, UsageError> {
    let wrong = || UsageError(arguments.join(" "));
    let mut words = arguments.iter();
    let mut bounds = Bounds { timeout: Duration::from_secs(60), output: None };
    let mut directory = None;
    let source = loop {
        let mut value = || words.next().ok_or_else(wrong);
        match value()?.as_str() {
            "--timeout" => {
                bounds.timeout = humantime::parse_duration(value()?).map_err(|_| wrong())?;
            }
            "--output" => bounds.output = Some(value()?.parse().map_err(|_| wrong())?),
            "--directory" => directory = Some(PathBuf::from(value()?)),
            "--scripts" => break Source::Directory(PathBuf::from(value()?)),
            "--" => {
                let program = PathBuf::from(value()?);
                break Source::Program { program, arguments: words.by_ref().cloned().collect() };
            }
            _ => return Err(wrong()),
        }
    };
    if words.next().is_some() { Err(wrong()) } else { Ok(Usage { source, directory, bounds }) }
}

#[cfg(test)]
mod tests;
