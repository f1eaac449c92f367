//! A Common Lisp program (SBCL) on descriptor 0.

use scgi_tests::Daemon;

use super::foreign::{self, example, hello, nginx};

fn lisp() -> Daemon {
    let how = "    run: [sbcl, --script, $dir/program]\n    ready: {after: 500ms}";
    hello(&example("hello.lisp"), how)
}

#[test]
fn it_serves_behind_nginx_and_survives_what_happens_to_workers() {
    let daemon = lisp();

    foreign::serves_and_survives(&daemon, &nginx(&daemon), "lisp");
}

#[test]
fn a_roll_loses_nothing() {
    let daemon = lisp();

    foreign::rolls_without_a_loss(&daemon, &nginx(&daemon));
}

#[test]
fn what_was_taken_before_a_roll_or_a_stop_is_answered() {
    foreign::finishes_what_it_took(&lisp());
}
