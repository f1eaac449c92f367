//! A daemon without a loop: two apps on the board, and somebody behind the door who answers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use scgi_protocol::control::{AppState, OperationState, Plan, Problem, Seats, Stream, Verb, Wish};
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::super::door::Peer;
use super::super::*;
use crate::journal::Written;
use crate::shell::handle::{Question, Refusal};
use crate::spec::{
    AppSpec, ControlSpec, Launch, ListenAt, ListenSpec, Ownership, Restart, RevisionsSpec, Roll,
    Sizing, Timing, Who,
};
use crate::supervisor::{
    About, LifeView, Moment, OperationView, PoolView, Role, TroubleView, WorkerView,
};

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The configuration as it was written.
pub(super) const TEXT: &str = "apps: {blog: {env: {PASSWORD: hunter2}}}\n";

/// Its tag.
pub(super) const TAG: &str = "\"0123456789abcdef\"";

pub(super) struct World {
    pub(super) state: ControlState,
    pub(super) close: watch::Sender<bool>,
    room: Arc<Room>,
    asked: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    facts: watch::Sender<Arc<SiteFacts>>,
    pub(super) peer: Peer,
}

/// An answer of the API.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem it is; panics if it is none, or not in all its parts.
    pub(super) fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status.as_u16());
        let kind = problem.known().expect("it is in the table of the contract");
        let detail = problem.detail.clone();
        let Problem { kind, title, status, .. } = Problem::new(kind, detail);
        assert_eq!((&problem.kind, &problem.title, problem.status), (&kind, &title, status));
        assert!(!problem.detail.is_empty(), "{problem:?}");
        assert!(problem.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{problem:?}");
        problem
    }
}

/// A user in a group of the same number and in no other.
pub(super) fn somebody(id: u32) -> Peer {
    Peer { uid: id, gid: id, groups: [].into(), pid: None }
}

impl World {
    /// Two apps: `blog` serves, `shop` fails.
    pub(super) fn new() -> Self {
        let (handle, mut questions) = Handle::new();
        let (facts, facts_seen) = watch::channel(Arc::new(facts(&[], &[])));
        // A folder that cannot be: nothing is kept.
        let revisions = RevisionsSpec { directory: Some("/dev/null".into()), keep: 1 };
        let state = ControlState {
            handle,
            board: Board::default(),
            journal: Journal::default(),
            scoreboard: Scoreboard::default(),
            queues: Queues::new(),
            clock: Clock::start(),
            facts: facts_seen,
            handed_over: Arc::default(),
            archive: Archive::open(&revisions, "/run/scgid/control.sock".as_ref()),
        };
        state.board.post_pool(&name("blog"), Some(blog()));
        state.board.post_pool(&name("shop"), Some(shop()));
        let (asked, refusals) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (log, refuse) = (Arc::clone(&asked), Arc::clone(&refusals));
        tokio::spawn(async move {
            let mut id = OperationId(0);
            while let Some(question) = questions.recv().await {
                let refusal = refuse.lock().unwrap().pop();
                match question {
                    Question::Do(ask, answer) => {
                        log.lock().unwrap().push(format!("{ask:?}"));
                        id = id.next();
                        answer.send(refusal.map_or(Ok(id), Err)).unwrap();
                    }
                    Question::Plan(proposal, answer) => {
                        log.lock().unwrap().push(format!("{proposal:?}"));
                        answer.send(refusal.map_or_else(|| Ok(Plan::default()), Err)).unwrap();
                    }
                    Question::Upgrade(order, _) => panic!("nobody asks for {order:?} here"),
                }
            }
        });
        let (close, closing) = watch::channel(false);
        let room = Room::new(state.clone(), closing);
        let peer = somebody(0);
        Self { state, close, room, asked, refusals, facts, peer }
    }

    /// Names who may look and who may act.
    pub(super) fn admit(&self, readers: &[Who], writers: &[Who]) {
        self.facts.send(Arc::new(facts(readers, writers))).unwrap();
    }

