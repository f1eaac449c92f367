//! From READY to the exit status: what a worker tells, and how it takes its leave.

use nix::sys::signal::Signal;
use scgi_protocol::page::{Phase, State};

use crate::client::{Connection, ask, head};
use crate::process::{Site, WATCHDOG};

#[test]
fn a_worker_serves_when_it_says_so_and_its_page_tells_what_it_did() {
    for site in [Site::unix(), Site::tcp()] {
        let worker = site.worker();
        assert_eq!((worker.page.state(), worker.page.capacity(9)), (State::Accepting, 1));
        assert!(worker.page.idle_since(u64::MAX).is_some());

        let seen = ask(&site.address, "GET", "/", b"").unwrap();

        assert!(seen.starts_with("Status: 200 OK\r\n") && seen.ends_with("\r\n\r\nok"), "{seen}");
        worker.until_ended_requests(1);
        let report = worker.page.report();
        assert_eq!((report.begun, report.ends), (1, [0, 1, 0, 0, 0]));
        assert!(report.busy_ns > 0 && report.bytes_out > 40, "{report:?}");
        assert!(worker.leave().success());
    }
}

#[test]
fn a_worker_takes_its_mount_and_its_threads_from_its_birth() {
    let site = Site::unix();
    let worker = site.worker_as("usual", |birth| {
        birth.mount = Some("/app".into());
        birth.concurrency = 3;
    });

    let seen = ask(&site.address, "GET", "/app/mount", b"").unwrap();

    assert!(seen.ends_with("\r\n\r\n/app /mount"), "{seen}");
    assert_eq!(worker.page.capacity(9), 3);
}

#[test]
fn every_thread_runs_inside_what_the_app_puts_around_it() {
    let site = Site::unix();
    let worker = site.worker_as("usual", |birth| birth.concurrency = 3);

    for _ in 0..9 {
        let seen = ask(&site.address, "GET", "/inside", b"").unwrap();
        assert!(seen.ends_with("\r\n\r\n1"), "{seen}");
    }
    assert!(worker.leave().success());
}

#[test]
fn a_worker_serves_all_listeners_of_its_app_at_once() {
    let tcp = Site::tcp();
    let unix = Site::unix().and(&tcp);
    let _worker = unix.worker();

    for _ in 0..200 {
        for site in [&unix, &tcp] {
            assert!(ask(&site.address, "GET", "/", b"").unwrap().ends_with("ok"));
        }
    }
}

#[test]
fn a_worker_keeps_what_a_new_daemon_would_take_back_from_it() {
    let site = Site::unix();
    let worker = site.worker();

    assert!(worker.descriptor(3).starts_with("socket:"), "{}", worker.descriptor(3));
    assert!(worker.descriptor(5).contains("scgi-book"), "{}", worker.descriptor(5));
}

#[test]
fn a_request_shows_on_the_page_while_it_is_served() {
    let site = Site::unix();
    let worker = site.worker_as("direct", |_| {});
    let mut slow = Connection::to(&site.address).unwrap();
    slow.say(&head("POST", "/length?x=1", 3)).unwrap();
    worker.until_busy();

    let serving = worker.page.serving();
    slow.say(b"abc").unwrap();

    assert_eq!(serving.len(), 1);
    assert_eq!((serving[0].method.as_str(), serving[0].uri.as_str()), ("POST", "/length?x=1"));
    assert!(matches!(serving[0].phase, Phase::Reading | Phase::Handling), "{serving:?}");
    assert!(String::from_utf8(slow.hear().unwrap()).unwrap().ends_with("3 bytes"));
    worker.until_ended_requests(1);
    assert_eq!(worker.page.serving(), []);
}

#[test]
fn a_worker_told_to_leave_finishes_what_it_serves() {
    let site = Site::unix();
    let mut worker = site.worker_as("direct", |_| {});
    let mut slow = Connection::to(&site.address).unwrap();
    slow.say(&head("POST", "/length", 3)).unwrap();
    worker.until_busy();

    for _ in 0..3 {
        worker.signal(Signal::SIGTERM);
    }
    slow.say(b"abc").unwrap();

    assert!(String::from_utf8(slow.hear().unwrap()).unwrap().ends_with("3 bytes"));
    assert!(worker.until_ended().success());
    assert_eq!(worker.page.state(), State::Draining);
}

#[test]
fn a_thread_that_leaves_serves_who_came_while_it_was_busy() {
    let site = Site::unix();
    let mut worker = site.worker_as("direct", |birth| birth.concurrency = 2);
    let mut served = Connection::to(&site.address).unwrap();
    served.say(&head("POST", "/length", 3)).unwrap();
    worker.until_busy();
    worker.signal(Signal::SIGTERM);
    worker.until_said("STOPPING", |notice| notice.stopping); // the other thread has left

    let mut waiting = Connection::to(&site.address).unwrap();
    waiting.say(&head("GET", "/", 0)).unwrap();
    served.say(b"abc").unwrap();

    assert!(String::from_utf8(served.hear().unwrap()).unwrap().ends_with("3 bytes"));
    assert!(String::from_utf8(waiting.hear().unwrap()).unwrap().ends_with("ok"));
    assert!(worker.until_ended().success());
}

#[test]
fn a_worker_with_threads_says_that_it_leaves_while_one_is_still_busy() {
    let site = Site::tcp();
    let mut worker = site.worker_as("direct", |birth| birth.concurrency = 2);
    let mut slow = Connection::to(&site.address).unwrap();
    slow.say(&head("POST", "/length", 3)).unwrap();
    worker.until_busy();

    worker.signal(Signal::SIGTERM);
    worker.until_said("STOPPING", |notice| notice.stopping);
    assert_eq!(worker.page.state(), State::Draining);
    slow.say(b"abc").unwrap();

    assert!(String::from_utf8(slow.hear().unwrap()).unwrap().ends_with("3 bytes"));
    assert!(worker.until_ended().success());
}

#[test]
fn a_hang_up_means_nothing_to_a_worker() {
    let site = Site::unix();
    let worker = site.worker();

    worker.signal(Signal::SIGHUP);

    assert!(ask(&site.address, "GET", "/", b"").unwrap().ends_with("ok"));
    assert!(worker.leave().success());
}

#[test]
fn an_idle_worker_says_that_it_lives_as_often_as_it_must() {
    let site = Site::unix();
    let worker = site.worker_as("usual", |birth| birth.watchdog = Some(WATCHDOG));

    for _ in 0..3 {
        worker.until_said("WATCHDOG", |notice| notice.watchdog);
    }
}
