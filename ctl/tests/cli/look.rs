//! `ps`, `status`, `describe`: what a person sees.

use scgi_protocol::control::{App, AppDetail, Status};

use crate::fake::{Fake, json};
use crate::samples;

fn site() -> Fake {
    let apps = vec![
        samples::serving("blog"),
        samples::degraded("forum"),
        samples::held("shop"),
        samples::failing("chat"),
        samples::unprepared("wiki"),
        samples::stopped("old"),
        samples::idle("rare"),
        samples::scaled("api"),
        samples::silent("perl"),
    ];
    let mut fake = Fake::new();
    for app in &apps {
        fake = fake.on(&format!("GET /v1/apps/{}", app.name), json(&samples::detail(app.clone())));
    }
    fake.on("GET /v1/apps", json(&apps)).on("GET /v1/status", json(&samples::status(apps)))
}

#[test]
fn ps_prints_a_line_for_every_app_and_below_the_unwell_why_and_what_next() {
    let ended = site().scgictl("ps").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out, @r#"
    APP    STATE       WORKERS       GEN  BUSY  QUEUE  REQUESTS  RESTARTS  SINCE  LISTEN
    blog   serving     4/4             7   1/4      0     12034         0  3d 4h  127.0.0.1:4000
    forum  degraded    3/4             7   1/4      0     12034         0  1m     127.0.0.1:4000
           3 of 4 workers serve, 1 starting; `scgictl describe forum` shows more
    shop   held        4/4             9   3/4     12     12034         4  12m    unix:/run/scgid/shop.sock
           generation 10 died 4 times in 10s: exit 1; "ImportError: no module named shop"; mend the program, then `scgictl retry shop`
    chat   failing     0/4             9   3/4      -     12034         4  12m    unix:/run/scgid/shop.sock
           generation 10 died 4 times in 10s: exit 1; "ImportError: no module named shop"; mend the program, then `scgictl retry chat`; next try in 5m
    wiki   unprepared  -               -     -      -         0         0  3d 4h  -
           cannot bind `127.0.0.1:80` for app `wiki`: permission denied; choose a port above 1023
    old    stopped     0/0             7     -      -         0         0  3d 4h  127.0.0.1:4000
           stopped by an operator; `scgictl start old` brings it back
    rare   idle        0/0             7     -      0         0         0  3d 4h  127.0.0.1:4000
    api    serving     6/6 (scaled)    7   1/4      0     12034         0  3d 4h  127.0.0.1:4000
    perl   serving     4/4             7     ?      0         ?         0  3d 4h  unix:/run/scgid/old.sock +2
    "#);
}

#[test]
fn status_adds_the_daemon_and_a_count_and_exits_with_3_if_an_app_is_not_well() {
    let ended = site().scgictl("status blog shop").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(3), ""));
    insta::assert_snapshot!(ended.out, @r#"
    scgid 0.1.0, pid 4711, up 4d 4h, serves `/etc/scgid/scgid.yaml`, metrics at 127.0.0.1:9464
    2 apps: 1 well, 1 held

    APP   STATE    WORKERS  GEN  BUSY  QUEUE  REQUESTS  RESTARTS  SINCE  LISTEN
    blog  serving  4/4        7   1/4      0     12034         0  3d 4h  127.0.0.1:4000
    shop  held     4/4        9   3/4     12     12034         4  12m    unix:/run/scgid/shop.sock
          generation 10 died 4 times in 10s: exit 1; "ImportError: no module named shop"; mend the program, then `scgictl retry shop`
    "#);
}

#[test]
fn wide_shows_all_that_fits_in_a_line() {
    let ended = site().scgictl("ps -o wide shop api perl wiki").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out, @r#"
    APP   STATE       WISH  WORKERS       STARTING  DRAINING  MIN-MAX  GEN  BUSY  QUEUE  REQUESTS  RESTARTS  SINCE  OPERATION  PIDS       LISTEN
    shop  held        run   4/4                  0         0  4          9   3/4     12     12034         4  12m    -          1000,1001  unix:/run/scgid/shop.sock
          generation 10 died 4 times in 10s: exit 1; "ImportError: no module named shop"; mend the program, then `scgictl retry shop`
    api   serving     run   6/6 (scaled)         0         0  6          7   1/4      0     12034         0  3d 4h  -          1000,1001  127.0.0.1:4000
    perl  serving     run   4/4                  0         0  4          7     ?      0         ?         0  3d 4h  -          1000,1001  unix:/run/scgid/old.sock, 127.0.0.1:4002, [::1]:4002
    wiki  unprepared  run   -                    0         0  -          -     -      -         0         0  3d 4h  -          1000,1001  -
          cannot bind `127.0.0.1:80` for app `wiki`: permission denied; choose a port above 1023
    "#);
}

