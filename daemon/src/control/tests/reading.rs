//! What is read: from the board, the pages and the journal.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use scgi_protocol::control::{
    App, AppDetail, Event, LogLine, Operation, Status, Timestamp, Worker, WorkerState,
};
use scgi_protocol::name::{Seat, WorkerId};
use scgi_protocol::page::{Page, Phase, State};
use serde_json::Value;

use super::world::{TEXT, World, name};
use crate::scoreboard::Living;
use crate::shell::clock::Clock;
use crate::supervisor::Note;

/// Seats a worker of `blog` that writes a page.
fn seat(world: &World, worker: u64, seat: u16) -> Page {
    let (page, fd) = Page::create().unwrap();
    let seen = Arc::new(Page::open(&fd, 0).unwrap());
    let living = Living { worker: WorkerId(worker), seat: Seat(seat), page: seen, concurrency: 1 };
    world.state.scoreboard.seat(&name("blog"), living);
    page.set_state(State::Accepting, 1);
    page
}

#[tokio::test]
async fn everything_that_can_be_read_is_what_the_contract_says() {
    let world = World::new();
    world.write("blog", 1, "hello");
    world
        .state
        .journal
        .tell(&Note::Added { app: name("blog") }, Timestamp::from(std::time::UNIX_EPOCH));

    world.get("/v1/status").await.json::<Status>();
    assert_eq!(world.get("/v1/apps").await.json::<Vec<App>>().len(), 2);
    world.get("/v1/apps/blog").await.json::<AppDetail>();
    assert_eq!(world.get("/v1/events").await.json::<Vec<Event>>().len(), 1);
    assert_eq!(world.get("/v1/apps/blog/logs").await.json::<Vec<LogLine>>().len(), 1);
    assert!(world.get("/v1/operations").await.json::<Vec<Operation>>().is_empty());
    assert_eq!(world.get("/v1/openapi.json").await.json::<Value>()["info"]["title"], "scgid");
    assert!(world.asked().is_empty(), "reading never asks the loop");
}

