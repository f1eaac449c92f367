//! CGI programs: scripts of all manners, and git over HTTP behind a real nginx.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use scgi_tests::{Daemon, FrontEnd, Request, Said, Server, Site, eventually};

use super::{done, kill_each, script, until_nobody_carries};

const SCRIPTS: &str = "
apps:
  scripts:
    run: [$dir/cgi-bin]
    kind: cgi
    cgi: {timeout: 2s, output: 1MiB}
    env: {MARK: $dir}
    listen: 'unix:$dir/scripts.sock'
    workers: 2
    concurrency: 4
";

/// A daemon that serves a directory of scripts, each with its name and text.
fn scripts(scripts: &[(&str, &str)]) -> Daemon {
    let site = Site::new(SCRIPTS);
    std::fs::create_dir_all(site.path("cgi-bin")).unwrap();
    for (name, text) in scripts {
        script(&site, &format!("cgi-bin/{name}"), text);
    }
    site.serve()
}

fn mark(daemon: &Daemon) -> String {
    format!("MARK={}", daemon.site().path("").display()).trim_end_matches('/').to_owned()
}

const HELLO: &str =
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s' \"$SCRIPT_NAME|$PATH_INFO\"\n";

/// A program in another language that sends back what it is sent.
const ECHO: &str = "#!/usr/bin/python3
import os, sys
sys.stdout.write('Status: 201 Made\\nContent-Type: text/x\\nContent-Length: %s\\n\\n' % os.environ['CONTENT_LENGTH'])
sys.stdout.flush()
while piece := sys.stdin.buffer.read1(65536):
    sys.stdout.buffer.write(piece)
";

#[test]
fn the_path_leads_to_a_script_and_out_of_nothing() {
    let daemon = scripts(&[("hello", HELLO), ("sub/deep.sh", HELLO), (".hidden", HELLO)]);
    script(daemon.site(), "secret", HELLO);
    daemon.site().write("cgi-bin/notes", "not a program");
    let app = daemon.app("scripts");

    assert_eq!(app.get("/hello/a/b?x=1").unwrap().text(), "/hello|/a/b");
    assert_eq!(app.get("/sub/deep.sh").unwrap().text(), "/sub/deep.sh|");
    for (path, status) in
        [("/notes", 403), ("/../secret", 404), ("/.hidden", 404), ("/none", 404), ("/", 404)]
    {
        assert_eq!(app.get(path).unwrap().status, status, "{path}");
    }
}

#[test]
fn a_path_that_is_no_text_reaches_a_program_byte_for_byte() {
    let daemon = scripts(&[("hello", HELLO)]);
    let head = scgi_protocol::scgi::RequestHead::new(0).variable("REQUEST_URI", "/hello/caf%E9");

    let answer = daemon.app("scripts").throw(&head.encode().unwrap()).unwrap();

    assert!(answer.ends_with(b"/hello|/caf\xe9"), "{}", answer.escape_ascii());
}

#[test]
fn what_a_program_says_goes_out_as_it_was_said_and_nothing_is_added() {
    let daemon = scripts(&[(
        "says",
        "#!/bin/sh\nprintf 'X-Name: caf\\351\\nStatus: 404 Nope\\n'\n\
         printf 'Content-Length: 5\\n\\nhere\\n'\n",
    )]);
    let head = scgi_protocol::scgi::RequestHead::new(0).variable("REQUEST_URI", "/says");

    let answer = daemon.app("scripts").throw(&head.encode().unwrap()).unwrap();

    let expected = b"Status: 404 Nope\r\nX-Name: caf\xe9\r\nContent-Length: 5\r\n\r\nhere\n";
    assert!(answer == expected, "{}", answer.escape_ascii());
}

#[test]
fn a_body_goes_through_a_program_and_back() {
    let daemon = scripts(&[("echo", ECHO)]);
    let body: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[1]).collect();

    let answer = daemon.app("scripts").post("/echo", body.clone()).unwrap();

    assert_eq!((answer.status, answer.header("content-type")), (201, Some("text/x")));
    assert!(answer.body == body, "{} bytes", answer.body.len());
}

