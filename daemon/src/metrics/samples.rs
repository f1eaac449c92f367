//! The samples of one family, and how they are written as text for Prometheus.
//!
//! The one place that knows the `prometheus` crate. Families are written one by one rather than
//! gathered first: with a thousand apps the crate's model of all of them takes tens of megabytes.

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use scgi_protocol::page::layout::BOUNDS_US;
use scgi_protocol::page::report::Counts;

use super::names::{Family, Kind};

/// The type of the text, for HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The samples of one family.
#[derive(Debug)]
pub(super) struct Samples {
    family: &'static Family,
    metrics: Vec<Metric>,
}

impl Samples {
    /// None yet.
    pub(super) fn of(family: &'static Family) -> Self {
        Self { family, metrics: Vec::new() }
    }

    /// One number, told apart by the values of the family's labels.
    pub(super) fn put(&mut self, values: &[&str], number: f64) {
        let mut metric = self.metric(values);
        match self.family.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(number);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(number);
                metric.set_gauge(gauge);
            }
            Kind::Histogram => unreachable!("a histogram is put by its counts"),
        }
        self.metrics.push(metric);
    }

    /// One whole number; above 2^53 it is rounded, as everything in Prometheus is.
    pub(super) fn count(&mut self, values: &[&str], number: u64) {
        self.put(values, number as f64);
    }

    /// 1 or 0.
    pub(super) fn truth(&mut self, values: &[&str], so: bool) {
        self.count(values, so.into());
    }

    /// One histogram.
    pub(super) fn histogram(&mut self, values: &[&str], counts: &Counts) {
        debug_assert_eq!(self.family.kind, Kind::Histogram, "{}", self.family.name);
        let mut below = 0_u64;
        let mut buckets = Vec::with_capacity(BOUNDS_US.len());
        for (bound, count) in BOUNDS_US.iter().zip(counts.buckets) {
            below = below.saturating_add(count);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e6);
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        let above = counts.buckets[BOUNDS_US.len()];
        histogram.set_sample_count(below.saturating_add(above));
        histogram.set_sample_sum(seconds(counts.sum_ns));
        let mut metric = self.metric(values);
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    /// Writes the family to the end of `text`; nothing if it has no samples.
    pub(super) fn write(self, text: &mut String) {
        if self.metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(match self.family.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.metrics);
        TextEncoder::new()
            .encode_utf8(&[family], text)
            .expect("a family with a name and samples can be written to memory");
    }

    fn metric(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}", self.family.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(self.family.labels.iter().zip(values).map(pair).collect())
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_its_last_bucket_holds_all() {
        let mut counts = Counts { sum_ns: 1_500_000_000, ..Counts::default() };
        (counts.buckets[0], counts.buckets[1], counts.buckets[16]) = (2, 3, 4);
        let mut samples = Samples::of(&names::REQUEST_DURATION);
        let mut text = String::new();

        samples.histogram(&["blog"], &counts);
        samples.write(&mut text);

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

        Samples::of(&names::QUEUE_WAIT).write(&mut text);

        assert_eq!(text, "");
    }
}
