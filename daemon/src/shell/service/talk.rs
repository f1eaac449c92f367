//! What is worth saying to a service manager, and when.
//!
//! ```text
//! Starting ─settled─▶ Ready ─a configuration is read─▶ Reloading ─taken over, or refused─▶ Ready
//!     └────────────────── somebody asks the daemon to leave ──────────────────▶ Stopping
//! ```
//!
//! A value that is told what is seen and what time it is; it sends nothing, so that what could not
//! be sent is still worth saying.

use std::time::Duration;

use scgi_protocol::name::OperationId;

use super::status;
use crate::metrics::Pulse;
use crate::shell::board::{Board, Reads};

/// The longest the manager is kept waiting for the word that the site is up: an app that takes for
/// ever must not fail the whole site.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Least time between two lines of status.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How much longer a stop may take, counted from each time this is said: as long as the loop turns,
/// the daemon knows better than its manager how long its workers may take.
const EXTENSION: Duration = Duration::from_secs(20);

/// Pause between two times that is said.
const EXTEND_EVERY: Duration = Duration::from_secs(5);

/// The longest pause, if nothing changes and no sign of life is asked for.
const IDLE: Duration = Duration::from_secs(3600);

/// What is to be seen of the daemon.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    board: &'a Board,
    /// The loop turns.
    turns: bool,
    stopping: bool,
    /// The latest takeover of a configuration that is still under way.
    applying: Option<OperationId>,
    reads: Reads,
}

impl<'a> Seen<'a> {
    /// What there is to see at `now_ns`.
    pub(super) fn of(board: &'a Board, pulse: &Pulse, now_ns: u64) -> Self {
        Self {
            board,
            turns: pulse.beats(now_ns),
            stopping: board.is_stopping(),
            applying: board.applying(),
            reads: board.reads(),
        }
    }
}

/// How far the daemon's life has come, as the manager was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    Reloading,
    Stopping,
}

/// What the manager was told. Times are nanoseconds of the clock that [`Seen`] is made by.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    phase: Phase,
    began_ns: u64,
    /// The takeover that was under way when the phase began: the manager knows of it.
    known: Option<OperationId>,
    /// Readings of the configuration that the manager knows of.
    reads: u64,
    status: String,
    /// When the board was last looked at for it, and whether it has changed since.
    looked_ns: Option<u64>,
    stale: bool,
    /// Pause between two signs of life.
    every: Option<Duration>,
    alive_ns: Option<u64>,
    extended_ns: Option<u64>,
}

impl Talk {
    /// Nothing was told yet. A manager with a `deadline` is given a sign of life twice in it.
    pub(super) fn new(deadline: Option<Duration>, now_ns: u64) -> Self {
        Self {
            phase: Phase::Starting,
            began_ns: now_ns,
            known: None,
            reads: 0,
            status: String::new(),
            looked_ns: None,
            stale: true,
            every: deadline.map(|deadline| deadline / 2),
            alive_ns: None,
            extended_ns: None,
        }
    }

    /// The next datagram that is worth sending at `now_ns`, and what will have been told then;
    /// `None` if there is nothing to say. Ask again until there is none; a status that is only
    /// looked at and not sent has to be [looked at again](Self::look_again).
    pub(super) fn next(&mut self, seen: &Seen<'_>, now_ns: u64) -> Option<(String, Self)> {
        let phase = self.phase_next(seen, now_ns);
        let is_time = self.stale && is_past(self.looked_ns, STATUS_EVERY, now_ns);
        let looks = is_time || phase.is_some();
        if looks {
            (self.stale, self.looked_ns) = (false, Some(now_ns));
        }
        let mut told = self.clone();
        let mut lines = Vec::new();
        if let Some(phase) = phase {
            told.enter(phase, seen);
            lines.extend(phase.words(now_ns));
        }
        if looks {
            told.status = status::line(told.phase, &seen.board.pools());
        }
        if told.status != self.status {
            lines.push(format!("STATUS={}", told.status));
        }
        if seen.turns {
            lines.extend(told.signs_of_life(now_ns));
        }
        (!lines.is_empty()).then(|| (lines.join("\n"), told))
    }

    fn signs_of_life(&mut self, now_ns: u64) -> Vec<String> {
        let mut lines = Vec::new();
        if self.every.is_some_and(|every| is_past(self.alive_ns, every, now_ns)) {
            lines.push("WATCHDOG=1".to_owned());
            self.alive_ns = Some(now_ns);
        }
        let is_stopping = self.phase == Phase::Stopping;
        if is_stopping && is_past(self.extended_ns, EXTEND_EVERY, now_ns) {
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
            self.extended_ns = Some(now_ns);
        }
        lines
    }

    /// The board has changed, or what was said of it was not heard.
    pub(super) fn look_again(&mut self) {
        self.stale = true;
    }

    fn phase_next(&self, seen: &Seen<'_>, now_ns: u64) -> Option<Phase> {
        let is_settled = seen.applying.is_none() && seen.reads.under_way() == 0;
        let is_news = seen.reads.begun > self.reads || seen.applying > self.known;
        match self.phase {
            Phase::Stopping => None,
            _ if seen.stopping => Some(Phase::Stopping),
            Phase::Starting => {
                let is_late = is_past(Some(self.began_ns), READY_PATIENCE, now_ns);
                (is_settled || is_late).then_some(Phase::Ready)
            }
            Phase::Ready => is_news.then_some(Phase::Reloading),
            Phase::Reloading => is_settled.then_some(Phase::Ready),
        }
    }

    fn enter(&mut self, phase: Phase, seen: &Seen<'_>) {
        self.phase = phase;
        self.known = self.known.max(seen.applying);
        self.reads = seen.reads.begun;
    }

    /// How long there is nothing to say, unless the board changes.
    pub(super) fn pause(&self, now_ns: u64) -> Duration {
        let left = |since_ns: Option<u64>, pause: Duration| {
            let passed = since_ns.map(|at| Duration::from_nanos(now_ns.saturating_sub(at)));
            passed.map(|passed| pause.saturating_sub(passed)).filter(|left| !left.is_zero())
        };
        // A sign of life that is overdue waits for a loop that does not turn.
        let sign = |since_ns, every| left(since_ns, every).unwrap_or(STATUS_EVERY);
        let alive = self.every.map(|every| sign(self.alive_ns, every));
        let is_stopping = self.phase == Phase::Stopping;
        let extended = is_stopping.then(|| sign(self.extended_ns, EXTEND_EVERY));
        let is_starting = self.phase == Phase::Starting;
        let ready = left(Some(self.began_ns), READY_PATIENCE).filter(|_| is_starting);
        let status = left(self.looked_ns, STATUS_EVERY).filter(|_| self.stale);
        [alive, extended, ready, status].into_iter().flatten().fold(IDLE, Duration::min)
    }
}

impl Phase {
    /// What is said when it begins.
    fn words(self, now_ns: u64) -> Vec<String> {
        match self {
            Self::Starting => Vec::new(),
            Self::Ready => vec!["READY=1".to_owned()],
            Self::Reloading => {
                vec!["RELOADING=1".to_owned(), format!("MONOTONIC_USEC={}", now_ns / 1000)]
            }
            Self::Stopping => vec!["STOPPING=1".to_owned()],
        }
    }
}

/// Whether `pause` has passed since `since_ns`; it has if nothing was told yet.
fn is_past(since_ns: Option<u64>, pause: Duration, now_ns: u64) -> bool {
    since_ns.is_none_or(|at| Duration::from_nanos(now_ns.saturating_sub(at)) >= pause)
}
