//! The command line, described. What the commands do is in `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use scgi_protocol::name::{AppName, OperationId};

use crate::commands::completion::{Shell, app_names};
use crate::console::Loudness;
use crate::exit;
use crate::parse::{self, Count, Goal, Receiver, Target};
use crate::render::front::FrontEnd;

/// Start, stop, scale, reload and understand the apps of scgid.
#[derive(Debug, Parser)]
#[command(name = "scgictl", version, after_help = exit::HELP, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Globals {
    /// The daemon's control socket [default: $SCGI_SOCKET, the user's own, the system's]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global options")]
    pub(crate) socket: Option<PathBuf>,
    /// How to print; json is a promise, tables are not
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    #[arg(help_heading = "Global options")]
    pub(crate) output: Format,
    /// Print nothing but data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    quiet: bool,
    /// Print every step
    #[arg(short, long, global = true, help_heading = "Global options")]
    verbose: bool,
}

/// How things are printed: for people, as wide as the terminal or with all that is known, however
/// wide; for programs; or names alone. Undocumented one by one, or `--help` takes three screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the apps
    #[command(alias = "ls", alias = "list")]
    Ps(Look),
    /// Tell how the daemon and its apps are; exits with 3 if an app is not well
    Status(Look),
    /// Tell all that is known of an app
    #[command(alias = "show", alias = "info")]
    Describe(Selection),
    /// Start stopped apps
    Start(Order),
    /// Drain an app's workers and close its listeners, until it is started again
    Stop(Order),
    /// Stop all workers of an app, then start them again
    Restart(Order),
    /// Replace an app's workers, new before old; without APP, take over the changed configuration
    Reload(Reload),
    /// Tell what a configuration would change; exits with 1 if something, with 0 if nothing
    #[command(alias = "diff")]
    Plan(Plan),
    /// Take a configuration over
    Apply(Apply),
    /// Return to an earlier configuration
    Rollback(Rollback),
    /// Try failing or held apps at once
    Retry(Order),
    /// Look at the roll of an app, pause, resume or undo it; list earlier configurations
    #[command(subcommand)]
    Rollout(Rollout),
    /// Set how many workers an app has, until the configuration changes
    Scale(Scale),
    /// Show what workers write
    Logs(Logs),
    /// Show what happened
    Events(Events),
    /// Wait until apps are as wanted, or an operation has ended
    Wait(Wait),
    /// Print the configuration of a web server in front of the apps
    Front(Front),
    /// Check a configuration; runs `scgid check`
    Check(Check),
    /// Print the JSON Schema of the configuration; runs `scgid schema`
    Schema,
    /// Send one SCGI request to an app or any address, and print the answer
    Request(Request),
    /// Put another scgid in the daemon's place; its workers go on
    Upgrade(Upgrade),
    /// End the daemon and all its workers, in order
    Shutdown(Patience),
    /// Print a script that completes commands and names of apps in a shell
    Completion(Completion),
    /// Print the versions of this program and of the daemon
    Version,
}

/// `ps` and `status`.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// The apps; all of them if none is named
    #[arg(value_name = "APP", add = ArgValueCandidates::new(app_names))]
    pub(crate) apps: Vec<AppName>,
    /// Go on, and print again whenever something changes
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// Apps that must be named.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The apps, one at least unless --all is given
    #[arg(value_name = "APP", required_unless_present = "all", add = ArgValueCandidates::new(app_names))]
    pub(crate) apps: Vec<AppName>,
    /// Every app
    #[arg(long, conflicts_with = "apps")]
    pub(crate) all: bool,
}

/// An order about apps.
#[derive(Debug, Args)]
pub(crate) struct Order {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// How long to wait for the end of what was ordered.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Patience {
    /// Do not wait; print the number of the operation
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait: `90s`, `5m`; the operation goes on afterwards
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse::duration)]
    pub(crate) timeout: Duration,
}

/// `reload`.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// The apps; without one, the configuration is read again
    #[arg(value_name = "APP", add = ArgValueCandidates::new(app_names))]
    pub(crate) apps: Vec<AppName>,
    /// Every app
    #[arg(long, conflicts_with = "apps")]
    pub(crate) all: bool,
    /// Begin when the operation under way has ended, rather than be refused
    #[arg(long)]
    pub(crate) queue: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// `rollout`.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Tell how far the rolls of apps are
    Status(Apps),
    /// Leave the roll of apps as it is: both generations serve
    Pause(Order),
    /// Go on with paused rolls
    Resume(Order),
    /// Return to the workers before the roll
    Undo(Order),
    /// List the configurations that were in force
    History,
}

/// Apps of which none need be named.
#[derive(Debug, Args)]
pub(crate) struct Apps {
    /// The apps; all of them if none is named
    #[arg(value_name = "APP", add = ArgValueCandidates::new(app_names))]
    pub(crate) apps: Vec<AppName>,
}

/// `plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) proposed: Proposed,
}