#[tokio::test]
async fn the_status_shows_every_app_and_what_is_wrong_with_it() {
    let world = World::new();

    let mut status: Value = world.get("/v1/status").await.json();
    let first = status["apps"].as_array_mut().unwrap().remove(0);

    assert_eq!((first["name"].as_str(), &first["trouble"]), (Some("blog"), &Value::Null));
    status["daemon"]["pid"] = "…".into();
    let text = serde_json::to_string_pretty(&status).unwrap();
    insta::assert_snapshot!(without_times(&text), @r#"
    {
      "apps": [
        {
          "busy": 0,
          "capacity": 0,
          "generation": 2,
          "listen": [
            "unix:/run/scgid/shop.sock"
          ],
          "name": "shop",
          "operation": null,
          "queue": null,
          "requests": 0,
          "restarts": 5,
          "roll": null,
          "silent": 0,
          "since": "…",
          "state": "failing",
          "trouble": {
            "cause": "generation 2 spent its restart budget: exit 1",
            "evidence": [
              "Traceback (most recent call last):",
              "KeyError: 'DATABASE'"
            ],
            "next": "correct the program, then `scgictl retry shop`",
            "retry_at": "…"
          },
          "wish": "run",
          "workers": {
            "draining": 0,
            "max": 2,
            "min": 2,
            "scaled": false,
            "serving": 0,
            "starting": 0,
            "wanted": 2
          }
        }
      ],
      "daemon": {
        "config": "/etc/scgid/scgid.yaml",
        "metrics": "127.0.0.1:9464",
        "origin": null,
        "pid": "…",
        "revision": null,
        "since": "…",
        "stopping": false,
        "version": "0.1.0"
      }
    }
    "#);
}

/// The same text with every timestamp replaced.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.split_once(": \"20") {
        Some((key, rest)) => format!("{key}: \"…\"{}", &rest[rest.find('"').unwrap() + 1..]),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_app_is_shown_with_its_workers_by_seat_and_age() {
    let world = World::new();
    let page = seat(&world, 1, 0);
    let since = Clock::monotonic_ns() - 3_000_000_000;
    page.begin(0, since, b"GET", b"/slow?x=1");
    page.set_phase(0, Phase::Writing);
    seat(&world, 3, 1);

    let detail: AppDetail = world.get("/v1/apps/blog").await.json();

    let row = |worker: &Worker| (worker.seat.0, worker.id.0, worker.state);
    assert_eq!(
        detail.workers_now.iter().map(row).collect::<Vec<_>>(),
        [(0, 1, WorkerState::Busy), (1, 2, WorkerState::Draining), (1, 3, WorkerState::Idle)]
    );
    let current = &detail.workers_now[0].current[0];
    assert_eq!((current.method.as_str(), current.uri.as_str()), ("GET", "/slow?x=1"));
    assert_eq!(current.phase, "writing");
    assert!(current.for_ms >= 3000);
    assert_eq!((detail.app.busy, detail.app.capacity), (1, 2));
    assert_eq!(detail.run, ["/srv/blog/bin/blog", "--verbose"]);
}

#[tokio::test]
async fn settings_show_the_names_of_variables_but_not_their_values() {
    let world = World::new();

    let answer = world.get("/v1/apps/blog").await;

    let settings = answer.json::<AppDetail>().settings;
    assert!(settings.contains(&("env".into(), "PASSWORD (values are not shown)".into())));
    assert!(settings.contains(&("umask".into(), "0027".into())));
    assert!(settings.contains(&("start_timeout".into(), "30s".into())));
    assert!(!answer.text.contains("hunter2"));
}

#[tokio::test]
async fn serving_workers_that_keep_no_page_are_counted() {
    let world = World::new();
    seat(&world, 1, 0);
    seat(&world, 3, 1).set_state(State::Silent, 0);

    let apps: Vec<App> = world.get("/v1/apps").await.json();

    assert_eq!(apps.iter().map(|app| app.silent).collect::<Vec<_>>(), [1, 0]);
}

#[tokio::test]
async fn lists_are_as_long_as_asked_and_go_on_where_asked() {
    let world = World::new();
    (1..=5).for_each(|n| world.write("blog", 1, &n.to_string()));
    let lines = async |query: &str| {
        let answer = world.get(&format!("/v1/apps/blog/logs{query}")).await;
        let lines: Vec<LogLine> = answer.json();
        lines.into_iter().map(|line| line.line).collect::<String>()
    };

    assert_eq!(lines("").await, "12345");
    assert_eq!(lines("?lines=2").await, "45");
    assert_eq!(lines("?after=2").await, "345");
    assert_eq!(lines("?after=2&lines=1").await, "3");
    assert_eq!(lines("?lines=0").await, "");
}

#[tokio::test]
async fn the_lines_of_all_apps_are_one_list() {
    let world = World::new();
    (1..=6).for_each(|n| world.write(["blog", "shop"][n % 2], 1, &n.to_string()));
    let lines = async |query: &str| {
        let lines: Vec<LogLine> = world.get(&format!("/v1/logs{query}")).await.json();
        lines.into_iter().map(|line| line.line).collect::<String>()
    };

    assert_eq!(lines("").await, "123456");
    assert_eq!(lines("?lines=3").await, "456");
    assert_eq!(lines("?after=2&lines=2").await, "34");
    assert_eq!(lines("?after=99&lines=2").await, "12");
}

#[tokio::test]
async fn a_configuration_that_is_known_is_not_sent_again() {
    let world = World::new();
    let known = async |tag: &str| {
        let request = Request::get("/v1/config").header("if-none-match", tag);
        world.ask(request.body(Body::empty()).unwrap()).await
    };

    let first = world.get("/v1/config").await;
    let tag = first.header("etag").to_owned();

    assert_eq!((first.header("content-type"), &*first.text), ("application/yaml", TEXT));
    assert_eq!(known(&tag).await.status, 304);
    assert_eq!(known(&format!("\"other\", W/{tag}")).await.status, 304);
    assert_eq!(known("\"other\"").await.text, TEXT);
}

#[tokio::test]
async fn the_events_of_an_app_that_is_gone_can_still_be_read() {
    let world = World::new();
    world
        .state
        .journal
        .tell(&Note::Removed { app: name("wiki") }, Timestamp::from(std::time::UNIX_EPOCH));

    let events: Vec<Event> = world.get("/v1/events?app=wiki").await.json();

    assert_eq!(events[0].kind, "removed");
}
