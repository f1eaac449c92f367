//! What is told of each app: read at every scrape from the board, the scoreboard, the queues
//! and the journal.
//!
//! Nothing is kept between two scrapes, so nothing can drift; nobody is asked but memory and the
//! kernel, so a scrape works while every pool is full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::control::{AppState, Wish, WorkerState};
use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::Report;
use scgi_protocol::page::report::Refusal;

use super::Sources;
use super::names::{self, Family};
use super::notes::{Tallies, Tally};
use super::samples::{Samples, seconds};
use crate::scoreboard::{Living, worker_state};
use crate::shell::backlog::Depth;
use crate::supervisor::{LifeView, PoolView, Role, WorkerView};

/// The classes of a report's ends, in their order.
const CODES: [&str; 5] = ["other", "2xx", "3xx", "4xx", "5xx"];

/// All that is known of one app at one moment.
#[derive(Debug)]
pub(super) struct Row {
    app: AppName,
    pool: Arc<PoolView>,
    totals: Report,
    living: BTreeMap<WorkerId, Living>,
    starts: u64,
    saturated: Duration,
    queue: Option<Depth>,
    tally: Tally,
    lines_dropped: u64,
}

/// How one family is read off an app.
type Read = fn(&Row, &mut Samples<'_>);

/// The families that are told of each app, in the order of the catalogue.
pub(super) static FAMILIES: [(&Family, Read); 33] = [
    (&names::REQUESTS, |row, out| {
        for (code, ends) in CODES.iter().zip(row.totals.ends) {
            out.count(&[row.app(), code], ends);
        }
    }),
    (&names::REQUEST_DURATION, |row, out| out.histogram(&[row.app()], &row.totals.service)),
    (&names::QUEUE_WAIT, |row, out| {
        if row.totals.queue.buckets.iter().any(|&count| count > 0) {
            out.histogram(&[row.app()], &row.totals.queue);
        }
    }),
    (&names::REQUESTS_IN_FLIGHT, |row, out| {
        let in_flight = row.living.values().map(|living| u64::from(living.in_flight())).sum();
        out.count(&[row.app()], in_flight);
    }),
    (&names::BUSY_SECONDS, |row, out| out.put(&[row.app()], seconds(row.totals.busy_ns))),
    (&names::ABORTED_REQUESTS, |row, out| out.count(&[row.app()], row.totals.aborted)),
    (&names::LENIENT_REQUESTS, |row, out| out.count(&[row.app()], row.totals.leniencies)),
    (&names::REPEATED_VARIABLES, |row, out| out.count(&[row.app()], row.totals.repeats)),
    (&names::EXPIRED_REQUESTS, |row, out| out.count(&[row.app()], row.totals.expired)),
    (&names::LARGE_RESPONSE_HEADS, |row, out| out.count(&[row.app()], row.totals.large_heads)),
    (&names::CLIENTS_PARKED, |row, out| {
        out.count(&[row.app()], row.living.values().map(|living| u64::from(living.parked())).sum());
    }),
    (&names::SHED_CLIENTS, |row, out| out.count(&[row.app()], row.totals.shed)),
    (&names::REFUSED_CONNECTIONS, |row, out| {
        for refusal in Refusal::ALL {
            out.count(&[row.app(), refusal.label()], row.totals.refused[refusal as usize]);
        }
    }),
    (&names::REQUEST_BYTES, |row, out| out.count(&[row.app()], row.totals.bytes_in)),
    (&names::RESPONSE_BYTES, |row, out| out.count(&[row.app()], row.totals.bytes_out)),
    (&names::WORKERS, |row, out| {
        for state in WorkerState::ALL {
            let workers = row.workers(Role::App).filter(|worker| row.state(worker) == state);
            out.count(&[row.app(), state.as_str()], workers.count() as u64);
        }
    }),
    (&names::WORKERS_WANTED, |row, out| out.count(&[row.app()], row.pool.seats.wanted.into())),
    (&names::WORKERS_MIN, |row, out| out.count(&[row.app()], row.pool.seats.min.into())),
    (&names::WORKERS_MAX, |row, out| out.count(&[row.app()], row.pool.seats.max.into())),
    (&names::RELIEF_WORKERS, |row, out| {
        out.count(&[row.app()], row.workers(Role::Relief).count() as u64);
    }),
    (&names::POOL_UTILIZATION, |row, out| {
        if let Some(utilization) = row.utilization() {
            out.put(&[row.app()], utilization);
        }
    }),
    (&names::SATURATED_SECONDS, |row, out| out.put(&[row.app()], row.saturated.as_secs_f64())),
    (&names::LISTEN_QUEUE, |row, out| {
        if let Some(queue) = row.queue {
            out.count(&[row.app()], queue.waiting.into());
        }
    }),
    (&names::LISTEN_QUEUE_MAX, |row, out| {
        if let Some(queue) = row.queue {
            out.count(&[row.app()], queue.limit.into());
        }
    }),
    (&names::WORKER_STARTS, |row, out| out.count(&[row.app()], row.starts)),
    (&names::WORKER_EXITS, |row, out| {
        for (cause, count) in row.tally.exits() {
            out.count(&[row.app(), cause.label()], count);
        }
    }),
    (&names::WORKER_RESTARTS, |row, out| out.count(&[row.app()], row.pool.restarts)),
    (&names::BACKOFFS, |row, out| out.count(&[row.app()], row.tally.backoffs)),
    (&names::LOG_LINES_DROPPED, |row, out| out.count(&[row.app()], row.lines_dropped)),
    (&names::APP_UP, |row, out| out.truth(&[row.app()], is_up(&row.pool))),
    (&names::APP_WANTED, |row, out| out.truth(&[row.app()], row.pool.wish == Wish::Run)),
    (&names::APP_STATE, |row, out| out.truth(&[row.app(), row.pool.state.as_str()], true)),
    (&names::APP_GENERATION, |row, out| out.count(&[row.app()], row.pool.generation.0)),
];

/// The app's own workers answer, or would be started by the first request.
pub(super) fn is_up(pool: &PoolView) -> bool {
    let serves = |worker: &WorkerView| worker.role == Role::App && worker.life == LifeView::Serving;
    pool.state == AppState::Idle || pool.workers.iter().any(serves)
}

/// All apps as they are, by name.
pub(super) fn rows(sources: &Sources, tallies: &Tallies) -> Vec<Row> {
    let mut queues = sources.queues.all();
    let dropped = sources.journal.dropped_lines();
    let row = |(app, pool): (AppName, Arc<PoolView>)| Row {
        totals: sources.scoreboard.totals(&app),
        living: sources.scoreboard.living(&app).into_iter().map(|one| (one.worker, one)).collect(),
        starts: sources.scoreboard.starts(&app),
        saturated: sources.scoreboard.saturated(&app),
        queue: queues.remove(&app),
        tally: tallies.app(&app),
        lines_dropped: dropped.get(&app).copied().unwrap_or_default(),
        app,
        pool,
    };
    sources.board.pools().into_iter().map(row).collect()
}

impl Row {
    fn app(&self) -> &str {
        self.app.as_str()
    }

    fn waiting(&self) -> u32 {
        self.queue.map_or(0, |queue| queue.waiting)
    }

    fn workers(&self, role: Role) -> impl Iterator<Item = &WorkerView> {
        self.pool.workers.iter().filter(move |worker| worker.role == role)
    }

    fn state(&self, worker: &WorkerView) -> WorkerState {
        worker_state(worker.life, self.living.get(&worker.id), self.waiting())
    }

    /// See [`names::POOL_UTILIZATION`]; `None` for an app that could not be prepared.
    fn utilization(&self) -> Option<f64> {
        let configured = u64::from(self.pool.spec.as_ref()?.concurrency);
        let accepting: Vec<_> = self
            .workers(Role::App)
            .filter(|worker| worker.life == LifeView::Serving)
            .filter_map(|worker| self.living.get(&worker.id))
            .collect();
        let busy: u64 = accepting.iter().map(|one| u64::from(one.busy(self.waiting()))).sum();
        let there: u64 = accepting.iter().map(|one| u64::from(one.capacity())).sum();
        let to_come = u64::from(self.pool.seats.max).saturating_sub(accepting.len() as u64);
        // One that is there knows better than the configuration what one of them is.
        let each = there.checked_div(accepting.len() as u64).unwrap_or(configured);
        let capacity = there + to_come * each;
        Some(if capacity == 0 { 0.0 } else { busy as f64 / capacity as f64 })
    }
}
