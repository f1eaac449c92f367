//! What somebody asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::supervisor::{Action, AppOrder, Moment, Order, Signal, Supervisor};

#[test]
fn a_stopped_app_has_no_worker_and_no_listener_and_can_be_started_again() {
    let mut world = World::serving(fixed("v1", 2));

    let stop = world.order(&shop(), AppOrder::Stop);
    world.run_for(secs(2));
    assert_eq!(world.outcome(stop), Ok(()));
    assert!(world.alive.is_empty() && world.fronts[&shop()].open.is_empty());
    assert_eq!(world.state(), AppState::Stopped);
    assert_eq!(world.told(|note| matches!(note, Note::Stopped { .. })), 1);

    let start = world.order(&shop(), AppOrder::Start);
    world.run_for(secs(2));
    assert_eq!((world.outcome(start), world.accepting().len()), (Ok(()), 2));
}

#[test]
fn a_worker_that_dies_while_its_app_is_stopping_costs_nothing() {
    let mut world = World::with(Nature::Good, fixed("v1", 1));
    world.run_for(secs(1));
    let leaver = world.accepting()[0];
    world.desert(leaver, secs(20));

    world.order(&shop(), AppOrder::Stop);
    world.crash(leaver);

    assert_eq!(world.told(|note| matches!(note, Note::BackingOff { .. })), 0);
    assert_eq!(world.view().restarts, 0);
}

#[test]
fn a_stopped_app_stays_stopped_through_an_apply() {
    let mut world = World::serving(fixed("v1", 2));
    world.order(&shop(), AppOrder::Stop);
    world.run_for(secs(2));

    let apply = world.apply(vec![fixed("v2", 3)]);
    world.run_for(secs(10));

    assert_eq!((world.outcome(apply), world.state()), (Ok(()), AppState::Stopped));
    assert!(world.alive.is_empty() && world.fronts[&shop()].open.is_empty());
    assert_eq!(world.told(|note| matches!(note, Note::Stopped { .. })), 1);
}

#[test]
fn a_start_after_a_stop_falls_back_to_nothing_that_was_before() {
    let mut world = World::serving(fixed("v1", 1));
    world.order(&shop(), AppOrder::Stop);
    world.run_for(secs(2));
    world.is_like("v2", Nature::Crashes);
    let mut next = fixed("v2", 1);
    next.listen = vec![super::super::chaos::listener("shop", 1)];
    world.apply(vec![next]);

    world.order(&shop(), AppOrder::Start);
    world.run_for(secs(60));

    assert_eq!(world.state(), AppState::Failing);
}

#[test]
fn a_stop_that_is_overtaken_by_a_start_fails() {
    let mut world = World::serving(fixed("v1", 2));

    let stop = world.order(&shop(), AppOrder::Stop);
    let start = world.order(&shop(), AppOrder::Start);
    world.run_for(secs(5));

    assert_eq!(world.outcome(stop), Err("the app was started meanwhile".to_owned()));
    assert_eq!((world.outcome(start), world.accepting().len()), (Ok(()), 2));
}

#[test]
fn a_start_that_is_overtaken_by_a_stop_fails() {
    let mut world = World::with(Nature::Hangs, fixed("v1", 2));

    let start = world.order(&shop(), AppOrder::Start);
    world.order(&shop(), AppOrder::Stop);

    assert_eq!(world.outcome(start), Err("the app was stopped meanwhile".to_owned()));
}

#[test]
fn an_order_for_an_app_that_is_not_there_fails() {
    let mut world = World::new(1);

    let start = world.order(&shop(), AppOrder::Start);

    assert_eq!(world.outcome(start), Err("the app was removed meanwhile".to_owned()));
}

#[test]
fn an_app_that_cannot_be_prepared_runs_on_as_it_was_and_says_so() {
    let mut world = World::serving(fixed("v1", 2));
    let before = world.alive.clone();

    let why = BTreeMap::from([(shop(), "program not found".to_owned())]);
    let apply = world.apply_in_part(Vec::new(), why);
    world.run_for(secs(60));

    assert_eq!((&world.alive, world.state()), (&before, AppState::Serving));
    assert_eq!(world.outcome(apply), Err("shop: program not found".to_owned()));
    assert_eq!(world.view().trouble.unwrap().cause, "program not found");
}

