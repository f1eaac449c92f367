//! Apps, operations, events as a daemon would tell them. Ages are far from where they change.

use std::time::{Duration, SystemTime};

use scgi_protocol::control::{
    App, AppDetail, AppKind, AppState, CurrentRequest, DaemonInfo, Event, Level, LogLine,
    Operation, OperationState, Seats, Status, Stream, Timestamp, Trouble, Verb, Wish, Worker,
    WorkerState,
};
use scgi_protocol::name::{Generation, OperationId, Seat, WorkerId};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

pub(crate) fn ago(seconds: u64) -> Timestamp {
    // Half a unit more, so that the age prints the same however slow the machine is.
    (SystemTime::now() - Duration::from_secs(seconds + 30)).into()
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    (SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_341_600 + seconds)).into()
}

pub(crate) fn serving(name: &str) -> App {
    App {
        name: name.parse().unwrap(),
        state: AppState::Serving,
        wish: Wish::Run,
        workers: Seats { serving: 4, wanted: 4, min: 4, max: 4, ..Seats::default() },
        generation: Generation(7),
        busy: 1,
        capacity: 4,
        silent: 0,
        queue: Some(0),
        requests: 12034,
        restarts: 0,
        since: ago(76 * HOUR),
        listen: vec!["127.0.0.1:4000".into()],
        trouble: None,
        operation: None,
        roll: None,
    }
}

pub(crate) fn held(name: &str) -> App {
    App {
        state: AppState::Held,
        generation: Generation(9),
        busy: 3,
        queue: Some(12),
        restarts: 4,
        since: ago(12 * MINUTE),
        listen: vec!["unix:/run/scgid/shop.sock".into()],
        trouble: Some(Trouble {
            cause: "generation 10 died 4 times in 10s: exit 1".into(),
            evidence: vec![
                "Traceback (most recent call last):".into(),
                "ImportError: no module named shop".into(),
            ],
            next: format!("mend the program, then `scgictl retry {name}`"),
            retry_at: None,
        }),
        ..serving(name)
    }
}

pub(crate) fn failing(name: &str) -> App {
    let mut app = held(name);
    app.state = AppState::Failing;
    app.workers.serving = 0;
    app.queue = None;
    if let Some(trouble) = &mut app.trouble {
        trouble.retry_at = Some((SystemTime::now() + Duration::from_secs(5 * 60 + 30)).into());
    }
    app
}

pub(crate) fn degraded(name: &str) -> App {
    let mut app = serving(name);
    app.state = AppState::Degraded;
    app.workers.serving = 3;
    app.workers.starting = 1;
    app.since = ago(MINUTE);
    app
}

pub(crate) fn unprepared(name: &str) -> App {
    let mut app = stopped(name);
    app.state = AppState::Unprepared;
    app.wish = Wish::Run;
    app.workers = Seats::default();
    app.generation = Generation(0);
    app.listen.clear();
    app.trouble = Some(Trouble {
        cause: "cannot bind `127.0.0.1:80` for app `wiki`: permission denied".into(),
        next: "choose a port above 1023".into(),
        ..Trouble::default()
    });
    app
}

pub(crate) fn stopped(name: &str) -> App {
    App {
        state: AppState::Stopped,
        wish: Wish::Stop,
        workers: Seats { min: 0, max: 8, ..Seats::default() },
        busy: 0,
        capacity: 0,
        queue: None,
        requests: 0,
        ..serving(name)
    }
}

pub(crate) fn idle(name: &str) -> App {
    let mut app = stopped(name);
    app.state = AppState::Idle;
    app.wish = Wish::Run;
    app.queue = Some(0);
    app
}

pub(crate) fn scaled(name: &str) -> App {
    let mut app = serving(name);
    app.workers = Seats { serving: 6, wanted: 6, min: 6, max: 6, scaled: true, ..Seats::default() };
    app
}

/// A foreign program in many places, which says nothing about itself.
pub(crate) fn silent(name: &str) -> App {
    App {
        busy: 0,
        silent: 4,
        requests: 0,
        listen: ["unix:/run/scgid/old.sock", "127.0.0.1:4002", "[::1]:4002"].map(Into::into).into(),
        ..serving(name)
    }
}

