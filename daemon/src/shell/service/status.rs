//! The site in one line, for `systemctl status`.

use std::collections::BTreeMap;
use std::sync::Arc;

use scgi_protocol::control::{AppState, Seats};
use scgi_protocol::name::AppName;

use super::talk::Phase;
use crate::supervisor::PoolView;

/// Apps that are told of by name; of the others there is a number.
const NAMED_MAX: usize = 3;

/// Longest line, in characters.
const MAX_CHARS: usize = 240;

/// How the site is: `5 apps, 14 of 14 workers serving; blog is held: exit 1`.
pub(super) fn line(phase: Phase, pools: &BTreeMap<AppName, Arc<PoolView>>) -> String {
    let mut line = match phase {
        Phase::Starting => "starting: ",
        Phase::Ready => "",
        Phase::Reloading => "reloading: ",
        Phase::Stopping => "stopping: ",
    }
    .to_owned();
    line += &match phase {
        Phase::Stopping => leaving(pools),
        Phase::Starting | Phase::Ready | Phase::Reloading => serving(pools) + &troubles(pools),
    };
    // A worker's own words may be among them, and a second line would be another message.
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = line.chars().map(clean).collect();
    if let Some((at, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(at);
        line.push('…');
    }
    line
}

fn serving(pools: &BTreeMap<AppName, Arc<PoolView>>) -> String {
    // A roll may have more of them than are wanted.
    let serving = |seats: &Seats| usize::from(seats.serving.min(seats.wanted));
    let serving: usize = pools.values().map(|pool| serving(&pool.seats)).sum();
    let wanted: usize = pools.values().map(|pool| usize::from(pool.seats.wanted)).sum();
    format!("{}, {serving} of {} serving", counted(pools.len(), "app"), counted(wanted, "worker"))
}

fn leaving(pools: &BTreeMap<AppName, Arc<PoolView>>) -> String {
    let left: usize = pools.values().map(|pool| pool.workers.len()).sum();
    format!("{} left", counted(left, "worker"))
}

/// What is wrong, app by app.
fn troubles(pools: &BTreeMap<AppName, Arc<PoolView>>) -> String {
    let ailing: Vec<_> =
        pools.iter().filter_map(|(app, pool)| Some((app, trouble(pool)?))).collect();
    let named = ailing.iter().take(NAMED_MAX).map(|(app, trouble)| format!("; {app} {trouble}"));
    let more = ailing.len().saturating_sub(NAMED_MAX);
    let more = (more > 0).then(|| format!("; {more} more not well"));
    named.chain(more).collect()
}

/// What a person would want to know of an app; that somebody stopped it, too.
fn trouble(pool: &PoolView) -> Option<String> {
    use AppState::{Idle, Rolling, Serving, Starting};
    let is_well = matches!(pool.state, Serving | Idle | Starting | Rolling);
    let cause = pool.trouble.as_ref().map(|trouble| format!(": {}", trouble.cause));
    (!is_well).then(|| format!("is {}{}", pool.state.as_str(), cause.unwrap_or_default()))
}

/// `1 app`, `2 apps`.
fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
