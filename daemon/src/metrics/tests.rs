//! The whole of `/metrics`, and the answers over HTTP, with an invented site.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use scgi_protocol::control::{AppState, Seats, Verb, Wish};
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};
use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Page, State, now_ns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::*;
use crate::journal::Journal;
use crate::scoreboard::Living;
use crate::shell::backlog::Inode;
use crate::spec::{AppSpec, Kind, Launch, Restart, Roll, Sizing, Timing};
use crate::supervisor::{About, Cause, LifeView, Moment, PoolView, Role, WorkerView};

/// An invented site, and metrics of it.
struct World {
    sources: Sources,
    metrics: Metrics,
    pages: Vec<Arc<Page>>,
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn launch() -> Launch {
    Launch {
        program: "/bin/true".into(),
        arguments: vec!["true".into()],
        directory: None,
        env: BTreeMap::new(),
        env_files: Vec::new(),
        clear_env: true,
        identity: None,
        umask: None,
        nice: None,
        limits: BTreeMap::new(),
        mount: None,
        queue_timeout: None,
        preload: false,
        strict: false,
    }
}

fn spec(name: &str, concurrency: u16) -> Arc<AppSpec> {
    Arc::new(AppSpec {
        name: app(name),
        kind: Kind::Worker,
        launch: launch(),
        listen: Vec::new(),
        sizing: Sizing::fixed(4).unwrap(),
        concurrency,
        timing: Timing::default(),
        restart: Restart::default(),
        roll: Roll::default(),
    })
}

fn pool(name: &str, state: AppState) -> PoolView {
    PoolView {
        spec: Some(spec(name, 1)),
        state,
        since: Moment::START,
        wish: Wish::Run,
        seats: Seats { wanted: 2, min: 1, max: 4, ..Seats::default() },
        generation: Generation(1),
        restarts: 0,
        trouble: None,
        operation: None,
        roll: None,
        workers: Vec::new(),
    }
}

fn worker(id: u64, life: LifeView) -> WorkerView {
    WorkerView {
        id: WorkerId(id),
        seat: Seat(0),
        generation: Generation(1),
        pid: Some(1),
        role: Role::App,
        life,
        since: Moment::START,
        status: None,
    }
}

impl World {
    fn new() -> Self {
        let sources = Sources {
            board: Board::default(),
            scoreboard: Scoreboard::default(),
            queues: Queues::new(),
            journal: Journal::default(),
        };
        let started = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let metrics = Metrics::new(sources.clone(), started);
        Self { sources, metrics, pages: Vec::new() }
    }

    fn post(&self, name: &str, view: PoolView) {
        self.sources.board.post_pool(&app(name), Some(view));
    }

    /// Seats a worker that keeps a page and accepts one request at a time.
    fn born(&mut self, name: &str, id: u64) -> Arc<Page> {
        let (page, _fd) = Page::create().unwrap();
        let page = Arc::new(page);
        page.set_state(State::Accepting, 1);
        let (worker, seat) = (WorkerId(id), Seat(0));
        let living = Living { worker, seat, page: Arc::clone(&page), concurrency: 1 };
        self.sources.scoreboard.seat(&app(name), living);
        self.pages.push(Arc::clone(&page));
        page
    }

    /// The value of the one sample that begins as `sample` says.
    fn value(&self, sample: &str) -> Option<f64> {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(sample))?;
        Some(line.trim().parse().unwrap())
    }
}

/// A pool with a bit of everything: `blog` serves, `wiki` is failing and relieved.
fn busy_world() -> World {
    let mut world = World::new();
    let (idle, busy) = (world.born("blog", 1), world.born("blog", 2));
    let end = End { bytes_in: 120, bytes_out: 4096, took_ns: 3_000_000, ..End::default() };
    for status in [200, 200, 304, 404, 503, 0] {
        idle.begin(0, 1, b"GET", b"/");
        idle.count(&End { status, aborted: status == 0, ..end });
        idle.free(0);
    }
    idle.count_wait(Duration::from_micros(400));
    idle.count_refused(Refusal::Malformed);
    idle.count_leniency();
    (0..2).for_each(|_| idle.count_repeats());
    (0..3).for_each(|_| idle.count_expired());
    (0..4).for_each(|_| idle.count_large_head());
    (0..5).for_each(|_| idle.count_shed());
    idle.set_parked(6);
    busy.set_parked(u64::MAX);
    world.sources.journal.drop_line(&app("blog"));
    busy.begin(0, 1, b"GET", b"/slow");
    world.sources.scoreboard.add_saturated(&app("blog"), Duration::from_millis(1_500));
    let mut blog = pool("blog", AppState::Serving);
    blog.workers = vec![
        worker(1, LifeView::Serving),
        worker(2, LifeView::Serving),
        worker(3, LifeView::Starting),
        worker(4, LifeView::Draining),
    ];
    blog.restarts = 2;
    world.post("blog", blog);
    let mut wiki = pool("wiki", AppState::Failing);
    wiki.workers = vec![WorkerView { role: Role::Relief, ..worker(5, LifeView::Serving) }];
    world.post("wiki", wiki);
    tell(&world.metrics);
    world
}

