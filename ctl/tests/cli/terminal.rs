//! On a terminal: colour, width, lines that are written over.

use scgi_protocol::control::Verb;

use crate::fake::{Fake, Reply, json};
use crate::samples;

/// What is written to a terminal, with its commands spelled out.
fn spelled(screen: &str) -> String {
    screen.replace('\x1b', "^").replace("\r\n", "\n")
}

fn two_apps() -> Fake {
    let apps = vec![samples::serving("blog"), samples::held("shop")];
    Fake::new().on("GET /v1/status", json(&samples::status(apps)))
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_and_wrapped_words() {
    let fake = two_apps();

    let (code, screen) = fake.scgictl("ps").env("NO_COLOR", "1").on_terminal(60);

    assert_eq!(code, Some(0));
    insta::assert_snapshot!(spelled(&screen), @r#"
    APP   STATE    WORKERS  BUSY  QUEUE  RESTARTS  SINCE
    blog  serving  4/4       1/4      0         0  3d 4h
    shop  held     4/4       3/4     12         4  12m
          generation 10 died 4 times in 10s: exit 1;
          "ImportError: no module named shop"; mend the program,
          then `scgictl retry shop`
    "#);
}

#[test]
fn wide_keeps_every_column_on_a_narrow_terminal_and_wraps_only_words() {
    let fake = two_apps().on("GET /v1/apps/shop", json(&samples::detail(samples::held("shop"))));

    let (_, screen) = fake.scgictl("ps -o wide shop").env("NO_COLOR", "1").on_terminal(60);

    let lines: Vec<usize> = screen.lines().map(|line| line.chars().count()).collect();
    assert!(lines[0] > 120 && lines[1] > 120, "{screen}");
    assert!(lines.len() > 4 && lines[2..].iter().all(|length| *length <= 60), "{screen}");
}

#[test]
fn colour_decorates_states_on_a_terminal() {
    let fake = two_apps();

    let (_, screen) = fake.scgictl("ps").env("TERM", "xterm-256color").on_terminal(120);

    insta::assert_snapshot!(spelled(&screen), @r#"
    APP   STATE    WORKERS  GEN  BUSY  QUEUE  REQUESTS  RESTARTS  SINCE  LISTEN
    blog  ^[32mserving^[0m  4/4        7   1/4      0     12034         0  3d 4h  127.0.0.1:4000
    shop  ^[31mheld^[0m     4/4        9   3/4     12     12034         4  12m    unix:/run/scgid/shop.sock
          generation 10 died 4 times in 10s: exit 1; "ImportError: no module named shop"; mend the program, then `scgictl
          retry shop`
    "#);
}

#[test]
fn progress_is_one_line_that_is_written_over() {
    let mut further = samples::operation(12, Verb::Start, Some("blog"));
    further.progress = "3 of 4 workers serving".into();
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::serving("blog")]))
        .on("POST /v1/apps/blog/start", json(&samples::operation(12, Verb::Start, Some("blog"))))
        .on("GET /v1/operations/12", json(&further))
        .on("GET /v1/operations/12", json(&samples::done(12, Verb::Start, Some("blog"))));

    let (code, screen) = fake.scgictl("start blog").on_terminal(80);

    assert_eq!(code, Some(0));
    insta::assert_snapshot!(spelled(&screen), @r"
    blog: start: 1 of 4 workers serving^[K
    ^[J^[1Ablog: start: 3 of 4 workers serving^[K
    ^[J^[1Ablog: started, 4 of 4 workers serving (3.0s)^[K
    ^[J^[1A^[Jblog: started, 4 of 4 workers serving (3.0s)
    ");
}

#[test]
fn watch_draws_over_what_it_drew() {
    let fake = two_apps()
        .on("GET /v1/status", json(&samples::status(vec![samples::degraded("blog")])))
        .on("GET /v1/status", Reply::Break)
        .on("GET /v1/events", Reply::Endless(String::new()));

    let (code, screen) = fake.scgictl("ps -w").env("NO_COLOR", "1").on_terminal(60);

    assert_eq!(code, Some(7));
    insta::assert_snapshot!(spelled(&screen), @r#"
    ^[HAPP   STATE    WORKERS  BUSY  QUEUE  RESTARTS  SINCE^[K
    blog  serving  4/4       1/4      0         0  3d 4h^[K
    shop  held     4/4       3/4     12         4  12m^[K
          generation 10 died 4 times in 10s: exit 1;^[K
          "ImportError: no module named shop"; mend the program,^[K
          then `scgictl retry shop`^[K
    ^[J^[HAPP   STATE     WORKERS  BUSY  QUEUE  RESTARTS  SINCE^[K
    blog  degraded  3/4       1/4      0         0  1m^[K
          3 of 4 workers serve, 1 starting; `scgictl describe^[K
          blog` shows more^[K
    ^[Jerror: the connection to the daemon broke while it answered `/v1/status`: connection closed before message completed
    "#);
}
