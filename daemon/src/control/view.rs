//! What the daemon knows, in the words of the contract.
//!
//! Three sources meet here: what the loop last posted, what the pages say at this moment, and the
//! journal. None of them is waited for.

use std::collections::BTreeMap;

use scgi_protocol::address::Address;
use scgi_protocol::control::{
    App, AppDetail, AppFailure, AppState, CurrentRequest, DaemonInfo, Operation, OperationState,
    Roll, Trouble, Worker,
};
use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::Serving;

use super::{ControlState, Room, SiteFacts, settings, unseen};
use crate::journal::Start;
use crate::scoreboard::{Living, worker_state};
use crate::shell::clock::Clock;
use crate::spec::ListenAt;
use crate::supervisor::{
    Failure, LifeView, OperationView, PoolView, Role, RollView, TroubleView, WorkerView,
};

/// How many apps are named that something has to be done about.
const NAMED: usize = 8;

/// How many events and lines are shown with an app.
const RECENT: usize = 10;

/// The daemon itself.
pub(super) fn daemon(room: &Room) -> DaemonInfo {
    let facts = room.facts();
    let SiteFacts { config, text: _, tag: _, origin, metrics, door: _ } = &*facts;
    DaemonInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: room.state.clock.wall(room.state.clock.began()),
        config: config.clone(),
        revision: room.state.archive.in_force(),
        origin: origin.clone(),
        stopping: room.state.board.is_stopping(),
        metrics: metrics.clone(),
        not_upgraded: room.state.board.not_upgraded(),
    }
}

/// All apps, each in one line.
pub(super) fn apps(state: &ControlState) -> Vec<App> {
    let depths = state.queues.all();
    let line = |(name, pool): (&AppName, &_)| {
        app(state, name, pool, depths.get(name).map(|depth| depth.waiting))
    };
    state.board.pools().iter().map(|(name, pool)| line((name, &**pool))).collect()
}

/// One app with all that is known of it.
pub(super) fn detail(state: &ControlState, name: &AppName, pool: &PoolView) -> AppDetail {
    let queue = state.queues.waiting(name).map(|depth| depth.waiting);
    let spec = pool.spec.as_deref();
    let events = state.journal.events(Start::Last(RECENT), Some(name), RECENT).entries;
    let log = state.journal.lines(Start::Last(RECENT), name, RECENT).entries;
    AppDetail {
        app: app(state, name, pool, queue),
        kind: spec.map(|spec| spec.kind.name()).unwrap_or_default(),
        unseen: spec.map(|spec| unseen::of(&spec.kind)).unwrap_or_default(),
        run: spec.map(|spec| run(&spec.launch)).unwrap_or_default(),
        settings: spec.map(settings::of).unwrap_or_default(),
        workers_now: workers(state, name, pool, queue.unwrap_or(0)),
        events: events.iter().map(|event| (**event).clone()).collect(),
        log: log.iter().map(|line| (**line).clone()).collect(),
    }
}

fn roll(view: RollView) -> Roll {
    let RollView { from, to, old, new, under_way, paused } = view;
    Roll { from, to, old, new, under_way, paused }
}

/// An operation.
pub(super) fn operation(state: &ControlState, view: &OperationView) -> Operation {
    let OperationView { id, verb, app, state: how, progress, since, ended, reason, failures } =
        view.clone();
    let wall = |moment| state.clock.wall(moment);
    let (since, ended) = (wall(since), ended.map(wall));
    let next = (how == OperationState::Failed).then(|| match &app {
        Some(app) => next_of_app(state, app),
        None => next_of_site(state, &failures),
    });
    let failures: Vec<_> = failures.into_iter().filter_map(failure).collect();
    let own = failures.first().filter(|_| app.is_some());
    let evidence = own.map(|failure| failure.evidence.clone()).unwrap_or_default();
    let state = how;
    Operation { id, verb, app, state, progress, since, ended, reason, evidence, failures, next }
}

fn failure(failure: Failure) -> Option<AppFailure> {
    let Failure { app, why, said } = failure;
    Some(AppFailure { app: app?, reason: why, evidence: said })
}

/// What a person can do after an operation of an app has failed: what the app itself needs.
fn next_of_app(state: &ControlState, name: &AppName) -> String {
    let Some(pool) = state.board.pool(name) else {
        return format!("`scgictl events {name}` shows what happened");
    };
    let next = pool.trouble.as_ref().map(|trouble| trouble.next.clone());
    next.filter(|next| !next.is_empty())
        .unwrap_or_else(|| format!("`scgictl describe {name}` shows its last events and lines"))
}

