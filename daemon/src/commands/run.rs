//! `scgid run`: reads the configuration, sets up the log, and hands over to the daemon.

use std::process::ExitCode;

use super::{WRONG, complain, refuse};
use crate::cli::Run;
use crate::config;
use crate::run::{RunOptions, run as serve};

/// Serves until told to leave.
pub(crate) fn run(run: &Run) -> ExitCode {
    let found = config::find(run.config.file.as_deref());
    let loaded = found.and_then(|file| Ok((config::load(&file)?, file)));
    let (loaded, file) = match loaded {
        Ok(found) => found,
        Err(problems) => return refuse(&problems),
    };
    let telemetry = match run.log.init() {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error);
            return ExitCode::from(WRONG);
        }
    };
    let status = serve(RunOptions { loaded, file: Some(file) });
    drop(telemetry);
    status
}
