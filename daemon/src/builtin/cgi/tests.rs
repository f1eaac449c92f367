//! CGI programs behind the bridge, in memory: shell scripts of a few words.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scgi_worker::testing::{TestApp, TestResponse};

use super::super::offspring::shared;
use super::*;

/// What has to be there as long as an app runs its script.
struct Ground {
    _folder: tempfile::TempDir,
    _shared: std::sync::RwLockReadGuard<'static, ()>,
}

/// An app that runs a shell script.
fn running(text: &str) -> (Ground, TestApp<Bridge>) {
    bounded(text, Bounds { timeout: Duration::from_secs(20), output: Some(1 << 20) })
}

fn bounded(text: &str, bounds: Bounds) -> (Ground, TestApp<Bridge>) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("script");
    fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let source = Source::Program { program, arguments: vec!["--first".to_owned()] };
    let usage = Usage { source, directory: None, bounds };
    let (shared, nursery) = shared::nursery();
    let bridge = Bridge { usage, nursery };
    let ground = Ground { _folder: folder, _shared: shared };
    (ground, App::with_state(bridge).fallback(serve).test())
}

fn got(text: &str) -> TestResponse {
    let (_ground, app) = running(text);
    app.get("/").send()
}

/// What the client of a program is told that does not do well, as far as anything was sent.
fn cut(text: &str, bounds: Bounds) -> Option<u16> {
    let (_ground, app) = bounded(text, bounds);
    app.get("/").try_send().map(|answer| answer.status())
}

#[test]
fn a_program_says_status_headers_and_body() {
    let answer = got("printf 'Status: 404 Nope\nContent-Type: text/x\nX-A: b\n\nhere\n'");

    assert_eq!((answer.status(), answer.text()), (404, "here\n"));
    assert_eq!(answer.header("Content-Type"), Some("text/x"));
    assert_eq!(answer.header("X-A"), Some("b"));
}

#[test]
fn a_redirect_without_status_is_found_elsewhere() {
    for target in ["/local", "http://example.org/"] {
        let answer = got(&format!("printf 'Location: {target}\n\n'"));

        assert_eq!((answer.status(), answer.header("Location")), (302, Some(target)));
    }
}

#[test]
fn a_status_line_of_http_is_a_status() {
    let answer = got("printf 'HTTP/1.1 201 Created\r\nConnection: close\r\n\r\nx'");

    assert_eq!((answer.status(), answer.header("Connection")), (201, None));
}

#[test]
fn a_program_finds_the_variables_of_the_standard() {
    let (_ground, app) = running("printf 'Content-Type: text/plain\n\n'; env; pwd; echo \"$@\"");

    let answer = app
        .post("/a%20b/c?x=1&y", "body")
        .var("SCRIPT_NAME", "/app")
        .var("PATH_INFO", "/a b/c")
        .var("DOCUMENT_ROOT", "/srv/www/")
        .var("CONTENT_TYPE", "text/x")
        .var("LD_PRELOAD", "/tmp/evil.so")
        .var("PATH", "/tmp/evil")
        .var("REMOTE_USER", "ada")
        .header("User-Agent", "me")
        .header("Proxy", "evil:3128")
        .send();

    let text = answer.text();
    let line = |wanted: &str| text.lines().any(|line| line == wanted);
    for wanted in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "REQUEST_METHOD=POST",
        "SCRIPT_NAME=/app",
        "PATH_INFO=/a b/c",
        "PATH_TRANSLATED=/srv/www/a b/c",
        "QUERY_STRING=x=1&y",
        "CONTENT_LENGTH=4",
        "CONTENT_TYPE=text/x",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SERVER_NAME=localhost",
        "REMOTE_ADDR=127.0.0.1",
        "REMOTE_USER=ada",
        "HTTP_USER_AGENT=me",
        "--first",
    ] {
        assert!(line(wanted), "{wanted}\n{text}");
    }
    for unwanted in ["LD_PRELOAD", "HTTP_PROXY", "/tmp/evil", "HTTP_CONTENT"] {
        assert!(!text.contains(unwanted), "{unwanted}\n{text}");
    }
}

#[test]
fn a_body_comes_back_from_a_program_that_writes_while_it_reads() {
    let (_ground, app) = running("printf 'Content-Type: text/plain\n\n'; exec cat");
    let body: Vec<u8> = (0..900_000_u32).map(|n| n.to_le_bytes()[0]).collect();

    let answer = app.post("/", body.clone()).send();

    assert!(answer.body() == body, "{} bytes", answer.body().len());
}

