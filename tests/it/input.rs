//! What clients and front ends may send an app, rightly or not, and exactly what comes of it.
//!
//! Requests that are none at all are in `garbage`.

use std::io::{Read, Write};

use scgi_protocol::scgi::RequestHead;
use scgi_tests::{Daemon, Site, eventually};

/// An app, lenient or not, with one worker of one thread.
fn daemon(env: &str) -> Daemon {
    Site::new(&format!(
        "
apps:
  blog:
    run: [$echo]
    listen: 'unix:$dir/blog.sock'
    workers: 1
    env: {{{env}}}
"
    ))
    .serve()
}

/// A netstring of these variables, in this order.
fn head(variables: &[(&str, &str)]) -> Vec<u8> {
    let block: String =
        variables.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
    format!("{}:{block},", block.len()).into_bytes()
}

/// The first line of what comes back.
fn status(daemon: &Daemon, bytes: &[u8]) -> String {
    let answer = daemon.app("blog").throw(bytes).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.lines().next().unwrap_or_default().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

const OK: &str = "Status: 200";
const BAD: &str = "Status: 400";

const LENGTH: (&str, &str) = ("CONTENT_LENGTH", "0");
const SCGI: (&str, &str) = ("SCGI", "1");
const HELLO: (&str, &str) = ("REQUEST_URI", "/hello");

#[test]
fn a_request_cut_in_two_anywhere_is_the_same_request() {
    let daemon = daemon("");
    let request = [
        head(&[
            ("CONTENT_LENGTH", "4"),
            SCGI,
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/echo"),
        ]),
        b"body".to_vec(),
    ]
    .concat();
    let whole = daemon.app("blog").throw(&request).unwrap();
    assert!(whole.ends_with(b"body"));

    for cut in 1..request.len() {
        let mut connection = daemon.app("blog").connect().unwrap();
        connection.write_all(&request[..cut]).unwrap();
        connection.write_all(&request[cut..]).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, whole, "cut at {cut}");
    }
}

#[test]
fn what_front_ends_do_against_the_rules_is_served_or_refused_if_strict() {
    let lenient = daemon("");
    let strict = daemon("STRICT: '1'");
    let cases: [(&[(&str, &str)], bool); 7] = [
        (&[LENGTH, SCGI, HELLO], true),
        (&[LENGTH, HELLO, SCGI], true),
        (&[LENGTH, HELLO], false),
        (&[LENGTH, HELLO, ("SCGI", "2")], false),
        (&[SCGI, LENGTH, HELLO], false),
        (&[LENGTH, SCGI, HELLO, ("HTTP_A", "x"), ("HTTP_A", "y")], false),
        (&[("CONTENT_LENGTH", "0000"), SCGI, HELLO], true),
    ];
    for (variables, is_by_the_rules) in cases {
        let request = head(variables);
        assert_eq!(status(&lenient, &request), OK, "{variables:?}");
        let if_strict = if is_by_the_rules { OK } else { BAD };
        assert_eq!(status(&strict, &request), if_strict, "{variables:?}");
    }
}

#[test]
fn what_parts_one_thing_from_the_next_is_never_guessed() {
    let daemon = daemon("");
    let pids = daemon.pids("blog");
    for length in ["", "-1", "+3", "1a", " 1", "9223372036854775808", "99999999999999999999"] {
        assert_eq!(status(&daemon, &head(&[("CONTENT_LENGTH", length), SCGI])), BAD, "{length}");
    }
    let wrong: [&[u8]; 12] = [
        &head(&[SCGI]),
        &head(&[LENGTH, SCGI, ("REMOTE_ADDR", "a"), ("REMOTE_ADDR", "b")]),
        &head(&[LENGTH, LENGTH, SCGI]),
        &head(&[LENGTH, SCGI, ("", "nameless")]),
        b"024:CONTENT_LENGTH\x000\0SCGI\x001\0,",
        b"+24:CONTENT_LENGTH\x000\0SCGI\x001\0,",
        b" 24:CONTENT_LENGTH\x000\0SCGI\x001\0,",
        b":CONTENT_LENGTH\x000\0SCGI\x001\0,",
        b"00000000024:CONTENT_LENGTH\x000\0SCGI\x001\0,",
        b"24:CONTENT_LENGTH\x000\0SCGI\x001\0.",
        b"22:CONTENT_LENGTH\x000\0SCGI\0,",
        b"23:CONTENT_LENGTH\x000\0SCGI\x001,",
    ];
    for request in wrong {
        assert_eq!(status(&daemon, request), BAD, "{}", request.escape_ascii());
    }
    assert_eq!(status(&daemon, b"2000000:"), "Status: 431");
    assert_eq!(status(&daemon, b"12345678901:"), BAD);

    assert_eq!(daemon.pids("blog"), pids, "no worker was lost");
    assert_eq!(daemon.look("blog").requests, 0, "and none was asked");
}

