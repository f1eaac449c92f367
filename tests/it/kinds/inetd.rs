//! Programs that are run for each connection: Fossil, and some of bad manners.

use std::io::{Read, Write};
use std::process::Command;

use scgi_tests::{Daemon, FrontEnd, Said, Server, Site, eventually, process};

use super::{done, goes_on_until_stopped, script, until_nobody_carries};

#[test]
fn fossil_serves_its_pages_and_survives_what_happens_to_workers() {
    let site = Site::new(
        "
apps:
  wiki:
    run: [fossil, http, $dir/wiki.fossil, --scgi, --nojail]
    kind: inetd
    env: {HOME: $dir, USER: ada}
    mount: /wiki
    listen: {address: 'unix:$dir/wiki.sock', mode: '0666'}
    workers: 2
",
    );
    let mut init = Command::new("fossil");
    init.args(["init", "--admin-user", "ada"]).arg(site.path("wiki.fossil"));
    init.env("HOME", site.path("")).env("USER", "ada");
    let said = Said::by(init);
    assert_eq!(said.code, Some(0), "{said:?}");
    let daemon = site.serve();
    let nginx = FrontEnd::start(Server::Nginx, &daemon);
    let page = || {
        let answer = nginx.get("/wiki/timeline");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("initial empty check-in"), "{}", answer.text());
    };

    goes_on_until_stopped(&daemon, "wiki", page);
    assert_eq!(nginx.get("/wiki/timeline").status, 502);
    done(&daemon, "start wiki");
    page();

    let described = daemon.scgictl("describe wiki").out;
    assert!(described.contains("Not seen of kind inetd"), "{described}");
    // One may have been lost with the worker that was killed.
    eventually("connections are counted", || daemon.look("wiki").requests >= 3);
}

const CONNECTIONS: &str = "
apps:
  talk:
    run: [$dir/talk]
    kind: inetd
    inetd: {timeout: 1s}
    env: {MARK: $dir}
    listen: '127.0.0.1:$port_talk'
    workers: 1
    concurrency: 2
";

/// A daemon that runs a script for each connection.
fn talk(text: &str) -> Daemon {
    let site = Site::new(CONNECTIONS);
    script(&site, "talk", text);
    site.serve()
}

fn mark(daemon: &Daemon) -> String {
    format!("MARK={}", daemon.site().path("").display()).trim_end_matches('/').to_owned()
}

#[test]
fn as_many_connections_are_served_at_once_as_the_configuration_says() {
    let daemon = talk("#!/bin/sh\nread word\necho \"you said $word\"\n");
    let address = daemon.app("talk");
    let mut clients: Vec<_> = (0..2).map(|_| address.connect().unwrap()).collect();
    eventually("both are served", || daemon.look("talk").busy == 2);

    for client in &mut clients {
        client.write_all(b"hello\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "you said hello\n");
    }
}

#[test]
fn a_program_that_is_too_slow_is_ended_with_all_it_started() {
    let daemon = talk("#!/bin/sh\nsetsid sleep 1000 &\nsleep 1000\n");
    let mut client = daemon.app("talk").connect().unwrap();

    let mut answer = Vec::new();
    let read = client.read_to_end(&mut answer);

    assert!(read.is_err(), "a connection that is cut is no end: {answer:?}");
    eventually("its worker alone is left", || process::with_environment(&mark(&daemon)).len() == 1);
    eventually("the log tells why", || {
        daemon.lines("talk").iter().any(|line| line.line.contains("took longer than 1s"))
    });
}

#[test]
fn a_stop_ends_who_does_not_leave_and_nothing_is_left() {
    let site = Site::new(
        &CONNECTIONS
            .replace("timeout: 1s", "timeout: 1h")
            .replace("workers: 1", "workers: 1\n    stop_timeout: 100ms"),
    );
    script(
        &site,
        "talk",
        "#!/bin/sh\ntrap '' TERM\nsetsid sleep 1000 &\nwhile :; do sleep 1; done\n",
    );
    let daemon = site.serve();
    let _client = daemon.app("talk").connect().unwrap();
    eventually("it runs", || process::with_environment(&mark(&daemon)).len() >= 3);

    done(&daemon, "stop talk");

    until_nobody_carries(&mark(&daemon));
}