pub(crate) fn status(apps: Vec<App>) -> Status {
    let daemon = DaemonInfo {
        version: "0.1.0".into(),
        pid: 4711,
        since: ago(100 * HOUR),
        config: Some("/etc/scgid/scgid.yaml".into()),
        revision: Some(7),
        origin: None,
        stopping: false,
        not_upgraded: None,
        metrics: Some("127.0.0.1:9464".into()),
    };
    Status { daemon, apps }
}

pub(crate) fn worker(seat: u16, state: WorkerState) -> Worker {
    Worker {
        seat: Seat(seat),
        id: WorkerId(40 + u64::from(seat)),
        generation: Generation(9),
        pid: Some(1000 + i32::from(seat)),
        state,
        relief: false,
        template: false,
        since: ago(12 * MINUTE),
        requests: Some(3000),
        status: None,
        current: Vec::new(),
    }
}

pub(crate) fn detail(app: App) -> AppDetail {
    let request = CurrentRequest {
        method: "GET".into(),
        uri: "/report?year=2026".into(),
        phase: "handling".into(),
        for_ms: 1534,
    };
    AppDetail {
        kind: AppKind::Worker,
        unseen: Vec::new(),
        run: vec!["/srv/shop/bin/shop".into(), "--verbose".into()],
        settings: vec![("workers".into(), "4".into()), ("stop_timeout".into(), "30s".into())],
        workers_now: vec![
            Worker { current: vec![request], ..worker(0, WorkerState::Busy) },
            Worker { status: Some("warm\nand ready".into()), ..worker(1, WorkerState::Idle) },
            Worker { pid: None, requests: None, ..worker(2, WorkerState::Starting) },
        ],
        events: vec![event(17)],
        log: vec![log(90, "app \x1b[31mred\x1b[0m")],
        app,
    }
}

pub(crate) fn operation(id: u64, verb: Verb, app: Option<&str>) -> Operation {
    Operation {
        id: OperationId(id),
        verb,
        app: app.map(|name| name.parse().unwrap()),
        state: OperationState::Running,
        progress: "1 of 4 workers serving".into(),
        since: at(0),
        ended: None,
        reason: None,
        evidence: Vec::new(),
        failures: Vec::new(),
        next: None,
    }
}

pub(crate) fn done(id: u64, verb: Verb, app: Option<&str>) -> Operation {
    Operation {
        state: OperationState::Done,
        progress: match verb {
            Verb::Stop => "no worker is left".into(),
            Verb::Apply => "2 apps changed".into(),
            _ => "4 of 4 workers serving".into(),
        },
        ended: Some(at(3)),
        ..operation(id, verb, app)
    }
}

pub(crate) fn failed(id: u64, verb: Verb, app: Option<&str>) -> Operation {
    Operation {
        state: OperationState::Failed,
        ended: Some(at(3)),
        reason: Some("generation 10 died 4 times in 10s: exit 1".into()),
        evidence: vec!["ImportError: no module named shop".into()],
        next: Some("mend the program, then `scgictl retry shop`".into()),
        ..operation(id, verb, app)
    }
}

pub(crate) fn event(id: u64) -> Event {
    Event {
        id,
        at: at(id),
        level: Level::Warn,
        kind: "worker-gone".into(),
        app: Some("shop".parse().unwrap()),
        seat: Some(Seat(2)),
        worker: Some(WorkerId(42)),
        generation: Some(Generation(9)),
        operation: None,
        message: "worker 42 in seat 2 died after 2.0s: exit 1".into(),
    }
}

pub(crate) fn log(id: u64, text: &str) -> LogLine {
    LogLine {
        id,
        at: at(id),
        app: "shop".parse().unwrap(),
        seat: Seat(1),
        worker: WorkerId(41),
        generation: Generation(9),
        stream: Stream::Stderr,
        line: text.into(),
        cut_bytes: 0,
        dropped_before: 0,
    }
}
