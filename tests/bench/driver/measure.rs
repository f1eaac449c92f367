//! One load on one server, and many of them side by side.
//!
//! The figure that repeats is CPU per request: requests per second are what the client, which
//! shares the machine, left over. A sample during which somebody else used the machine is taken
//! again.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use scgi_protocol::address::Address;
use scgi_tests::bench::job::Job;
use serde_json::Value;

use crate::process;
use crate::server::{Server, sibling};
use crate::{table, wait};

/// Share of the machine used by neither server nor client above which a sample is taken again.
const FOREIGN_MAX: f64 = 0.08;

/// How often at most.
const ATTEMPTS: u32 = 3;

/// How long the machine must be left alone before a sample, and how long that is waited for.
const QUIET_FOR: Duration = Duration::from_millis(60);
const QUIET_AT_MOST: Duration = Duration::from_secs(2);

/// With fewer samples than this that are clean, the others count too.
const CLEAN_MIN: usize = 3;

/// Length of the load before the first sample.
const WARM_UP_SECONDS: f64 = 0.2;

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) job: Job,
    pub(crate) pace: Pace,
    pub(crate) amount: Amount,
}

/// As in `scgi-load`: a closed loop or an open one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Connections(u32),
    Rate(u32),
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    Seconds(f64),
    Requests(u32),
}

/// What one load on one server came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU of the whole server side per request.
    pub(crate) server_us: f64,
    /// Complete and correct replies per second.
    pub(crate) rate: f64,
    /// Median time from connecting to the last byte.
    pub(crate) median_us: f64,
    /// Share of the machine used by neither server nor client.
    pub(crate) foreign: f64,
}

impl Sample {
    fn is_clean(&self) -> bool {
        self.foreign <= FOREIGN_MAX
    }
}

/// What `scgi-load` reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported {
    pub(crate) requests: f64,
    seconds: f64,
    cpu: Duration,
    median_us: f64,
    pub(crate) worst_us: f64,
}

/// Puts each server under the same load in turn, `repetitions` times; the samples of each.
///
/// # Errors
///
/// A reply was lost or wrong.
pub(crate) fn side_by_side(
    servers: &[&Server],
    load: Load,
    repetitions: usize,
) -> io::Result<Vec<Vec<Sample>>> {
    let warm_up = Load { amount: Amount::Seconds(WARM_UP_SECONDS), ..load };
    for server in servers {
        run(server.address(), warm_up)?;
    }
    let mut samples = vec![Vec::new(); servers.len()];
    for repetition in 0..repetitions {
        for turn in 0..servers.len() {
            // Nobody is always first, nobody always behind the same one.
            let index = (turn + repetition) % servers.len();
            samples[index].push(clean_sample(servers[index], load)?);
        }
    }
    Ok(samples)
}

/// A sample with the machine to itself, or the best of [`ATTEMPTS`].
fn clean_sample(server: &Server, load: Load) -> io::Result<Sample> {
    wait_for_quiet();
    let mut best = sample(server, load)?;
    for _ in 1..ATTEMPTS {
        if best.is_clean() {
            break;
        }
        wait_for_quiet();
        let another = sample(server, load)?;
        if another.foreign < best.foreign {
            best = another;
        }
    }
    Ok(best)
}

/// Waits until others leave the machine alone, but not for ever.
fn wait_for_quiet() {
    let start = Instant::now();
    while start.elapsed() < QUIET_AT_MOST {
        let busy = process::machine_busy();
        wait::pause(QUIET_FOR);
        let share = (process::machine_busy().saturating_sub(busy)).as_secs_f64()
            / (QUIET_FOR * process::processors()).as_secs_f64();
        if share <= FOREIGN_MAX {
            break;
        }
    }
}

fn sample(server: &Server, load: Load) -> io::Result<Sample> {
    let processes = server.processes();
    let (start, cpu, busy) = (Instant::now(), process::cpu(&processes), process::machine_busy());
    let reported = run(server.address(), load)?;
    let cpu = process::cpu(&processes).saturating_sub(cpu);
    let busy = process::machine_busy().saturating_sub(busy);
    let whole = start.elapsed() * process::processors();
    let foreign = busy.saturating_sub(cpu).saturating_sub(reported.cpu);
    Ok(Sample {
        server_us: cpu.as_secs_f64() * 1e6 / reported.requests,
        rate: reported.requests / reported.seconds,
        median_us: reported.median_us,
        foreign: foreign.as_secs_f64() / whole.as_secs_f64(),
    })
}

