//! What every program that accepts on an inherited socket has to go through, whatever its language:
//! the examples of `deploy/examples`, each behind the nginx that `scgictl front` configures.

use std::io::{Read, Write};

use scgi_protocol::control::WorkerState;
use scgi_protocol::scgi::RequestHead;
use scgi_tests::{Connection, Daemon, FrontEnd, Load, Outcome, Server, Site, eventually, http};

use super::{done, kill_each, script, until_nobody_carries};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/");

/// The text of an example.
pub(super) fn example(name: &str) -> String {
    let path = format!("{EXAMPLES}{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A daemon that runs the program `text` as the app `hello`, with two workers, at `/hello`.
///
/// `how` are lines of its configuration, `run` among them; the program is at `$dir/program`.
pub(super) fn hello(text: &str, how: &str) -> Daemon {
    let site = Site::new(&format!(
        "
apps:
  hello:
    listen: {{address: 'unix:$dir/hello.sock', mode: '0666'}}
    mount: /hello
    workers: 2
    env: {{MARK: $dir}}
{how}
"
    ));
    script(&site, "program", text);
    site.serve()
}

/// What the processes of [`hello`] carry in their environment.
pub(super) fn mark(daemon: &Daemon) -> String {
    format!("MARK={}", daemon.site().path("").display()).trim_end_matches('/').to_owned()
}

/// Asks for something small through a web server, over and over.
pub(super) fn light_load(front: &FrontEnd) -> Load {
    let port = front.port();
    Load::start(2, move || match http::get(port, "/hello/load") {
        Ok(answer) if answer.status == 200 && answer.text().contains(" GET /load 0 ") => Ok(()),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
        Err(error) => Err(error.to_string()),
    })
}

/// Does `what` while requests come in through `front`, and some more come after it.
pub(super) fn under_load(front: &FrontEnd, what: impl FnOnce()) -> Outcome {
    let load = light_load(front);
    load.until_answered(20);
    what();
    load.until_answered(20);
    load.stop()
}

/// What every one of them keeps: it answers as `language`, bodies arrive whole, a worker that is
/// killed takes with it what it was at and nothing else, and a stop leaves nothing behind.
pub(super) fn serves_and_survives(daemon: &Daemon, front: &FrontEnd, language: &str) {
    let body = "x".repeat(300_000);

    let got = front.get("/hello/a/b?c=d");
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(got.text().starts_with(&format!("{language} ")), "{}", got.text());
    assert!(got.text().ends_with(" GET /a/b 0 \n"), "{}", got.text());
    let posted = front.post("/hello/p", body.as_bytes()).text();
    assert!(posted.ends_with(&format!(" POST /p 300000 {body}\n")), "{} bytes", posted.len());

    let outcome = under_load(front, || kill_each(daemon, "hello"));
    assert!(outcome.failed.len() <= 2, "two were killed: {outcome:?}");

    done(daemon, "stop hello");
    until_nobody_carries(&mark(daemon));
    assert_eq!(front.get("/hello/").status, 502);
    done(daemon, "start hello");
    assert_eq!(front.get("/hello/").status, 200);
}

/// A roll and a restart under load lose nothing. (For programs that finish what they accepted.)
pub(super) fn rolls_without_a_loss(daemon: &Daemon, front: &FrontEnd) {
    let before = daemon.pids("hello");

    let outcome = under_load(front, || done(daemon, "reload hello"));

    assert_eq!(outcome.failed, [""; 0], "of {} requests", outcome.ok);
    assert!(daemon.pids("hello").iter().all(|pid| !before.contains(pid)), "all are new");
}

/// A request that was taken before a roll, or a stop, and is complete only after it is answered.
pub(super) fn finishes_what_it_took(daemon: &Daemon) {
    for order in ["reload", "stop"] {
        let (mut client, reads) = half_a_request(daemon);
        let asked = daemon.order_at_once("POST", &format!("/v1/apps/hello/{order}"), "");
        eventually("it is asked to leave", || {
            let workers = daemon.describe("hello").workers_now;
            workers.iter().any(|w| w.pid == Some(reads) && w.state == WorkerState::Draining)
        });

        client.write_all(b"67890").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();

        assert!(answer.ends_with(" POST /half 10 1234567890\n"), "{order}: {answer}");
        daemon.until_ended(asked.id.0);
    }
    until_nobody_carries(&mark(daemon));
}

/// A client that has sent half of its body (`67890` is missing), and the worker that reads it.
pub(super) fn half_a_request(daemon: &Daemon) -> (Box<dyn Connection>, i32) {
    let pids = daemon.pids("hello");
    let before: Vec<_> = pids.iter().map(|pid| sockets(*pid)).collect();
    let mut client = daemon.app("hello").connect().unwrap();
    let head = RequestHead::new(10)
        .variable("REQUEST_METHOD", "POST")
        .variable("PATH_INFO", "/half")
        .encode()
        .unwrap();
    client.write_all(&head).unwrap();
    client.write_all(b"12345").unwrap();
    let reads = scgi_tests::eventually_some("a worker takes it", || {
        let now = pids.iter().zip(&before).find(|(pid, before)| sockets(**pid) > **before);
        now.map(|(pid, _)| *pid)
    });
    (client, reads)
}

/// How many sockets a process has open.
fn sockets(pid: i32) -> usize {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// nginx in front of it, as `scgictl front` says.
pub(super) fn nginx(daemon: &Daemon) -> FrontEnd {
    FrontEnd::start(Server::Nginx, daemon)
}
