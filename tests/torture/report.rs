//! The tables that a person reads in the end, as Markdown.

use std::time::Duration;

use crate::blows::{Blow, Dealt};
use crate::clients::Work;
use crate::rollers::{Roll, Rolled};
use crate::span::Span;
use crate::verdict::Findings;
use crate::world::App;

/// Times, shortest first.
#[derive(Clone, Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        Self(times)
    }

    fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or_default()
    }

    /// The middle, the 99th of a hundred and the longest, in milliseconds.
    fn told(&self) -> String {
        let [middle, most, worst] = [50, 99, 100].map(|percent| self.percentile(percent));
        format!("{} / {} / {}", ms(middle), ms(most), ms(worst))
    }
}

/// Everything in figures.
pub(crate) fn tables(
    work: &[Work],
    rolled: &[Rolled],
    dealt: &Dealt,
    findings: &Findings,
) -> String {
    let rolls: Vec<Roll> = rolled.iter().flat_map(|one| one.rolls.clone()).collect();
    let mut told = String::from(
        "| app | rolls | a roll takes, ms: p50 / p99 / worst | requests | outside rolls, ms | \
         during rolls, ms | added p50 / p99 / worst, ms |\n|---|---|---|---|---|---|---|\n",
    );
    for app in App::ALL {
        told += &row(app, Held::No, work, &rolls);
        if rolls.iter().any(|roll| roll.app == app && roll.held.is_some()) {
            told += &row(app, Held::Yes, work, &rolls);
        }
    }
    told += "\n| done to the daemon | times | within rolls | answers after, ms: p50 / p99 / worst | \
             requests meanwhile, ms |\n|---|---|---|---|---|\n";
    for blow in [Blow::Upgrade, Blow::Kill] {
        told += &blow_row(blow, dealt, work, &rolls);
    }
    let requests: u64 = work.iter().map(|work| work.answered).sum::<u64>()
        + rolled.iter().map(|one| one.work.answered).sum::<u64>();
    let slowest = unheld(work, &rolls).iter().map(Span::length).max();
    let Findings { before, after, .. } = findings;
    let sum = format!(
        "\n{} rolls, {requests} requests; the slowest (of those that were not kept waiting by another \
         one, or slow themselves, on purpose) took {} ms; \
         {} times an app was at rest before an upgrade and after it, and had the same workers. \
         The daemon: {} descriptors before, {} after; {} KiB before, {} KiB after.\n",
        rolls.len(),
        ms(slowest.unwrap_or_default()),
        dealt.compared,
        before.descriptors,
        after.descriptors,
        before.memory_bytes / 1024,
        after.memory_bytes / 1024,
    );
    told + &sum
}

fn blow_row(blow: Blow, dealt: &Dealt, work: &[Work], rolls: &[Roll]) -> String {
    let name = match blow {
        Blow::Kill => "killed, and another started",
        Blow::Upgrade => "upgraded",
    };
    let of_kind = || dealt.survived.iter().filter(|survived| survived.blow == blow);
    let spans: Vec<Span> = of_kind().map(|survived| survived.span).collect();
    let within = spans.iter().filter(|blow| rolls.iter().any(|roll| roll.span.holds(blow.began)));
    let took = Times::of(of_kind().map(|survived| survived.took));
    let mut meanwhile = unheld(work, rolls);
    meanwhile.retain(|sample| sample.touches(&spans));
    let (within, meanwhile) = (within.count(), Times::of(meanwhile.iter().map(Span::length)));
    let (times, took, meanwhile) = (spans.len(), took.told(), meanwhile.told());
    format!("| {name} | {times} | {within} | {took} | {meanwhile} |\n")
}

/// All requests that did not have to wait until another one was let go.
fn unheld(work: &[Work], rolls: &[Roll]) -> Vec<Span> {
    let mut held: Vec<(App, Span)> =
        rolls.iter().filter_map(|roll| Some((roll.app, roll.held?))).collect();
    held.sort_by_key(|(_, span)| span.began);
    let of = |work: &Work| {
        let spans = held.iter().filter(|(app, _)| *app == work.app).map(|(_, span)| *span);
        let spans: Vec<Span> = spans.collect();
        let free = work.samples.iter().filter(|sample| !sample.touches(&spans)).copied();
        free.collect::<Vec<_>>()
    };
    work.iter().flat_map(of).collect()
}

/// Whether the app's only worker was kept busy over the roll: whoever asks then waits until another
/// one is there, which is the way of the test and no price of the roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    No,
    Yes,
}

fn row(app: App, held: Held, work: &[Work], rolls: &[Roll]) -> String {
    let of_app = || rolls.iter().filter(|roll| roll.app == app);
    let mut all: Vec<Span> = of_app().map(|roll| roll.held.unwrap_or(roll.span)).collect();
    all.sort_by_key(|span| span.began);
    let counted = || of_app().filter(|roll| roll.held.is_some() == (held == Held::Yes));
    let mut spans: Vec<Span> = counted().map(|roll| roll.held.unwrap_or(roll.span)).collect();
    spans.sort_by_key(|span| span.began);
    let samples = || work.iter().filter(|work| work.app == app).flat_map(|work| &work.samples);
    let inside = samples().filter(|sample| sample.touches(&spans));
    let outside = samples().filter(|sample| !sample.touches(&all));
    let (inside, outside) =
        (Times::of(inside.map(Span::length)), Times::of(outside.map(Span::length)));
    let durations = Times::of(counted().map(|roll| roll.span.length()));
    let name = match held {
        Held::No => app.name().to_owned(),
        Held::Yes => format!("{}, its worker busy", app.name()),
    };
    let added = [50, 99, 100].map(|percent| {
        let more =
            inside.percentile(percent).as_secs_f64() - outside.percentile(percent).as_secs_f64();
        format!("{:+.1}", more * 1e3)
    });
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} |\n",
        spans.len(),
        durations.told(),
        samples().count(),
        outside.told(),
        inside.told(),
        added.join(" / ")
    )
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentiles_of_times_are_told_in_order() {
        let times = Times::of((1..=101).rev().map(Duration::from_millis));

        assert_eq!(times.told(), "51.0 / 100.0 / 101.0");
    }
}
