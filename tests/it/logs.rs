//! What workers write: line by line, whatever they write.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use scgi_protocol::control::{LogLine, Stream};
use scgi_tests::{Daemon, Site, eventually, process};

fn echo() -> Daemon {
    Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 1}}").serve()
}

fn unruly() -> Daemon {
    let site = "apps: {blog: {run: [$unruly, serve], listen: 'unix:$dir/blog.sock', workers: 1}}";
    Site::new(site).serve()
}

/// The lines, once one of them is `last`.
fn lines_until(daemon: &Daemon, last: &str) -> Vec<LogLine> {
    eventually("the last line is there", || {
        daemon.lines("blog").iter().any(|line| line.line == last)
    });
    daemon.lines("blog")
}

#[test]
fn lines_of_both_outputs_are_kept_with_who_wrote_them() {
    let daemon = echo();

    daemon.app("blog").get("/say?one").unwrap();

    let lines = lines_until(&daemon, "err one");
    let told: Vec<_> = lines.iter().map(|line| (line.stream, line.line.as_str())).collect();
    assert!(told.contains(&(Stream::Stdout, "out one")), "{told:?}");
    assert!(told.contains(&(Stream::Stderr, "err one")), "{told:?}");
    assert!(lines.iter().all(|line| (line.seat.0, line.generation.0) == (0, 1)));
}

#[test]
fn a_line_written_in_pieces_is_one_line() {
    let daemon = unruly();

    daemon.app("blog").get("/torn").unwrap();
    let lines = lines_until(&daemon, "second line");

    let told: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
    assert!(told.contains(&"first half"), "{told:?}");
    assert!(!told.contains(&"no end"), "it may go on: {told:?}");
    // Its end comes with the worker's.
    daemon.order("POST", "/v1/apps/blog/stop", "");
    lines_until(&daemon, "no end");
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let daemon = unruly();

    daemon.app("blog").get("/binary").unwrap();

    let lines = lines_until(&daemon, "caf\u{fffd} \u{1b}[31mred");
    assert!(!lines.is_empty());
    let shown = daemon.scgictl("logs blog");
    assert!(!shown.out.contains('\u{1b}'), "a terminal must not obey it: {shown:?}");
    assert!(!daemon.log().contains('\u{1b}'), "nor in the daemon's own log");
}

#[test]
fn a_flood_is_bounded_and_what_was_dropped_is_counted() {
    const LINES: u64 = 50_000;
    let daemon = unruly();
    let before = process::resident_bytes(daemon.pid());

    let answer = daemon.app("blog").get(&format!("/flood?{LINES}")).unwrap();

    assert_eq!(answer.text(), "flooded\n", "the worker got rid of all of it");
    eventually("what is written later is read again", || {
        daemon.app("blog").get("/torn").unwrap();
        daemon.lines("blog").iter().any(|line| line.line == "second line")
    });
    let lines = daemon.lines("blog");
    assert!(lines.iter().any(|line| line.dropped_before > 0), "{:?}", lines.last());
    let counted = daemon.metric("scgid_log_lines_dropped_total{app=\"blog\"}").unwrap();
    assert!(counted > 0.0, "{counted}");
    let whole = |line: &LogLine| {
        let rest =
            line.line.strip_prefix("line ").and_then(|rest| rest.strip_suffix(" of a flood"));
        rest.is_none_or(|number| number.parse::<u64>().is_ok_and(|number| number < LINES))
    };
    assert!(lines.iter().all(whole), "no line is torn");
    let grown = process::resident_bytes(daemon.pid()).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
}

#[test]
fn the_last_lines_of_a_worker_that_died_are_there() {
    let daemon = unruly();
    let pid = daemon.pids("blog")[0];

    let crashed = daemon.app("blog").get("/crash?9");

    assert!(crashed.is_err());
    lines_until(&daemon, "unruly: asked to crash");
    daemon.until_replaced("blog", pid, 1);
}

#[test]
fn lines_can_be_followed_as_they_come() {
    let daemon = echo();
    daemon.app("blog").get("/say?before").unwrap();
    lines_until(&daemon, "err before");
    let mut follower =
        daemon.scgictl_command("logs -f blog").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("out before")), "what was there comes first");

    daemon.app("blog").get("/say?after").unwrap();

    assert!(lines.any(|line| line.contains("out after")));
    follower.kill().unwrap();
    follower.wait().unwrap();
}
