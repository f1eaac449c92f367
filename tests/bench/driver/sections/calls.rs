//! System calls per request in the workers, counted by strace.
//!
//! A traced worker is many times slower, so nothing but the count is taken from it.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::daemon::pid_of;
use crate::measure::{Amount, Load, Pace, announce, run as load_once};
use crate::options::Options;
use crate::server::{Server, Shape, Transport};
use crate::table::Table;

const REQUESTS: u32 = 2000;
const WORKERS: u32 = 2;
const ONE_AT_A_TIME: u32 = 1;
const SATURATED: u32 = 32;

/// Calls made so seldom per request are the tracer's or the timer's, and are not named.
const NAMED_FROM: f64 = 0.02;

/// Prints the table.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!("System calls per request in a worker ({WORKERS} workers, unix)");
    let table = Table::begin(&title, &["job", "at once", "server", "calls/request", "which"]);
    for &job in &options.jobs {
        for connections in [ONE_AT_A_TIME, SATURATED] {
            for &contender in &options.contenders {
                announce(&format!("system calls of {} for {}", contender.name(), job.name()));
                let shape = Shape { transport: Transport::Unix, workers: WORKERS, job };
                let server = Server::start(contender, shape)?;
                let amount = Amount::Requests(REQUESTS);
                let load = Load { job, pace: Pace::Connections(connections), amount };
                let calls = trace(&server, load)?;
                table.row(&[
                    job.name().to_owned(),
                    connections.to_string(),
                    contender.name().to_owned(),
                    format!("{:.2}", calls.iter().map(|(_, count)| count).sum::<f64>()),
                    names(&calls),
                ]);
            }
        }
    }
    Ok(())
}

fn names(calls: &[(String, f64)]) -> String {
    let named = calls.iter().filter(|(_, count)| *count >= NAMED_FROM);
    let words: Vec<String> = named.map(|(name, count)| format!("{name} {count:.2}")).collect();
    words.join(", ")
}

/// The calls per request of all workers together, by name, most frequent first.
fn trace(server: &Server, load: Load) -> io::Result<Vec<(String, f64)>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("calls");
    let mut strace = attach(&server.workers(), &file)?;
    let reported = load_once(server.address(), load)?;
    kill(pid_of(strace.id()), Signal::SIGINT)?;
    strace.wait()?;
    // The load generator asks once to learn the reply, before it counts.
    let requests = reported.requests + 1.0;
    let text = fs::read_to_string(file)?;
    Ok(parse(&text).into_iter().map(|(name, count)| (name, count / requests)).collect())
}

fn attach(workers: &[u32], file: &Path) -> io::Result<Child> {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "calls,name", "-S", "calls", "-o"]).arg(file);
    for worker in workers {
        command.args(["-p", &worker.to_string()]);
    }
    let mut strace = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let words = strace.stderr.take().expect("standard error was asked for");
    let mut attached = 0;
    for line in BufReader::new(words).lines() {
        attached += usize::from(line?.contains("attached"));
        if attached == workers.len() {
            return Ok(strace);
        }
    }
    Err(io::Error::other("strace attached to none of the workers"))
}

/// The rows of strace's summary: a count and a name each.
fn parse(summary: &str) -> Vec<(String, f64)> {
    let rows = summary.lines().filter_map(|line| {
        let (count, name) = line.trim().split_once(char::is_whitespace)?;
        Some((name.trim().to_owned(), count.parse().ok()?))
    });
    rows.filter(|(name, _)| name != "total").collect()
}
