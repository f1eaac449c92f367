//! The samples of one family, written as text for Prometheus (exposition format 0.0.4).
//!
//! Straight to the text, without a model in between: of a thousand apps there are some fifty
//! thousand lines, and a scrape shall take milliseconds. The `prometheus` crate, which keeps the
//! numbers of the site as a whole, takes three times as long for them and tens of megabytes; a test
//! sees to it that it would write the same.
//!
//! Label values are names of apps and words of our own, which have nothing to escape.

use std::fmt::{Display, Write as _};

use scgi_protocol::page::layout::BOUNDS_US;
use scgi_protocol::page::report::Counts;

use super::names::{Family, Kind};

/// The type of the text, for HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The samples of one family, on their way to the end of a text.
#[derive(Debug)]
pub(super) struct Samples<'t> {
    of: &'static Family,
    begun: bool,
    text: &'t mut String,
}

impl<'t> Samples<'t> {
    /// None yet; a family without samples leaves no trace in the text.
    pub(super) fn of(family: &'static Family, text: &'t mut String) -> Self {
        Self { of: family, begun: false, text }
    }

    /// One number, told apart by the values of the family's labels.
    pub(super) fn put(&mut self, values: &[&str], number: f64) {
        debug_assert_ne!(self.of.kind, Kind::Histogram, "{}", self.of.name);
        self.line("", values, None, number);
    }

    /// One whole number.
    pub(super) fn count(&mut self, values: &[&str], number: u64) {
        debug_assert_ne!(self.of.kind, Kind::Histogram, "{}", self.of.name);
        self.line("", values, None, number);
    }

    /// 1 or 0.
    pub(super) fn truth(&mut self, values: &[&str], so: bool) {
        self.count(values, so.into());
    }

    /// One histogram.
    pub(super) fn histogram(&mut self, values: &[&str], counts: &Counts) {
        debug_assert_eq!(self.of.kind, Kind::Histogram, "{}", self.of.name);
        let mut so_far = 0_u64;
        for (bound_us, count) in BOUNDS_US.into_iter().zip(counts.buckets) {
            so_far = so_far.saturating_add(count);
            self.line("_bucket", values, Some(&(bound_us as f64 / 1e6)), so_far);
        }
        let all = so_far.saturating_add(counts.buckets[BOUNDS_US.len()]);
        self.line("_bucket", values, Some(&"+Inf"), all);
        self.line("_sum", values, None, seconds(counts.sum_ns));
        self.line("_count", values, None, all);
    }

    fn line(
        &mut self,
        suffix: &str,
        values: &[&str],
        bound: Option<&dyn Display>,
        number: impl Display,
    ) {
        debug_assert_eq!(values.len(), self.of.labels.len(), "{}", self.of.name);
        self.begin();
        let text = &mut *self.text;
        text.push_str(self.of.name);
        text.push_str(suffix);
        let mut before = '{';
        for (label, value) in self.of.labels.iter().zip(values) {
            text.push(before);
            text.push_str(label);
            text.push_str("=\"");
            debug_assert!(!value.contains(['"', '\\', '\n']), "{value}");
            text.push_str(value);
            text.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            text.push(before);
            let _infallible = write!(text, "le=\"{bound}\"");
            before = ',';
        }
        text.push_str(if before == ',' { "} " } else { " " });
        let _infallible = writeln!(text, "{number}");
    }

    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        let kind = match self.of.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (self.of.name, self.of.help);
        let _infallible = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prometheus::{
        CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder,
    };

    use super::super::names;
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_its_last_bucket_holds_all() {
        let mut counts = Counts { sum_ns: 1_500_000_000, ..Counts::default() };
        (counts.buckets[0], counts.buckets[1], counts.buckets[16]) = (2, 3, 4);
        let mut text = String::new();

        let mut samples = Samples::of(&names::REQUEST_DURATION, &mut text);
        samples.histogram(&["blog"], &counts);

        for line in [
            r#"_bucket{app="blog",le="0.00025"} 2"#,
            r#"_bucket{app="blog",le="0.0005"} 5"#,
            r#"_bucket{app="blog",le="30"} 5"#,
            r#"_bucket{app="blog",le="+Inf"} 9"#,
            r#"_sum{app="blog"} 1.5"#,
            r#"_count{app="blog"} 9"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_family_without_samples_is_not_written() {
        let mut text = String::new();

        Samples::of(&names::QUEUE_WAIT, &mut text);

        assert_eq!(text, "");
    }

    #[test]
    fn what_is_written_is_what_the_prometheus_crate_would_write() {
        let registry = Registry::new();
        let of = |family: &Family| Opts::new(family.name, family.help);
        let gauge = GaugeVec::new(of(&names::APP_STATE), &["app", "state"]).unwrap();
        let counter = CounterVec::new(of(&names::BUSY_SECONDS), &["app"]).unwrap();
        let plain = Gauge::with_opts(of(&names::PROCESS_OPEN_FDS)).unwrap();
        let bounds = BOUNDS_US.map(|bound_us| bound_us as f64 / 1e6).to_vec();
        let duration = &names::REQUEST_DURATION;
        let opts = HistogramOpts::new(duration.name, duration.help).buckets(bounds);
        let histogram = HistogramVec::new(opts, &["app"]).unwrap();
        registry.register(Box::new(gauge.clone())).unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        registry.register(Box::new(plain.clone())).unwrap();
        registry.register(Box::new(histogram.clone())).unwrap();
        let mut ours = String::new();

        Samples::of(&names::PROCESS_OPEN_FDS, &mut ours).count(&[], 1_000_000);
        plain.set(1e6);
        Samples::of(&names::APP_STATE, &mut ours).truth(&["blog", "held"], true);
        gauge.with_label_values(&["blog", "held"]).set(1.0);
        let mut samples = Samples::of(&names::BUSY_SECONDS, &mut ours);
        for (app, seconds) in [("a", 0.1), ("b", 1e-9), ("c", 1.5e18), ("d", 12_345.678)] {
            samples.put(&[app], seconds);
            counter.with_label_values(&[app]).inc_by(seconds);
        }
        let mut counts = Counts { sum_ns: 1_000_000, ..Counts::default() };
        counts.buckets[2] = 1;
        Samples::of(duration, &mut ours).histogram(&["blog"], &counts);
        histogram.with_label_values(&["blog"]).observe(0.001);

        let theirs = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(lines(&ours), lines(&theirs));
    }
}
