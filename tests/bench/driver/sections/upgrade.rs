//! Another daemon put in the daemon's place while it is under load: how long a connection waits, to the
//! app and to the daemon itself.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scgi_protocol::address::Address;

use super::roll::{LEAD, WORKERS, until_answered, worst_of_load};
use crate::daemon::{App, Daemon, directory};
use crate::measure::{announce, median};
use crate::options::Options;
use crate::table::Table;
use crate::wait;

/// Between two connections to the daemon itself.
const REST: Duration = Duration::from_millis(2);

/// The slowest connections of a load, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Worst {
    /// A request to the app.
    request: f64,
    /// A scrape: the daemon answers that itself.
    scrape: f64,
}

/// Prints the table. Beside the load with an upgrade in it stands the same load without one.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!("Upgrade: {WORKERS} workers under load, median of {}", options.changes());
    let columns = [
        "scgictl upgrade ms",
        "worst request ms",
        "the same, no upgrade",
        "added ms",
        "worst scrape ms",
        "the same, no upgrade",
    ];
    let table = Table::begin(&title, &columns);
    announce("upgrades under load");
    let directory = directory()?;
    let address = Address::Unix(directory.path().join("app.sock"));
    let app = App {
        name: "bench".to_owned(),
        listen: address.clone(),
        workers: WORKERS.to_string(),
        mark: "one".to_owned(),
    };
    let daemon = Daemon::start(directory, &[app])?;
    daemon.explain(until_answered(&address, "one"))?;
    daemon.wait_for_workers(WORKERS)?;
    let workers = daemon.workers();
    let (mut times, mut worst, mut calm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.changes() {
        calm.push(under_load(&daemon, &address, || Ok(()))?);
        worst.push(under_load(&daemon, &address, || {
            times.push(upgrade(&daemon)?);
            Ok(())
        })?);
        if daemon.workers() != workers {
            return Err(io::Error::other("an upgrade changed the workers"));
        }
    }
    let requests = |all: &[Worst]| median(all.iter().map(|worst| worst.request));
    let scrapes = |all: &[Worst]| median(all.iter().map(|worst| worst.scrape));
    let (request, rest) = (requests(&worst), requests(&calm));
    let (scrape, quiet) = (scrapes(&worst), scrapes(&calm));
    let figures = [median(times), request, rest, request - rest, scrape, quiet];
    table.row(&figures.map(|ms| format!("{ms:.1}")));
    Ok(())
}

/// How long `scgictl upgrade` takes, in milliseconds: until the other daemon has answered it.
fn upgrade(daemon: &Daemon) -> io::Result<f64> {
    let (output, took) = daemon.scgictl(&["upgrade"])?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return daemon.explain(Err(io::Error::other(format!("upgrade failed: {words}"))));
    }
    Ok(took.as_secs_f64() * 1e3)
}

/// Does something to the daemon under a load, of requests to the app and of scrapes.
fn under_load(
    daemon: &Daemon,
    address: &Address,
    act: impl FnOnce() -> io::Result<()>,
) -> io::Result<Worst> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| worst_of_load(address));
        let scrapes = scope.spawn(|| worst_of_scrapes(daemon, &over));
        wait::pause(LEAD);
        let acted = act();
        let request = load.join().expect("a load does not panic");
        over.store(true, Ordering::Relaxed);
        let scrape = scrapes.join().expect("scrapes do not panic");
        acted.and(Ok(Worst { request: request?, scrape: scrape? }))
    })
}

/// The slowest of scrapes that follow each other. One that is not answered, since the daemon became
/// another, is tried again and has taken as long as all attempts.
fn worst_of_scrapes(daemon: &Daemon, over: &AtomicBool) -> io::Result<f64> {
    let mut worst = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        wait::until("a scrape", || daemon.fetch("/metrics").ok())?;
        worst = worst.max(start.elapsed());
        wait::pause(REST);
    }
    Ok(worst.as_secs_f64() * 1e3)
}
