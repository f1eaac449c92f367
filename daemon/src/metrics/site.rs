//! What is told of the site as a whole and kept here: operations, the configuration, the version.
//!
//! The one place that knows the `prometheus` crate, save for the tests.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use scgi_protocol::control::Verb;
use serde::{Deserialize, Serialize};

use super::names::{self, Family};

/// How an operation can have ended, as a label.
pub(super) const DONE: &str = "done";
pub(super) const FAILED: &str = "failed";

/// Operations that ended, by what they did: how many were done, and how many failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends(Vec<(Verb, u64, u64)>);

/// What is told of the site as a whole. Clones are handles of the same numbers.
#[derive(Clone, Debug)]
pub(super) struct Site {
    registry: Registry,
    operations: IntCounterVec,
    reload_successful: IntGauge,
    reload_success_at: Gauge,
}

impl Site {
    /// A site whose daemon started at `started` and read its configuration then.
    pub(super) fn new(started: SystemTime) -> Self {
        let valid = "the catalogue's names are valid and given once";
        let registry = Registry::new();
        let start_time = Gauge::with_opts(opts(&names::START_TIME)).expect(valid);
        start_time.set(unix_seconds(started));
        let build = &names::BUILD_INFO;
        let build_info = IntGaugeVec::new(opts(build), build.labels).expect(valid);
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let operations = &names::OPERATIONS;
        let operations = IntCounterVec::new(opts(operations), operations.labels).expect(valid);
        let reload_successful = IntGauge::with_opts(opts(&names::RELOAD_SUCCESSFUL)).expect(valid);
        let reload_success_at = Gauge::with_opts(opts(&names::RELOAD_TIMESTAMP)).expect(valid);
        let all: [Box<dyn Collector>; 5] = [
            Box::new(start_time),
            Box::new(build_info),
            Box::new(operations.clone()),
            Box::new(reload_successful.clone()),
            Box::new(reload_success_at.clone()),
        ];
        for collector in all {
            registry.register(collector).expect(valid);
        }
        let site = Self { registry, operations, reload_successful, reload_success_at };
        site.reload_succeeded(started);
        // All are there from the beginning: of one that appears nobody knows that it rose.
        site.ends();
        site
    }

    /// An operation ended.
    pub(super) fn count_operation(&self, verb: Verb, result: &str) {
        self.operations.with_label_values(&[verb.as_str(), result]).inc();
    }

    /// How many ended so far.
    pub(super) fn ends(&self) -> Ends {
        let count =
            |verb: Verb, result| self.operations.with_label_values(&[verb.as_str(), result]).get();
        Ends(Verb::ALL.map(|verb| (verb, count(verb, DONE), count(verb, FAILED))).to_vec())
    }

    /// Counts that are behind `least` are brought up to it.
    pub(super) fn raise(&self, Ends(least): &Ends) {
        for (verb, done, failed) in least {
            for (result, least) in [(DONE, done), (FAILED, failed)] {
                let count = self.operations.with_label_values(&[verb.as_str(), result]);
                count.inc_by(least.saturating_sub(count.get()));
            }
        }
    }

    /// The configuration was read again and taken over.
    pub(super) fn reload_succeeded(&self, at: SystemTime) {
        self.reload_successful.set(1);
        self.reload_success_at.set(unix_seconds(at));
    }

    /// The configuration was read again and refused.
    pub(super) fn reload_failed(&self) {
        self.reload_successful.set(0);
    }

    /// Writes all of it to the end of `text`.
    pub(super) fn write(&self, text: &mut String) {
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), text)
            .expect("what a registry gathers can be written to memory");
    }
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
