//! One change among many on-demand apps: how long it takes to be told what it would do, and to do it.

use std::io;

use super::fleet::{BEFORE, app};
use super::roll::until_answered;
use crate::daemon::{App, Daemon, directory};
use crate::measure::{announce, median};
use crate::options::Options;
use crate::table::Table;

const SIZES: [usize; 3] = [1, 200, 1000];

/// How `scgictl plan` ends if something would change, and how `apply` ends.
const CHANGES: i32 = 1;
const DONE: i32 = 0;

/// Prints the table.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!("Plan: one app changed among many, median of {}", options.changes());
    let columns = ["apps", "scgictl plan ms", "scgictl apply ms", "apply, not waiting ms"];
    let table = Table::begin(&title, &columns);
    for size in SIZES {
        announce(&format!("changes among {size} apps"));
        table.row(&changes(size, options.changes())?);
    }
    Ok(())
}

fn changes(size: usize, count: usize) -> io::Result<Vec<String>> {
    let directory = directory()?;
    let mut apps: Vec<App> = (0..size).map(|index| app(directory.path(), index)).collect();
    let changed = apps.last().map(|app| app.listen.clone()).expect("a fleet has an app");
    let daemon = Daemon::start(directory, &apps)?;
    daemon.explain(until_answered(&changed, BEFORE))?;
    let (mut plans, mut applies, mut accepted) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        apps[size - 1].mark = format!("waited-for-{number}");
        daemon.configure(&apps)?;
        plans.push(ask(&daemon, &["plan"], CHANGES)?.took_ms);
        applies.push(ask(&daemon, &["apply"], DONE)?.took_ms);
        daemon.explain(until_answered(&changed, &apps[size - 1].mark))?;

        apps[size - 1].mark = format!("not-waited-for-{number}");
        daemon.configure(&apps)?;
        let begun = ask(&daemon, &["apply", "--no-wait"], DONE)?;
        accepted.push(begun.took_ms);
        ask(&daemon, &["wait", &begun.said], DONE)?;
    }
    let figures = [plans, applies, accepted].map(|times| format!("{:.0}", median(times)));
    Ok([size.to_string()].into_iter().chain(figures).collect())
}

/// What came of a command.
#[derive(Debug)]
struct Asked {
    took_ms: f64,
    /// Its standard output, less the end of the line.
    said: String,
}

/// Runs `scgictl`, which has to end with `code`.
fn ask(daemon: &Daemon, arguments: &[&str], code: i32) -> io::Result<Asked> {
    let (output, took) = daemon.scgictl(arguments)?;
    if output.status.code() != Some(code) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let words = format!("{arguments:?} ended with {}: {said}", output.status);
        return daemon.explain(Err(io::Error::other(words)));
    }
    let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok(Asked { took_ms: took.as_secs_f64() * 1e3, said })
}