#[test]
fn repeated_headers_are_joined_and_values_arrive_as_they_were_sent() {
    let daemon = daemon("");
    let variables = [
        LENGTH,
        SCGI,
        ("REQUEST_URI", "/variables"),
        ("HTTP_X_A", "1"),
        ("HTTP_COOKIE", "a=1"),
        ("HTTP_X_A", "2"),
        ("HTTP_COOKIE", "b=2"),
        ("REMOTE_USER", "a\nb\rc\u{1b}[31m\u{e9}"),
    ];

    let answer = daemon.app("blog").throw(&head(&variables)).unwrap();

    let text = String::from_utf8(answer).unwrap();
    assert!(text.contains("HTTP_X_A = 1, 2\n"), "{text}");
    assert!(text.contains("HTTP_COOKIE = a=1; b=2\n"), "{text}");
    assert!(text.contains("REMOTE_USER = a\\nb\\rc\\u{1b}[31m\u{e9}\n"), "{text}");
    let series = "scgid_lenient_requests_total{app=\"blog\"}";
    eventually("it is counted", || daemon.metric(series) == Some(1.0));
}

#[test]
fn the_largest_head_that_apache_sends_is_taken() {
    let daemon = daemon("");
    let value = "x".repeat(8190);
    let names: Vec<String> = (0..94).map(|n| format!("HTTP_X_{n}")).collect();
    let mut variables = vec![LENGTH, SCGI, HELLO];
    variables.extend(names.iter().map(|name| (name.as_str(), value.as_str())));

    assert_eq!(status(&daemon, &head(&variables)), OK);
}

#[test]
fn a_request_of_nothing_but_a_length_is_a_request() {
    assert_eq!(status(&daemon(""), &head(&[LENGTH, SCGI])), OK);
}

#[test]
fn a_body_that_is_cut_short_is_an_abort_and_what_follows_a_body_is_ignored() {
    let daemon = daemon("");
    let head = RequestHead::new(10).variable("REQUEST_METHOD", "POST");
    let head = head.variable("REQUEST_URI", "/echo").encode().unwrap();

    let mut short = daemon.app("blog").connect().unwrap();
    short.write_all(&[&*head, b"half"].concat()).unwrap();
    drop(short);
    let series = "scgid_aborted_requests_total{app=\"blog\"}";
    eventually("it is an abort", || daemon.metric(series) == Some(1.0));

    let answer = daemon.app("blog").throw(&[&*head, b"0123456789and more"].concat()).unwrap();
    assert!(answer.ends_with(b"\r\n\r\n0123456789"), "{}", answer.escape_ascii());
}

#[test]
fn a_handler_whose_client_has_left_is_told_and_its_error_is_none() {
    let daemon = daemon("");
    let head = RequestHead::new(0).variable("REQUEST_URI", "/abandoned").encode().unwrap();

    let mut client = daemon.app("blog").connect().unwrap();
    client.write_all(&head).unwrap();
    drop(client);

    let series = "scgid_aborted_requests_total{app=\"blog\"}";
    eventually("it is an abort", || daemon.metric(series) == Some(1.0));
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    let lines = daemon.lines("blog");
    assert!(lines.iter().all(|line| !line.line.contains("nobody's log")), "{lines:?}");
}
