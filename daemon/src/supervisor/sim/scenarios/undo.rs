//! Rolls that are paused, resumed or undone, and one after another.

use scgi_protocol::name::Generation;

use super::*;
use crate::supervisor::AppOrder;

#[test]
fn a_paused_roll_stays_as_it_is_until_it_is_resumed() {
    let mut world = World::serving(fixed("v1", 4));
    let roll = world.apply(vec![fixed("v2", 4)]);
    while world.view().roll.unwrap().new < 2 {
        world.step();
    }

    let pause = world.order(&shop(), AppOrder::Pause);
    world.run_for(secs(600));
    let view = world.view();
    assert_eq!(world.outcome(pause), Ok(()));
    assert!(view.roll.unwrap().old >= 2, "{view:?}");
    assert_eq!(
        (view.state, world.told(|n| matches!(n, Note::Paused { .. }))),
        (AppState::Rolling, 1)
    );

    world.order(&shop(), AppOrder::Resume);
    world.run_for(secs(30));
    assert_eq!((world.outcome(roll), world.state()), (Ok(()), AppState::Serving));
}

#[test]
fn an_undone_roll_returns_to_the_generation_before_and_fails() {
    let mut world = World::serving(fixed("v1", 4));
    let roll = world.apply(vec![fixed("v2", 4)]);
    while world.view().roll.unwrap().new < 2 {
        world.step();
    }

    let undo = world.order(&shop(), AppOrder::Undo);
    let least = world.least_until(undo, &shop());
    world.run_for(secs(30));

    assert_eq!((least >= 4, world.outcome(undo)), (true, Ok(())));
    let why = world.outcome(roll).unwrap_err();
    assert!(why.contains("an operator undid generation 2; generation 1 serves on"), "{why}");
    assert_eq!((world.state(), world.view().generation), (AppState::Serving, Generation(1)));
    assert!(world.accepting().iter().all(|id| world.lives[id].generation == Generation(1)));

    // Numbers of generations are not used again.
    world.order(&shop(), AppOrder::Reload);
    world.run_for(secs(30));
    assert_eq!(world.view().generation, Generation(3));
}

#[test]
fn a_roll_that_is_undone_before_its_first_worker_is_ready_fails() {
    let mut world = World::serving(fixed("v1", 2));
    let before = world.accepting();
    world.is_like("v2", Nature::Hangs);
    let roll = world.apply(vec![fixed("v2", 2)]);

    let undo = world.order(&shop(), AppOrder::Undo);
    world.run_for(secs(30));

    assert_eq!((world.outcome(undo), world.accepting()), (Ok(()), before));
    let why = world.outcome(roll).unwrap_err();
    assert!(why.contains("an operator undid generation 2; generation 1 serves on"), "{why}");
}

#[test]
fn a_queued_reload_begins_when_the_one_before_has_ended() {
    let mut world = World::serving(fixed("v1", 2));

    let first = world.order(&shop(), AppOrder::Reload);
    let second = world.queue(&shop(), AppOrder::Reload);
    assert_eq!(world.view().generation, Generation(2));
    world.run_for(secs(30));

    let ended = |id| world.ledger.operations[&id].ended.clone().unwrap().0;
    assert!(ended(first) < ended(second));
    assert_eq!((world.outcome(second), world.view().generation), (Ok(()), Generation(3)));
}

#[test]
fn an_undo_to_a_generation_that_can_start_no_more_fails_and_the_new_one_serves_on() {
    let mut spec = fixed("v1", 2);
    spec.roll.soak = secs(30);
    let mut world = World::serving(spec.clone());
    spec.launch.arguments[1] = "v2".to_owned();
    let roll = world.apply(vec![spec]);
    while world.view().roll.unwrap().new < 2 {
        world.step();
    }
    world.is_like("v1", Nature::Quits);

    let undo = world.order(&shop(), AppOrder::Undo);
    for victim in world.accepting() {
        if world.lives[&victim].generation == Generation(1) {
            world.crash(victim);
        }
    }
    world.run_for(secs(120));

    let why = world.outcome(undo).unwrap_err();
    assert!(why.starts_with("generation 1 spent its restart budget"), "{why}");
    assert!(why.ends_with("generation 2 serves on"), "{why}");
    assert!(world.outcome(roll).unwrap_err().contains("undid generation 2"));
    assert_eq!((world.state(), world.accepting().len()), (AppState::Serving, 2));
}