    /// The loop will refuse the next order.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusals.lock().unwrap().push(refusal);
    }

    /// What the loop was asked.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) async fn send(&self, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(self.peer.clone());
        let answered = router(Arc::clone(&self.room)).oneshot(request);
        tokio::time::timeout(PATIENCE, answered).await.unwrap().unwrap()
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.send(request).await.into_parts();
        let body = tokio::time::timeout(PATIENCE, to_bytes(body, usize::MAX)).await.unwrap();
        let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str) -> Answer {
        self.ask(Request::post(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(Request::put(path).body(body.into()).unwrap()).await
    }

    /// A worker of an app wrote a line to its standard error.
    pub(super) fn write(&self, app: &str, worker: u64, line: &str) {
        let by = About {
            app: name(app),
            seat: Seat(0),
            worker: WorkerId(worker),
            generation: Generation(1),
            role: Role::App,
        };
        let at = self.state.clock.wall(self.state.clock.now());
        let line = line.to_owned();
        let stream = Stream::Stderr;
        let written = Written { by: &by, stream, at, line, cut_bytes: 0, dropped_before: 0 };
        self.state.journal.write_line(written);
    }
}

pub(super) use axum::response::Response;

pub(super) fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

fn facts(readers: &[Who], writers: &[Who]) -> SiteFacts {
    let spec = ControlSpec {
        socket: "/run/scgid/control.sock".into(),
        ownership: Ownership::default(),
        readers: readers.to_vec(),
        writers: writers.to_vec(),
    };
    SiteFacts {
        config: Some("/etc/scgid/scgid.yaml".into()),
        text: TEXT.into(),
        tag: TAG.into(),
        origin: None,
        metrics: Some("127.0.0.1:9464".into()),
        door: Door::new(33, &spec),
    }
}

fn spec(app: &str) -> AppSpec {
    let at = ListenAt::Address(format!("unix:/run/scgid/{app}.sock").parse().unwrap());
    let program = format!("/srv/{app}/bin/{app}").into();
    AppSpec {
        name: name(app),
        kind: crate::spec::Kind::Worker,
        launch: Launch {
            program,
            arguments: vec![app.to_owned(), "--verbose".into()],
            directory: None,
            env: BTreeMap::from([("PASSWORD".into(), "hunter2".into())]),
            env_files: Vec::new(),
            clear_env: true,
            identity: None,
            umask: Some(0o27),
            nice: None,
            limits: BTreeMap::new(),
            mount: None,
            queue_timeout: None,
            preload: false,
            strict: false,
        },
        listen: vec![ListenSpec { at, ownership: Ownership::default(), backlog: 4096 }],
        sizing: Sizing::fixed(2).unwrap(),
        concurrency: 1,
        timing: Timing::default(),
        restart: Restart::default(),
        roll: Roll::default(),
    }
}

/// Two workers serve, one of seat 1 is on its way out.
fn blog() -> PoolView {
    let worker = |id, seat, life| WorkerView {
        id: WorkerId(id),
        seat: Seat(seat),
        generation: Generation(1),
        pid: Some(4710 + i32::try_from(id).unwrap()),
        role: Role::App,
        life,
        since: Moment::START,
        status: (id == 1).then(|| "warm".to_owned()),
    };
    let workers = vec![
        worker(3, 1, LifeView::Serving),
        worker(2, 1, LifeView::Draining),
        worker(1, 0, LifeView::Serving),
    ];
    let seats = Seats { serving: 2, draining: 1, wanted: 2, min: 2, max: 2, ..Seats::default() };
    PoolView {
        spec: Some(Arc::new(spec("blog"))),
        state: AppState::Serving,
        since: Moment::START,
        wish: Wish::Run,
        seats,
        generation: Generation(1),
        restarts: 4,
        trouble: None,
        operation: None,
        roll: None,
        workers,
    }
}

/// Nothing serves.
fn shop() -> PoolView {
    let trouble = TroubleView {
        cause: "generation 2 spent its restart budget: exit 1".into(),
        evidence: said(),
        next: "correct the program, then `scgictl retry shop`".into(),
        retry_at: Some(Moment(Duration::from_secs(30))),
    };
    let seats = Seats { wanted: 2, min: 2, max: 2, ..Seats::default() };
    PoolView {
        spec: Some(Arc::new(spec("shop"))),
        state: AppState::Failing,
        seats,
        generation: Generation(2),
        restarts: 5,
        trouble: Some(trouble),
        workers: Vec::new(),
        ..blog()
    }
}

/// What the last worker of `shop` to die wrote.
pub(super) fn said() -> Vec<String> {
    vec!["Traceback (most recent call last):".into(), "KeyError: 'DATABASE'".into()]
}

/// An operation of `shop` that is under way.
pub(super) fn running(id: u64) -> OperationView {
    OperationView {
        id: OperationId(id),
        verb: Verb::Reload,
        app: Some(name("shop")),
        state: OperationState::Running,
        progress: "0 of 2 workers serving".into(),
        since: Moment::START,
        ended: None,
        reason: None,
        failures: Vec::new(),
    }
}
