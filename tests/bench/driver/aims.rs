//! What our ways to serve are meant to cost beside others, and what they were measured to.
//!
//! Judges nothing: a run on a busy machine misses what a quiet one reaches.

use crate::measure::{Sample, ratio};
use crate::server::{Contender, Shape};
use crate::table::Table;

/// The most CPU per request that one contender is to use, as a multiple of another's.
struct Aim {
    of: Contender,
    to: Contender,
    /// The size of pool it is said for; any if none is.
    workers: Option<u32>,
    most: f64,
}

const AIMS: [Aim; 5] = [
    Aim { of: Contender::Sdk, to: Contender::Bare, workers: None, most: 1.15 },
    Aim { of: Contender::Async, to: Contender::Bare, workers: None, most: 1.6 },
    Aim { of: Contender::Axum, to: Contender::Bare, workers: None, most: 2.0 },
    Aim { of: Contender::Wsgi, to: Contender::Uwsgi, workers: Some(2), most: 1.0 },
    Aim { of: Contender::Wsgi, to: Contender::Uwsgi, workers: Some(4), most: 0.5 },
];

/// The rows of the table, as far as the contenders were there.
#[derive(Debug, Default)]
pub(crate) struct Aims {
    rows: Vec<Vec<String>>,
}

impl Aims {
    /// Takes what was measured of `contenders` side by side.
    pub(crate) fn take(&mut self, shape: Shape, contenders: &[Contender], samples: &[Vec<Sample>]) {
        let of = |wanted| contenders.iter().position(|one| *one == wanted).map(|at| &samples[at]);
        for aim in AIMS {
            if aim.workers.is_some_and(|workers| workers != shape.workers) {
                continue;
            }
            let (Some(own), Some(other)) = (of(aim.of), of(aim.to)) else { continue };
            self.rows.push(vec![
                format!("{} to {}", aim.of.name(), aim.to.name()),
                shape.transport.name().to_owned(),
                shape.workers.to_string(),
                shape.job.name().to_owned(),
                format!("{:.2}", aim.most),
                format!("{:.2}", ratio(own, other, |sample| sample.server_us)),
            ]);
        }
    }

    /// Prints the table, if there is anything to say.
    pub(crate) fn print(mut self) {
        if self.rows.is_empty() {
            return;
        }
        self.rows.sort_by(|one, other| one[0].cmp(&other[0]));
        let columns = ["CPU of", "transport", "workers", "job", "at most", "measured"];
        let table = Table::begin("Aims: CPU per request, as a multiple of another's", &columns);
        self.rows.iter().for_each(|row| table.row(row));
    }
}

#[cfg(test)]
mod tests {
    use scgi_tests::bench::job::Job;

    use super::*;
    use crate::server::Transport;

    /// What is told of pools of `workers` that used so much.
    fn told(workers: u32, measured: &[(Contender, f64)]) -> Vec<String> {
        let mut aims = Aims::default();
        let (who, samples): (Vec<_>, Vec<_>) = measured
            .iter()
            .map(|&(who, server_us)| {
                (who, vec![Sample { server_us, rate: 1.0, median_us: 1.0, foreign: 0.0 }])
            })
            .unzip();
        let shape = Shape { transport: Transport::Unix, workers, job: Job::Hello };
        aims.take(shape, &who, &samples);
        aims.rows.iter().map(|row| row.join(" ")).collect()
    }

    #[test]
    fn an_aim_is_told_where_both_were_measured_in_a_pool_it_is_for() {
        let measured = [(Contender::Bare, 10.0), (Contender::Sdk, 11.0), (Contender::Wsgi, 15.0)];
        let beside = [(Contender::Wsgi, 15.0), (Contender::Uwsgi, 20.0)];

        assert_eq!(told(4, &measured), ["sdk to bare unix 4 hello 1.15 1.10"]);
        assert_eq!(told(2, &beside), ["wsgi to uwsgi unix 2 hello 1.00 0.75"]);
        assert_eq!(told(4, &beside), ["wsgi to uwsgi unix 4 hello 0.50 0.75"]);
        assert!(told(8, &beside).is_empty());
    }
}
