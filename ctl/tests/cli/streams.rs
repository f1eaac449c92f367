//! `logs`, `events`, `--watch`: the past and what follows.

use std::io::{BufRead, BufReader, Read};

use scgi_protocol::control::{LogLine, Stream};

use crate::fake::{Fake, Reply, events, json};
use crate::samples;

fn lines(numbers: std::ops::Range<u64>) -> Vec<LogLine> {
    numbers.map(|id| samples::log(id, &format!("line {id}"))).collect()
}

fn of(app: &str, line: LogLine) -> LogLine {
    LogLine { app: app.parse().unwrap(), ..line }
}

#[test]
fn logs_of_several_apps_are_one_list_in_the_order_they_were_read() {
    let blog: Vec<LogLine> = [2, 5].map(|id| of("blog", samples::log(id, "from blog"))).into();
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::serving("blog"), samples::held("shop")]))
        .on("GET /v1/apps/blog/logs", json(&blog))
        .on("GET /v1/apps/shop/logs", json(&lines(3..5)));

    let ended = fake.scgictl("logs shop blog -n 3").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(fake.asked().contains(&"GET /v1/apps/shop/logs?lines=3".to_owned()));
    insta::assert_snapshot!(ended.out, @r"
    2026-11-22T10:00:03.000Z shop/1 gen 9 err line 3
    2026-11-22T10:00:04.000Z shop/1 gen 9 err line 4
    2026-11-22T10:00:05.000Z blog/1 gen 9 err from blog
    ");
}

#[test]
fn logs_of_all_apps_are_one_list_and_one_stream() {
    let following = samples::log(5, "line 5");
    let fake = Fake::new()
        .on("GET /v1/logs?lines=2", json(&lines(3..5)))
        .on("GET /v1/logs", Reply::Endless(events(&[(5, following)])));

    let mut process = fake.scgictl("logs -f -n 2 -o name").spawned();
    let out = BufReader::new(process.stdout.take().unwrap());
    let ids: Vec<String> = out.lines().take(3).map(Result::unwrap).collect();
    process.kill().unwrap();
    process.wait().unwrap();

    assert_eq!(ids, ["3", "4", "5"]);
    assert_eq!(fake.asked(), ["GET /v1/logs?lines=2", "GET /v1/logs after 4"]);
}

#[test]
fn a_line_shows_what_was_cut_or_dropped_and_cannot_command_the_terminal() {
    let mut line = samples::log(7, "\x1b]0;owned\x07 and\ttabs");
    line.stream = Stream::Stdout;
    line.cut_bytes = 512;
    line.dropped_before = 30;
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::held("shop")]))
        .on("GET /v1/apps/shop/logs", json(&[line]));

    let ended = fake.scgictl("logs shop").ended();

    insta::assert_snapshot!(ended.out, @r"
    2026-11-22T10:00:07.000Z shop [30 lines dropped: they came too fast]
    2026-11-22T10:00:07.000Z shop/1 gen 9 out \u{1b}]0;owned\u{7} and	tabs [512 bytes cut]
    ");
}

#[test]
fn only_the_stream_that_was_asked_for_is_shown() {
    let mut all = lines(1..4);
    all[1].stream = Stream::Stdout;
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::held("shop")]))
        .on("GET /v1/apps/shop/logs", json(&all));

    let ended = fake.scgictl("logs shop --stream stdout -o json").ended();

    assert_eq!(serde_json::from_str::<LogLine>(&ended.out).unwrap(), all[1]);
    assert!(fake.asked().contains(&"GET /v1/apps/shop/logs?lines=1000".to_owned()));
}

#[test]
fn following_goes_on_after_the_last_line_and_after_a_break() {
    let numbered = |line: LogLine| (line.id, line);
    let following = |id| events(&[numbered(samples::log(id, &format!("line {id}")))]);
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::held("shop")]))
        .on("GET /v1/apps/shop/logs?lines=1", json(&lines(3..4)))
        .on("GET /v1/apps/shop/logs", Reply::Stream(following(4)))
        .on("GET /v1/apps/shop/logs", Reply::Endless(following(5)));

    let mut process = fake.scgictl("logs shop -f -n 1 -o json").spawned();
    let out = BufReader::new(process.stdout.take().unwrap());
    let ids: Vec<u64> = out
        .lines()
        .take(3)
        .map(|line| serde_json::from_str::<LogLine>(&line.unwrap()).unwrap().id)
        .collect();
    process.kill().unwrap();
    process.wait().unwrap();

    assert_eq!(ids, [3, 4, 5]);
    let asked = fake.asked();
    assert!(asked.contains(&"GET /v1/apps/shop/logs after 3".to_owned()), "{asked:?}");
    assert!(asked.contains(&"GET /v1/apps/shop/logs after 4".to_owned()), "{asked:?}");
}

#[test]
fn events_name_what_they_are_about() {
    let mut site = samples::event(18);
    site.level = scgi_protocol::control::Level::Info;
    site.kind = "applied".into();
    site.message = "took over /etc/scgid/scgid.yaml".into();
    (site.app, site.seat, site.worker, site.generation) = (None, None, None, None);
    let fake = Fake::new().on("GET /v1/events", json(&[samples::event(17), site]));

    let ended = fake.scgictl("events").ended();

    assert_eq!(fake.asked(), ["GET /v1/events?limit=100"]);
    insta::assert_snapshot!(ended.out, @r"
    2026-11-22T10:00:17.000Z warn  shop: worker 42 in seat 2 died after 2.0s: exit 1
    2026-11-22T10:00:18.000Z info  scgid: took over /etc/scgid/scgid.yaml
    ");
}

#[test]
fn events_of_one_app_are_asked_for_by_its_name() {
    let fake = Fake::new().on("GET /v1/events", json(&[samples::event(17)]));

    let ended = fake.scgictl("events shop -n 5").ended();

    assert_eq!(ended.code, Some(0));
    assert_eq!(fake.asked(), ["GET /v1/events?app=shop&limit=5"]);
}

#[test]
fn watch_prints_again_when_something_has_changed_and_ends_with_the_daemon() {
    let status = |app| json(&samples::status(vec![app]));
    let fake = Fake::new()
        .on("GET /v1/status", status(samples::serving("blog")))
        .on("GET /v1/status", status(samples::serving("blog")))
        .on("GET /v1/status", status(samples::degraded("blog")))
        .on("GET /v1/status", Reply::Break)
        .on("GET /v1/events", Reply::Endless(events(&[(17, samples::event(17))])));

    let ended = fake.scgictl("ps -w").ended();

    assert_eq!(ended.code, Some(7));
    insta::assert_snapshot!(ended.out, @r"
    APP   STATE    WORKERS  GEN  BUSY  QUEUE  REQUESTS  RESTARTS  SINCE  LISTEN
    blog  serving  4/4        7   1/4      0     12034         0  3d 4h  127.0.0.1:4000
    APP   STATE     WORKERS  GEN  BUSY  QUEUE  REQUESTS  RESTARTS  SINCE  LISTEN
    blog  degraded  3/4        7   1/4      0     12034         0  1m     127.0.0.1:4000
          3 of 4 workers serve, 1 starting; `scgictl describe blog` shows more
    ");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let many: Vec<LogLine> = lines(0..20_000);
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::held("shop")]))
        .on("GET /v1/apps/shop/logs", json(&many));

    let mut process = fake.scgictl("logs shop -n 20000").spawned();
    drop(process.stdout.take());
    let mut words = String::new();
    process.stderr.take().unwrap().read_to_string(&mut words).unwrap();

    assert_eq!((process.wait().unwrap().code(), words.as_str()), (Some(0), ""));
}
