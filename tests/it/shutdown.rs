//! How the daemon leaves: what is in flight is finished, and nothing stays behind.

use nix::sys::signal::Signal;
use scgi_tests::{Daemon, Exchange, Request, Site, eventually, process};

/// A daemon with a request in flight that is served once the file `goes-on` exists.
fn with_a_request_in_flight(stop_timeout: &str) -> (Daemon, Exchange) {
    let site = Site::new(&format!(
        "
apps:
  blog:
    run: [$echo]
    listen: ['unix:$dir/blog.sock', '127.0.0.1:$port_blog']
    workers: 2
    stop_timeout: {stop_timeout}
"
    ));
    let daemon = site.serve();
    let target = format!("/hold?until={}", daemon.site().path("goes-on").display());
    let request = Request { method: "GET", target, body: Vec::new() };
    let held = daemon.app("blog").begin(&request).unwrap();
    eventually("it is being served", || daemon.look("blog").busy == 1);
    (daemon, held)
}

#[test]
fn a_request_in_flight_is_answered_before_the_daemon_leaves() {
    let (mut daemon, held) = with_a_request_in_flight("1h");

    daemon.signal(Signal::SIGTERM);
    eventually("one worker is left, leaving", || {
        daemon.status().daemon.stopping && daemon.look("blog").workers.draining == 1
    });
    assert!(daemon.is_alive());
    daemon.site().write("goes-on", "");

    assert_eq!(held.finish().unwrap().text(), "held\n");
    let ended = daemon.until_gone();
    assert!(ended.is_in_order(), "{:?}", ended.status);
}

#[test]
fn a_second_signal_hurries() {
    let (daemon, held) = with_a_request_in_flight("1h");
    daemon.signal(Signal::SIGTERM);
    eventually("it is leaving", || daemon.status().daemon.stopping);

    daemon.signal(Signal::SIGTERM);

    let ended = daemon.until_gone();
    assert!(ended.is_in_order(), "{:?}", ended.status);
    assert!(held.finish().is_err());
}

#[test]
fn a_worker_that_takes_too_long_is_killed_and_the_daemon_leaves() {
    let (daemon, held) = with_a_request_in_flight("100ms");

    let ended = daemon.stop();

    assert!(ended.is_in_order(), "{:?}", ended.status);
    assert!(held.finish().is_err());
}

#[test]
fn no_process_and_no_socket_is_left_behind() {
    let site = Site::new(
        "
apps:
  blog: {run: [$unruly, litter, $dir/left], listen: 'unix:$dir/blog.sock', workers: 1}
  shop: {run: [$unruly, stubborn], listen: '127.0.0.1:$port_shop', stop_timeout: 50ms, workers: 2}
",
    );
    let daemon = site.serve();
    let left = daemon.site().pid_in("left");
    let all = process::descendants(daemon.pid());
    assert!(all.len() >= 4, "three workers, and one that they started: {all:?}");
    assert!(all.contains(&left), "what was left has the daemon for a parent");

    let ended = daemon.stop();

    assert!(ended.is_in_order(), "{:?}", ended.status);
    eventually("all are gone", || all.iter().all(|pid| !process::is_alive(*pid)));
    let sockets: Vec<_> = std::fs::read_dir(ended.site.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("sock"))
        .collect();
    assert_eq!(sockets, Vec::<String>::new());
    let port = ended.site.port("shop");
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "the port is free");
}

#[test]
fn the_command_ends_the_daemon_in_order() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock'}}");
    let daemon = site.serve();

    let said = daemon.scgictl("shutdown");

    assert_eq!(said.code, Some(0), "{said:?}");
    let ended = daemon.until_gone();
    assert!(ended.is_in_order(), "{:?}", ended.status);
}

#[test]
fn sigint_is_an_order_to_leave_too() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock'}}");
    let daemon = site.serve();

    daemon.signal(Signal::SIGINT);

    assert!(daemon.until_gone().is_in_order());
}