fn tell(metrics: &Metrics) {
    let (seat, generation, role) = (Seat(0), Generation(1), Role::App);
    let about = About { app: app("blog"), seat, worker: WorkerId(9), generation, role };
    let (how, lived) = ("signal 11 (SEGV)".to_owned(), Duration::from_secs(2));
    metrics.tell(&Note::WorkerGone { about, cause: Cause::Signalled, how, lived });
    let pause = Duration::from_millis(100);
    metrics.tell(&Note::BackingOff { app: app("wiki"), pause, deaths: 1 });
    let (operation, verb, failure) = (OperationId(1), Verb::Apply, None);
    metrics.tell(&Note::OperationEnded { operation, verb, app: None, failure });
}

/// The text with the numbers that differ between two machines or versions taken out.
fn still(text: &str) -> String {
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let line = |line: &str| match line.split_once(' ') {
        Some((name, _)) if name.starts_with("process_") => format!("{name} …\n"),
        _ => format!("{}\n", line.replace(&version, "version=\"…\"")),
    };
    text.lines().map(line).collect()
}

#[test]
fn a_scrape_tells_everything_of_a_site() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(16).unwrap()).unwrap();
    let world = busy_world();
    world.sources.queues.set(&app("blog"), vec![Inode::of(&listener).unwrap()]);

    let text = world.metrics.render();

    insta::assert_snapshot!(still(&text));
}

#[test]
fn every_family_of_the_catalogue_is_told_and_no_other() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = busy_world();
    world.sources.queues.set(&app("blog"), vec![Inode::of(&listener).unwrap()]);

    let text = world.metrics.render();

    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let told: BTreeSet<_> = typed.collect();
    let listed: BTreeSet<_> = names::ALL.iter().map(|family| family.name).collect();
    assert_eq!(told, listed);
}

#[test]
fn a_removed_app_is_told_of_no_longer() {
    let world = busy_world();

    world.sources.board.post_pool(&app("blog"), None);
    world.sources.scoreboard.remove_app(&app("blog"));
    world.metrics.tell(&Note::Removed { app: app("blog") });

    assert!(!world.metrics.render().contains("app=\"blog\""));
}

#[test]
fn utilization_is_one_only_when_nothing_is_left_to_grow_into() {
    let mut world = World::new();
    let mut view = pool("blog", AppState::Serving);
    view.seats.max = 2;
    view.workers = vec![worker(1, LifeView::Serving)];
    world.post("blog", view.clone());
    world.born("blog", 1).begin(0, 1, b"GET", b"/");
    let sample = r#"scgid_pool_utilization_ratio{app="blog"}"#;

    assert_eq!(world.value(sample), Some(0.5));

    view.workers.push(worker(2, LifeView::Serving));
    world.post("blog", view);
    world.born("blog", 2).begin(0, 1, b"GET", b"/");
    assert_eq!(world.value(sample), Some(1.0));
}

