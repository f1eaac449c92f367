//! `scgid run`: reads the configuration, sets up the log, and hands over to the daemon.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::{WRONG, complain, refuse};
use crate::cli;
use crate::config;
use crate::run::{self, Run};

/// Serves until told to leave.
pub(crate) fn run(asked: &cli::Run) -> ExitCode {
    let found = config::find(asked.config.file.as_deref());
    let loaded = found.and_then(|file| Ok((config::load(&file)?, file)));
    let (loaded, file) = match loaded {
        Ok(found) => found,
        Err(problems) => return refuse(&problems),
    };
    let telemetry = match asked.log.init() {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error);
            return ExitCode::from(WRONG);
        }
    };
    let ran = run::run(Run { loaded, config: Some(file), opened: BTreeMap::new() }, |_| {
        std::future::ready(())
    });
    drop(telemetry);
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
