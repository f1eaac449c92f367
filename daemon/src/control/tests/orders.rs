//! Orders: what the loop hears, and what becomes of it.

use axum::http::StatusCode;
use scgi_protocol::control::{Operation, OperationState, Verb};
use scgi_protocol::name::OperationId;

use super::world::{World, name, running, said};
use crate::supervisor::{Failure, Moment, OperationView};

#[tokio::test]
async fn every_order_reaches_the_loop_as_it_was_meant() {
    let world = World::new();

    for verb in ["start", "stop", "restart", "reload", "retry"] {
        assert_eq!(world.post(&format!("/v1/apps/blog/{verb}")).await.status, 202);
    }
    for scale in [r#"{"to": 4}"#, r#"{"by": -1}"#, r#"{"range": {"max": 8}}"#] {
        assert_eq!(world.put("/v1/apps/blog/workers", scale).await.status, 202);
    }
    assert_eq!(world.post("/v1/site/reload").await.status, 202);
    assert_eq!(world.post("/v1/shutdown").await.status, 202);

    insta::assert_snapshot!(world.asked().join("\n"), @r#"
    Order(App { app: AppName("blog"), what: Start })
    Order(App { app: AppName("blog"), what: Stop })
    Order(App { app: AppName("blog"), what: Restart })
    Order(App { app: AppName("blog"), what: Reload })
    Order(App { app: AppName("blog"), what: Retry })
    Order(App { app: AppName("blog"), what: Scale(To(4)) })
    Order(App { app: AppName("blog"), what: Scale(By(-1)) })
    Order(App { app: AppName("blog"), what: Scale(Range { min: None, max: Some(8) }) })
    Apply { proposal: Proposal { source: Configured, expected: None }, by: Peer { uid: 0, pid: None } }
    Order(Shutdown)
    "#);
}

#[tokio::test]
async fn an_order_is_answered_with_its_operation_and_where_that_is_found() {
    let world = World::new();

    let answer = world.post("/v1/apps/shop/reload").await;
    let operation: Operation = answer.json();

    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.header("location"), "/v1/operations/1");
    assert_eq!((operation.id, operation.verb), (OperationId(1), Verb::Reload));
    assert_eq!(operation.app, Some(name("shop")));
    assert_eq!(operation.state, OperationState::Running);
}

#[tokio::test]
async fn whoever_waits_for_an_operation_hears_of_its_end() {
    let world = World::new();
    world.state.board.post_operation(running(5));
    let board = world.state.board.clone();

    let waiting = world.get("/v1/operations/5?wait=60");
    let ending = async {
        // What concerns others wakes nobody.
        board.post_operation(running(6));
        tokio::task::yield_now().await;
        board.post_operation(OperationView {
            state: OperationState::Done,
            ended: Some(Moment::START),
            ..running(5)
        });
    };
    let (answer, ()) = tokio::join!(waiting, ending);

    assert_eq!(answer.json::<Operation>().state, OperationState::Done);
}

#[tokio::test]
async fn whoever_waits_for_an_operation_hears_of_its_progress() {
    let world = World::new();
    world.state.board.post_operation(running(5));
    let board = world.state.board.clone();
    let progress = "1 of 2 workers serving";

    let waiting = world.get("/v1/operations/5?wait=60");
    let going_on = async {
        tokio::task::yield_now().await;
        board.post_operation(OperationView { progress: progress.into(), ..running(5) });
    };
    let (answer, ()) = tokio::join!(waiting, going_on);

    assert_eq!(answer.json::<Operation>().progress, progress);
}

#[tokio::test]
async fn an_operation_that_has_ended_is_not_waited_for() {
    let world = World::new();
    let ended = OperationView { state: OperationState::Failed, ..running(5) };
    world.state.board.post_operation(ended);

    let answer = world.get("/v1/operations/5?wait=60").await;

    assert_eq!(answer.json::<Operation>().state, OperationState::Failed);
}

#[tokio::test]
async fn waiting_ends_when_the_time_is_over_and_when_the_daemon_ends() {
    let world = World::new();
    world.state.board.post_operation(running(5));

    let over = world.get("/v1/operations/5?wait=0").await;
    let waiting = world.get("/v1/operations/5?wait=60");
    let (closed, _) = tokio::join!(waiting, async { world.close.send_replace(true) });

    assert_eq!(over.json::<Operation>().state, OperationState::Running);
    assert_eq!(closed.json::<Operation>().state, OperationState::Running);
}

#[tokio::test]
async fn a_failed_operation_shows_what_the_dead_said() {
    let world = World::new();
    world.state.board.post_operation(failed(5, Some("shop"), &["shop"]));
    world.state.board.post_operation(running(6));

    let failed: Operation = world.get("/v1/operations/5").await.json();
    let all: Vec<Operation> = world.get("/v1/operations").await.json();

    assert_eq!(failed.evidence, said());
    assert_eq!(failed.next.unwrap(), "correct the program, then `scgictl retry shop`");
    assert!(all[1].evidence.is_empty(), "an operation under way has nothing to show");
    assert_eq!(all[1].next, None);
}

#[tokio::test]
async fn a_failed_operation_of_the_site_shows_it_app_by_app() {
    let world = World::new();
    world.state.board.post_operation(failed(5, None, &["blog", "shop"]));

    let failed: Operation = world.get("/v1/operations/5").await.json();

    assert_eq!(failed.evidence, [""; 0]);
    let failures = failed.failures.iter().map(|one| (one.app.as_str(), one.reason.as_str()));
    assert_eq!(failures.collect::<Vec<_>>(), [("blog", "exit 1"), ("shop", "exit 1")]);
    assert_eq!(failed.failures[1].evidence, said());
}

/// An operation that failed because of these apps.
fn failed(id: u64, app: Option<&str>, apps: &[&str]) -> OperationView {
    let failure = |app: &&str| Failure { app: Some(name(app)), why: "exit 1".into(), said: said() };
    OperationView {
        app: app.map(name),
        state: OperationState::Failed,
        ended: Some(Moment::START),
        failures: apps.iter().map(failure).collect(),
        ..running(id)
    }
}

#[tokio::test]
async fn a_failed_operation_says_what_to_do_next() {
    let world = World::new();
    world.state.board.post_operation(failed(5, Some("blog"), &["blog"]));
    world.state.board.post_operation(failed(6, Some("gone"), &["gone"]));
    world.state.board.post_operation(failed(7, None, &["shop"]));
    world.state.board.post_operation(failed(8, None, &["blog", "shop"]));
    world.state.board.post_operation(failed(9, None, &[]));
    let next = async |id: u64| {
        let operation: Operation = world.get(&format!("/v1/operations/{id}")).await.json();
        operation.next.unwrap()
    };

    assert_eq!(next(5).await, "`scgictl describe blog` shows its last events and lines");
    assert_eq!(next(6).await, "`scgictl events gone` shows what happened");
    assert_eq!(
        next(7).await,
        "mend the program, then `scgictl retry shop`; or mend the configuration and apply it \
         again; or `scgictl rollback`"
    );
    assert_eq!(next(8).await, "mend it and apply it again; or `scgictl rollback`");
    assert_eq!(next(9).await, "`scgictl events` shows what happened");
}
