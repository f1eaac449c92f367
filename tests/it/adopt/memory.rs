//! What the next daemon still knows: counters, operations, events.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use scgi_protocol::control::{Operation, OperationState};
use scgi_tests::{Daemon, Site, process};

/// A site in which every counter has something to count.
const EVENTFUL: &str = "
revisions: {directory: $dir/revisions}
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
  shop:
    run: [$unruly, serve]
    listen: unix:$dir/shop.sock
    workers: 1
    restart: {budget: 2, backoff: {first: 1ms, max: 1h}}
";

/// Everything that may only rise, save what the process counts of itself.
fn counters(daemon: &Daemon) -> BTreeMap<String, f64> {
    let text = daemon.metrics();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let rising: Vec<&str> = kinds
        .filter(|(name, kind)| *kind != "gauge" && !name.starts_with("process_"))
        .map(|(name, _)| name)
        .collect();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter(|line| rising.iter().any(|name| line.starts_with(name)));
    samples
        .map(|line| {
            let (series, number) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), number.parse().unwrap())
        })
        .collect()
}

/// Makes something of everything happen, and returns an operation that was done and one that failed.
fn live_through_something(daemon: &Daemon) -> [Operation; 2] {
    let client = daemon.app("blog");
    (0..20).for_each(|_| drop(client.get("/hello")));
    let done = daemon.order("POST", "/v1/apps/blog/reload", "");
    daemon.order("PUT", "/v1/apps/blog/workers", "{\"to\": 3}");
    let killed = daemon.pids("blog")[0];
    process::signal(killed, Signal::SIGKILL);
    daemon.until_replaced("blog", killed, 3);
    let broken = EVENTFUL.replace("[$unruly, serve]", "[$unruly, exit, '3']");
    daemon.site().write_config(&broken);
    let failed = daemon.order("POST", "/v1/site/reload", "");
    assert_eq!(failed.state, OperationState::Failed, "{failed:?}");
    [done, failed]
}

/// Nothing that was told before is less or missing afterwards.
fn assert_nothing_goes_back(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) {
    let behind = before.iter().filter(|(series, was)| after.get(*series).is_none_or(|is| is < was));
    let behind: Vec<_> = behind.map(|(series, was)| (series, was, after.get(series))).collect();
    assert!(behind.is_empty(), "{behind:?}");
    assert!(before.values().filter(|was| **was > 0.0).count() > 20, "{before:?}");
}

#[test]
fn no_counter_goes_back_when_the_daemon_is_killed_or_upgraded() {
    let mut daemon = Site::new(EVENTFUL).serve();
    live_through_something(&daemon);

    let told = counters(&daemon);
    daemon.kill();
    daemon.restart();
    let after_kill = counters(&daemon);
    let happened = daemon.events();
    assert_eq!(daemon.scgictl("upgrade").code, Some(0), "{}", daemon.log());
    let (events, known) = (daemon.events(), happened.len());
    assert_eq!(events[..known], happened, "what happened before an upgrade is told after it");
    assert!(events[known..].iter().all(|event| event.id > happened[known - 1].id));

    assert_nothing_goes_back(&told, &after_kill);
    assert_nothing_goes_back(&after_kill, &counters(&daemon));
}

#[test]
fn operations_that_nobody_scraped_are_counted_by_the_next_daemon() {
    let mut daemon = Site::new(EVENTFUL).serve();
    live_through_something(&daemon);

    daemon.kill();
    daemon.restart();

    let count = |verb, result| {
        let series = format!("scgid_operations_total{{result=\"{result}\",verb=\"{verb}\"}}");
        daemon.metric(&series)
    };
    assert_eq!(count("reload", "done"), Some(1.0), "{}", daemon.metrics());
    assert_eq!(count("scale", "done"), Some(1.0));
    assert_eq!((count("apply", "done"), count("apply", "failed")), (Some(1.0), Some(1.0)));
}

#[test]
fn how_operations_ended_is_known_to_the_next_daemon() {
    let mut daemon = Site::new(EVENTFUL).serve();
    let ended = live_through_something(&daemon);
    let wait = |daemon: &Daemon, id| daemon.scgictl(&format!("wait op:{id}"));
    let told = ended.each_ref().map(|operation| wait(&daemon, operation.id));
    assert_eq!(told.each_ref().map(|said| said.code), [Some(0), Some(1)], "{told:?}");
    assert!(told[1].err.contains("cannot reach the database"), "{told:?}");

    daemon.kill();
    daemon.restart();

    for (operation, told) in ended.iter().zip(&told) {
        let now = wait(&daemon, operation.id);
        assert_eq!((now.code, &now.out, &now.err), (told.code, &told.out, &told.err));
    }
    let next = daemon.order("POST", "/v1/apps/blog/reload", "");
    assert!(next.id > ended[1].id, "no number is given twice");
}