#[test]
fn a_program_that_has_begun_to_answer_gets_to_the_end_of_the_body_and_sees_it() {
    let (_ground, app) =
        running("printf 'Content-Length: 8\n\n'; sleep 0.1; printf '%8d' $(cat | wc -c)");

    for bytes in [70_000, 200_000, 900_000] {
        let answer = app.post("/", vec![b'x'; bytes]).send();

        assert_eq!(answer.text().trim(), bytes.to_string());
    }
}

#[test]
fn a_program_that_reads_nothing_of_a_large_body_is_heard() {
    let (_ground, app) = running("printf 'Status: 413\n\n'");

    assert_eq!(app.post("/", vec![b'x'; 900_000]).send().status(), 413);
}

#[test]
fn head_is_answered_with_the_length_the_program_says() {
    let (_ground, app) = running("printf 'Content-Type: a/b\nContent-Length: 5\n\n'; echo 1234");

    let answer = app.request("HEAD", "/").send();

    assert_eq!((answer.status(), answer.body().len()), (200, 0));
    assert_eq!(answer.header("Content-Length"), Some("5"));
}

#[test]
fn who_writes_no_header_or_a_wrong_one_or_dies_is_a_502() {
    for text in [
        "",
        "exit 3",
        "echo",
        "echo hello world",
        "printf 'Content-Type: text/plain\n'",
        "printf 'Status: 100\n\n'",
        "kill -9 $$",
        "exec /nowhere/at/all",
    ] {
        assert_eq!(got(text).status(), 502, "{text}");
    }
}

#[test]
fn who_announces_more_than_he_writes_does_not_pass_for_whole() {
    let (_ground, app) = running("printf 'Content-Type: a/b\nContent-Length: 9\n\nx'");

    // What was sent by the time it ended was sent; that it was cut is not seen in memory.
    let part = app.get("/").try_send();
    assert!(part.is_none_or(|part| part.status() == 502 || part.body().len() < 9));
}

#[test]
fn who_writes_for_ever_or_too_slowly_is_ended_within_his_limits() {
    let short = Bounds { timeout: Duration::from_millis(200), output: None };
    let small = Bounds { timeout: Duration::from_secs(20), output: Some(200_000) };
    let head = "printf 'Content-Type: a/b\n\n'";

    assert_eq!(cut("exec sleep 1000", short), Some(504));
    assert_eq!(cut("while :; do echo 'X: y'; done", small), Some(502));
    // The first part may have been sent; that it was cut is not seen in memory.
    let begun = cut(&format!("{head}; exec yes"), small);
    assert!(matches!(begun, None | Some(200 | 502)), "{begun:?}");
}

#[test]
fn a_program_that_forks_a_daemon_is_not_waited_for() {
    let answer = got("sleep 1000 & printf 'Content-Type: text/plain\n\nover\n'; exit 0");

    assert_eq!((answer.status(), answer.text()), (200, "over\n"));
}

#[test]
fn a_program_that_cannot_be_run_is_a_502() {
    let usage = Usage {
        source: Source::Program { program: "/nowhere/at/all".into(), arguments: Vec::new() },
        directory: None,
        bounds: Bounds { timeout: Duration::from_secs(20), output: None },
    };
    let app = App::with_state(Bridge { usage, nursery: Arc::default() }).fallback(serve).test();

    assert_eq!(app.get("/").send().status(), 502);
}

#[test]
fn arguments_are_understood_or_told() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let bounds = Bounds { timeout: Duration::from_secs(5), output: Some(9) };
    let program = |name: &str, arguments: &str| Source::Program {
        program: name.into(),
        arguments: words(arguments),
    };

    assert_eq!(
        usage(&words("--timeout 5s --output 9 --directory /d -- /bin/x -- y")),
        Ok(Usage { source: program("/bin/x", "-- y"), directory: Some("/d".into()), bounds })
    );
    let scripts = usage(&words("--scripts /usr/lib/cgi-bin")).unwrap();
    assert_eq!(scripts.source, Source::Directory("/usr/lib/cgi-bin".into()));
    for text in ["", "--", "/bin/x", "--timeout soon -- x", "--scripts /a /b", "--output x -- y"] {
        assert!(usage(&words(text)).is_err(), "{text}");
    }
}