#[test]
fn an_app_that_could_never_be_prepared_is_shown_and_comes_when_it_is_mended() {
    let mut world = World::new(1);

    let why = BTreeMap::from([(shop(), "program not found".to_owned())]);
    world.apply_in_part(Vec::new(), why);
    assert_eq!(world.state(), AppState::Unprepared);

    let apply = world.apply(vec![fixed("v1", 1)]);
    world.run_for(secs(2));
    assert_eq!((world.outcome(apply), world.state()), (Ok(()), AppState::Serving));
}

#[test]
fn an_apply_touches_only_what_changed() {
    let mut world = World::new(1);
    let blog = spec("blog", "v1", Sizing::fixed(2).unwrap());
    world.apply(vec![blog.clone(), fixed("v1", 2)]);
    world.run_for(secs(20));
    let before = world.accepting_for(&name("blog"));

    world.apply(vec![blog, fixed("v2", 2)]);
    world.run_for(secs(20));

    assert_eq!((world.accepting_for(&name("blog")), world.starts()), (before, 6));
}

#[test]
fn an_apply_does_not_answer_for_an_app_that_was_failing_and_stays_as_it_was() {
    let mut world = World::with(Nature::Crashes, fixed("v1", 1));
    world.run_for(secs(20));
    assert_eq!(world.state(), AppState::Failing);
    let blog = spec("blog", "good", Sizing::fixed(2).unwrap());
    world.is_like("good", Nature::Good);

    let apply = world.apply(vec![blog, fixed("v1", 1)]);
    world.run_for(secs(5));

    assert_eq!((world.outcome(apply), world.state()), (Ok(()), AppState::Failing));
}

#[test]
fn a_shutdown_lets_everybody_finish_and_ends_the_daemon_once() {
    let mut world = World::serving(fixed("v1", 3));

    world.shutdown();
    assert!(!world.ledger.exited);
    world.run_for(secs(5));

    assert!(world.ledger.exited && world.alive.is_empty());
    let killed = |note: &Note| matches!(note, Note::WorkerKilled { .. });
    assert_eq!(world.told(killed), 0);
}

#[test]
fn a_shutdown_of_nothing_ends_the_daemon_at_once() {
    let mut world = World::new(1);

    world.shutdown();

    assert!(world.ledger.exited);
}

#[test]
fn a_second_shutdown_kills_at_once() {
    let mut world = World::with(Nature::Hangs, fixed("v1", 3));
    world.shutdown();

    world.shutdown();

    let killed = |note: &Note| matches!(note, Note::WorkerKilled { .. });
    assert_eq!(world.told(killed), 3);
}

/// A core that has said that a worker be started, and has not heard of it.
fn launching() -> (Supervisor, WorkerId) {
    let mut core = Supervisor::default();
    let apps = BTreeMap::from([(shop(), Arc::new(fixed("v1", 1)))]);
    let operation = OperationId(1);
    core.handle(Event::Apply { apps, unprepared: BTreeMap::new(), operation }, Moment::START);
    let worker = *core.launching.first_key_value().unwrap().0;
    (core, worker)
}

#[test]
fn a_worker_that_is_no_longer_wanted_when_it_is_born_is_asked_to_leave() {
    let (mut core, worker) = launching();
    let order = Order::App { app: shop(), what: AppOrder::Stop };
    core.handle(Event::Order { order, operation: OperationId(2), after: None }, Moment::START);

    let deeds = core.handle(Event::Spawned { worker, pid: 7 }, Moment::START);

    let asks = |action: &Action| matches!(action, Action::Signal { pid: 7, .. });
    assert!(deeds.iter().any(asks), "{deeds:?}");
}

#[test]
fn a_worker_that_is_just_being_launched_does_not_escape_a_second_shutdown() {
    let (mut core, worker) = launching();
    for number in [2, 3] {
        let (order, operation) = (Order::Shutdown, OperationId(number));
        core.handle(Event::Order { order, operation, after: None }, Moment::START);
    }

    let deeds = core.handle(Event::Spawned { worker, pid: 7 }, Moment::START);

    let kill = |action: &Action| matches!(action, Action::Signal { pid: 7, signal: Signal::Kill });
    assert!(deeds.iter().any(kill), "{deeds:?}");
}

#[test]
fn an_apply_during_the_shutdown_is_refused() {
    let mut world = World::serving(fixed("v1", 1));
    world.shutdown();

    let apply = world.apply(vec![fixed("v2", 1)]);
    world.run_for(secs(5));

    assert_eq!(world.outcome(apply), Err("the daemon is stopping".to_owned()));
    assert!(world.ledger.exited);
}
