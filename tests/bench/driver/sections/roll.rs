//! All workers of an app replaced while it is under load: how long that takes, and what it adds to
//! the slowest request.

use std::io;
use std::time::{Duration, Instant};

use scgi_protocol::address::Address;
use scgi_tests::bench::exchange::{ask, get, ok_body};
use scgi_tests::bench::job::Job;

use crate::daemon::{App, Daemon, directory};
use crate::measure::{Amount, Load, Pace, announce, median, run as put_under_load};
use crate::options::Options;
use crate::table::Table;
use crate::wait;

pub(super) const WORKERS: usize = 4;

/// Requests at once.
const CONNECTIONS: u32 = 16;

/// How long the load is on, and how long before the roll begins.
const LOAD_SECONDS: f64 = 1.0;
pub(super) const LEAD: Duration = Duration::from_millis(200);

/// Prints the table. Beside the load with a roll in it stands the same load without one.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!("Roll: {WORKERS} workers under load, median of {}", options.rolls());
    let columns = ["order to done ms", "worst request ms", "the same, no roll", "added ms"];
    let table = Table::begin(&title, &columns);
    announce("rolls under load");
    let directory = directory()?;
    let address = Address::Unix(directory.path().join("app.sock"));
    let app = |mark: usize| App {
        name: "bench".to_owned(),
        listen: address.clone(),
        workers: WORKERS.to_string(),
        mark: format!("mark-{mark}"),
    };
    let daemon = Daemon::start(directory, &[app(0)])?;
    daemon.explain(until_rolled(&daemon, &address, 0, &[]))?;
    let (mut times, mut worst, mut calm) = (Vec::new(), Vec::new(), Vec::new());
    for roll in 1..=options.rolls() {
        calm.push(worst_of_load(&address)?);
        let before = daemon.workers();
        let (took, slowest) = std::thread::scope(|scope| {
            let load = scope.spawn(|| worst_of_load(&address));
            wait::pause(LEAD);
            let start = Instant::now();
            daemon.reload(&[app(roll)])?;
            daemon.explain(until_rolled(&daemon, &address, roll, &before))?;
            let took = start.elapsed();
            Ok::<_, io::Error>((took, load.join().expect("a load does not panic")?))
        })?;
        times.push(took.as_secs_f64() * 1e3);
        worst.push(slowest);
    }
    let [took, worst, calm] = [times, worst, calm].map(median);
    table.row(&[took, worst, calm, worst - calm].map(|ms| format!("{ms:.1}")));
    Ok(())
}

/// The slowest request of a load, in milliseconds.
pub(super) fn worst_of_load(address: &Address) -> io::Result<f64> {
    let amount = Amount::Seconds(LOAD_SECONDS);
    let load = Load { job: Job::Hello, pace: Pace::Connections(CONNECTIONS), amount };
    Ok(put_under_load(address, load)?.worst_us / 1e3)
}

/// Waits until the app answers with this mark.
pub(super) fn until_answered(address: &Address, mark: &str) -> io::Result<()> {
    let request = get("/mark");
    wait::until(&format!("`{mark}` from `{address}`"), || {
        let reply = ask(address, &request).ok()?;
        (ok_body(&reply) == Some(mark.as_bytes())).then_some(())
    })
}

/// Waits until all workers are others than `before`, and the app answers with this mark.
fn until_rolled(daemon: &Daemon, address: &Address, mark: usize, before: &[u32]) -> io::Result<()> {
    let mark = format!("mark-{mark}");
    wait::until(&format!("{WORKERS} workers with {mark}"), || {
        let workers = daemon.workers();
        let replaced = workers.len() == WORKERS && workers.iter().all(|pid| !before.contains(pid));
        let reply = replaced.then(|| ask(address, &get("/mark")).ok()).flatten()?;
        (ok_body(&reply) == Some(mark.as_bytes())).then_some(())
    })
}
