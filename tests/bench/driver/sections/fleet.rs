//! One daemon with many on-demand apps: start, memory, wake-ups, one app changed, and scrapes.
//!
//! ```text
//! start ─▶ last app answers ─▶ all workers gone again ─▶ memory, wake-ups, scrapes
//!       ─▶ one app changed, SIGHUP ─▶ it answers with the change ─▶ every pool full ─▶ scrapes
//! ```

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use scgi_protocol::address::Address;
use scgi_tests::bench::exchange::get;

use super::roll::until_answered;
use crate::daemon::{App, Daemon, directory};
use crate::measure::{announce, median};
use crate::options::Options;
use crate::process;
use crate::table::Table;
use crate::wait;

const SIZES: [usize; 3] = [1, 200, 1000];
const SCRAPES: usize = 20;

/// What the apps answer on `/mark` before and after the one change.
pub(super) const BEFORE: &str = "before";
const AFTER: &str = "after";

/// Prints the table.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let columns = [
        "apps",
        "start ms",
        "PSS MiB",
        "RSS MiB",
        "wake-ups/s",
        "one app changed ms",
        "/metrics ms",
        "the same, every pool full",
        "/metrics KiB",
    ];
    let table = Table::begin("Fleet: one daemon, on-demand apps on unix sockets", &columns);
    for size in SIZES {
        announce(&format!("{size} on-demand apps"));
        table.row(&fleet(size, options)?);
    }
    Ok(())
}

fn fleet(size: usize, options: &Options) -> io::Result<Vec<String>> {
    let directory = directory()?;
    let mut apps: Vec<App> = (0..size).map(|index| app(directory.path(), index)).collect();
    let changed = apps.last().map(|app| app.listen.clone()).expect("a fleet has an app");

    let start = Instant::now();
    let daemon = Daemon::start(directory, &apps)?;
    daemon.explain(until_answered(&changed, BEFORE))?;
    let started = start.elapsed();

    daemon.wait_for_workers(0)?;
    let memory = process::memory(daemon.pid())?;
    let wakes = wakes_per_second(&daemon, options.watch_seconds());
    let (scrape, bytes) = scrape(&daemon)?;

    AFTER.clone_into(&mut apps[size - 1].mark);
    let start = Instant::now();
    daemon.reload(&apps)?;
    daemon.explain(until_answered(&changed, AFTER))?;
    let reloaded = start.elapsed();

    let held = fill(&daemon, &apps)?;
    let (full, _) = self::scrape(&daemon)?;
    drop(held);
    Ok(vec![
        size.to_string(),
        milliseconds(started),
        mebibytes(memory.proportional_kib),
        mebibytes(memory.resident_kib),
        format!("{wakes:.1}"),
        milliseconds(reloaded),
        format!("{scrape:.1}"),
        format!("{full:.1}"),
        (bytes / 1024).to_string(),
    ])
}

/// One app of many, on demand.
pub(super) fn app(directory: &Path, index: usize) -> App {
    App {
        name: format!("app-{index}"),
        listen: Address::Unix(directory.join(format!("{index}.sock"))),
        workers: "{min: 0, max: 1, idle_timeout: 1s}".to_owned(),
        mark: BEFORE.to_owned(),
    }
}

fn wakes_per_second(daemon: &Daemon, seconds: f64) -> f64 {
    let before = process::sleeps(daemon.pid());
    wait::pause(Duration::from_secs_f64(seconds));
    let slept = process::sleeps(daemon.pid()).saturating_sub(before);
    f64::from(u32::try_from(slept).unwrap_or(u32::MAX)) / seconds
}

/// The median time of a scrape in milliseconds, and its length in bytes.
fn scrape(daemon: &Daemon) -> io::Result<(f64, usize)> {
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        let (took, answer) = daemon.fetch("/metrics")?;
        times.push(took.as_secs_f64() * 1e3);
        bytes = answer.len();
    }
    Ok((median(times), bytes))
}

/// Makes the only worker of every app busy for longer than the measurement lasts.
fn fill(daemon: &Daemon, apps: &[App]) -> io::Result<Vec<UnixStream>> {
    let request = get("/hold");
    let mut held = Vec::new();
    for App { listen, .. } in apps {
        let Address::Unix(path) = listen else { continue };
        let mut stream = UnixStream::connect(path)?;
        stream.write_all(&request)?;
        stream.shutdown(Shutdown::Write)?;
        held.push(stream);
    }
    daemon.wait_for_workers(apps.len())?;
    Ok(held)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.0}", duration.as_secs_f64() * 1e3)
}

fn mebibytes(kib: u64) -> String {
    let tenths = kib * 10 / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}
