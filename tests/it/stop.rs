//! Apps that are stopped and started by an operator.

use std::os::unix::net::UnixStream;

use scgi_protocol::control::{AppState, OperationState, Wish};
use scgi_tests::{Daemon, Request, Site, eventually, process};

fn two_apps() -> Daemon {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: ['unix:$dir/blog.sock', '127.0.0.1:$port_blog'], workers: 2}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock', workers: 1}
",
    );
    site.serve()
}

#[test]
fn a_stopped_app_has_no_listener_and_no_worker_and_says_that_it_was_wished() {
    let daemon = two_apps();
    let client = daemon.app("blog");
    let port = daemon.site().port("blog");
    let pids = daemon.pids("blog");

    let said = daemon.scgictl("stop blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    let app = daemon.look("blog");
    assert_eq!((app.state, app.wish), (AppState::Stopped, Wish::Stop));
    assert!(client.get("/hello").is_err());
    assert!(!daemon.site().path("blog.sock").exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(pids.iter().all(|pid| !process::is_alive(*pid)));
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);
    assert_eq!(daemon.metric("scgid_app_wanted{app=\"blog\"}"), Some(0.0));
}

#[test]
fn a_stopped_app_serves_again_when_it_is_started() {
    let daemon = two_apps();
    let client = daemon.app("blog");
    daemon.scgictl("stop blog");

    let said = daemon.scgictl("start blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    let app = daemon.look("blog");
    assert_eq!((app.state, app.wish), (AppState::Serving, Wish::Run));
    assert_eq!(client.get("/hello").unwrap().status, 200);
}

#[test]
fn a_stopped_app_stays_stopped_when_the_configuration_is_read_again() {
    let daemon = two_apps();
    daemon.scgictl("stop blog");

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(daemon.look("blog").state, AppState::Stopped);
    assert!(!daemon.site().path("blog.sock").exists());
}

#[test]
fn a_request_being_served_is_finished_before_its_worker_stops() {
    let daemon = two_apps();
    let until = daemon.site().path("goes-on");
    let target = format!("/hold?until={}", until.display());
    let request = Request { method: "GET", target, body: Vec::new() };
    let held = daemon.app("blog").begin(&request).unwrap();
    eventually("it is being served", || daemon.look("blog").busy == 1);

    let stop = daemon.order_at_once("POST", "/v1/apps/blog/stop", "");
    eventually("one worker is left", || daemon.look("blog").workers.draining == 1);
    assert_eq!(daemon.look("blog").state, AppState::Stopping);
    std::fs::write(until, "").unwrap();

    assert_eq!(held.finish().unwrap().text(), "held\n");
    assert_eq!(daemon.until_ended(stop.id.0).state, OperationState::Done);
}

#[test]
fn a_worker_that_ignores_the_signal_is_killed_after_its_time() {
    let site = Site::new(
        "
apps:
  blog: {run: [$unruly, stubborn], listen: 'unix:$dir/b.sock', workers: 1, stop_timeout: 100ms}
",
    );
    let daemon = site.serve();
    let pid = daemon.pids("blog")[0];

    let stop = daemon.order("POST", "/v1/apps/blog/stop", "");

    assert_eq!(stop.state, OperationState::Done);
    assert!(!process::is_alive(pid));
    let exits = "scgid_worker_exits_total{app=\"blog\",reason=\"stop_timeout\"}";
    assert_eq!(daemon.metric(exits), Some(1.0));
}

#[test]
fn what_a_worker_left_in_a_session_of_its_own_is_gone_with_it() {
    let site = Site::new(
        "
apps:
  blog: {run: [$unruly, litter, $dir/left], listen: 'unix:$dir/b.sock', workers: 1}
",
    );
    let daemon = site.serve();
    let left = daemon.site().pid_in("left");
    assert!(process::is_alive(left));

    daemon.order("POST", "/v1/apps/blog/stop", "");

    eventually("it is gone", || !process::is_alive(left));
}

#[test]
fn a_restart_replaces_every_worker() {
    let daemon = two_apps();
    let before = daemon.pids("blog");

    let said = daemon.scgictl("restart blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    let after = daemon.pids("blog");
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|pid| !before.contains(pid)));
    assert!(UnixStream::connect(daemon.site().path("blog.sock")).is_ok());
}
