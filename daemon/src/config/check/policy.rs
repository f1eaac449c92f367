//! The numbers by which the supervisor decides: sizing, timing, restarts, rolls.

use super::Context;
use crate::config::kinds;
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::Flag;
use crate::spec::{Ready, Restart, Roll, Sizing, StopSignal, Timing};

/// A number that its shape bounds to `u16`.
pub(super) fn small(number: i64) -> u16 {
    u16::try_from(number).expect("the shape bounds it to 0..=65535")
}

/// How many workers an app has.
pub(super) fn sizing(
    said: Option<&Said<kinds::Workers>>,
    context: &mut Context<'_>,
) -> Option<Sizing> {
    let cores = context.machine.cores().clamp(1, Sizing::MOST);
    let Some(said) = said else { return Sizing::fixed(cores).ok() };
    let range = match &said.value {
        kinds::Workers::Fixed(count) => return Sizing::fixed(small(count.0)).ok(),
        kinds::Workers::Range(range) => range,
    };
    let raw::WorkerRange { min, max, spare, idle_timeout } = &**range;
    let least = min.as_ref().map(|min| small(min.value.0));
    let most = max.as_ref().map_or_else(|| cores.max(least.unwrap_or(1)), |max| small(max.value.0));
    let idle = idle_timeout.as_ref().map_or(Sizing::DEFAULT_IDLE_TIMEOUT, |span| span.value.0);
    let spare_count = spare.as_ref().map_or(0, |spare| small(spare.value.0));
    let sizing = Sizing::dynamic(least.unwrap_or(1), most, spare_count, idle);
    sizing
        .map_err(|why| {
            let guilty = if why_is_spare(why) {
                spare.as_ref().map(|spare| &spare.at)
            } else {
                min.as_ref().map(|min| &min.at)
            };
            let finding = Finding::at(guilty.unwrap_or(&said.at), why.to_string());
            context.findings.push(match max {
                Some(max) => finding
                    .beside(max.at.spot, "`max` is said here")
                    .hint("no number of workers is more than `max`; lower it, or raise `max`"),
                None => finding.hint(format!("`max` is not said, so it is {most}")),
            });
        })
        .ok()
}

fn why_is_spare(why: crate::spec::SizingError) -> bool {
    matches!(why, crate::spec::SizingError::SpareAboveMax { .. })
}

/// How long starting and stopping may take.
pub(super) fn timing(raw: &raw::App, context: &mut Context<'_>) -> Option<Timing> {
    let usual = Timing::default();
    let ready = match raw.ready.as_ref().map(|said| &said.value) {
        None => usual.ready,
        Some(kinds::Ready::Notify) => Ready::Notify,
        Some(kinds::Ready::After(span)) => Ready::After(span.0),
    };
    let start_timeout = raw.start_timeout.as_ref().map_or(usual.start_timeout, |said| said.value.0);
    let stop_timeout = raw.stop_timeout.as_ref().map_or(usual.stop_timeout, |said| said.value.0);
    let stop_signal = match &raw.stop_signal {
        None => usual.stop_signal,
        Some(said) => signal(&said.value.0, &said.at, context)?,
    };
    Some(Timing { ready, start_timeout, stop_timeout, stop_signal })
}

fn signal(
    text: &str,
    at: &crate::config::sources::Where,
    context: &mut Context<'_>,
) -> Option<StopSignal> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let known = StopSignal::ALL.into_iter().find(|signal| signal.as_str() == name);
    known.or_else(|| {
        let all: Vec<&str> = StopSignal::ALL.iter().map(|signal| signal.as_str()).collect();
        let finding = Finding::at(at, format!("`{text}` is no signal that asks a worker to leave"));
        context.refuse(finding.hint(format!("one of {}", all.join(", "))))
    })
}

/// What deaths cost.
pub(super) fn restart(
    said: Option<&Said<raw::Restart>>,
    context: &mut Context<'_>,
) -> Option<Restart> {
    let usual = Restart::default();
    let Some(said) = said else { return Some(usual) };
    let raw::Restart { budget, period, backoff, give_up } = &said.value;
    let first = backoff.as_ref().and_then(|backoff| backoff.value.first.as_ref());
    let max = backoff.as_ref().and_then(|backoff| backoff.value.max.as_ref());
    let restart = Restart {
        budget: budget
            .as_ref()
            .map_or(usual.budget, |said| u32::try_from(said.value.0).expect("the shape bounds it")),
        period: period.as_ref().map_or(usual.period, |said| said.value.0),
        backoff_first: first.map_or(usual.backoff_first, |said| said.value.0),
        backoff_max: max.map_or(usual.backoff_max, |said| said.value.0),
        give_up: give_up.as_ref().map_or(usual.give_up, |said| matches!(said.value, Flag(true))),
    };
    if restart.backoff_first > restart.backoff_max {
        let at =
            first.map(|said| &said.at).or_else(|| max.map(|said| &said.at)).unwrap_or(&said.at);
        let written = crate::config::show::duration;
        return context.refuse(
            Finding::at(
                at,
                format!(
                    "`backoff.first` ({}) is more than `backoff.max` ({})",
                    written(restart.backoff_first),
                    written(restart.backoff_max)
                ),
            )
            .hint("pauses grow from the first to the longest; say both"),
        );
    }
    Some(restart)
}

/// How one generation is replaced by the next.
pub(super) fn roll(said: Option<&Said<raw::Roll>>) -> Roll {
    let surge = said.and_then(|said| said.value.surge.as_ref());
    surge.map_or_else(Roll::default, |surge| Roll { surge: small(surge.value.0) })
}
