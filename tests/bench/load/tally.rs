//! What became of the requests: how many, how fast, and what went wrong.

use std::time::Duration;

use serde_json::{Value, json};

/// The outcome of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    latencies_us: Vec<u32>,
    failures: u64,
    first_failure: Option<String>,
    took: Duration,
}

impl Tally {
    /// Counts one complete and correct reply.
    pub(crate) fn good(&mut self, latency: Duration) {
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Counts one request whose reply was lost or wrong; keeps the words of the first.
    pub(crate) fn bad(&mut self, why: String) {
        self.failures += 1;
        self.first_failure.get_or_insert(why);
    }

    /// Notes the time from the first request to the end of the last.
    pub(crate) fn finish(mut self, took: Duration) -> Self {
        self.took = took;
        self.latencies_us.sort_unstable();
        self
    }

    /// Whether every reply came, whole and right.
    pub(crate) const fn is_clean(&self) -> bool {
        self.failures == 0
    }

    /// The figures, with the CPU time this program itself has used.
    pub(crate) fn report(&self, cpu_us: i64) -> Value {
        json!({
            "requests": self.latencies_us.len(),
            "failures": self.failures,
            "first_failure": self.first_failure,
            "seconds": self.took.as_secs_f64(),
            "cpu_us": cpu_us,
            "p50_us": self.quantile(50),
            "p99_us": self.quantile(99),
            "worst_us": self.quantile(100),
        })
    }

    fn quantile(&self, percent: usize) -> u32 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get(last * percent / 100).copied().unwrap_or(0)
    }
}
