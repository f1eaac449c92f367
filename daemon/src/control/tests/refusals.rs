//! What is refused, and how: always as a problem with a hint, never by closing the door.

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::stream;
use scgi_protocol::control::{BODY_MAX_BYTES, ConfigProblem};
use scgi_protocol::name::OperationId;

use super::world::{World, somebody};
use crate::shell::handle::Refusal;
use crate::spec::Who;

/// Status and kind of the problem that a request is answered with.
async fn refused(world: &World, method: &str, path: &str, body: &'static str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    let problem = world.ask(request).await.problem();
    (problem.status, problem.slug().to_owned())
}

#[tokio::test]
async fn everything_that_makes_no_sense_is_refused_as_a_problem_of_its_kind() {
    let world = World::new();
    let cases = [
        ("GET", "/", "", 404, "not-found"),
        ("GET", "/v1/app", "", 404, "not-found"),
        ("GET", "/v2/status", "", 404, "not-found"),
        ("GET", "/v1/apps/nope", "", 404, "no-such-app"),
        ("GET", "/v1/apps/Not%20A%20Name", "", 404, "no-such-app"),
        ("GET", "/v1/apps/nope/logs", "", 404, "no-such-app"),
        ("GET", "/v1/events?app=nope", "", 404, "no-such-app"),
        ("POST", "/v1/apps/nope/start", "", 404, "no-such-app"),
        ("PUT", "/v1/apps/nope/workers", r#"{"to":1}"#, 404, "no-such-app"),
        ("POST", "/v1/apps/blog/explode", "", 404, "not-found"),
        ("POST", "/v1/apps/blog/scale", "", 404, "not-found"),
        ("GET", "/v1/operations/99", "", 404, "no-such-operation"),
        ("GET", "/v1/operations/ninety", "", 404, "no-such-operation"),
        ("DELETE", "/v1/apps/blog", "", 405, "method-not-allowed"),
        ("POST", "/v1/status", "", 405, "method-not-allowed"),
        ("GET", "/v1/shutdown", "", 405, "method-not-allowed"),
        ("GET", "/v1/apps/blog/start", "", 405, "method-not-allowed"),
        ("GET", "/v1/events?after=x", "", 400, "bad-request"),
        ("GET", "/v1/events?afer=1", "", 400, "bad-request"),
        ("GET", "/v1/apps/blog/logs?lines=-1", "", 400, "bad-request"),
        ("GET", "/v1/apps/%ff", "", 400, "bad-request"),
        ("PUT", "/v1/apps/blog/workers", "", 400, "bad-request"),
        ("PUT", "/v1/apps/blog/workers", "four", 400, "bad-request"),
        ("PUT", "/v1/apps/blog/workers", r#"{"two":2}"#, 400, "bad-request"),
        ("PUT", "/v1/apps/blog/workers", r#"{"to":-1}"#, 400, "bad-request"),
        ("PUT", "/v1/apps/blog/workers", r#"{"to":1025}"#, 400, "bad-request"),
    ];

    for (method, path, body, status, slug) in cases {
        let problem = refused(&world, method, path, body).await;
        assert_eq!(problem, (status, slug.to_owned()), "{method} {path} {body}");
    }
    assert!(world.asked().is_empty(), "nothing of this concerns the loop");
}

#[tokio::test]
async fn every_refusal_of_the_loop_has_a_kind_of_its_own() {
    let problem = ConfigProblem {
        place: None,
        path: "apps.shop.workers".into(),
        message: "must be 1 to 1024, not 0".into(),
        hint: None,
        snippet: None,
    };
    let cases = [
        (Refusal::NoSuchApp("blog".parse().unwrap()), 404, "no-such-app"),
        (Refusal::Conflict(OperationId(7)), 409, "conflict"),
        (Refusal::Senseless("it is stopped".into()), 409, "senseless"),
        (Refusal::Unprepared("no such program".into()), 422, "unprepared"),
        (Refusal::InvalidConfig(vec![problem]), 422, "invalid-config"),
        (Refusal::Stopping, 503, "stopping"),
    ];

    for (refusal, status, slug) in cases {
        let world = World::new();
        world.refuse(refusal);
        let refused = refused(&world, "POST", "/v1/site/reload", "").await;
        assert_eq!(refused, (status, slug.to_owned()));
    }
}

#[tokio::test]
async fn a_conflict_names_the_operation_in_the_way_and_a_bad_configuration_all_its_problems() {
    let world = World::new();
    world.refuse(Refusal::Conflict(OperationId(7)));
    let conflict = world.post("/v1/apps/blog/reload").await.problem();

    let problem = ConfigProblem {
        place: None,
        path: "apps.shop".into(),
        message: "is not understood".into(),
        hint: None,
        snippet: None,
    };
    world.refuse(Refusal::InvalidConfig(vec![problem.clone(), problem]));
    let invalid = world.post("/v1/site/reload").await.problem();

    assert_eq!(conflict.operation, Some(OperationId(7)));
    assert_eq!(invalid.problems.len(), 2);
}

#[tokio::test]
async fn a_mistyped_name_is_answered_with_the_right_one() {
    let world = World::new();

    insta::assert_snapshot!(world.get("/v1/apps/blgo").await.text, @r#"{"type":"urn:scgid:problem:no-such-app","title":"no such app","status":404,"detail":"no app is called `blgo`","hint":"did you mean `blog`?"}"#);
    let other = world.get("/v1/apps/zzz").await.problem();
    assert_eq!(other.hint.unwrap(), "the apps of this site: blog, shop");
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_answered_with_those_that_are() {
    let world = World::new();

    let answer = world.post("/v1/apps/blog/workers").await;

    assert_eq!(answer.header("allow"), "PUT");
    assert_eq!(answer.problem().hint.unwrap(), "allowed here: PUT");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let world = World::new();
    let large = "x".repeat(BODY_MAX_BYTES + 1);

    let announced = world.put("/v1/apps/blog/workers", large.clone()).await.problem();
    let pieces = (0..9).map(move |_| Ok::<_, std::io::Error>(Bytes::from(large.clone())));
    let streamed = Body::from_stream(stream::iter(pieces));
    let streamed = world.put("/v1/apps/blog/workers", streamed).await.problem();

    assert_eq!((announced.slug(), announced.status), ("too-large", 413));
    assert_eq!((streamed.slug(), streamed.status), ("too-large", 413));
}

#[tokio::test]
async fn a_reader_may_look_but_not_act_and_others_may_do_nothing() {
    let mut world = World::new();
    world.admit(&[Who::User(1000)], &[Who::User(1001)]);

    world.peer = somebody(1000);
    assert_eq!(world.get("/v1/status").await.status, 200);
    let act = world.post("/v1/apps/blog/stop").await.problem();
    world.peer = somebody(1002);
    let look = world.get("/v1/status").await.problem();

    assert_eq!((act.slug(), act.status), ("forbidden", 403));
    assert!(act.hint.unwrap().contains("`control.writers`"));
    assert_eq!((look.slug(), look.status), ("forbidden", 403));
    assert!(look.hint.unwrap().contains("`control.readers`"));
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn whoever_may_only_look_sees_no_value_of_an_environment_anywhere() {
    let mut world = World::new();
    world.admit(&[Who::User(1000)], &[Who::User(1001)]);
    world.peer = somebody(1001);
    let text = world.get("/v1/config").await;
    assert!(text.text.contains("hunter2"), "{}", text.text);

    world.peer = somebody(1000);
    for route in super::super::ROUTES.iter().filter(|route| route.method == "get") {
        let path = route.path.replace("{app}", "blog").replace("{id}", "1");
        let answer = world.get(&path).await;
        assert!(!answer.text.contains("hunter2"), "{path}: {}", answer.text);
    }
    let known = Request::get("/v1/config").header("if-none-match", text.header("etag"));
    let refused = world.ask(known.body(Body::empty()).unwrap()).await.problem();

    assert_eq!((refused.slug(), refused.status), ("forbidden", 403));
    assert!(refused.hint.unwrap().contains("`control.writers`"));
}

#[tokio::test]
async fn who_may_ask_follows_the_site() {
    let mut world = World::new();
    world.peer = somebody(1000);
    assert_eq!(world.post("/v1/apps/blog/stop").await.status, 202);

    world.admit(&[], &[Who::User(1001)]);

    assert_eq!(world.post("/v1/apps/blog/stop").await.status, 403);
}

#[tokio::test]
async fn a_stopping_daemon_takes_no_orders_but_to_hurry() {
    let world = World::new();
    world.state.board.post_stopping();

    assert_eq!(refused(&world, "POST", "/v1/apps/blog/stop", "").await.1, "stopping");
    assert!(world.asked().is_empty());
    assert_eq!(world.post("/v1/shutdown").await.status, 202);
    assert_eq!(world.get("/v1/status").await.status, 200);
}
