//! `scgi-load`: asks a server for one job over and over, checks every reply to the last byte, and
//! prints one line of JSON.
//!
//! ```text
//! closed loop (--connections N)   N requests at once; the end of one begins the next
//! open loop   (--rate R)          R requests begin each second, however the server fares
//! ```
//!
//! One connection per request, as SCGI has it; one thread; epoll, edge-triggered, the cheapest
//! client found, since it shares the machine with the server it measures. It ends with a failure
//! if a single reply is lost or wrong.

mod connection;
mod engine;
mod tally;
mod target;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use scgi_protocol::address::Address;
use scgi_tests::bench::exchange::{ask, ok_body, request};
use scgi_tests::bench::job::Job;

use connection::Exchange;
use engine::{Amount, Engine, Pace};

/// Load an SCGI server and check every reply.
#[derive(Debug, Parser)]
struct Options {
    /// Where the server listens: `unix:PATH` or `IP:PORT`.
    address: Address,
    /// What to ask for.
    job: Job,
    /// Requests at once in a closed loop.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Requests that begin each second, in an open loop instead.
    #[arg(long)]
    rate: Option<u32>,
    /// How long to begin requests.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Begin no more requests than this.
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "scgi-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<bool> {
    let request = request(options.job);
    let reply = ask(&options.address, &request)?;
    if ok_body(&reply) != Some(options.job.reply_body()) {
        return Err(io::Error::other("the first reply is wrong"));
    }
    let pace = match options.rate {
        Some(rate) => Pace::Open { rate },
        None => Pace::Closed { connections: options.connections },
    };
    let exchange = Exchange { request: &request, reply: &reply };
    let duration = Duration::from_secs_f64(options.seconds);
    let amount = Amount { requests: options.requests, duration };
    let tally = Engine::new(&options.address, exchange, pace)?.run(amount)?;
    let cpu = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu_us = (cpu.user_time() + cpu.system_time()).num_microseconds();
    writeln!(io::stdout(), "{}", tally.report(cpu_us))?;
    Ok(tally.is_clean())
}