/// Runs `scgi-load` once.
///
/// # Errors
///
/// It failed: a reply was lost or wrong, or the server could not be reached.
pub(crate) fn run(address: &Address, load: Load) -> io::Result<Reported> {
    report(command(address, load)?, address)
}

/// Runs `scgi-load` once as the last arguments of `wrapper`.
///
/// # Errors
///
/// As [`run`], or the wrapper failed.
pub(crate) fn run_under(
    mut wrapper: Command,
    address: &Address,
    load: Load,
) -> io::Result<Reported> {
    let load = command(address, load)?;
    wrapper.arg(load.get_program()).args(load.get_args());
    report(wrapper, address)
}

fn report(mut command: Command, address: &Address) -> io::Result<Reported> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("load on `{address}` failed: {text}{words}")));
    }
    let report: Value = serde_json::from_str(&text)?;
    let figure = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    Ok(Reported {
        requests: figure("requests"),
        seconds: figure("seconds"),
        cpu: Duration::from_secs_f64(figure("cpu_us") / 1e6),
        median_us: figure("p50_us"),
        worst_us: figure("worst_us"),
    })
}

fn command(address: &Address, load: Load) -> io::Result<Command> {
    let mut command = Command::new(sibling("scgi-load")?);
    command.arg(address.to_string()).arg(load.job.name());
    match load.pace {
        Pace::Connections(count) => command.args(["--connections", &count.to_string()]),
        Pace::Rate(rate) => command.args(["--rate", &rate.to_string()]),
    };
    match load.amount {
        Amount::Seconds(seconds) => command.args(["--seconds", &seconds.to_string()]),
        Amount::Requests(count) => {
            command.args(["--seconds", "60", "--requests", &count.to_string()])
        }
    };
    Ok(command)
}

/// The middle one; of an even number the upper of the two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of a figure over the clean samples.
pub(crate) fn typical(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let clean: Vec<&Sample> = samples.iter().filter(|sample| sample.is_clean()).collect();
    if clean.len() < CLEAN_MIN {
        return median(samples.iter().map(figure));
    }
    median(clean.into_iter().map(figure))
}

/// The median of a figure of one server divided by another's of the same repetition.
pub(crate) fn ratio(of: &[Sample], to: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let pairs: Vec<(&Sample, &Sample)> = of.iter().zip(to).collect();
    let mut clean = pairs.clone();
    clean.retain(|(of, to)| of.is_clean() && to.is_clean());
    let counted = if clean.len() < CLEAN_MIN { pairs } else { clean };
    median(counted.into_iter().map(|(of, to)| figure(of) / figure(to)))
}

/// How many of the samples are clean, and the highest foreign share in those that count.
pub(crate) fn foreign(samples: &[Sample]) -> String {
    let clean = samples.iter().filter(|sample| sample.is_clean()).count();
    let counts = |sample: &&Sample| clean < CLEAN_MIN || sample.is_clean();
    let shares = samples.iter().filter(counts).map(|sample| sample.foreign);
    let mark = if clean < CLEAN_MIN { " (!)" } else { "" };
    format!("{:.0}%{mark}, {clean}/{}", shares.fold(0.0, f64::max) * 100.0, samples.len())
}

/// Says what is being measured, so that a long run shows that it lives.
pub(crate) fn announce(what: &str) {
    table::talk(&format!("… {what}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(server_us: f64, foreign: f64) -> Sample {
        Sample { server_us, rate: 1.0, median_us: 1.0, foreign }
    }

    #[test]
    fn a_sample_taken_while_others_used_the_machine_does_not_count_beside_clean_ones() {
        let own = [sample(2.0, 0.0), sample(90.0, 0.5), sample(4.0, 0.0), sample(6.0, 0.0)];
        let yardstick = [sample(1.0, 0.0), sample(1.0, 0.0), sample(1.0, 0.0), sample(2.0, 0.0)];

        let us = typical(&own, |sample| sample.server_us);
        let ratio = ratio(&own, &yardstick, |sample| sample.server_us);

        assert_eq!((us, ratio), (4.0, 3.0));
        assert_eq!(foreign(&own), "0%, 3/4");
    }

    #[test]
    fn figures_from_a_busy_machine_are_marked() {
        assert_eq!(foreign(&[sample(1.0, 0.0), sample(1.0, 0.25)]), "25% (!), 1/2");
    }
}
