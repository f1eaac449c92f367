//! `completion`: the script for a shell, and the answers to that script.
//!
//! The script calls this program back, so what it offers is never older than the program, and
//! names of apps are those of the moment.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, ValueEnum};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};
use scgi_protocol::control::App;

use super::Context;
use crate::cli::{Cli, Completion};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::socket::Socket;

/// The variable by which the script tells this program that a shell asks, and which.
const VARIABLE: &str = "SCGICTL_COMPLETE";

/// How long a person who presses the tab key waits for the daemon.
const NAMES_WITHIN: Duration = Duration::from_millis(100);

/// The shells that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(context: &mut Context<'_>, completion: &Completion) -> Result<Exit, Failure> {
    let shell: &dyn EnvCompleter = match completion.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "scgictl", "scgictl", "scgictl", &mut script)?;
    context.console.data(script)?;
    Ok(Exit::Done)
}

/// Answers a shell that asks how to go on; `None` if none asks.
pub(crate) fn answer_shell() -> Option<ExitCode> {
    env::var_os(VARIABLE)?;
    let here = env::current_dir().ok();
    let answer = CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .try_complete(env::args_os(), here.as_deref());
    match answer {
        Ok(true) => Some(Exit::Done.into()),
        Ok(false) => None,
        Err(_nobody_reads_errors_here) => Some(Exit::Failed.into()),
    }
}

/// The apps of the daemon, as far as it answers at once.
pub(crate) fn app_names() -> Vec<CompletionCandidate> {
    let Ok(runtime) = crate::runtime() else { return Vec::new() };
    let client = Client::new(Socket::find(None));
    let apps = runtime.block_on(async {
        tokio::time::timeout(NAMES_WITHIN, client.get::<Vec<App>>("/v1/apps")).await
    });
    let Ok(Ok(apps)) = apps else { return Vec::new() };
    let candidate = |app: App| {
        CompletionCandidate::new(app.name.as_str()).help(Some(app.state.as_str().into()))
    };
    apps.into_iter().map(candidate).collect()
}
