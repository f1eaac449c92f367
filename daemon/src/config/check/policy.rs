//! The numbers by which the supervisor decides: sizing, timing, restarts, rolls.

use std::time::Duration;

use scgi_protocol::control::AppKind;

use super::{Context, kind};
use crate::config::kinds::{self, Workers};
use crate::config::problem::Finding;
use crate::config::raw::{self, WorkerRange};
use crate::config::read::Said;
use crate::config::scalar::Text;
use crate::config::show;
use crate::config::slips;
use crate::config::sources::Where;
use crate::spec::{Health, Ready, Restart, Roll, Sizing, SizingError, StopSignal, Surge, Timing};

/// How old a program is, of which nothing else is known, when it counts as ready.
const OLD_ENOUGH: Duration = Duration::from_secs(1);

/// How many workers an app has.
pub(super) fn sizing(
    said: Option<&Said<Workers>>,
    kind: AppKind,
    context: &mut Context<'_>,
) -> Option<Sizing> {
    let cores = context.machine.cores().clamp(1, Sizing::MOST);
    let usual = if kind == AppKind::Standalone { 1 } else { cores };
    let Some(said) = said.filter(|said| kind::means(kind, kind::Key::Workers, &said.at)) else {
        return Sizing::fixed(usual).ok();
    };
    let range = match &said.value {
        Workers::Fixed(count) => return Sizing::fixed(count.to()).ok(),
        Workers::Range(range) => range,
    };
    let WorkerRange { min, max, spare, idle_timeout } = &**range;
    let least = min.as_ref().map_or(1, |min| min.value.to());
    let most = max.as_ref().map_or_else(|| cores.max(least), |max| max.value.to());
    let spare = spare.as_ref().map_or(0, |spare| spare.value.to());
    let idle = idle_timeout.as_ref().map_or(Sizing::DEFAULT_IDLE_TIMEOUT, |span| span.value.0);
    let sizing = Sizing::dynamic(least, most, spare, idle);
    sizing.map_err(|why| context.findings.push(contradiction(&said.at, range, why))).ok()
}

/// The finding for numbers of workers that contradict each other, said at `at`.
fn contradiction(at: &Where, range: &WorkerRange, why: SizingError) -> Finding {
    let (guilty, most) = match why {
        SizingError::MinAboveMax { max, .. } => (range.min.as_ref().map(Said::place), max),
        SizingError::SpareAboveMax { max, .. } => (range.spare.as_ref().map(Said::place), max),
        SizingError::Max(max) => (None, max),
    };
    let finding = Finding::at(guilty.unwrap_or(at), why.to_string());
    match &range.max {
        Some(max) => finding
            .beside(max.at.spot, "`max` is said here")
            .hint("no number of workers is more than `max`; lower it, or raise `max`"),
        None => finding.hint(format!("`max` is not said, so it is {most}")),
    }
}

/// How long starting and stopping may take.
pub(super) fn timing(raw: &raw::App, kind: AppKind, context: &mut Context<'_>) -> Option<Timing> {
    let usual = Timing::default();
    let said = raw.ready.as_ref().filter(|said| kind::means(kind, kind::Key::Ready, &said.at));
    let ready = match said.map(|said| &said.value) {
        None if kind == AppKind::Standalone && raw.listen.is_some() => Ready::Connect,
        None if kind == AppKind::Standalone => Ready::After(OLD_ENOUGH),
        None => usual.ready,
        Some(kinds::Ready::Connect) => Ready::Connect,
        Some(kinds::Ready::Notify) => Ready::Notify,
        Some(kinds::Ready::After(span)) => Ready::After(span.0),
    };
    let start_timeout = raw.start_timeout.as_ref().map_or(usual.start_timeout, |said| said.value.0);
    let stop_timeout = raw.stop_timeout.as_ref().map_or(usual.stop_timeout, |said| said.value.0);
    let stop_signal = match &raw.stop_signal {
        None => usual.stop_signal,
        Some(said) => signal(said, context)?,
    };
    Some(Timing { ready, start_timeout, stop_timeout, stop_signal })
}

fn signal(said: &Said<Text>, context: &mut Context<'_>) -> Option<StopSignal> {
    let text = &said.value.0;
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let known = StopSignal::ALL.into_iter().find(|signal| signal.as_str() == name);
    known.or_else(|| {
        let all: Vec<&str> = StopSignal::ALL.iter().map(|signal| signal.as_str()).collect();
        let finding =
            Finding::at(&said.at, format!("`{text}` is no signal that asks a worker to leave"));
        let hint = slips::signal(text).unwrap_or_else(|| format!("one of {}", all.join(", ")));
        context.refuse(finding.hint(hint))
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
        budget: budget.as_ref().map_or(usual.budget, |said| said.value.to()),
        period: period.as_ref().map_or(usual.period, |said| said.value.0),
        backoff_first: first.map_or(usual.backoff_first, |said| said.value.0),
        backoff_max: max.map_or(usual.backoff_max, |said| said.value.0),
        give_up: give_up.as_ref().map_or(usual.give_up, |said| said.value.0),
    };
    if restart.backoff_first <= restart.backoff_max {
        return Some(restart);
    }
    let at = first.map(Said::place).or_else(|| max.map(Said::place)).unwrap_or(&said.at);
    let [first, max] = [restart.backoff_first, restart.backoff_max].map(show::duration);
    let message = format!("`backoff.first` ({first}) is more than `backoff.max` ({max})");
    let hint = "pauses grow from the first to the longest; say both";
    context.refuse(Finding::at(at, message).hint(hint))
}

/// How one generation is replaced by the next.
pub(super) fn roll(said: Option<&Said<raw::Roll>>, kind: AppKind) -> Roll {
    let mut usual = Roll::default();
    if kind == AppKind::Standalone {
        // Who has the address has to leave before another one can have it.
        usual.surge = Surge::Count(0);
    }
    let Some(Said { value: raw::Roll { surge, soak, health }, .. }) = said else { return usual };
    let surge = surge.as_ref().filter(|_| kind != AppKind::Standalone);
    Roll {
        surge: surge.map_or(usual.surge, |said| match said.value {
            kinds::Surge::Count(count) => Surge::Count(count.to()),
            kinds::Surge::Percent(share) => Surge::Percent(share),
        }),
        soak: soak.as_ref().map_or(usual.soak, |said| said.value.0),
        health: health.as_ref().and_then(|said| {
            let raw::HealthRequest { path, timeout } = &*said.value.0;
            let timeout = timeout.as_ref().map_or(Health::DEFAULT_TIMEOUT, |said| said.value.0);
            Some(Health { path: path.as_ref()?.value.0.clone(), timeout })
        }),
    }
}
