//! Another configuration: what the loop hears of it, and who may see what.

use axum::body::Body;
use axum::http::Request;
use scgi_protocol::control::{CONFIG_MAX_BYTES, Plan, ProblemKind, Revisions};

use super::world::{TAG, World, somebody};
use crate::shell::handle::Refusal;
use crate::spec::Who;

async fn send(world: &World, path: &str, tag: Option<&str>, body: &str) -> super::world::Answer {
    let request = Request::post(path);
    let request = tag.into_iter().fold(request, |request, tag| request.header("If-Match", tag));
    world.ask(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_configuration_reaches_the_loop_as_it_was_meant() {
    let world = World::new();

    for (path, tag, body) in [
        ("/v1/plan", None, ""),
        ("/v1/plan?name=site.yaml", None, ""),
        ("/v1/plan", None, "apps: {}"),
        ("/v1/apply", Some(TAG), ""),
        ("/v1/apply?name=standard%20input", None, "apps: {}"),
        ("/v1/rollback", None, ""),
        ("/v1/rollback?to=4", Some(TAG), ""),
    ] {
        let answer = send(&world, path, tag, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }

    insta::assert_snapshot!(world.asked().join("\n"), @r#"
    Proposal { source: Configured, expected: None }
    Proposal { source: Text { name: "site.yaml", text: "" }, expected: None }
    Proposal { source: Text { name: "the text that was sent", text: "apps: {}" }, expected: None }
    Apply { proposal: Proposal { source: Configured, expected: Some("\"0123456789abcdef\"") }, by: Peer { uid: 0, pid: None } }
    Apply { proposal: Proposal { source: Text { name: "standard input", text: "apps: {}" }, expected: None }, by: Peer { uid: 0, pid: None } }
    Apply { proposal: Proposal { source: Revision(None), expected: None }, by: Peer { uid: 0, pid: None } }
    Apply { proposal: Proposal { source: Revision(Some(4)), expected: Some("\"0123456789abcdef\"") }, by: Peer { uid: 0, pid: None } }
    "#);
}

#[tokio::test]
async fn a_plan_is_answered_at_once_and_an_apply_with_its_operation() {
    let world = World::new();

    let plan = send(&world, "/v1/plan", None, "").await;
    let apply = send(&world, "/v1/apply", None, "").await;

    assert_eq!((plan.status.as_u16(), plan.json::<Plan>()), (200, Plan::default()));
    assert_eq!((apply.status.as_u16(), apply.header("location")), (202, "/v1/operations/1"));
}

#[tokio::test]
async fn what_the_loop_refuses_is_told_with_a_way_out() {
    let world = World::new();

    for (refusal, kind) in [
        (Refusal::Changed(TAG.into()), ProblemKind::Changed),
        (Refusal::NoSuchRevision(9), ProblemKind::NoSuchRevision),
        (Refusal::InvalidConfig(Vec::new()), ProblemKind::InvalidConfig),
    ] {
        for path in ["/v1/plan", "/v1/apply", "/v1/rollback"] {
            let again = match &refusal {
                Refusal::Changed(tag) => Refusal::Changed(tag.clone()),
                Refusal::NoSuchRevision(number) => Refusal::NoSuchRevision(*number),
                _ => Refusal::InvalidConfig(Vec::new()),
            };
            world.refuse(again);
            assert_eq!(send(&world, path, None, "").await.problem().known(), Some(kind), "{path}");
        }
    }
}

#[tokio::test]
async fn a_configuration_may_be_long_and_nothing_else_may() {
    let world = World::new();
    let long = "#".repeat(CONFIG_MAX_BYTES);

    assert_eq!(send(&world, "/v1/apply", None, &long).await.status, 202);
    for path in ["/v1/apply", "/v1/plan"] {
        let answer = send(&world, path, None, &format!("{long}#")).await;
        assert_eq!(answer.problem().status, 413, "{path}");
    }
    assert_eq!(send(&world, "/v1/rollback", None, &long).await.problem().status, 413);
}

#[tokio::test]
async fn what_is_no_text_or_asks_for_what_is_not_there_is_refused() {
    let world = World::new();

    let bytes = Request::post("/v1/apply?name=x").body(Body::from(&b"apps: \xff"[..])).unwrap();
    assert_eq!(world.ask(bytes).await.problem().status, 400);
    for path in ["/v1/apply?nmae=x", "/v1/rollback?to=last", "/v1/plan?to=1"] {
        assert_eq!(send(&world, path, None, "").await.problem().status, 400, "{path}");
    }
    assert_eq!(world.get("/v1/revisions/x").await.problem().status, 404);
    assert_eq!(world.get("/v1/revisions/4").await.problem().status, 404);
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn who_may_only_look_sees_which_revisions_there_were_and_no_text_of_them() {
    let mut world = World::new();
    world.admit(&[Who::User(7)], &[]);
    world.peer = somebody(7);

    let listed: Revisions = world.get("/v1/revisions").await.json();

    assert!(listed.revisions.is_empty() && listed.trouble.is_some());
    assert_eq!(world.get("/v1/revisions/1").await.problem().status, 403);
    for path in ["/v1/plan", "/v1/apply", "/v1/rollback"] {
        assert_eq!(send(&world, path, None, "").await.problem().status, 403, "{path}");
    }
    assert!(world.asked().is_empty());
}
