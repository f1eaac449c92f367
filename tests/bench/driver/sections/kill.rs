//! `kill -9` of the only worker, and a request at once: how long until the next worker's reply.

use std::io;
use std::time::{Duration, Instant};

use scgi_tests::bench::exchange::{ask, ok_body, request};
use scgi_tests::bench::job::{HELLO, Job};

use crate::measure::announce;
use crate::options::Options;
use crate::server::{Contender, Server, Shape, Transport};
use crate::table::Table;
use crate::wait;

/// Between a reply and the next kill.
const REST: Duration = Duration::from_millis(50);

/// Prints the table. Only what replaces the dead can be measured; beside it stands the floor: the
/// same app started by this program itself the moment it has killed the last one.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title =
        format!("Death: kill -9 of the only worker to the next reply, {} times", options.kills());
    let columns = ["server", "median ms", "p90 ms", "worst ms", "best ms"];
    let table = Table::begin(&title, &columns);
    for (contender, name) in [(Contender::Sdk, "floor"), (Contender::Scgid, "scgid")] {
        announce(&format!("deaths under {name}"));
        let shape = Shape { transport: Transport::Unix, workers: 1, job: Job::Hello };
        let times = deaths(&mut Server::start(contender, shape)?, options.kills())?;
        let last = times.len() - 1;
        table.row(&[
            name.to_owned(),
            milliseconds(times[last / 2]),
            milliseconds(times[last * 9 / 10]),
            milliseconds(times[last]),
            milliseconds(times[0]),
        ]);
    }
    Ok(())
}

/// The times, shortest first.
fn deaths(server: &mut Server, count: usize) -> io::Result<Vec<Duration>> {
    let request = request(Job::Hello);
    let mut times = Vec::new();
    for _ in 0..count {
        wait::pause(REST);
        let victims = wait::until("a worker to kill", || {
            Some(server.workers()).filter(|workers| workers.len() == 1)
        })?;
        let start = Instant::now();
        server.kill(&victims)?;
        let reply = ask(server.address(), &request)?;
        times.push(start.elapsed());
        if ok_body(&reply) != Some(HELLO) {
            return Err(io::Error::other("the reply after a worker's death is wrong"));
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}