#[test]
fn describe_tells_all_that_is_known() {
    let ended = site().scgictl("describe shop").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out, @r"
    shop
      state       held since 12m
      run         /srv/shop/bin/shop --verbose
      listen      unix:/run/scgid/shop.sock
      workers     4 of 4 serving
      generation  9
      busy        3 of 4, 12 waiting
      requests    12034
      restarts    4

    Trouble
      generation 10 died 4 times in 10s: exit 1
      | Traceback (most recent call last):
      | ImportError: no module named shop
      next: mend the program, then `scgictl retry shop`

    Workers
      SEAT  WORKER  GEN   PID  STATE     SINCE  REQUESTS  STATUS
         0      40    9  1000  busy      12m        3000  -
            handling GET /report?year=2026 for 1534 ms
         1      41    9  1001  idle      12m        3000  warm\nand ready
         2      42    9     -  starting  12m           -  -

    Settings
      workers       4
      stop_timeout  30s

    Events
      2026-11-22T10:00:17.000Z warn  shop: worker 42 in seat 2 died after 2.0s: exit 1

    Log
      2026-11-22T10:01:30.000Z shop/1 gen 9 err app \u{1b}[31mred\u{1b}[0m
    ");
}

#[test]
fn describe_leaves_out_what_is_not_there_and_says_what_is_not_known() {
    let mut unprepared = samples::detail(samples::unprepared("wiki"));
    unprepared.run.clear();
    unprepared.settings.clear();
    unprepared.workers_now.clear();
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::unprepared("wiki"), samples::silent("perl")]))
        .on("GET /v1/apps/wiki", json(&unprepared))
        .on("GET /v1/apps/perl", json(&samples::detail(samples::silent("perl"))));

    let ended = fake.scgictl("describe wiki perl").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out, @r"
    wiki
      state  unprepared since 3d 4h

    Trouble
      cannot bind `127.0.0.1:80` for app `wiki`: permission denied
      next: choose a port above 1023

    Events
      2026-11-22T10:00:17.000Z warn  shop: worker 42 in seat 2 died after 2.0s: exit 1

    Log
      2026-11-22T10:01:30.000Z shop/1 gen 9 err app \u{1b}[31mred\u{1b}[0m

    perl
      state       serving since 3d 4h
      run         /srv/shop/bin/shop --verbose
      listen      unix:/run/scgid/old.sock, 127.0.0.1:4002, [::1]:4002
      workers     4 of 4 serving
      generation  7
      busy        unknown, its workers keep no page; 0 waiting
      requests    unknown
      restarts    0

    Workers
      SEAT  WORKER  GEN   PID  STATE     SINCE  REQUESTS  STATUS
         0      40    9  1000  busy      12m        3000  -
            handling GET /report?year=2026 for 1534 ms
         1      41    9  1001  idle      12m        3000  warm\nand ready
         2      42    9     -  starting  12m           -  -

    Settings
      workers       4
      stop_timeout  30s

    Events
      2026-11-22T10:00:17.000Z warn  shop: worker 42 in seat 2 died after 2.0s: exit 1

    Log
      2026-11-22T10:01:30.000Z shop/1 gen 9 err app \u{1b}[31mred\u{1b}[0m
    ");
}

#[test]
fn status_succeeds_if_all_selected_apps_are_well_and_ps_however_they_are() {
    let code = |args: &str| site().scgictl(args).ended().code;

    assert_eq!(code("status blog rare api -q"), Some(0));
    assert_eq!(code("status blog old"), Some(3));
    assert_eq!(code("ps old"), Some(0));
}

#[test]
fn apps_are_shown_in_the_order_they_are_named_and_once() {
    let ended = site().scgictl("ps -o name shop blog shop").ended();

    assert_eq!(ended.out, "shop\nblog\n");
}

#[test]
fn an_unknown_app_is_no_empty_table() {
    let ended = site().scgictl("ps nobody").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""));
    assert!(ended.err.starts_with("error: no app is called `nobody`"), "{}", ended.err);
}

#[test]
fn json_and_yaml_are_what_the_daemon_says() {
    let fake = site();
    let out = |args: &str| fake.scgictl(args).ended().out;

    let list: Vec<App> = serde_json::from_str(&out("ps -o json")).unwrap();
    let status: Status = serde_json::from_str(&out("status -o json")).unwrap();
    let detail: AppDetail = serde_json::from_str(&out("describe shop -o json")).unwrap();
    let yaml: Vec<App> = serde_yaml::from_str(&out("ps -o yaml")).unwrap();

    assert_eq!(list.len(), 9);
    assert_eq!(status.apps, list);
    assert_eq!(yaml, list);
    assert_eq!(detail.app, list[2]);
}

#[test]
fn a_site_without_apps_is_an_empty_table() {
    let fake = Fake::new().on("GET /v1/status", json(&samples::status(Vec::new())));

    let ended = fake.scgictl("status").ended();

    assert_eq!(ended.code, Some(0));
    insta::assert_snapshot!(ended.out, @r"
    scgid 0.1.0, pid 4711, up 4d 4h, serves `/etc/scgid/scgid.yaml`, metrics at 127.0.0.1:9464
    no apps
    ");
}
