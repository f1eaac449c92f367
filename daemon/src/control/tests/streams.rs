//! Server-sent events: begun, resumed, ended.

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use scgi_protocol::control::Timestamp;

use super::super::STREAMS_MAX;
use super::world::{PATIENCE, World, name};
use crate::supervisor::Note;

/// A stream as a client reads it.
struct Reader {
    body: BodyDataStream,
    text: String,
}

impl Reader {
    async fn open(world: &World, path: &str, last_id: Option<u64>) -> Self {
        let mut request = Request::get(path).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id.to_string());
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message with its data shortened; `None` at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let lines = message.lines().filter(|line| !line.starts_with("data: {\"id\""));
                let message = lines.collect::<Vec<_>>().join(" ");
                self.text = rest.to_owned();
                return Some(message);
            }
            let more = tokio::time::timeout(PATIENCE, self.body.next()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&more.unwrap()).unwrap());
        }
    }
}

fn added(world: &World, app: &str) {
    let at = Timestamp::from(std::time::UNIX_EPOCH);
    world.state.journal.tell(&Note::Added { app: name(app) }, at);
}

#[tokio::test]
async fn a_stream_of_events_begins_with_what_happens_next() {
    let world = World::new();
    added(&world, "blog");

    let mut reader = Reader::open(&world, "/v1/events", None).await;
    added(&world, "shop");

    assert_eq!(reader.next().await.unwrap(), "id: 2 event: added");
}

#[tokio::test]
async fn a_stream_is_resumed_after_the_last_event_the_client_has_seen() {
    let world = World::new();
    (0..4).for_each(|_| added(&world, "blog"));

    let mut resumed = Reader::open(&world, "/v1/events?after=1", Some(2)).await;
    let mut after = Reader::open(&world, "/v1/events?after=3", None).await;
    let mut last = Reader::open(&world, "/v1/events?limit=1", None).await;

    assert_eq!(resumed.next().await.unwrap(), "id: 3 event: added");
    assert_eq!(resumed.next().await.unwrap(), "id: 4 event: added");
    assert_eq!(after.next().await.unwrap(), "id: 4 event: added");
    assert_eq!(last.next().await.unwrap(), "id: 4 event: added");
}

#[tokio::test]
async fn a_stream_tells_only_of_the_app_that_was_asked_for() {
    let world = World::new();

    let mut events = Reader::open(&world, "/v1/events?app=shop", None).await;
    let mut lines = Reader::open(&world, "/v1/apps/shop/logs", None).await;
    added(&world, "blog");
    added(&world, "shop");
    world.write("blog", 1, "from blog");
    world.write("shop", 2, "from shop");

    assert_eq!(events.next().await.unwrap(), "id: 2 event: added");
    assert_eq!(lines.next().await.unwrap(), "id: 2 event: stderr");
}

#[tokio::test]
async fn one_stream_brings_the_lines_of_all_apps_and_can_be_resumed() {
    let world = World::new();
    world.write("blog", 1, "1");

    let mut next = Reader::open(&world, "/v1/logs", None).await;
    let mut last = Reader::open(&world, "/v1/logs?lines=1", None).await;
    world.write("shop", 2, "2");
    world.write("blog", 1, "3");
    let mut resumed = Reader::open(&world, "/v1/logs", Some(2)).await;

    assert_eq!(next.next().await.unwrap(), "id: 2 event: stderr");
    assert_eq!(next.next().await.unwrap(), "id: 3 event: stderr");
    assert_eq!(last.next().await.unwrap(), "id: 1 event: stderr");
    assert_eq!(resumed.next().await.unwrap(), "id: 3 event: stderr");
}

#[tokio::test]
async fn a_follower_that_comes_too_late_is_told_how_much_it_missed() {
    let world = World::new();
    let mut reader = Reader::open(&world, "/v1/apps/blog/logs?after=0", None).await;

    (0..1003).for_each(|n| world.write("blog", 1, &n.to_string()));

    assert_eq!(reader.next().await.unwrap(), "event: missed data: {\"missed\":3}");
    assert_eq!(reader.next().await.unwrap(), "id: 4 event: stderr");
}

#[tokio::test]
async fn a_follower_of_all_apps_that_comes_too_late_is_told_how_much_it_missed() {
    let world = World::new();
    let mut reader = Reader::open(&world, "/v1/logs?after=0", None).await;

    world.write("shop", 2, "first");
    (0..1003).for_each(|n| world.write("blog", 1, &n.to_string()));

    assert_eq!(reader.next().await.unwrap(), "event: missed data: {\"missed\":3}");
    assert_eq!(reader.next().await.unwrap(), "id: 1 event: stderr");
    assert_eq!(reader.next().await.unwrap(), "id: 5 event: stderr");
}

#[tokio::test]
async fn streams_end_when_the_daemon_does() {
    let world = World::new();
    let mut reader = Reader::open(&world, "/v1/events", None).await;

    world.close.send_replace(true);

    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn what_happens_right_before_the_end_is_still_told() {
    let world = World::new();
    let mut reader = Reader::open(&world, "/v1/events", None).await;

    added(&world, "blog");
    world.close.send_replace(true);

    assert_eq!(reader.next().await.unwrap(), "id: 1 event: added");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn too_many_followers_are_refused_until_one_leaves() {
    let world = World::new();
    let mut followers = Vec::new();
    for _ in 0..STREAMS_MAX {
        followers.push(Reader::open(&world, "/v1/events", None).await);
    }
    let ask = || {
        let request = Request::get("/v1/events").header("accept", "text/event-stream");
        world.send(request.body(Body::empty()).unwrap())
    };

    let refused = ask().await;
    followers.pop();
    let admitted = ask().await;

    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!(admitted.status(), 200);
    assert_eq!(world.get("/v1/events").await.status, 200, "a list needs no stream");
}