#[test]
fn an_answer_is_passed_on_while_it_is_being_made() {
    let daemon = scripts(&[(
        "slowly",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfirst\\n'\n\
         while [ ! -e \"$MARK/goes-on\" ]; do sleep 0.01; done\necho second\n",
    )]);
    let mut client = daemon.app("scripts").connect().unwrap();
    let head = scgi_protocol::scgi::RequestHead::new(0).variable("PATH_INFO", "/slowly");
    client.write_all(&head.encode().unwrap()).unwrap();

    let mut first = Vec::new();
    while !first.ends_with(b"first\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        first.push(byte[0]);
    }
    daemon.site().write("goes-on", "");
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();

    assert_eq!(rest, "second\n");
}

#[test]
fn who_writes_no_header_or_dies_is_a_502_with_the_reason_in_the_log() {
    let daemon = scripts(&[
        ("silent", "#!/bin/sh\nexit 7\n"),
        ("prose", "#!/bin/sh\necho hello world\n"),
        ("dies", "#!/bin/sh\nkill -9 $$\n"),
        ("complains", "#!/bin/sh\necho 'it hurts' >&2\nexit 1\n"),
    ]);
    let app = daemon.app("scripts");

    for path in ["/silent", "/prose", "/dies", "/complains"] {
        assert_eq!(app.get(path).unwrap().status, 502, "{path}");
    }

    let told = |what: &str| daemon.lines("scripts").iter().any(|line| line.line.contains(what));
    for what in [
        "wrote no header before it ended: exit status: 7 (GET /silent)",
        "`hello world`, which has no colon (GET /prose)",
        "died: signal: 9",
        "it hurts",
    ] {
        eventually("the log tells why", || told(what));
    }
    assert_eq!(daemon.look("scripts").restarts, 0, "no worker died of it");
}