#[test]
fn a_worker_that_leaves_does_not_count_as_capacity_in_use() {
    let mut world = World::new();
    let mut view = pool("blog", AppState::Serving);
    view.seats.max = 1;
    view.workers = vec![worker(1, LifeView::Draining), worker(2, LifeView::Serving)];
    world.post("blog", view);
    world.born("blog", 1).begin(0, 1, b"GET", b"/");
    world.born("blog", 2);

    assert_eq!(world.value(r#"scgid_pool_utilization_ratio{app="blog"}"#), Some(0.0));
    assert_eq!(world.value(r#"scgid_requests_in_flight{app="blog"}"#), Some(1.0));
}

#[test]
fn an_app_is_up_while_its_own_workers_answer_or_would() {
    let world = World::new();
    let up = |state, workers| {
        world.post("blog", PoolView { workers, ..pool("blog", state) });
        world.value(r#"scgid_app_up{app="blog"}"#)
    };
    let relief = WorkerView { role: Role::Relief, ..worker(1, LifeView::Serving) };

    assert_eq!(up(AppState::Idle, Vec::new()), Some(1.0));
    assert_eq!(up(AppState::Degraded, vec![worker(1, LifeView::Serving)]), Some(1.0));
    assert_eq!(up(AppState::Starting, vec![worker(1, LifeView::Starting)]), Some(0.0));
    assert_eq!(up(AppState::Failing, vec![relief]), Some(0.0));
}

#[test]
fn a_refused_reload_is_told_until_one_succeeds() {
    let world = World::new();
    let stamp = "scgid_config_last_reload_success_timestamp_seconds";
    let successful = || world.value("scgid_config_last_reload_successful");
    assert_eq!((successful(), world.value(stamp)), (Some(1.0), Some(1_700_000_000.0)));

    world.metrics.reload_failed();
    assert_eq!((successful(), world.value(stamp)), (Some(0.0), Some(1_700_000_000.0)));

    world.metrics.reload_succeeded(UNIX_EPOCH + Duration::from_secs(1_700_000_060));
    assert_eq!((successful(), world.value(stamp)), (Some(1.0), Some(1_700_000_060.0)));
}

#[test]
#[ignore = "prints a figure for a person to judge; run with --release --ignored --nocapture"]
fn figure_of_a_scrape_of_a_thousand_apps() {
    let mut world = World::new();
    let mut listeners = Vec::new();
    for at in 0..1000_u64 {
        let name = format!("app-{at}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        world.sources.queues.set(&app(&name), vec![Inode::of(&listener).unwrap()]);
        listeners.push(listener);
        let ids = [at * 2, at * 2 + 1];
        for id in ids {
            world.born(&name, id).begin(0, 1, b"GET", b"/");
        }
        let mut view = pool(&name, AppState::Serving);
        view.workers = ids.map(|id| worker(id, LifeView::Serving)).into();
        world.post(&name, view);
    }

    let cpu = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap();
    let mut took: Vec<_> = (0..50)
        .map(|_| {
            let before = cpu();
            let bytes = world.metrics.render().len();
            (cpu() - before, bytes)
        })
        .collect();
    took.sort_unstable();

    println!("CPU time of a scrape, and bytes: median {:?}, worst {:?}", took[25], took[49]);
}

/// What `door` answers to `request`, the whole of it.
async fn exchange(
    mut client: impl tokio::io::AsyncRead + AsyncWriteExt + Unpin,
    path: &str,
) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Asks the metrics of `world` for `path` over TCP: status line and body.
async fn ask(world: &World, pulse: &Pulse, path: &str) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let door = Door::Tcp(listener);
    let server = tokio::spawn(serve(door, world.metrics.clone(), pulse.clone()));
    let answer = exchange(TcpStream::connect(to).await.unwrap(), path).await;
    server.abort();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn alive() -> Pulse {
    let pulse = Pulse::default();
    pulse.beat(now_ns());
    pulse
}

const OK: &str = "HTTP/1.1 200 OK";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found";

fn answer(status: &str, body: &str) -> (String, String) {
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_scrape_is_answered_over_tcp_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let world = busy_world();

    let server = tokio::spawn(serve(Door::Unix(listener), world.metrics.clone(), alive()));
    let over_unix = exchange(UnixStream::connect(&path).await.unwrap(), "/metrics").await;
    server.abort();
    let (status, over_tcp) = ask(&world, &alive(), "/metrics").await;

    assert!(over_unix.contains("content-type: text/plain; version=0.0.4"), "{over_unix}");
    assert!(over_unix.contains("scgid_workers{app=\"blog\",state=\"busy\"} 1\n"));
    assert_eq!(status, OK);
    assert!(over_tcp.contains("scgid_workers{app=\"blog\",state=\"busy\"} 1\n"));
}

#[tokio::test]
async fn a_daemon_is_healthy_while_its_loop_turns() {
    let world = World::new();

    let none = ask(&world, &Pulse::default(), "/healthz").await;

    assert_eq!(none, answer(UNAVAILABLE, "the loop has not begun\n"));
    assert_eq!(ask(&world, &alive(), "/healthz").await, answer(OK, "ok\n"));
}

#[tokio::test]
async fn a_site_is_ready_when_every_app_that_should_run_does() {
    let world = busy_world();
    world.post("shop", pool("shop", AppState::Idle));
    let stopped = PoolView { wish: Wish::Stop, ..pool("cart", AppState::Stopped) };
    world.post("cart", stopped);

    assert_eq!(ask(&world, &alive(), "/readyz").await, answer(UNAVAILABLE, "wiki is failing\n"));
    for app in ["blog", "shop", "cart"] {
        let path = format!("/readyz?app={app}");
        assert_eq!(ask(&world, &alive(), &path).await, answer(OK, "ok\n"), "{app}");
    }
    let wiki = ask(&world, &alive(), "/readyz?app=wiki").await;
    assert_eq!(wiki, answer(UNAVAILABLE, "wiki is failing\n"));
    let nobody = ask(&world, &alive(), "/readyz?app=nobody").await;
    assert_eq!(nobody, answer(NOT_FOUND, "no app has this name\n"));
}

#[tokio::test]
async fn a_daemon_that_has_not_begun_or_is_stopping_is_not_ready() {
    let world = World::new();

    let begun = ask(&world, &Pulse::default(), "/readyz").await;
    world.sources.board.post_stopping();
    let stopping = ask(&world, &alive(), "/readyz").await;

    assert_eq!(begun, answer(UNAVAILABLE, "the loop has not begun\n"));
    assert_eq!(stopping, answer(UNAVAILABLE, "the daemon is stopping\n"));
}

#[tokio::test]
async fn any_other_path_is_told_where_to_look() {
    let (status, body) = ask(&World::new(), &alive(), "/v1/apps").await;

    assert_eq!(status, NOT_FOUND);
    assert!(body.contains("/metrics"), "{body}");
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_a_scrape_from_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let world = busy_world();
    let server = tokio::spawn(serve(Door::Tcp(listener), world.metrics.clone(), alive()));
    let mut silent = Vec::new();
    for _ in 0..31 {
        silent.push(TcpStream::connect(to).await.unwrap());
    }

    let answer = exchange(TcpStream::connect(to).await.unwrap(), "/healthz").await;

    server.abort();
    assert!(answer.starts_with(OK), "{answer}");
}
