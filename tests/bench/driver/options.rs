//! What a person can ask of the benchmark.

use clap::Parser;
use scgi_tests::bench::job::Job;

use crate::sections::Section;
use crate::server::{Contender, Transport};

/// Measure scgid beside a bare accept-recv-send-close server.
///
/// Prints Markdown. Asserts nothing about speed, but fails if a reply is lost or wrong.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run")]
pub(crate) struct Options {
    /// Shorter and fewer repetitions: a glance, not a figure to publish.
    #[arg(long)]
    quick: bool,
    /// What requests ask for.
    #[arg(long, value_delimiter = ',', default_value = "hello,echo,big")]
    pub(crate) jobs: Vec<Job>,
    /// Sizes of the pools that are compared.
    #[arg(long, value_delimiter = ',', default_value = "2,4,8")]
    pub(crate) workers: Vec<u32>,
    /// Where servers listen.
    #[arg(long, value_delimiter = ',', default_value = "unix,tcp")]
    pub(crate) transports: Vec<Transport>,
    /// Who is compared; the first one is what the others are divided by.
    #[arg(long, value_delimiter = ',', default_value = "bare,scgid")]
    pub(crate) contenders: Vec<Contender>,
    /// These tables alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Section>,
}

impl Options {
    /// The tables to make, in order.
    pub(crate) fn sections(&self) -> Vec<Section> {
        let all = Section::ALL.into_iter();
        all.filter(|section| self.only.is_empty() || self.only.contains(section)).collect()
    }

    /// Length of one load in seconds.
    pub(crate) const fn seconds(&self) -> f64 {
        if self.quick { 0.3 } else { 0.5 }
    }

    /// How often each figure is taken.
    pub(crate) const fn repetitions(&self) -> usize {
        if self.quick { 5 } else { 15 }
    }

    /// How often the only worker is killed.
    pub(crate) const fn kills(&self) -> usize {
        if self.quick { 20 } else { 50 }
    }

    /// How often an app is rolled under load.
    pub(crate) const fn rolls(&self) -> usize {
        if self.quick { 5 } else { 15 }
    }

    /// How often a daemon is killed or upgraded under load, or one app among many changed.
    pub(crate) const fn changes(&self) -> usize {
        if self.quick { 5 } else { 15 }
    }

    /// How long a daemon with nothing to do is watched.
    pub(crate) const fn watch_seconds(&self) -> f64 {
        if self.quick { 3.0 } else { 10.0 }
    }

    /// The sentence that says how a run was made.
    pub(crate) fn describe(&self) -> String {
        format!(
            "\nLoads of {} s, {} repetitions of each, interleaved; medians. `foreign` is the highest \
             share of the machine used by neither server nor client in a sample that counts, and \
             how many samples were clean.",
            self.seconds(),
            self.repetitions()
        )
    }
}
