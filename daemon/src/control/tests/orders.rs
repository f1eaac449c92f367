//! Orders: what the loop hears, and what becomes of it.

use axum::http::StatusCode;
use scgi_protocol::control::{Operation, OperationState, Verb, Wish};
use scgi_protocol::name::OperationId;

use super::world::{World, name, running};
use crate::supervisor::{Moment, OperationView, PoolView};

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
async fn a_failed_operation_shows_what_the_dead_said_meanwhile() {
    let world = World::new();
    let began = world.state.clock.now();
    world.write("shop", 8, "KeyError: 'DATABASE'");
    let ended = OperationView {
        state: OperationState::Failed,
        since: began,
        ended: Some(world.state.clock.now()),
        ..running(5)
    };
    world.state.board.post_operation(ended);
    world.state.board.post_operation(running(6));

    let failed: Operation = world.get("/v1/operations/5").await.json();
    let all: Vec<Operation> = world.get("/v1/operations").await.json();

    assert_eq!(failed.evidence, ["KeyError: 'DATABASE'"]);
    assert_eq!(failed.next.unwrap(), "correct the program, then `scgictl retry shop`");
    assert!(all[1].evidence.is_empty(), "an operation under way has nothing to show");
    assert_eq!(all[1].next, None);
}

#[tokio::test]
async fn a_failed_operation_says_what_to_do_next() {
    let world = World::new();
    let failed = |id, app| OperationView { state: OperationState::Failed, app, ..running(id) };
    world.state.board.post_operation(failed(5, Some(name("blog"))));
    world.state.board.post_operation(failed(6, Some(name("gone"))));
    world.state.board.post_operation(failed(7, None));
    let next = async |id: u64| {
        let operation: Operation = world.get(&format!("/v1/operations/{id}")).await.json();
        operation.next.unwrap()
    };

    assert_eq!(next(5).await, "`scgictl describe blog` shows its last events and lines");
    assert_eq!(next(6).await, "`scgictl events gone` shows what happened");
    assert_eq!(next(7).await, "shop is not well; `scgictl status` says why");

    let shop = world.state.board.pool(&name("shop")).unwrap();
    for more in 0..9 {
        world.state.board.post_pool(&name(&format!("a{more}")), Some((*shop).clone()));
    }
    assert_eq!(
        next(7).await,
        "a0, a1, a2, a3, a4, a5, a6, a7 and 2 more are not well; `scgictl status` says why"
    );

    for (name, pool) in world.state.board.pools() {
        let stopped = PoolView { wish: Wish::Stop, ..(*pool).clone() };
        world.state.board.post_pool(&name, Some(stopped));
    }
    assert_eq!(next(7).await, "`scgictl events` shows what happened");
}