#[test]
fn who_writes_for_ever_is_cut_off_within_his_limits_and_nothing_is_left() {
    let daemon = scripts(&[
        ("headers", "#!/bin/sh\nwhile :; do echo 'X-A: b'; done\n"),
        ("body", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nexec yes\n"),
        ("hangs", "#!/bin/sh\nsleep 1000 &\nsleep 1000\n"),
    ]);
    let app = daemon.app("scripts");
    let asked = |path: &str| {
        let target = path.to_owned();
        let exchange = app.begin(&Request { method: "GET", target, body: Vec::new() }).unwrap();
        exchange.finish().map(|answer| (answer.status, answer.body.len()))
    };

    assert_eq!(asked("/headers").unwrap().0, 502);
    assert_eq!(asked("/hangs").unwrap().0, 504);
    // The first of it was passed on, and no more than the limit.
    assert!(asked("/body").is_err() || asked("/body").unwrap().1 <= 1 << 20);
    eventually("the log tells of it", || {
        let lines = daemon.lines("scripts");
        lines.iter().any(|line| line.line.contains("wrote more than 1048576 bytes (GET /body)"))
    });
    until_nobody_but_workers(&daemon);
}

#[test]
fn a_program_that_forks_a_daemon_is_answered_for_and_the_daemon_is_killed() {
    let daemon = scripts(&[(
        "forks",
        "#!/bin/sh\nsetsid sleep 1000 &\nsetsid sh -c 'setsid sleep 1000 & sleep 1000' &\n\
         printf 'Content-Type: text/plain\\n\\nover\\n'\n",
    )]);

    for _ in 0..3 {
        assert_eq!(daemon.app("scripts").get("/forks").unwrap().text(), "over\n");
    }

    until_nobody_but_workers(&daemon);
}

#[test]
fn a_program_whose_client_has_gone_is_ended() {
    let daemon = scripts(&[("hangs", "#!/bin/sh\necho $$ > \"$MARK/pid\"\nexec sleep 1000\n")]);
    let target = "/hangs".to_owned();
    let request = Request { method: "GET", target, body: Vec::new() };
    let exchange = daemon.app("scripts").begin(&request).unwrap();
    let pid = daemon.site().pid_in("pid");

    drop(exchange);

    eventually("it is ended", || !scgi_tests::process::is_alive(pid));
}

#[test]
fn a_directory_of_scripts_survives_a_killed_worker_a_roll_and_a_stop() {
    let daemon = scripts(&[
        ("hello", HELLO),
        ("daemon", "#!/bin/sh\nsetsid sleep 1000 &\nexec sleep 1000\n"),
    ]);
    let target = "/daemon".to_owned();
    let request = Request { method: "GET", target, body: Vec::new() };
    let hello = || daemon.app("scripts").get("/hello").unwrap().text();

    let _running = daemon.app("scripts").begin(&request).unwrap();
    eventually("it runs", || scgi_tests::process::with_environment(&mark(&daemon)).len() >= 4);
    kill_each(&daemon, "scripts");
    until_nobody_but_workers(&daemon);
    assert_eq!(hello(), "/hello|");

    done(&daemon, "reload scripts");
    assert_eq!(hello(), "/hello|");
    assert_eq!(daemon.look("scripts").generation.0, 2);

    done(&daemon, "stop scripts");
    until_nobody_carries(&mark(&daemon));
    done(&daemon, "start scripts");
    assert_eq!(hello(), "/hello|");
}

#[test]
fn describe_says_what_is_not_seen_and_the_numbers_tell_the_rest() {
    let daemon = scripts(&[("hello", HELLO)]);
    let ends = "scgid_requests_total{app=\"scripts\",code=\"2xx\"}";

    assert_eq!(daemon.app("scripts").get("/hello").unwrap().status, 200);

    let said = daemon.scgictl("describe scripts").out;
    assert!(said.contains("Not seen of kind cgi"), "{said}");
    assert!(said.contains("cgi.timeout"), "{said}");
    eventually("it is counted", || daemon.metric(ends) == Some(1.0));
}

/// Waits until of all that was started for the app only its two workers are there.
fn until_nobody_but_workers(daemon: &Daemon) {
    eventually("nothing is left behind", || {
        scgi_tests::process::with_environment(&mark(daemon)).len() == 2
    });
}

// ---- git over HTTP ----

fn git(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for (role, name) in [("AUTHOR", "Ada"), ("COMMITTER", "Ada")] {
        command.env(format!("GIT_{role}_NAME"), name);
        command.env(format!("GIT_{role}_EMAIL"), "ada@example.org");
    }
    let said = Said::by(command);
    assert_eq!(said.code, Some(0), "git {arguments:?}: {said:?}");
    said
}

#[test]
fn git_clones_and_pushes_through_nginx_and_survives_what_happens_to_workers() {
    let site = Site::new(
        "
apps:
  git:
    run: [/usr/lib/git-core/git-http-backend]
    kind: cgi
    cgi: {timeout: 5m, output: unlimited}
    env: {GIT_PROJECT_ROOT: $dir/repos, GIT_HTTP_EXPORT_ALL: '1'}
    mount: /git
    listen: {address: 'unix:$dir/git.sock', mode: '0666'}
    workers: 2
",
    );
    std::fs::create_dir(site.path("repos")).unwrap();
    let repo = site.path("repos/one.git");
    git(&site.path(""), &["init", "-q", "--bare", "-b", "main", repo.to_str().unwrap()]);
    git(&repo, &["config", "http.receivepack", "true"]);
    let daemon = site.serve();
    let nginx = FrontEnd::start(Server::Nginx, &daemon);
    let url = format!("http://127.0.0.1:{}/git/one.git", nginx.port());
    let work = daemon.site().path("work");
    let push = |name: &str, bytes: usize| {
        std::fs::write(work.join(name), vec![b'x'; bytes]).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "-qm", name]);
        git(&work, &["push", "-q", "origin", "HEAD:main"]);
    };
    let cloned = |name: &str| {
        let folder = daemon.site().path(name);
        git(&daemon.site().path(""), &["clone", "-q", &url, folder.to_str().unwrap()]);
        std::fs::read_dir(folder).unwrap().count() - 1
    };

    git(&daemon.site().path(""), &["clone", "-q", &url, work.to_str().unwrap()]);
    push("first", 100_000);
    assert_eq!(cloned("one"), 1);

    kill_each(&daemon, "git");
    push("second", 10);
    done(&daemon, "reload git");
    push("third", 10);
    assert_eq!(cloned("three"), 3);

    done(&daemon, "stop git");
    assert_eq!(nginx.get("/git/one.git/info/refs?service=git-upload-pack").status, 502);
    done(&daemon, "start git");
    assert_eq!(cloned("again"), 3);
}
