//! Slow clients behind the real daemon: the only thread of the only worker goes on serving, the
//! worker counts as idle, and stopping it loses none of them. The same with a worker of tasks that has
//! room for one request at a time.

use std::io::Write;

use scgi_protocol::scgi::RequestHead;
use scgi_tests::{Connection, Daemon, Site, eventually};

/// Slow clients of each kind.
const EACH: usize = 50;

/// A reply larger than the kernel keeps for who does not read it.
const BIG_BYTES: usize = 1 << 20;

/// Workers of one thread, and of one task.
const ONE_AT_ONCE: [&str; 2] = ["[$echo]", "[$tasks, one]"];

fn daemon(run: &str) -> Daemon {
    Site::new(&format!(
        "
apps:
  blog:
    run: {run}
    listen: 'unix:$dir/blog.sock'
    workers: 1
"
    ))
    .serve()
}

fn head(method: &str, target: &str, length: u64) -> Vec<u8> {
    RequestHead::new(length)
        .variable("REQUEST_METHOD", method)
        .variable("REQUEST_URI", target)
        .variable("QUERY_STRING", target.split_once('?').map_or("", |(_, query)| query))
        .encode()
        .unwrap()
}

/// So many clients that have sent `bytes` and do nothing more.
fn clients(daemon: &Daemon, count: usize, bytes: &[u8]) -> Vec<Box<dyn Connection>> {
    let app = daemon.app("blog");
    let begin = || {
        let mut connection = app.connect().unwrap();
        connection.write_all(bytes).unwrap();
        connection
    };
    std::iter::repeat_with(begin).take(count).collect()
}

fn rest_of(connection: &mut dyn Connection) -> Vec<u8> {
    let mut heard = Vec::new();
    connection.read_to_end(&mut heard).unwrap();
    heard
}

#[test]
fn a_worker_of_one_thread_answers_while_slow_clients_of_every_kind_hang_on_it() {
    for run in ONE_AT_ONCE {
        answers_while_slow_clients_hang_on_it(&daemon(run));
    }
}

fn answers_while_slow_clients_hang_on_it(daemon: &Daemon) {
    let pids = daemon.pids("blog");

    let half = [head("POST", "/length", 9), b"half".to_vec()].concat();
    let mut uploaders = clients(daemon, EACH, &half);
    let mut readers = clients(daemon, EACH, &head("GET", &format!("/big?{BIG_BYTES}"), 0));
    let silent = clients(daemon, EACH, b"70:CONTENT_LENGTH");

    for _ in 0..20 {
        assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    }
    let in_flight = "scgid_requests_in_flight{app=\"blog\"}";
    eventually("its worker is idle", || daemon.metric(in_flight) == Some(0.0));
    for uploader in &mut uploaders {
        uploader.write_all(b" more").unwrap();
        assert!(rest_of(&mut **uploader).ends_with(b"9\n"));
    }
    for reader in &mut readers {
        assert!(rest_of(&mut **reader).len() > BIG_BYTES);
    }
    drop(silent);
    eventually("all are counted", || daemon.look("blog").requests == 2 * EACH as u64 + 20);
    assert_eq!(daemon.pids("blog"), pids);
}

#[test]
fn a_roll_loses_no_client_that_is_in_the_middle_of_something() {
    for run in ONE_AT_ONCE {
        rolls_without_losing_a_client(&daemon(run));
    }
}

fn rolls_without_losing_a_client(daemon: &Daemon) {
    let half = [head("POST", "/length", 9), b"half".to_vec()].concat();
    let mut uploaders = clients(daemon, 5, &half);
    let mut readers = clients(daemon, 5, &head("GET", &format!("/big?{BIG_BYTES}"), 0));
    // All of them have been accepted by the worker that is to leave.
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    let pids = daemon.pids("blog");

    assert_eq!(daemon.scgictl("reload blog --no-wait").code, Some(0));
    eventually("another worker serves", || {
        let now = daemon.pids("blog");
        !now.is_empty() && now.iter().any(|pid| !pids.contains(pid))
    });
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    for uploader in &mut uploaders {
        uploader.write_all(b" more").unwrap();
        assert!(rest_of(&mut **uploader).ends_with(b"9\n"));
    }
    for reader in &mut readers {
        assert!(rest_of(&mut **reader).len() > BIG_BYTES);
    }

    eventually("the old worker leaves", || {
        daemon.pids("blog").iter().all(|pid| !pids.contains(pid))
    });
    eventually("none is missing", || daemon.look("blog").requests == 12);
}
