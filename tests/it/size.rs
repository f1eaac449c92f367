//! Pools that follow the load, and the wish of an operator.

use scgi_tests::{Daemon, Exchange, Request, Site, eventually};

fn pool(workers: &str) -> Daemon {
    let workers = format!("workers: {workers}");
    let site = "apps: {blog: {run: [$echo], listen: 'unix:$dir/b.sock', $workers}}";
    Site::new(&site.replace("$workers", &workers)).serve()
}

/// Puts requests in flight, to be answered when the file `goes-on` exists.
fn hold(daemon: &Daemon, count: usize) -> Vec<Exchange> {
    let target = format!("/hold?until={}", daemon.site().path("goes-on").display());
    let request = Request { method: "GET", target, body: Vec::new() };
    let client = daemon.app("blog");
    (0..count).map(|_| client.begin(&request).unwrap()).collect()
}

fn release(daemon: &Daemon, held: Vec<Exchange>) {
    daemon.site().write("goes-on", "");
    for held in held {
        assert_eq!(held.finish().unwrap().text(), "held\n");
    }
}

#[test]
fn a_pool_grows_to_its_most_and_shrinks_to_its_least() {
    let daemon = pool("{min: 1, max: 3, idle_timeout: 100ms}");
    assert_eq!(daemon.look("blog").workers.serving, 1);

    let held = hold(&daemon, 5);
    daemon.until_serving("blog", 3);
    eventually("two wait", || daemon.look("blog").queue == Some(2));
    release(&daemon, held);

    daemon.until_serving("blog", 1);
    assert_eq!(daemon.look("blog").restarts, 0);
    let exits = "scgid_worker_exits_total{app=\"blog\",reason=\"scaled_down\"}";
    assert_eq!(daemon.metric(exits), Some(2.0));
}

#[test]
fn spare_workers_are_at_hand_while_somebody_is_served() {
    let daemon = pool("{min: 0, max: 8, spare: 2, idle_timeout: 100ms}");

    let held = hold(&daemon, 1);

    daemon.until_serving("blog", 3);
    assert_eq!(daemon.look("blog").busy, 1);
    release(&daemon, held);
    daemon.until_serving("blog", 0);
}

#[test]
fn a_scaled_pool_follows_the_configuration_again_when_that_changes() {
    let daemon = pool("2");
    assert_eq!(daemon.scgictl("scale blog 5").code, Some(0));
    assert!(daemon.look("blog").workers.scaled);

    daemon
        .site()
        .write_config("apps: {blog: {run: [$echo], listen: 'unix:$dir/b.sock', workers: 3}}");
    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(0), "{said:?}");
    daemon.until_serving("blog", 3);
    assert!(!daemon.look("blog").workers.scaled);
}

#[test]
fn scaling_restarts_no_other_worker() {
    let daemon = pool("3");
    let before = daemon.pids("blog");

    daemon.scgictl("scale blog 5");
    let more = daemon.pids("blog");
    daemon.scgictl("scale blog 2");
    let fewer = daemon.pids("blog");

    assert_eq!(more[..3], before);
    assert_eq!(fewer, before[..2]);
}
