//! Programs that make their own sockets: Fossil's own server, and a small one in Python.

use std::process::Command;

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Said, Site, eventually, process};

use super::{done, goes_on_until_stopped, kill_each, script, until_nobody_carries};

const OWN: &str = "
apps:
  own:
    run: [$dir/own, $dir/own.sock]
    kind: standalone
    env: {MARK: $dir}
    listen: 'unix:$dir/own.sock'
    restart: {budget: 3, backoff: {first: 10ms, max: 1h}}
";

/// A server that says which process it is. It refuses to start where another one listens.
const SERVER: &str = "#!/usr/bin/python3
import os, socket, sys
path = sys.argv[1]
probe = socket.socket(socket.AF_UNIX)
try:
    probe.connect(path)
    sys.exit('somebody else listens there')
except (FileNotFoundError, ConnectionRefusedError):
    pass
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(40)
while True:
    client, _ = listener.accept()
    try:
        client.recv(65536)
        client.sendall(b'Status: 200 OK\\r\\n\\r\\n' + str(os.getpid()).encode())
    except OSError:
        pass
    client.close()
";

const BROKEN: &str = "#!/bin/sh\necho 'no database' >&2\nexit 1\n";

fn own() -> Daemon {
    let site = Site::new(OWN);
    script(&site, "own", SERVER);
    site.serve()
}

/// Who answers at the program's own socket.
fn answers(daemon: &Daemon) -> i32 {
    daemon.app("own").get("/").unwrap().text().parse().unwrap()
}

fn mark(daemon: &Daemon) -> String {
    format!("MARK={}", daemon.site().path("").display()).trim_end_matches('/').to_owned()
}

#[test]
fn it_is_ready_once_its_socket_takes_connections_and_is_found_there() {
    let daemon = own();

    assert_eq!(daemon.pids("own"), [answers(&daemon)]);
    assert_eq!(daemon.look("own").queue, None, "nobody sees its queue");
    let asked = daemon.scgictl("request own /");
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let described = daemon.scgictl("describe own").out;
    assert!(described.contains("Not seen of kind standalone"), "{described}");
}

#[test]
fn one_that_dies_comes_back_and_one_that_is_rolled_is_replaced() {
    let daemon = own();

    kill_each(&daemon, "own");
    let first = answers(&daemon);
    assert_eq!(daemon.look("own").restarts, 1);

    done(&daemon, "reload own");
    let second = answers(&daemon);
    assert_ne!(first, second);
    assert_eq!(daemon.look("own").restarts, 1, "the new one found the address free");

    done(&daemon, "restart own");
    assert_ne!(second, answers(&daemon));
    done(&daemon, "stop own");
    until_nobody_carries(&mark(&daemon));
    assert!(daemon.app("own").get("/").is_err(), "nobody answers in its place");
    done(&daemon, "start own");
    assert_eq!(daemon.pids("own"), [answers(&daemon)]);
}

#[test]
fn when_the_new_one_cannot_live_the_old_one_is_started_again() {
    let daemon = own();
    let site = daemon.site();
    script(site, "broken", BROKEN);
    site.write_config(&OWN.replace("$dir/own, ", "$dir/broken, "));

    let said = daemon.scgictl("apply");

    assert_eq!(said.code, Some(1), "{said:?}");
    daemon.until("own", AppState::Held);
    eventually("the old program answers", || daemon.app("own").get("/").is_ok());
    assert!(said.err.contains("no database") || said.out.contains("no database"), "{said:?}");
}

#[test]
fn one_that_fails_from_the_start_is_failing_and_nobody_answers_in_its_place() {
    let site = Site::new(OWN);
    script(&site, "own", BROKEN);

    let daemon = site.start();

    daemon.until("own", AppState::Failing);
    assert!(daemon.app("own").get("/").is_err());
    assert_eq!(daemon.describe("own").workers_now, []);
}

#[test]
fn one_that_never_listens_is_never_ready() {
    let site = Site::new(&OWN.replace("restart:", "start_timeout: 200ms\n    restart:"));
    script(&site, "own", "#!/bin/sh\nexec sleep 1000\n");

    let daemon = site.start();

    daemon.until("own", AppState::Failing);
}

#[test]
fn a_daemon_that_is_killed_and_one_that_is_upgraded_go_on_with_it() {
    let mut daemon = own();
    let before = answers(&daemon);

    daemon.kill();
    daemon.restart();
    assert_eq!((daemon.pids("own"), answers(&daemon)), (vec![before], before));

    done(&daemon, "upgrade");
    assert_eq!((daemon.pids("own"), answers(&daemon)), (vec![before], before));
    process::signal(before, Signal::SIGKILL);
    eventually("another one serves", || {
        daemon.app("own").get("/").is_ok_and(|answer| answer.text() != before.to_string())
    });
}

#[test]
fn the_socket_of_workers_is_not_taken_over_while_they_serve() {
    let workers = OWN.replace("kind: standalone", "ready: {after: 0s}");
    let site = Site::new(&workers.replace("[$dir/own, $dir/own.sock]", "[$echo]"));
    script(&site, "own", SERVER);
    let daemon = site.serve();
    daemon.site().write_config(OWN);

    let refused = daemon.scgictl("apply");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("scgid itself listens there"), "{refused:?}");

    done(&daemon, "stop own");
    done(&daemon, "apply");
    done(&daemon, "start own");
    assert_eq!(daemon.pids("own"), [answers(&daemon)]);
}

#[test]
fn fossils_own_server_is_supervised() {
    let site = Site::new(
        "
apps:
  wiki:
    run: [fossil, server, $dir/wiki.fossil, --scgi, --localhost, --port, '$port_wiki', --nojail]
    kind: standalone
    env: {HOME: $dir, USER: ada, MARK: $dir}
    listen: '127.0.0.1:$port_wiki'
",
    );
    let mut init = Command::new("fossil");
    init.args(["init", "--admin-user", "ada"]).arg(site.path("wiki.fossil"));
    init.env("HOME", site.path("")).env("USER", "ada");
    let said = Said::by(init);
    assert_eq!(said.code, Some(0), "{said:?}");
    let daemon = site.serve();
    let page = || {
        let answer = daemon.app("wiki").get("/timeline").unwrap();
        assert!(answer.text().contains("initial empty check-in"), "{}", answer.text());
    };

    goes_on_until_stopped(&daemon, "wiki", page);
    until_nobody_carries(&mark(&daemon));
}
