//! A slow, steady stream of requests on a small pool and on a large one that is mostly idle.
//!
//! A pool in which a request wakes more workers than it needs shows it here.

use std::io;

use scgi_tests::bench::job::Job;

use crate::measure::{Amount, Load, Pace, announce, foreign, median, ratio, side_by_side, typical};
use crate::options::Options;
use crate::process;
use crate::server::{Server, Shape, Transport};
use crate::table::Table;

const RATE: u32 = 2000;
const FEW: u32 = 2;
const MANY: u32 = 128;

/// Prints the table.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!("Idle workers: hello at {RATE} requests/s, open loop, unix");
    let columns = [
        "server",
        "workers",
        "CPU us/request",
        &format!("x {FEW} workers"),
        "p50 us",
        "KiB/worker",
        "foreign",
    ];
    let table = Table::begin(&title, &columns);
    for &contender in &options.contenders {
        announce(&format!("idle workers of {}", contender.name()));
        let shape = |workers| Shape { transport: Transport::Unix, workers, job: Job::Hello };
        let few = Server::start(contender, shape(FEW))?;
        let many = Server::start(contender, shape(MANY))?;
        let load = Load {
            job: Job::Hello,
            pace: Pace::Rate(RATE),
            amount: Amount::Seconds(options.seconds()),
        };
        let samples = side_by_side(&[&few, &many], load, options.repetitions())?;
        for ((server, workers), own) in [(&few, FEW), (&many, MANY)].into_iter().zip(&samples) {
            table.row(&[
                contender.name().to_owned(),
                workers.to_string(),
                format!("{:.1}", typical(own, |sample| sample.server_us)),
                format!("{:.2}", ratio(own, &samples[0], |sample| sample.server_us)),
                format!("{:.0}", typical(own, |sample| sample.median_us)),
                format!("{:.0}", worker_kib(server)?),
                foreign(own),
            ]);
        }
    }
    Ok(())
}

/// Proportional memory of the middle worker.
fn worker_kib(server: &Server) -> io::Result<f64> {
    let mut sizes = Vec::new();
    for worker in server.workers() {
        sizes
            .push(f64::from(u32::try_from(process::memory(worker)?.proportional_kib).unwrap_or(0)));
    }
    Ok(median(sizes))
}
