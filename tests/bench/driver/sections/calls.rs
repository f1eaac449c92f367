//! System calls per request in the workers.
//!
//! Counted by perf where the kernel lets it, which costs a worker next to nothing. strace is the
//! second choice: it stops the worker at every call, so that a worker which otherwise comes too
//! early, and has to wait for the bytes of a request, comes late and never does.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::daemon::pid_of;
use crate::measure::{Amount, Load, Pace, announce, run as load_once, run_under};
use crate::options::Options;
use crate::server::{Server, Shape, Transport};
use crate::table::Table;

const REQUESTS: u32 = 5000;
const WORKERS: u32 = 2;
const ONE_AT_A_TIME: u32 = 1;
const SATURATED: u32 = 32;

/// The calls perf counts: all that a worker could make for a request.
const COUNTED: &[&str] = &[
    "accept4",
    "close",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "poll",
    "ppoll",
    "read",
    "write",
    "readv",
    "writev",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "setsockopt",
    "getsockopt",
    "fcntl",
    "ioctl",
    "shutdown",
    "futex",
    "brk",
    "mmap",
    "munmap",
    "madvise",
    "sched_yield",
    "clock_gettime",
];

/// What counts.
#[derive(Clone, Copy, Debug)]
enum Tool {
    Perf,
    Strace,
}

/// Calls made so seldom per request are the tracer's or the timer's, and are not named.
const NAMED_FROM: f64 = 0.02;

/// Prints the table.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let tool = choose();
    let by = match tool {
        Tool::Perf => "perf",
        Tool::Strace => "strace, which slows the worker down",
    };
    let title =
        format!("System calls per request in a worker ({WORKERS} workers, unix; counted by {by})");
    let table = Table::begin(&title, &["job", "at once", "server", "calls/request", "which"]);
    for &job in &options.jobs {
        for connections in [ONE_AT_A_TIME, SATURATED] {
            for &contender in &options.contenders {
                announce(&format!("system calls of {} for {}", contender.name(), job.name()));
                let shape = Shape { transport: Transport::Unix, workers: WORKERS, job };
                let server = Server::start(contender, shape)?;
                let amount = Amount::Requests(REQUESTS);
                let load = Load { job, pace: Pace::Connections(connections), amount };
                let calls = count(tool, &server, load)?;
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
fn count(tool: Tool, server: &Server, load: Load) -> io::Result<Vec<(String, f64)>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("calls");
    let reported = match tool {
        Tool::Perf => run_under(perf(&server.workers(), COUNTED, &file), server.address(), load)?,
        Tool::Strace => {
            let mut strace = attach(&server.workers(), &file)?;
            let reported = load_once(server.address(), load)?;
            kill(pid_of(strace.id()), Signal::SIGINT)?;
            strace.wait()?;
            reported
        }
    };
    // The load generator asks once to learn the reply, before it counts.
    let requests = reported.requests + 1.0;
    let text = fs::read_to_string(file)?;
    let mut calls = parse(&text);
    calls.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    Ok(calls.into_iter().map(|(name, count)| (name, count / requests)).collect())
}

/// Perf if it can count calls here, tried on this very process.
fn choose() -> Tool {
    let probe = perf(&[std::process::id()], &COUNTED[..1], Path::new("/dev/null"))
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if probe.is_ok_and(|status| status.success()) { Tool::Perf } else { Tool::Strace }
}

/// A `perf stat` of `calls` in `workers`, which lasts as long as the command it is given.
fn perf(workers: &[u32], calls: &[&str], file: &Path) -> Command {
    let pids: Vec<String> = workers.iter().map(ToString::to_string).collect();
    let events: Vec<String> =
        calls.iter().map(|call| format!("syscalls:sys_enter_{call}")).collect();
    let mut command = Command::new("perf");
    command.args(["stat", "-x", " ", "-e", &events.join(","), "-p", &pids.join(","), "-o"]);
    command.arg(file).arg("--");
    command
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

/// Every line of either tool's summary that holds a count and a call: a number first, and a name
/// that is the last word (strace) or an event (perf).
fn parse(summary: &str) -> Vec<(String, f64)> {
    let rows = summary.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let count: f64 = words.next()?.parse().ok()?;
        let name = words.find_map(|word| match word.strip_prefix("syscalls:sys_enter_") {
            Some(call) => Some(call),
            None => word.starts_with(char::is_alphabetic).then_some(word),
        })?;
        Some((name.to_owned(), count))
    });
    rows.filter(|(name, count)| name != "total" && *count > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_perf_are_read_without_its_other_columns() {
        let summary = "# started on Sun Nov 22\n\n5001  syscalls:sys_enter_accept4 99 100.00  \n\
                       0  syscalls:sys_enter_poll 99 100.00  \n";

        assert_eq!(parse(summary), [("accept4".to_owned(), 5001.0)]);
    }

    #[test]
    fn the_summary_of_strace_is_read_without_its_frame_and_total() {
        let summary = "    calls syscall\n--------- ----------------\n     2001 accept4\n       \
                       4 read\n--------- ----------------\n     2005 total\n";

        let calls = parse(summary);

        assert_eq!(calls, [("accept4".to_owned(), 2001.0), ("read".to_owned(), 4.0)]);
    }
}