/// A configuration that may be another one than the daemon's own file says.
#[derive(Debug, Args)]
pub(crate) struct Proposed {
    /// The configuration, `-` for standard input [default: the daemon's own file]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Only if the configuration in force has this tag, as `plan -o json` tells it
    #[arg(long, value_name = "TAG")]
    pub(crate) if_match: Option<String>,
}

/// `apply`.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) proposed: Proposed,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// `rollback`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// To which revision [default: the last before this one that ended well]
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,
    /// Only if the configuration in force has this tag
    #[arg(long, value_name = "TAG")]
    pub(crate) if_match: Option<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// `scale`.
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// The app
    #[arg(add = ArgValueCandidates::new(app_names))]
    pub(crate) app: AppName,
    /// `4` workers, `+2` or `-1` of those wanted, or bounds: `min=1,max=8`
    #[arg(allow_hyphen_values = true)]
    pub(crate) count: Count,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// `logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The apps; all of them if none is named
    #[arg(value_name = "APP", add = ArgValueCandidates::new(app_names))]
    pub(crate) apps: Vec<AppName>,
    #[command(flatten)]
    pub(crate) tail: Tail,
    /// Only what was written to this output
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: Option<StreamName>,
}

/// `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only those about this app
    #[arg(value_name = "APP", add = ArgValueCandidates::new(app_names))]
    pub(crate) app: Option<AppName>,
    #[command(flatten)]
    pub(crate) tail: Tail,
}

/// How much of the past, and whether the future too.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Tail {
    /// Go on with what comes, until interrupted; survives a restart of the daemon
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,
}

/// One of a worker's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamName {
    Stdout,
    Stderr,
}

/// `wait`.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Apps, or operations as `op:12`
    #[arg(value_name = "APP|op:ID", required_unless_present = "all", add = ArgValueCandidates::new(app_names))]
    pub(crate) targets: Vec<Target>,
    /// Every app
    #[arg(long, conflicts_with = "targets")]
    pub(crate) all: bool,
    /// What to wait for: `serving`, `stopped`, `well`, or `gen=N` and serving
    #[arg(long = "for", value_name = "GOAL", default_value = "well")]
    pub(crate) goal: Goal,
    /// How long to wait: `90s`, `5m`
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse::duration)]
    pub(crate) timeout: Duration,
}

/// `front`.
#[derive(Debug, Args)]
pub(crate) struct Front {
    /// The web server; apache is that with mod_proxy_scgi, apache-mod-scgi that with mod_scgi
    #[arg(value_name = "SERVER")]
    pub(crate) front_end: FrontEnd,
    /// The app; all of them if none is named
    #[arg(value_name = "APP", add = ArgValueCandidates::new(app_names))]
    pub(crate) app: Option<AppName>,
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration [default: what `scgid` finds by itself]
    pub(crate) file: Option<OsString>,
}

/// `request`.
#[derive(Debug, Args)]
pub(crate) struct Request {
    /// An app, or an address: `127.0.0.1:4000`, `unix:/run/blog.sock`
    #[arg(value_name = "APP|ADDRESS", add = ArgValueCandidates::new(app_names))]
    pub(crate) to: Receiver,
    /// Path and query
    #[arg(default_value = "/")]
    pub(crate) path: String,
    /// The method [default: GET, or POST if there is a body]
    #[arg(short = 'X', long)]
    pub(crate) method: Option<String>,
    /// A header, as in `Accept: text/html`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse::header)]
    pub(crate) headers: Vec<(String, String)>,
    /// A body: text, `@FILE`, or `-` for standard input
    #[arg(short, long, value_name = "DATA")]
    pub(crate) data: Option<String>,
    /// A variable, in place of what would be sent; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse::variable)]
    pub(crate) variables: Vec<(String, String)>,
    /// Print the head of the answer too
    #[arg(short, long)]
    pub(crate) include: bool,
    /// Print the answer as it comes, byte for byte
    #[arg(long)]
    pub(crate) raw: bool,
    /// How long the app may be silent
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse::duration)]
    pub(crate) timeout: Duration,
}

/// `upgrade`.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// Only find out whether it could be done
    #[arg(long)]
    pub(crate) check: bool,
    /// The other scgid [default: the file the daemon was started from, as it is by now]
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// How long the other one may take to answer: `90s`, `5m`
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse::duration)]
    pub(crate) timeout: Duration,
}

/// `completion`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    pub(crate) shell: Shell,
}

impl ValueEnum for FrontEnd {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

impl Globals {
    /// How much is said besides the data.
    pub(crate) fn loudness(&self) -> Loudness {
        match (self.quiet, self.verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        }
    }
}

impl Wait {
    /// The apps among the targets, and the operations.
    pub(crate) fn split(&self) -> (Vec<AppName>, Vec<OperationId>) {
        let apps = self.targets.iter().filter_map(|target| match target {
            Target::App(name) => Some(name.clone()),
            Target::Operation(_) => None,
        });
        let operations = self.targets.iter().filter_map(|target| match target {
            Target::Operation(id) => Some(*id),
            Target::App(_) => None,
        });
        (apps.collect(), operations.collect())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
