//! The command line of scgid: what can be typed. What each word does is in `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{commands, launch, telemetry};

/// Serve all the SCGI apps of this machine from one configuration.
#[derive(Debug, Parser)]
#[command(name = "scgid", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Begin with:
  scgid demo               two apps in a browser; needs no file and no web server
  scgid init               write a commented scgid.yaml to start from
  scgid check              say everything that is wrong with it
  scgid run                serve it; then talk to the daemon with scgictl

Exit status: 0 done, 1 failed, 2 wrong usage or configuration";

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the apps of a configuration, in the foreground, until told to leave
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Check a configuration: tell every problem with its place and a way out, change nothing
    Check(Check),
    /// Write a commented configuration to start from
    Init(Init),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Serve two bundled apps and an HTTP front on loopback, for a first look
    Demo(Demo),
    /// Print the version of this program
    Version,
    /// Run a worker that is part of this program
    #[command(hide = true)]
    Builtin(Builtin),
    /// End the workers of a daemon that was killed and will not come back
    Reap(Reap),
    /// Say whether this program could go on where the one is that asks
    #[command(hide = true)]
    TakeOverCheck,
    /// Become a worker; the daemon runs this
    #[command(hide = true)]
    Launch,
}

const RUN_HELP: &str = "\
Signals:
  TERM, INT   stop: drain every worker, then end; a second one hurries
  HUP         read the configuration again and take it over
  USR2        become the scgid that stands at this program's path by now, with all workers

Killed, it leaves its workers serving; the next scgid with the same control socket takes them over";

/// The configuration.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The configuration [default: ./scgid.yaml, else /etc/scgid/scgid.yaml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) config: File,
    #[command(flatten)]
    pub(crate) log: Log,
    /// Where the program that this process was before says how to go on
    #[arg(long, hide = true, value_name = "FD")]
    pub(crate) take_over: Option<i32>,
}

/// The daemon's own log.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// How the daemon writes its own log, to standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What it writes: error, warn, info, debug, trace, or by part (info,scgid::shell=debug)
    #[arg(long = "log", value_name = "LEVEL", default_value = "info")]
    filter: String,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Log {
    /// Sets up the log as asked for.
    pub(crate) fn init(&self) -> Result<telemetry::Telemetry, telemetry::TelemetryError> {
        let format = match self.log_format {
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Json => telemetry::Format::Json,
        };
        telemetry::init(format, &self.filter)
    }
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: File,
    /// How to tell; json goes to standard output and is a promise
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: Output,
}

/// For whom something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Human,
    Json,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The file to write, or the directory to write scgid.yaml in
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    pub(crate) place: PathBuf,
}

/// `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The port to serve HTTP on, 0 for any [default: 8080, else the next free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Print the configuration that would run, and run nothing
    #[arg(long)]
    pub(crate) print: bool,
    /// What the daemon's own log says: error, warn, info, debug, trace
    #[arg(long = "log", value_name = "LEVEL", default_value = "warn")]
    pub(crate) filter: String,
}

/// `reap`.
#[derive(Debug, Args)]
pub(crate) struct Reap {
    /// The control socket of the daemon that is gone [default: $SCGI_SOCKET, else the usual one]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// How many seconds the workers have to leave before they are killed
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
}

/// `builtin`.
#[derive(Debug, Args)]
pub(crate) struct Builtin {
    /// Which one
    pub(crate) name: String,
    /// Its own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// What `scgid` does when it is typed; the arguments are this process's own.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Before anything is opened: the launcher's descriptors are known by their numbers.
    if let [_, command, rest @ ..] = arguments.as_slice()
        && command == launch::NAME
    {
        return launch::main(rest);
    }
    match Cli::try_parse_from(arguments) {
        Ok(Cli { command }) => run(command),
        Err(refusal) => {
            // A terminal that is gone cannot be told so.
            let _ = refusal.print();
            u8::try_from(refusal.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Run(run) => commands::run::run(&run),
        Command::Check(check) => commands::check::check(&check),
        Command::Init(init) => commands::init::init(&init),
        Command::Schema => commands::schema::schema(),
        Command::Demo(demo) => commands::demo::demo(&demo),
        Command::Version => commands::version::version(),
        Command::Builtin(builtin) => commands::builtin::builtin(&builtin),
        Command::Reap(reap) => commands::reap::reap(&reap),
        Command::TakeOverCheck => commands::take_over_check::take_over_check(),
        // Reached only with the word in another place than the daemon puts it.
        Command::Launch => launch::main(&[]),
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

    #[test]
    fn help_teaches_what_to_do_first() {
        let mut cli = Cli::command();
        cli.build();

        insta::assert_snapshot!("help", cli.render_help());
        for (name, snapshot) in [
            ("run", "help_run"),
            ("check", "help_check"),
            ("init", "help_init"),
            ("demo", "help_demo"),
            ("reap", "help_reap"),
        ] {
            let command = cli.find_subcommand_mut(name).expect("the command exists");
            insta::assert_snapshot!(snapshot, command.render_help());
        }
    }

    #[test]
    fn arguments_of_a_builtin_worker_are_its_own() {
        let typed = ["scgid", "builtin", "gateway", "/blog=unix:/b.sock", "--help"];

        let Command::Builtin(builtin) = Cli::try_parse_from(typed).unwrap().command else {
            panic!("another command");
        };

        assert_eq!(builtin.name, "gateway");
        assert_eq!(builtin.arguments, ["/blog=unix:/b.sock", "--help"]);
    }
}
