//! Bytes on an app's socket that are no SCGI: they are answered or closed, counted, and cost no
//! worker, one of threads or one of tasks.

use std::io::Read;

use scgi_protocol::scgi::RequestHead;
use scgi_tests::{Daemon, Site, eventually};

/// The two ways of the SDK.
const BOTH: [&str; 2] = ["[$echo]", "[$tasks, one]"];

fn daemon(run: &str) -> Daemon {
    let site = Site::new(&format!(
        "
apps:
  blog:
    run: {run}
    listen: ['unix:$dir/blog.sock', '127.0.0.1:$port_blog']
    workers: 2
    env: {{HEAD_TIMEOUT_MS: '300'}}
"
    ));
    site.serve()
}

/// Throws `bytes` at both sockets of the app. Gives what came back from each, after it was seen
/// that the app goes on as it was, and that the connections were counted for `reason`.
fn thrown(bytes: &[u8], reason: &str) -> Vec<String> {
    BOTH.map(|run| thrown_at(&daemon(run), bytes, reason)).concat()
}

fn thrown_at(daemon: &Daemon, bytes: &[u8], reason: &str) -> Vec<String> {
    let pids = daemon.pids("blog");
    let clients: Vec<_> =
        daemon.look("blog").listen.iter().map(|at| scgi_tests::ScgiClient::new(at)).collect();

    let answers = clients.iter().map(|client| client.throw(bytes).unwrap());
    let answers = answers.map(|answer| String::from_utf8_lossy(&answer).into_owned()).collect();

    for client in &clients {
        assert_eq!(client.get("/hello").unwrap().status, 200);
    }
    assert_eq!(daemon.pids("blog"), pids);
    assert_eq!(daemon.look("blog").restarts, 0);
    let series = format!("scgid_refused_connections_total{{app=\"blog\",reason=\"{reason}\"}}");
    eventually("both are counted", || daemon.metric(&series) == Some(2.0));
    answers
}

#[test]
fn an_http_request_is_answered_in_http_with_what_is_wrong() {
    for answer in thrown(b"GET / HTTP/1.1\r\nHost: blog\r\n\r\n", "malformed") {
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("SCGI"), "{answer}");
    }
}

#[test]
fn a_tls_handshake_is_not_waited_on() {
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.resize(517, 0x5a);

    thrown(&hello, "malformed");
}

#[test]
fn random_bytes_are_answered_with_400() {
    // The same on each run; none of them is a digit.
    let bytes: Vec<u8> =
        (1..4000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3] | 0x80).collect();

    for answer in thrown(&bytes, "malformed") {
        assert!(answer.starts_with("Status: 400 "), "{answer}");
    }
}

#[test]
fn a_head_of_two_gigabytes_is_refused_before_it_comes() {
    for answer in thrown(b"2147483648:CONTENT_LENGTH\x00", "too_long") {
        assert!(answer.starts_with("Status: 431 "), "{answer}");
        assert!(answer.contains("2147483648"), "{answer}");
    }
}

#[test]
fn half_a_head_and_silence_is_closed_in_time() {
    for answer in thrown(b"70:CONTENT_LENGTH\x000\x00SC", "incomplete") {
        assert!(answer.is_empty() || answer.starts_with("Status: 408 "), "{answer}");
    }
}

#[test]
fn a_body_of_two_gigabytes_is_refused_by_the_handler_that_takes_less() {
    let daemon = daemon(BOTH[0]);
    let pids = daemon.pids("blog");
    let head = RequestHead::new(2 << 30)
        .variable("REQUEST_METHOD", "POST")
        .variable("PATH_INFO", "/echo")
        .encode()
        .unwrap();

    let answer = daemon.app("blog").throw(&head).unwrap();

    assert!(answer.starts_with(b"Status: 413 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    assert_eq!(daemon.pids("blog"), pids);
}

#[test]
fn who_connects_and_leaves_is_no_request_no_fault_and_no_line() {
    for daemon in BOTH.map(daemon) {
        let client = daemon.app("blog");

        for _ in 0..20 {
            drop(client.connect().unwrap());
        }

        assert_eq!(client.get("/hello").unwrap().status, 200);
        eventually("one request is counted", || daemon.look("blog").requests == 1);
        for reason in ["malformed", "too_long", "incomplete"] {
            let series =
                format!("scgid_refused_connections_total{{app=\"blog\",reason=\"{reason}\"}}");
            assert_eq!(daemon.metric(&series), Some(0.0), "{reason}");
        }
        assert_eq!(daemon.lines("blog").len(), 0);
    }
}

#[test]
fn silent_clients_hold_no_worker_longer_than_the_limit() {
    for daemon in BOTH.map(daemon) {
        let client = daemon.app("blog");

        // More of them than there are workers.
        let mut silent: Vec<_> = (0..6).map(|_| client.connect().unwrap()).collect();

        assert_eq!(client.get("/hello").unwrap().status, 200);
        for connection in &mut silent {
            assert_eq!(connection.read(&mut [0; 512]).unwrap_or(0), 0, "closed without a word");
        }
    }
}
