//! What clients and front ends may send an app, rightly or not, and exactly what comes of it.
//!
//! Requests that are none at all are in `garbage`. Whatever can be sent to a worker of tasks is sent to
//! one as well.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use scgi_protocol::scgi::RequestHead;
use scgi_tests::{Daemon, Site, eventually};

/// The two ways of the SDK.
const BOTH: [&str; 2] = ["$echo", "$tasks"];

/// Does `test` with an app of either way.
#[track_caller]
fn with_both(test: impl Fn(Daemon)) {
    for program in BOTH {
        test(daemon(program, ""));
    }
}

/// The app `program`, with one worker, and `key` in its configuration.
fn daemon(program: &str, key: &str) -> Daemon {
    Site::new(&format!(
        "
apps:
  blog:
    run: [{program}]
    listen: 'unix:$dir/blog.sock'
    workers: 1
    {key}
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

/// How many requests or connections were counted as this.
fn counted(daemon: &Daemon, series: &str) -> f64 {
    daemon.metric(series).unwrap_or_default()
}

#[test]
fn a_request_cut_in_two_anywhere_is_the_same_request() {
    with_both(|daemon| {
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
    });
}

#[test]
fn what_front_ends_do_against_the_rules_is_served_or_refused_if_strict() {
    for program in BOTH {
        let lenient = daemon(program, "");
        let strict = daemon(program, "strict: true");
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
        let broken = cases.iter().filter(|(_, is_by_the_rules)| !is_by_the_rules).count() as f64;
        let taken = "scgid_lenient_requests_total{app=\"blog\"}";
        let refused = "scgid_refused_connections_total{app=\"blog\",reason=\"malformed\"}";
        eventually("each is counted", || {
            (counted(&lenient, taken), counted(&strict, refused)) == (broken, broken)
        });
        assert_eq!((counted(&strict, taken), counted(&lenient, refused)), (0.0, 0.0));
    }
}

#[test]
fn programs_that_know_of_no_rules_are_spared_what_breaks_them_if_strict() {
    let repeated = head(&[LENGTH, SCGI, HELLO, ("HTTP_A", "x"), ("HTTP_A", "y")]);
    let wsgi = "[$python, -m, scgi_worker, 'wsgi:app'], directory: $dir";
    let cgi = "[$dir/hello], kind: cgi";
    for run in [wsgi, cgi] {
        for (strict, expected) in [("false", OK), ("true", BAD)] {
            let site = Site::new(&format!(
                "apps: {{blog: {{run: {run}, listen: 'unix:$dir/blog.sock', workers: 1, \
                 strict: {strict}}}}}"
            ));
            let app = "def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n";
            site.write("wsgi.py", app);
            let script = site.write("hello", "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\n");
            std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();

            assert_eq!(status(&site.serve(), &repeated), expected, "{run} {strict}");
        }
    }
}

#[test]
fn a_length_with_leading_zeros_is_what_it_means() {
    with_both(|daemon| {
        let post = [
            ("CONTENT_LENGTH", "0003"),
            SCGI,
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/echo"),
        ];

        let answer = daemon.app("blog").throw(&[head(&post), b"abc".to_vec()].concat()).unwrap();

        assert!(answer.ends_with(b"\r\n\r\nabc"), "{}", answer.escape_ascii());
    });
}

#[test]
fn what_parts_one_thing_from_the_next_is_never_guessed() {
    with_both(|daemon| {
        let pids = daemon.pids("blog");
        for length in ["", "-1", "+3", "1a", " 1", "9223372036854775808", "99999999999999999999"] {
            let request = head(&[("CONTENT_LENGTH", length), SCGI]);
            assert_eq!(status(&daemon, &request), BAD, "{length}");
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
    });
}

#[test]
fn repeated_headers_are_joined_and_values_arrive_as_they_were_sent() {
    with_both(|daemon| {
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
        for series in ["scgid_lenient_requests_total", "scgid_repeated_variables_requests_total"] {
            let series = format!("{series}{{app=\"blog\"}}");
            eventually("it is counted", || daemon.metric(&series) == Some(1.0));
        }
    });
}

#[test]
fn what_a_client_writes_cannot_write_lines_of_a_log() {
    let daemon = daemon("$echo", "");
    let uri = ("REQUEST_URI", "/panic?\r\n2026 all is well\u{1b}[2J\u{85}");

    let request = head(&[LENGTH, SCGI, uri, ("REQUEST_METHOD", "GET\nPOST")]);
    daemon.app("blog").throw(&request).unwrap();
    let request = head(&[LENGTH, SCGI, uri]);
    assert_eq!(status(&daemon, &request), "Status: 500");

    let is_told = |line: &str| line.contains("(GET /panic?") && line.contains("all is well");
    eventually("it is told", || daemon.lines("blog").iter().any(|told| is_told(&told.line)));
    for told in daemon.lines("blog") {
        let line = told.line.trim_end();
        assert!(!line.starts_with("2026") && !line.contains(char::is_control), "{line:?}");
    }
    let shown = daemon.scgictl("logs blog").out;
    assert!(!shown.contains('\u{1b}') && !shown.contains('\r'), "{shown:?}");
}

#[test]
fn the_largest_head_that_apache_sends_is_taken() {
    with_both(|daemon| {
        let value = "x".repeat(8190);
        let names: Vec<String> = (0..94).map(|n| format!("HTTP_X_{n}")).collect();
        let mut variables = vec![LENGTH, SCGI, HELLO];
        variables.extend(names.iter().map(|name| (name.as_str(), value.as_str())));

        assert_eq!(status(&daemon, &head(&variables)), OK);
    });
}

#[test]
fn a_request_of_nothing_but_a_length_is_a_request() {
    assert_eq!(status(&daemon("$echo", ""), &head(&[LENGTH, SCGI])), OK);
    // This one has no page for it.
    assert_eq!(status(&daemon("$tasks", ""), &head(&[LENGTH, SCGI])), "Status: 404");
}

#[test]
fn a_request_as_clients_of_rtorrent_send_it_arrives_with_its_body() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$python, -m, scgi_worker, 'rpc:app']
    directory: $dir
    listen: 'unix:$dir/blog.sock'
    workers: 1
",
    );
    site.write(
        "rpc.py",
        "
def app(environ, start_response):
    start_response('200 OK', [])
    return [environ['wsgi.input'].read()[::-1]]
",
    );
    let daemon = site.serve();
    let xml = "<methodCall><methodName>system.pid</methodName></methodCall>";
    let length = xml.len().to_string();

    let request = [head(&[("CONTENT_LENGTH", &length), SCGI]), xml.into()].concat();
    let answer = String::from_utf8(daemon.app("blog").throw(&request).unwrap()).unwrap();

    let backwards: String = xml.chars().rev().collect();
    assert!(answer.starts_with("Status: 200 ") && answer.ends_with(&backwards), "{answer}");
}

#[test]
fn a_body_that_is_cut_short_is_an_abort_and_what_follows_a_body_is_ignored() {
    with_both(|daemon| {
        let aborted = "scgid_aborted_requests_total{app=\"blog\"}";
        let head = |length| {
            let head = RequestHead::new(length).variable("REQUEST_METHOD", "POST");
            head.variable("REQUEST_URI", "/echo").encode().unwrap()
        };

        // One that is waited for, and one that its handler reads as it comes.
        for (so_far, length) in [(1.0, 10), (2.0, 2 << 20)] {
            let mut short = daemon.app("blog").connect().unwrap();
            short.write_all(&[&*head(length), b"half"].concat()).unwrap();
            drop(short);
            eventually("it is an abort", || daemon.metric(aborted) == Some(so_far));
        }

        let request = [&*head(10), b"0123456789and more"].concat();
        let answer = daemon.app("blog").throw(&request).unwrap();
        assert!(answer.ends_with(b"\r\n\r\n0123456789"), "{}", answer.escape_ascii());
    });
}

#[test]
fn a_body_that_stops_coming_is_answered_408_and_holds_nobody_up() {
    for program in BOTH {
        let daemon = daemon(program, "env: {BODY_TIMEOUT_MS: '300'}");
        let head = |length| {
            let head = RequestHead::new(length).variable("REQUEST_METHOD", "POST");
            head.variable("REQUEST_URI", "/length").encode().unwrap()
        };
        let mut stalled = daemon.app("blog").connect().unwrap();
        stalled.write_all(&[&*head(10), b"half"].concat()).unwrap();

        assert_eq!(status(&daemon, &self::head(&[LENGTH, SCGI, HELLO])), OK);

        let mut answer = String::new();
        stalled.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("Status: 408 "), "{program}: {answer}");
        let timeouts = "scgid_requests_total{app=\"blog\",code=\"4xx\"}";
        eventually("it is counted", || daemon.metric(timeouts) == Some(1.0));
        assert_eq!(counted(&daemon, "scgid_aborted_requests_total{app=\"blog\"}"), 0.0);
    }
}

#[test]
fn a_handler_whose_client_has_left_is_told_and_its_error_is_none() {
    let daemon = daemon("$echo", "");
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

#[test]
fn a_client_that_leaves_while_it_is_answered_is_an_abort_and_costs_no_worker() {
    with_both(|daemon| {
        let pids = daemon.pids("blog");
        let target = "/big?33554432";
        let head = RequestHead::new(0)
            .variable("REQUEST_URI", target)
            .variable("QUERY_STRING", "33554432")
            .encode()
            .unwrap();

        let mut client = daemon.app("blog").connect().unwrap();
        client.write_all(&head).unwrap();
        client.read_exact(&mut [0; 100_000]).unwrap();
        drop(client);

        let aborted = "scgid_aborted_requests_total{app=\"blog\"}";
        eventually("it is an abort", || daemon.metric(aborted) == Some(1.0));
        assert_eq!(status(&daemon, &self::head(&[LENGTH, SCGI, HELLO])), OK);
        assert_eq!(daemon.pids("blog"), pids);
        assert_eq!(daemon.lines("blog").len(), 0, "nobody is to blame");
    });
}
