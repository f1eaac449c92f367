//! The tables that a person reads in the end, as Markdown.

use std::time::Duration;

use crate::blows::{Blow, Survived};
use crate::clients::{Sample, Work};
use crate::rollers::{Roll, Rolled};
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
    blows: &[Survived],
    findings: &Findings,
) -> String {
    let rolls: Vec<Roll> = rolled.iter().flat_map(|one| one.rolls.clone()).collect();
    let mut told = String::from(
        "| app | rolls | a roll takes, ms: p50 / p99 / worst | requests | outside rolls, ms | \
         during rolls, ms | added p50 / p99 / worst, ms |\n|---|---|---|---|---|---|---|\n",
    );
    for app in App::ALL {
        told += &row(app, work, &rolls);
    }
    told += &blow_row(blows);
    let requests: u64 = work.iter().map(|work| work.answered).sum::<u64>()
        + rolled.iter().map(|one| one.work.answered).sum::<u64>();
    let slowest = work.iter().flat_map(|work| &work.samples).map(|sample| sample.took).max();
    let Findings { before, after, uncounted, .. } = findings;
    let sum = format!(
        "\n{} rolls, {requests} requests; the slowest (of those that do not mean to be slow) took {} ms; \
         {uncounted} were served by workers that ended while no daemon lived to count them. \
         The daemon: {} descriptors before, {} after; {} KiB before, {} KiB after.\n",
        rolls.len(),
        ms(slowest.unwrap_or_default()),
        before.descriptors,
        after.descriptors,
        before.memory_bytes / 1024,
        after.memory_bytes / 1024,
    );
    told + &sum
}

fn blow_row(blows: &[Survived]) -> String {
    let kills = || blows.iter().filter(|survived| survived.blow == Blow::Kill);
    let times = Times::of(kills().map(|survived| survived.took));
    format!(
        "\n{} kills of the daemon; the next one answered after {} ms (p50 / p99 / worst).\n",
        kills().count(),
        times.told()
    )
}

fn row(app: App, work: &[Work], rolls: &[Roll]) -> String {
    let mut rolls: Vec<_> = rolls.iter().filter(|roll| roll.app == app).copied().collect();
    rolls.sort_by_key(|roll| roll.began);
    let samples = || work.iter().filter(|work| work.app == app).flat_map(|work| &work.samples);
    let (inside, outside): (Vec<&Sample>, Vec<&Sample>) =
        samples().partition(|sample| is_during(sample, &rolls));
    let [inside, outside] = [inside, outside].map(|some| Times::of(some.iter().map(|s| s.took)));
    let durations = Times::of(rolls.iter().map(|roll| roll.ended.saturating_sub(roll.began)));
    let added = [50, 99, 100].map(|percent| {
        let more =
            inside.percentile(percent).as_secs_f64() - outside.percentile(percent).as_secs_f64();
        format!("{:+.1}", more * 1e3)
    });
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        app.name(),
        rolls.len(),
        durations.told(),
        samples().count(),
        outside.told(),
        inside.told(),
        added.join(" / ")
    )
}

/// Whether any part of a request lay within one of `rolls`, which are in order and do not overlap.
fn is_during(sample: &Sample, rolls: &[Roll]) -> bool {
    let next = rolls.partition_point(|roll| roll.ended < sample.began);
    rolls.get(next).is_some_and(|roll| roll.began <= sample.began + sample.took)
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_during_a_roll_if_any_part_of_it_is() {
        let ms = Duration::from_millis;
        let roll = |began, ended| Roll { app: App::Unix, began: ms(began), ended: ms(ended) };
        let rolls = [roll(100, 200), roll(300, 400)];
        let during = |began, took| is_during(&Sample { began: ms(began), took: ms(took) }, &rolls);

        assert!(during(90, 20) && during(150, 1) && during(190, 20) && during(90, 400));
        assert!(!during(10, 20) && !during(210, 20) && !during(410, 20));
    }

    #[test]
    fn the_percentiles_of_times_are_told_in_order() {
        let times = Times::of((1..=101).rev().map(Duration::from_millis));

        assert_eq!(times.told(), "51.0 / 100.0 / 101.0");
    }
}
