//! Workers that die, and apps that cannot live: what that costs them, and nobody else.

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Site, eventually, process};

/// How often the app's own workers were started so far.
fn starts(daemon: &Daemon, app: &str) -> f64 {
    let series = format!("scgid_worker_starts_total{{app=\"{app}\"}}");
    daemon.metric(&series).unwrap()
}

/// Relief workers of the app that answer.
fn relief(daemon: &Daemon, app: &str) -> usize {
    daemon.describe(app).workers_now.iter().filter(|worker| worker.relief).count()
}

/// An app that dies at once as long as the file `broken` exists, and one that serves.
const BROKEN: &str = "
apps:
  blog:
    run: [$unruly, exit-if, $dir/broken, '3']
    listen: 'unix:$dir/blog.sock'
    workers: 2
    restart: {budget: 3, backoff: {first: 20ms, max: 1h}}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock', workers: 1}
";

fn broken() -> Daemon {
    let site = Site::new(BROKEN);
    site.write("broken", "");
    let daemon = site.start();
    daemon.until("blog", AppState::Failing);
    daemon
}

#[test]
fn a_worker_that_is_killed_is_replaced_in_its_seat() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/b.sock', workers: 2}}");
    let daemon = site.serve();
    let before = daemon.pids("blog");
    daemon.app("blog").get("/hello").unwrap();

    process::signal(before[0], Signal::SIGKILL);

    eventually("another one serves in its seat", || {
        let after = daemon.pids("blog");
        after.len() == 2 && after[0] != before[0] && after[1] == before[1]
    });
    assert_eq!(daemon.look("blog").restarts, 1);
    let told = daemon.events().into_iter().find(|event| event.kind == "worker-gone").unwrap();
    assert!(told.message.contains("signal 9 (KILL)"), "{told:?}");
}

#[test]
fn a_worker_that_crashes_takes_its_own_request_with_it_and_no_other() {
    let site =
        Site::new("apps: {blog: {run: [$unruly, serve], listen: 'unix:$dir/b.sock', workers: 2}}");
    let daemon = site.serve();
    let client = daemon.app("blog");

    let crashed = client.get("/crash?7");

    assert!(crashed.is_err(), "{crashed:?}");
    assert_eq!(client.get("/").unwrap().text(), "unruly\n");
    eventually("its death is told", || {
        daemon.events().iter().any(|event| event.kind == "worker-gone")
    });
    let told = daemon.events().into_iter().find(|event| event.kind == "worker-gone").unwrap();
    assert!(told.message.contains("exit 7"), "{told:?}");
    let lines = daemon.lines("blog");
    assert!(lines.iter().any(|line| line.line == "unruly: asked to crash"), "{lines:?}");
}

#[test]
fn a_panic_is_a_500_and_no_death() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/b.sock', workers: 1}}");
    let daemon = site.serve();
    let pids = daemon.pids("blog");

    let answer = daemon.app("blog").get("/panic").unwrap();

    assert_eq!(answer.status, 500);
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    assert_eq!(daemon.pids("blog"), pids);
}

#[test]
fn an_app_that_cannot_start_is_failing_and_the_other_one_serves() {
    let daemon = broken();

    let app = daemon.look("blog");
    let trouble = app.trouble.unwrap();

    assert!(trouble.cause.contains("exit 3"), "{trouble:?}");
    assert!(
        trouble.evidence.iter().any(|line| line.contains("cannot reach the database")),
        "{trouble:?}"
    );
    assert!(trouble.next.contains("scgictl retry blog"), "{trouble:?}");
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);
    assert_eq!(daemon.look("shop").restarts, 0);
    assert_eq!(daemon.metric("scgid_app_up{app=\"blog\"}"), Some(0.0));
    assert_eq!(daemon.metric("scgid_app_up{app=\"shop\"}"), Some(1.0));
}

#[test]
fn an_app_that_cannot_start_is_tried_no_more_often_than_its_budget() {
    let daemon = broken();
    eventually("relief answers", || relief(&daemon, "blog") == 1);

    // Three attempts of the app, and relief. The next attempt is due in an hour.
    assert_eq!(starts(&daemon, "blog"), 4.0);
    let retry_at = daemon.look("blog").trouble.unwrap().retry_at;
    assert!(retry_at.is_some());
}

#[test]
fn requests_to_a_failing_app_are_answered_503_with_the_time_to_come_back() {
    let daemon = broken();
    eventually("relief answers", || relief(&daemon, "blog") == 1);

    let answer = daemon.app("blog").get("/").unwrap();

    assert_eq!(answer.status, 503);
    let seconds: Option<u64> = answer.header("retry-after").and_then(|text| text.parse().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answer:?}");
}

#[test]
fn a_failing_app_that_was_mended_serves_when_it_is_retried() {
    let daemon = broken();
    let refused = daemon.scgictl("retry blog");
    assert_eq!(refused.code, Some(1), "not mended yet: {refused:?}");

    std::fs::remove_file(daemon.site().path("broken")).unwrap();
    let said = daemon.scgictl("retry blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(daemon.look("blog").state, AppState::Serving);
    assert_eq!(daemon.app("blog").get("/").unwrap().text(), "unruly\n");
    eventually("relief has left", || relief(&daemon, "blog") == 0);
}

#[test]
fn a_failing_app_comes_back_by_itself_after_the_longest_pause() {
    let site = Site::new(&BROKEN.replace("max: 1h", "max: 50ms"));
    site.write("broken", "");
    let daemon = site.start();
    daemon.until("blog", AppState::Failing);

    std::fs::remove_file(daemon.site().path("broken")).unwrap();

    let client = daemon.app("blog");
    eventually("it answers itself", || {
        client.get("/").is_ok_and(|answer| answer.text() == "unruly\n")
    });
    daemon.until("blog", AppState::Serving);
    daemon.until_serving("blog", 2);
}

#[test]
fn an_app_that_says_never_again_is_not_tried_again() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$unruly, exit, '100']
    listen: 'unix:$dir/b.sock'
    workers: 1
    restart: {backoff: {first: 1ms, max: 1ms}}
",
    );

    let daemon = site.start();
    daemon.until("blog", AppState::Failing);
    eventually("relief answers", || relief(&daemon, "blog") == 1);

    assert_eq!(starts(&daemon, "blog"), 2.0, "the one attempt, and relief");
    let trouble = daemon.look("blog").trouble.unwrap();
    assert_eq!(trouble.retry_at, None, "{trouble:?}");
    assert_eq!(daemon.app("blog").get("/").unwrap().status, 503);
}

#[test]
fn a_worker_that_does_not_get_ready_in_time_is_killed() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$unruly, silent]
    listen: 'unix:$dir/b.sock'
    workers: 1
    start_timeout: 50ms
    restart: {budget: 2, backoff: {first: 1ms, max: 1h}}
",
    );

    let daemon = site.start();

    daemon.until("blog", AppState::Failing);
    let exits = "scgid_worker_exits_total{app=\"blog\",reason=\"start_timeout\"}";
    eventually("both are gone", || daemon.metric(exits) == Some(2.0));
}
