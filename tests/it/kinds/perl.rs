//! A Perl program with Debian's libscgi-perl on descriptor 0: as it is, and as one that leaves in order.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, FrontEnd, Server, Site, eventually};

use super::foreign::{self, example, half_a_request, hello, nginx, under_load};
use super::{done, script};

const HOW: &str = "    run: [$dir/program]\n    ready: {after: 100ms}";

const LOOP: &str = "while (my $request = $scgi->accept) {";

/// The two lines that `daemon/PROGRAMS.md` gives.
const LEAVING: &str = "my $leaving;
$SIG{TERM} = sub { $leaving = 1 };
while (!$leaving and my $request = $scgi->accept) {";

/// The program as it is.
fn plain() -> Daemon {
    hello(&example("hello.pl"), HOW)
}

/// The program with two lines more.
fn leaving() -> Daemon {
    let text = example("hello.pl");
    assert!(text.contains(LOOP), "{text}");
    hello(&text.replace(LOOP, LEAVING), HOW)
}

#[test]
fn it_serves_behind_nginx_and_survives_what_happens_to_workers() {
    let daemon = plain();

    foreign::serves_and_survives(&daemon, &nginx(&daemon), "perl");
}

#[test]
fn lighttpd_starts_the_same_file_by_itself() {
    let site = Site::new("apps: {}");
    script(&site, "hello.pl", &example("hello.pl"));
    // lighttpd, which is somebody else, makes the socket.
    std::fs::set_permissions(site.path(""), Permissions::from_mode(0o777)).unwrap();

    let front = FrontEnd::start_with(
        Server::Lighttpd,
        &site.fill(
            "server.modules += ( \"mod_scgi\" )\nscgi.server = ( \"/hello\" => (( \
             \"bin-path\" => \"$dir/hello.pl\", \"socket\" => \"$dir/own.sock\", \
             \"check-local\" => \"disable\", \"max-procs\" => 1 )) )\n",
        ),
    );

    let answer = front.get("/hello/a").text();
    assert!(answer.starts_with("perl ") && answer.ends_with(" GET /a 0 \n"), "{answer}");
}

#[test]
fn as_it_is_a_roll_costs_each_old_worker_at_most_the_request_it_is_at() {
    let daemon = plain();
    let front = nginx(&daemon);

    let outcome = under_load(&front, || done(&daemon, "reload hello"));

    assert!(outcome.failed.len() <= 2, "two old workers: {outcome:?}");
}

#[test]
fn as_it_is_a_term_cuts_the_request_under_way_and_who_waits_is_served_by_the_next() {
    let daemon = plain();
    let (mut one, first) = half_a_request(&daemon);
    let (mut other, second) = half_a_request(&daemon);
    assert_ne!(first, second);
    let waiting = daemon.app("hello").begin(&scgi_tests::Request {
        method: "GET",
        target: "/waits".to_owned(),
        body: Vec::new(),
    });

    done(&daemon, "reload hello");

    let answer = waiting.unwrap().finish().unwrap().text();
    assert!(answer.ends_with(" GET /waits 0 \n"), "{answer}");
    for cut in [&mut one, &mut other] {
        let mut rest = Vec::new();
        let read = cut.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{read:?} {rest:?}");
    }
}

#[test]
fn with_two_lines_more_a_roll_loses_nothing() {
    let daemon = leaving();

    foreign::rolls_without_a_loss(&daemon, &nginx(&daemon));
}

#[test]
fn with_two_lines_more_what_was_taken_before_a_roll_or_a_stop_is_answered() {
    foreign::finishes_what_it_took(&leaving());
}

#[test]
fn the_two_lines_are_those_of_the_document() {
    let document = include_str!("../../../daemon/PROGRAMS.md");

    assert!(document.contains(LEAVING), "{LEAVING}");
}

#[test]
fn it_comes_back_after_somebody_has_answered_in_its_place() {
    let site = Site::new(&format!(
        "
apps:
  hello:
    listen: 'unix:$dir/hello.sock'
    workers: 2
    restart: {{budget: 2, backoff: {{first: 10ms, max: 1h}}}}
{HOW}
"
    ));
    script(&site, "program", "#!/bin/sh\nexit 1\n");
    let daemon = site.start();
    daemon.until("hello", AppState::Failing);
    eventually("somebody answers in its place", || {
        daemon.app("hello").get("/").is_ok_and(|answer| answer.status == 503)
    });

    script(daemon.site(), "program", &example("hello.pl"));
    done(&daemon, "retry hello");

    daemon.until_serving("hello", 2);
    for _ in 0..4 {
        let answer = daemon.app("hello").get("/back").unwrap().text();
        assert!(answer.ends_with(" GET /back 0 \n"), "{answer}");
    }
}

#[test]
fn it_takes_the_place_of_workers_that_never_wait_at_another_address_alone() {
    let daemon = hello(&example("hello.pl"), "    run: [$echo]");
    let config = std::fs::read_to_string(daemon.site().config()).unwrap();
    let echo = daemon.site().fill("    run: [$echo]");
    assert!(config.contains(&echo), "{config}");
    let config = config.replace(&echo, HOW);

    daemon.site().write_config(&config);
    assert_eq!(daemon.scgictl("apply").code, Some(1));
    assert_eq!(daemon.look("hello").state, AppState::Held);
    assert_eq!(daemon.app("hello").get("/hello").unwrap().text(), "hello\n");

    daemon.site().write_config(&config.replace("hello.sock", "other.sock"));
    done(&daemon, "apply");
    daemon.until_serving("hello", 2);
    for _ in 0..4 {
        let answer = daemon.app("hello").get("/after").unwrap().text();
        assert!(answer.ends_with(" GET /after 0 \n"), "{answer}");
    }
}
