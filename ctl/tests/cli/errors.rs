//! Daemons that are not there, do not answer, refuse or talk nonsense.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::fake::{Fake, Reply, json, problem};
use crate::run::{Ended, Run};
use crate::samples;

/// What is said, without the directory that is another one each time.
fn told(ended: &Ended, dir: &std::path::Path) -> String {
    assert_eq!(ended.out, "");
    ended.err.replace(dir.to_str().unwrap(), "DIR")
}

#[test]
fn a_daemon_that_is_not_running_is_told_with_where_was_looked_and_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();

    let ended = Run::new("ps").socket(dir.path().join("control.sock")).ended();

    assert_eq!(ended.code, Some(7));
    insta::assert_snapshot!(told(&ended, dir.path()), @r"
    error: the daemon is not running: there is no socket at `DIR/control.sock`
      help: start it with `scgid run FILE`, or say where its socket is with `--socket PATH` or $SCGI_SOCKET
    ");
}

#[test]
fn a_socket_that_a_daemon_left_behind_is_told_from_a_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    drop(UnixListener::bind(&path).unwrap());

    let ended = Run::new("status").arg("--socket").arg(path).ended();

    assert_eq!(ended.code, Some(7));
    insta::assert_snapshot!(told(&ended, dir.path()), @r"
    error: the daemon is not running: nobody listens on `DIR/control.sock`
      help: it died and left its socket behind; start it again with `scgid run FILE`
    ");
}

#[test]
fn a_socket_that_may_not_be_used_says_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let program = dir.path().join("scgictl");
    let _listener = UnixListener::bind(&path).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_scgictl"), &program).unwrap();
    for (path, mode) in [(&path, 0), (&program, 0o755), (&dir.path().to_owned(), 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    let ended = Run::of(&program, "ps").socket(&path).unprivileged().ended();

    assert_eq!(ended.code, Some(5));
    let told = told(&ended, dir.path());
    assert!(told.starts_with("error: not allowed to connect to `DIR/control.sock`\n"), "{told}");
    assert!(told.contains("`DIR/control.sock` belongs to user "), "{told}");
    assert!(told.contains("mode 0000"), "{told}");
}

#[test]
fn what_the_daemon_forbids_is_permission_denied() {
    let fake = Fake::new().on("GET /v1/apps", json(&[samples::serving("blog")])).on(
        "POST /v1/apps/blog/stop",
        problem(403, "forbidden", |problem| {
            problem.detail = "user alice may look, not change".into();
            problem.hint = Some("ask root to add alice to `control.writers`".into());
        }),
    );

    let ended = fake.scgictl("stop blog").ended();

    assert_eq!(ended.code, Some(5));
    insta::assert_snapshot!(ended.err, @r"
    error: user alice may look, not change
      help: ask root to add alice to `control.writers`
    ");
}

#[test]
fn an_answer_that_is_no_json_is_not_taken_for_one() {
    let nonsense = Fake::new().on("GET /v1/status", Reply::Body(200, "hello".into()));
    let foreign = Fake::new().on("GET /v1/status", Reply::Body(502, "<html>".into()));

    let ended = [nonsense.scgictl("ps").ended(), foreign.scgictl("ps").ended()];

    assert_eq!(ended.each_ref().map(|ended| ended.code), [Some(1), Some(1)]);
    insta::assert_snapshot!(ended.each_ref().map(|ended| ended.err.as_str()).concat(), @r"
    error: the answer to `/v1/status` is not understood: expected value at line 1 column 1
      help: is it the control socket of scgid, and of this version?
    error: the answer to `/v1/status` is not understood: status 502 Bad Gateway without application/problem+json
      help: is it the control socket of scgid, and of this version?
    ");
}

#[test]
fn a_connection_that_breaks_is_told() {
    let ended = Fake::new().on("GET /v1/status", Reply::Break).scgictl("ps").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(7), ""));
    insta::assert_snapshot!(ended.err, @"error: the connection to the daemon broke while it answered `/v1/status`: connection closed before message completed");
}

#[test]
fn wrong_usage_is_told_by_the_parser() {
    for (args, words) in [
        ("", "Usage: scgictl"),
        ("stop", "required arguments were not provided"),
        ("stop Blog", "begins with a letter from a to z"),
        ("scale blog many", "write `4`, `+2`, `-1` or `min=1,max=8`"),
        ("wait blog --for ready", "write `serving`, `stopped`, `well` or `gen=N`"),
        ("frobnicate", "unrecognized subcommand"),
        ("request /run/x.sock", "a path is written `unix:/run/x.sock`"),
    ] {
        let ended = Run::new(args).ended();

        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{args}");
        assert!(ended.err.contains(words), "{args}: {}", ended.err);
    }
}

#[test]
fn a_site_without_apps_says_so_where_an_app_is_needed() {
    let fake = Fake::new().on("GET /v1/apps", json(&[""; 0]));

    let ended = fake.scgictl("restart --all").ended();

    assert_eq!(ended.code, Some(4));
    insta::assert_snapshot!(ended.err, @r"
    error: there is no app; nothing has changed
      help: `scgid init` writes a configuration to begin with
    ");
}
