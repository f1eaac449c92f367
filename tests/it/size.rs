//! Pools that follow the load, and the wish of an operator.

use scgi_protocol::control::Operation;
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

#[test]
fn every_order_ends_in_a_line_that_says_what_was_verified() {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
  rare: {run: [$echo], listen: 'unix:$dir/rare.sock', workers: {min: 0, max: 3}}
",
    );
    let daemon = site.serve();

    for (order, end) in [
        ("reload blog", "blog: reloaded, 2 of 2 workers serving"),
        ("restart blog", "blog: restarted, 2 of 2 workers serving"),
        ("scale blog +2", "blog: scaled, 4 of 4 workers serving"),
        (
            "scale blog -9",
            "blog: scaled, 1 of 1 workers serving; asked for 9 fewer than 4, and 1 is the least",
        ),
        ("stop blog", "blog: stopped, no worker is left"),
        ("scale blog 3", "blog: scaled, stopped until it is started"),
        ("start blog", "blog: started, 3 of 3 workers serving"),
        ("retry blog", "blog: retried, 3 of 3 workers serving"),
        ("restart rare", "rare: restarted, no worker until somebody asks"),
        ("scale rare min=2", "rare: scaled, 2 of 2 workers serving, 2 to 3 allowed"),
        (
            "scale rare min=9",
            "rare: scaled, 3 of 3 workers serving; asked for `min` 9, and `max` is 3",
        ),
        // What was scaled follows the configuration again.
        ("reload", "configuration: taken over, 2 apps changed"),
        ("reload", "configuration: taken over, no app had to change"),
    ] {
        let said = daemon.scgictl(order);

        let so = said.out.rsplit_once(" (").map(|(so, _took)| so);
        // Old workers may still be on their way out.
        let left = |so: &str| {
            so.trim_end_matches(" leaving").rfind(", ").filter(|_| so.ends_with(" leaving"))
        };
        let so = so.map(|so| left(so).map_or(so, |end| &so[..end]));
        assert_eq!((said.code, so), (Some(0), Some(end)), "{order}: {said:?}");
    }
    let said = daemon.scgictl("scale blog -8 -o json");
    let operation: Operation = serde_json::from_str(&said.out).unwrap();
    let progress = "1 of 1 workers serving; asked for 8 fewer than 2, and 1 is the least";
    assert_eq!(operation.progress, progress);
}

#[test]
fn what_a_worker_has_room_for_is_known_whoever_said_it() {
    for (run, key, expected) in [
        ("[$tasks]", "", 64),
        ("[$tasks, one]", "", 1),
        ("[$tasks]", "concurrency: 5", 5),
        ("[$echo]", "", 1),
        ("[$echo]", "concurrency: 5", 5),
    ] {
        let daemon = Site::new(&format!(
            "
apps:
  blog:
    run: {run}
    listen: 'unix:$dir/blog.sock'
    workers: 2
    {key}
"
        ))
        .serve();

        eventually(&format!("{run} {key} has room for {expected}"), || {
            daemon.look("blog").capacity == 2 * expected
        });
    }
}
