//! CPU per request of the whole server side and requests per second, beside the first contender.

use std::io;

use scgi_tests::bench::job::Job;

use crate::aims::Aims;
use crate::measure::{Amount, Load, Pace, Sample, announce, foreign, ratio, side_by_side, typical};
use crate::options::Options;
use crate::server::{Server, Shape};
use crate::table::Table;

const CONNECTIONS: u32 = 32;

/// Prints the table, and behind it what is aimed at.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let title = format!("Jobs: {CONNECTIONS} connections at once, then one");
    let columns = [
        "transport",
        "workers",
        "job",
        "at once",
        "server",
        "CPU us/request",
        "x CPU",
        "requests/s",
        "x rate",
        "p50 us",
        "foreign",
    ];
    let table = Table::begin(&title, &columns);
    let mut aims = Aims::default();
    for &transport in &options.transports {
        for &workers in &options.workers {
            for &job in &options.jobs {
                let shape = Shape { transport, workers, job };
                cell(options, &table, shape, &mut aims)?;
            }
        }
    }
    aims.print();
    Ok(())
}

fn cell(options: &Options, table: &Table, shape: Shape, aims: &mut Aims) -> io::Result<()> {
    announce(&format!(
        "{} on {} with {} workers",
        shape.job.name(),
        shape.transport.name(),
        shape.workers
    ));
    let mut servers = Vec::new();
    for &contender in &options.contenders {
        servers.push(Server::start(contender, shape)?);
    }
    let servers: Vec<&Server> = servers.iter().collect();
    for connections in paces(options, shape) {
        let load = Load {
            job: shape.job,
            pace: Pace::Connections(connections),
            amount: Amount::Seconds(options.seconds()),
        };
        let samples = side_by_side(&servers, load, options.repetitions())?;
        if connections == CONNECTIONS {
            aims.take(shape, &options.contenders, &samples);
        }
        for (contender, own) in options.contenders.iter().zip(&samples) {
            let mut row = vec![
                shape.transport.name().to_owned(),
                shape.workers.to_string(),
                shape.job.name().to_owned(),
                connections.to_string(),
                contender.name().to_owned(),
            ];
            row.extend(figures(own, &samples[0]));
            table.row(&row);
        }
    }
    Ok(())
}

/// How many connections at once: the latency of one at a time is asked for only once a transport.
fn paces(options: &Options, shape: Shape) -> Vec<u32> {
    if shape.job == Job::Hello && options.workers.first() == Some(&shape.workers) {
        vec![CONNECTIONS, 1]
    } else {
        vec![CONNECTIONS]
    }
}

fn figures(own: &[Sample], yardstick: &[Sample]) -> [String; 6] {
    [
        format!("{:.1}", typical(own, |sample| sample.server_us)),
        format!("{:.2}", ratio(own, yardstick, |sample| sample.server_us)),
        format!("{:.0}", typical(own, |sample| sample.rate)),
        format!("{:.2}", ratio(own, yardstick, |sample| sample.rate)),
        format!("{:.0}", typical(own, |sample| sample.median_us)),
        foreign(own),
    ]
}
