//! The control socket under bad treatment, and who may use it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;

use scgi_protocol::control::Problem;
use scgi_tests::http::Answer;
use scgi_tests::{Daemon, Site, needs_root};

/// The user that owns nothing, and its group.
const NOBODY: u32 = 65534;

fn daemon() -> Daemon {
    Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 1}}").serve()
}

/// The problem that is answered to a request, after it was seen that the daemon goes on.
fn refused(method: &str, target: &str, body: &str) -> (u16, Problem) {
    let daemon = daemon();
    let answer: Answer = daemon.ask(method, target, body).unwrap();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(daemon.order("POST", "/v1/apps/blog/reload", "").reason, None);
    let problem: Problem = answer.json();
    assert_eq!(problem.status, answer.status);
    assert!(problem.hint.is_some(), "{problem:?}");
    (answer.status, problem)
}

#[test]
fn what_is_no_json_is_told_so() {
    let (status, problem) = refused("PUT", "/v1/apps/blog/workers", "{\"to\": ");

    assert_eq!((status, problem.slug()), (400, "bad-request"));
}

#[test]
fn json_that_means_nothing_is_told_what_would() {
    let (status, problem) = refused("PUT", "/v1/apps/blog/workers", "{\"two\": 2}");

    assert_eq!((status, problem.slug()), (400, "bad-request"));
    assert!(problem.hint.unwrap().contains("{\"to\": 4}"));
}

#[test]
fn a_number_of_workers_out_of_all_reason_is_refused() {
    for body in ["{\"to\": 100000}", "{\"to\": -1}", "{\"range\": {\"min\": 9, \"max\": 2}}"] {
        let (status, _) = refused("PUT", "/v1/apps/blog/workers", body);
        assert!((400..500).contains(&status), "{body}: {status}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let (status, problem) = refused("PUT", "/v1/apps/blog/workers", &" ".repeat(1 << 20));

    assert_eq!((status, problem.slug()), (413, "too-large"));
}

#[test]
fn an_unknown_app_is_answered_with_the_one_that_was_meant() {
    let (status, problem) = refused("POST", "/v1/apps/blgo/stop", "");

    assert_eq!((status, problem.slug()), (404, "no-such-app"));
    assert!(problem.hint.unwrap().contains("blog"));
}

#[test]
fn a_route_that_does_not_exist_is_told_so() {
    for target in ["/v1/nothing", "/v2/status", "/", "/v1/apps/blog/explode"] {
        let (status, problem) = refused("POST", target, "");
        assert!(matches!(status, 404 | 405), "{target}: {problem:?}");
    }
}

#[test]
fn a_method_that_a_route_does_not_know_is_told_so() {
    let (status, problem) = refused("DELETE", "/v1/status", "");

    assert_eq!(status, 405, "{problem:?}");
}

#[test]
fn noise_and_silence_on_the_control_socket_hold_nobody_up() {
    let daemon = daemon();
    let socket = daemon.site().path("control.sock");
    let connect = || UnixStream::connect(&socket).unwrap();

    let mut noise = connect();
    noise.write_all(&[0xff; 4096]).unwrap();
    let mut half = connect();
    half.write_all(b"POST /v1/apps/blog/stop HTTP/1.1\r\nContent-Le").unwrap();
    let mut body = connect();
    body.write_all(b"PUT /v1/apps/blog/workers HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        .unwrap();
    let _silent: Vec<_> = (0..20).map(|_| connect()).collect();

    assert_eq!(daemon.order("POST", "/v1/apps/blog/reload", "").reason, None);
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    let mut answer = Vec::new();
    noise.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
}

#[test]
fn what_the_daemon_can_do_is_described_for_machines() {
    let daemon = daemon();

    let openapi: serde_json::Value = daemon.get("/v1/openapi.json");

    assert!(openapi["paths"]["/v1/status"]["get"].is_object(), "{openapi}");
}

#[test]
fn events_are_told_while_they_happen() {
    let daemon = daemon();
    let mut stream = UnixStream::connect(daemon.site().path("control.sock")).unwrap();
    stream.set_read_timeout(Some(scgi_tests::PATIENCE)).unwrap();
    let head = "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();

    daemon.order("PUT", "/v1/apps/blog/workers", "{\"to\": 3}");

    let mut told = String::new();
    let mut piece = [0; 4096];
    while !told.contains("event: resized") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the stream ended: {told}");
        told.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(told.contains("text/event-stream"), "{told}");
}

#[test]
fn a_stranger_may_not_connect_and_a_reader_may_look_and_not_act() {
    needs_root();
    let site = Site::new(
        "
control: {socket: $dir/control.sock, mode: '0666', readers: ['user:65534']}
apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 1}}
",
    );
    let scgictl = site.copy_of("it-scgictl");
    let daemon = site.serve();
    let as_user = |user: u32, arguments: &str| {
        let mut command = std::process::Command::new(&scgictl);
        command.args(arguments.split(' ')).uid(user).gid(user);
        command.env("SCGI_SOCKET", daemon.site().path("control.sock"));
        command.output().unwrap().status.code()
    };

    assert_eq!(as_user(NOBODY, "ps"), Some(0));
    assert_eq!(as_user(NOBODY, "stop blog"), Some(5));
    assert_eq!(as_user(NOBODY - 1, "ps"), Some(5));
    assert_eq!(as_user(0, "stop blog"), Some(0));
}

#[test]
fn whoever_is_in_a_group_by_membership_has_its_rights() {
    needs_root();
    let site = Site::new(
        "
control: {socket: $dir/control.sock, mode: '0666', readers: ['group:4711'], writers: ['group:4712']}
apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 1}}
",
    );
    let scgictl = site.copy_of("it-scgictl");
    let daemon = site.serve();
    let with_groups = |groups: &str, arguments: &str| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--groups", groups]).arg(&scgictl);
        command.args(arguments.split(' '));
        command.env("SCGI_SOCKET", daemon.site().path("control.sock"));
        command.output().unwrap().status.code()
    };

    assert_eq!(with_groups("33,4711", "ps"), Some(0));
    assert_eq!(with_groups("33,4711", "stop blog"), Some(5));
    assert_eq!(with_groups("4712,33", "reload blog"), Some(0));
    assert_eq!(with_groups("33", "ps"), Some(5));
}
