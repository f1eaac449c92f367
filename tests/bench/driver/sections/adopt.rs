//! SIGKILL of the daemon while its workers are under load: how long the next one takes to adopt them,
//! and what that adds to the slowest request.

use std::io;
use std::time::{Duration, Instant};

use scgi_protocol::address::Address;

use super::roll::{LEAD, until_answered, worst_of_load};
use crate::daemon::{App, Daemon, directory};
use crate::measure::{announce, median};
use crate::options::Options;
use crate::table::Table;
use crate::wait;

/// Sizes of the pool.
const SIZES: [usize; 2] = [4, 200];

/// Prints the table. Beside the load with a death in it stands the same load without one.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!(
        "Adoption: kill -9 of the daemon under load, and another one, median of {}",
        options.changes()
    );
    let columns = [
        "workers",
        "start to adopted ms",
        "worst adoption ms",
        "worst request ms",
        "the same, no kill",
        "added ms",
    ];
    let table = Table::begin(&title, &columns);
    for size in SIZES {
        announce(&format!("adoptions of {size} workers"));
        table.row(&adoptions(size, options.changes())?);
    }
    Ok(())
}

fn adoptions(size: usize, count: usize) -> io::Result<Vec<String>> {
    let directory = directory()?;
    let address = Address::Unix(directory.path().join("app.sock"));
    let app = App {
        name: "bench".to_owned(),
        listen: address.clone(),
        workers: size.to_string(),
        mark: "one".to_owned(),
    };
    let mut daemon = Daemon::start(directory, &[app])?;
    daemon.explain(until_answered(&address, "one"))?;
    until_all_serve(&daemon, size)?;
    let workers = daemon.workers();
    let (mut times, mut worst, mut calm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        calm.push(worst_of_load(&address)?);
        let (took, slowest) = std::thread::scope(|scope| {
            let load = scope.spawn(|| worst_of_load(&address));
            wait::pause(LEAD);
            let start = daemon.begin_again()?;
            let took = until_all_serve(&daemon, size)?.duration_since(start);
            Ok::<_, io::Error>((took, load.join().expect("a load does not panic")?))
        })?;
        if daemon.workers() != workers {
            return Err(io::Error::other("a worker was lost with the daemon"));
        }
        times.push(milliseconds(took));
        worst.push(slowest);
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    let [took, worst, calm] = [times, worst, calm].map(median);
    let figures = [took, longest, worst, calm, worst - calm].map(|ms| format!("{ms:.1}"));
    Ok([size.to_string()].into_iter().chain(figures).collect())
}

/// Waits until the daemon says that `size` workers serve; when it did.
fn until_all_serve(daemon: &Daemon, size: usize) -> io::Result<Instant> {
    let serving = || {
        let (_, answer) = daemon.fetch("/metrics").ok()?;
        let text = String::from_utf8(answer).ok()?;
        let of = |state: &str| {
            let series = format!("scgid_workers{{app=\"bench\",state=\"{state}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<usize>().ok())
        };
        (of("idle")? + of("busy")? == size).then(Instant::now)
    };
    daemon.explain(wait::until(&format!("{size} workers that serve"), serving))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
