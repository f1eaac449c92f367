//! `scgid check`: says everything that is wrong with a configuration, and changes nothing.

use std::path::Path;
use std::process::ExitCode;

use scgi_protocol::control::ConfigProblem;
use serde::Serialize;

use super::{WRONG, print, refuse};
use crate::cli::{Check, Output};
use crate::config::{self, Loaded, Problems};

/// What `-o json` prints: a promise.
#[derive(Debug, Serialize)]
struct Verdict {
    /// The file that was checked; `null` if none was found.
    file: Option<String>,
    /// How many apps it has; 0 if it is refused.
    apps: usize,
    /// What is wrong; empty if nothing is.
    problems: Vec<ConfigProblem>,
}

/// Checks; 0 if nothing is wrong, 2 if something is.
pub(crate) fn check(check: &Check) -> ExitCode {
    let found = config::find(check.config.file.as_deref());
    let file = found.as_ref().ok().map(|file| file.display().to_string());
    let checked = found.and_then(|file| load(&file));
    match (check.output, checked) {
        (Output::Human, Ok(loaded)) => print(&well(file.as_deref(), &loaded)),
        (Output::Human, Err(problems)) => refuse(&problems),
        (Output::Json, checked) => {
            let (apps, problems) = match &checked {
                Ok(loaded) => (loaded.site.apps.len(), Vec::new()),
                Err(problems) => (0, problems.list()),
            };
            let printed = print(&json(&Verdict { file, apps, problems }));
            if checked.is_ok() { printed } else { ExitCode::from(WRONG) }
        }
    }
}

fn load(file: &Path) -> Result<Loaded, Problems> {
    config::load(file)?.strict()
}

fn well(file: Option<&str>, loaded: &Loaded) -> String {
    let apps = loaded.site.apps.len();
    let plural = if apps == 1 { "app" } else { "apps" };
    format!("{}: {apps} {plural}, no problems\n", file.unwrap_or("the configuration"))
}

fn json(verdict: &Verdict) -> String {
    let mut text =
        serde_json::to_string_pretty(verdict).expect("texts and numbers can be written as JSON");
    text.push('\n');
    text
}
