//! `scgid run`: reads the configuration, sets up the log, and hands over to the daemon.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::{WRONG, complain, refuse};
use crate::cli;
use crate::config;
use crate::run::{self, Run, RunError};
use crate::shell::upgrade;

/// Serves until told to leave.
pub(crate) fn run(asked: &cli::Run) -> ExitCode {
    let file = match config::find(asked.config.file.as_deref()) {
        Ok(file) => file,
        Err(problems) => {
            if let Some(baggage) = asked.take_over {
                upgrade::give_back(baggage, "it finds no configuration");
            }
            return refuse(&problems);
        }
    };
    let baggage = match asked.take_over.map(upgrade::receive).transpose() {
        Ok(baggage) => baggage.map(Box::new),
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let loaded = config::load(&file);
    let telemetry = match asked.log.init() {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error);
            return ExitCode::from(WRONG);
        }
    };
    let run = Run { loaded, config: Some(file), opened: BTreeMap::new(), baggage };
    let ran = run::run(run, |_| std::future::ready(()));
    drop(telemetry);
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Config(problems)) => refuse(&problems),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