/// What a person can do after an operation of the site has failed.
fn next_of_site(state: &ControlState, failures: &[Failure]) -> String {
    let apps: Vec<&AppName> = failures.iter().filter_map(|failure| failure.app.as_ref()).collect();
    let names: Vec<&str> = apps.iter().take(NAMED).map(|app| app.as_str()).collect();
    let is_held = |app: &&AppName| {
        let pool = state.board.pool(app);
        pool.is_some_and(|pool| matches!(pool.state, AppState::Held | AppState::Failing))
    };
    let back = "or `scgictl rollback`";
    match apps.len() {
        0 => "`scgictl events` shows what happened".to_owned(),
        count if count <= NAMED && apps.iter().all(is_held) => format!(
            "mend the program, then `scgictl retry {}`; or mend the configuration and apply it \
             again; {back}",
            names.join(" ")
        ),
        _ => format!("mend it and apply it again; {back}"),
    }
}

fn app(state: &ControlState, name: &AppName, pool: &PoolView, queue: Option<u32>) -> App {
    let living = living(state, name);
    let serving = pool.workers.iter().filter(|worker| is_serving(worker));
    let serving: Vec<&Living> = serving.filter_map(|worker| living.get(&worker.id)).collect();
    let waiting = queue.unwrap_or(0);
    App {
        name: name.clone(),
        state: pool.state,
        wish: pool.wish,
        workers: pool.seats,
        generation: pool.generation,
        busy: serving.iter().map(|one| u32::from(one.busy(waiting))).sum(),
        silent: u16::try_from(serving.iter().filter(|one| one.is_silent()).count())
            .unwrap_or(u16::MAX),
        capacity: serving.iter().map(|one| u32::from(one.capacity())).sum(),
        queue,
        requests: state.scoreboard.totals(name).ended,
        restarts: pool.restarts,
        since: state.clock.wall(pool.since),
        listen: pool
            .spec
            .iter()
            .flat_map(|spec| spec.places())
            .map(|at| place(state, &at))
            .collect(),
        trouble: pool.trouble.as_ref().map(|trouble| told(state, trouble)),
        operation: pool.operation,
        roll: pool.roll.map(roll),
    }
}

/// Where one of its sockets is to be found: of one that was handed over, where that is bound.
fn place(state: &ControlState, at: &ListenAt) -> String {
    let known = match at {
        ListenAt::Systemd(name) => state.handed_over.get(name),
        ListenAt::Address(address) => Some(address),
    };
    known.map_or_else(|| at.to_string(), Address::to_string)
}

/// The worker answers requests of the app, in nobody's place.
fn is_serving(worker: &WorkerView) -> bool {
    worker.life == LifeView::Serving && worker.role == Role::App
}

fn told(state: &ControlState, trouble: &TroubleView) -> Trouble {
    let TroubleView { cause, evidence, next, retry_at } = trouble.clone();
    Trouble { cause, evidence, next, retry_at: retry_at.map(|moment| state.clock.wall(moment)) }
}

fn workers(state: &ControlState, name: &AppName, pool: &PoolView, waiting: u32) -> Vec<Worker> {
    let living = living(state, name);
    let mut views: Vec<&WorkerView> = pool.workers.iter().collect();
    views.sort_by_key(|view| (view.seat, view.id));
    views.into_iter().map(|view| worker(state, view, living.get(&view.id), waiting)).collect()
}

fn worker(
    state: &ControlState,
    view: &WorkerView,
    living: Option<&Living>,
    waiting: u32,
) -> Worker {
    let WorkerView { id, seat, generation, pid, role, life, since, status } = view.clone();
    let now_ns = Clock::monotonic_ns();
    let current = living.map(Living::serving).unwrap_or_default();
    Worker {
        seat,
        id,
        generation,
        pid,
        state: worker_state(life, living, waiting),
        relief: role == Role::Relief,
        template: role == Role::Template,
        since: state.clock.wall(since),
        requests: state.scoreboard.served(id),
        status,
        current: current.into_iter().map(|request| shown(request, now_ns)).collect(),
    }
}

fn shown(request: Serving, now_ns: u64) -> CurrentRequest {
    let Serving { since_ns, phase, method, uri } = request;
    let for_ms = now_ns.saturating_sub(since_ns) / 1_000_000;
    CurrentRequest { method, uri, phase: phase.as_str().to_owned(), for_ms }
}

fn living(state: &ControlState, name: &AppName) -> BTreeMap<WorkerId, Living> {
    state.scoreboard.living(name).into_iter().map(|living| (living.worker, living)).collect()
}

/// The program with its arguments, under the path it was found at.
fn run(launch: &crate::spec::Launch) -> Vec<String> {
    let program = launch.program.display().to_string();
    let arguments = launch.arguments.iter().skip(1).cloned();
    std::iter::once(program).chain(arguments).collect()
}
