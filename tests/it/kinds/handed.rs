//! A program that is handed its sockets as systemd does it and says by itself that it is ready, with
//! nothing but a standard library: the reference for any language.

use scgi_tests::{Daemon, ScgiClient, Site};

use super::foreign::{self, example, hello, nginx};
use super::script;

fn handed() -> Daemon {
    hello(&example("hello.py"), "    run: [$dir/program]")
}

#[test]
fn it_serves_behind_nginx_and_survives_what_happens_to_workers() {
    let daemon = handed();

    foreign::serves_and_survives(&daemon, &nginx(&daemon), "python");
}

#[test]
fn a_roll_loses_nothing() {
    let daemon = handed();

    foreign::rolls_without_a_loss(&daemon, &nginx(&daemon));
}

#[test]
fn what_was_taken_before_a_roll_or_a_stop_is_answered() {
    foreign::finishes_what_it_took(&handed());
}

#[test]
fn all_sockets_of_its_app_are_served() {
    let site = Site::new(
        "
apps:
  hello: {run: [$dir/program], listen: ['unix:$dir/hello.sock', '127.0.0.1:$port_hello'], workers: 2}
",
    );
    script(&site, "program", &example("hello.py"));
    let daemon = site.serve();

    let addresses = daemon.look("hello").listen;
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        let answer = ScgiClient::new(&address).get("/both").unwrap().text();
        assert!(answer.ends_with(" GET /both 0 \n"), "{address}: {answer}");
    }
}
