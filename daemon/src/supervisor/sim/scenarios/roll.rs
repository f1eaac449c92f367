//! How one generation is replaced by the next.

use scgi_protocol::name::Generation;

use super::super::chaos::listener;
use super::*;
use crate::spec::{Ready, Surge};
use crate::supervisor::{AppOrder, Cause};

#[test]
fn a_roll_never_serves_with_fewer_workers_than_asked() {
    let mut world = World::serving(fixed("v1", 4));

    let roll = world.apply(vec![fixed("v2", 4)]);
    let least = world.least_until(roll, &shop());

    assert_eq!(least, 4);
    assert_eq!(world.outcome(roll), Ok(()));
    assert!(world.accepting().iter().all(|id| world.lives[id].generation == Generation(2)));
}

#[test]
fn a_roll_has_no_more_workers_than_asked_and_surge() {
    let mut spec = fixed("v1", 6);
    spec.roll.surge = Surge::Count(2);
    let mut world = World::serving(spec);

    let roll = world.order(&shop(), AppOrder::Reload);
    let mut most = 0;
    while world.ledger.operations[&roll].ended.is_none() {
        world.step();
        let seats = world.view().seats;
        most = most.max(seats.serving + seats.starting);
    }

    assert_eq!(most, 8);
}

#[test]
fn a_generation_that_can_never_start_is_held_and_the_older_one_serves_every_seat() {
    for nature in [Nature::Crashes, Nature::Hangs, Nature::CannotSpawn, Nature::Quits] {
        let mut world = World::serving(fixed("v1", 4));
        world.is_like("v2", nature);

        let roll = world.apply(vec![fixed("v2", 4)]);
        let least = world.least_until(roll, &shop());
        let starts = world.starts();
        world.run_for(secs(3600));

        assert_eq!((least, world.state()), (4, AppState::Held));
        let why = world.outcome(roll).unwrap_err();
        assert!(why.starts_with("shop: generation 2 spent its restart budget"), "{why}");
        assert!(why.ends_with("generation 1 serves on"), "{why}");
        assert_eq!(world.starts(), starts, "it is not tried again");
        assert_eq!(world.told(|note| matches!(note, Note::Held { .. })), 1);
        assert_eq!(world.relief(), 0);
    }
}

#[test]
fn a_roll_that_gets_stuck_half_way_is_undone() {
    let mut world = World::serving(fixed("v1", 4));
    world.is_like("v2", Nature::Crowd(2));

    let roll = world.apply(vec![fixed("v2", 4)]);
    world.run_for(secs(120));

    assert!(world.outcome(roll).is_err());
    assert_eq!((world.state(), world.accepting().len()), (AppState::Held, 4));
    assert!(world.alive.iter().all(|id| world.lives[id].generation == Generation(1)));
}

#[test]
fn a_held_generation_is_tried_at_once_when_somebody_asks() {
    let mut world = World::serving(fixed("v1", 2));
    world.is_like("v2", Nature::Crashes);
    world.apply(vec![fixed("v2", 2)]);
    world.run_for(secs(60));
    world.is_like("v2", Nature::Good);

    let retry = world.order(&shop(), AppOrder::Retry);
    let least = world.least_until(retry, &shop());

    assert_eq!((least, world.outcome(retry)), (2, Ok(())));
    assert_eq!(world.state(), AppState::Serving);
    assert!(world.accepting().iter().all(|id| world.lives[id].generation == Generation(2)));
}

#[test]
fn a_worker_that_dies_while_the_next_generation_is_held_comes_from_the_old_launch() {
    let mut world = World::serving(fixed("v1", 2));
    world.is_like("v2", Nature::Crashes);
    world.apply(vec![fixed("v2", 2)]);
    world.run_for(secs(60));

    let victim = world.accepting()[0];
    world.crash(victim);
    world.run_for(secs(2));

    assert_eq!(world.accepting().len(), 2);
    assert_eq!(world.newest().spec.launch.arguments[1], "v1");
}

#[test]
fn an_app_is_failing_when_the_generation_that_served_on_dies_out_too() {
    let mut world = World::serving(fixed("v1", 2));
    world.is_like("v2", Nature::Crashes);
    world.apply(vec![fixed("v2", 2)]);
    world.run_for(secs(60));

    world.is_like("v1", Nature::Crashes);
    for victim in world.accepting() {
        world.crash(victim);
    }
    world.run_for(secs(20));

    assert_eq!((world.state(), world.relief()), (AppState::Failing, 1));
    let failing = |note: &Note| matches!(note, Note::Failing { generation: Generation(1), .. });
    assert_eq!(world.told(failing), 1);
}

#[test]
fn a_worker_of_the_old_generation_that_never_served_leaves_at_once() {
    let mut world = World::with(Nature::Hangs, fixed("v1", 2));
    world.run_for(secs(1));

    world.apply(vec![fixed("v2", 2)]);
    world.run_for(secs(2));

    assert_eq!((world.state(), world.accepting().len()), (AppState::Serving, 2));
    let rolled = |note: &Note| matches!(note, Note::WorkerGone { cause: Cause::Rolled, .. });
    assert_eq!(world.told(rolled), 2);
}

#[test]
fn a_reload_during_a_roll_ends_with_the_latest() {
    let mut world = World::serving(fixed("v1", 4));

    world.apply(vec![fixed("v2", 4)]);
    world.run_for(millis(500));
    let roll = world.apply(vec![fixed("v3", 4)]);
    let least = world.least_until(roll, &shop());

    assert_eq!(least, 4);
    assert!(world.accepting().iter().all(|id| world.lives[id].spec.launch.arguments[1] == "v3"));
}

#[test]
fn a_change_of_address_opens_the_new_listener_first_and_closes_the_old_last() {
    let mut world = World::serving(fixed("v1", 2));
    let mut next = fixed("v1", 2);
    next.listen = vec![listener("shop", 1)];

    let roll = world.apply(vec![next]);
    assert_eq!(world.fronts[&shop()].open.len(), 2);
    world.least_until(roll, &shop());
    world.run_for(secs(1));

    let open: Vec<_> = world.fronts[&shop()].open.keys().collect();
    assert_eq!(open, [&listener("shop", 1)]);
}

#[test]
fn of_two_old_workers_in_one_seat_only_the_newer_stays() {
    let patient = |version| {
        let mut spec = fixed(version, 1);
        spec.timing.ready = Ready::After(secs(1));
        spec
    };
    let mut world = World::serving(patient("v1"));
    world.apply(vec![patient("v2")]);

    world.oversleep(secs(5));
    world.order(&shop(), AppOrder::Reload);

    let seats = world.view().seats;
    assert_eq!((seats.serving, seats.starting, seats.draining), (1, 1, 1));
}

/// A world in which a change of address is held.
fn held_at_another_address() -> World {
    let mut world = World::serving(fixed("v1", 2));
    let mut next = fixed("v2", 2);
    next.listen = vec![listener("shop", 1)];
    world.is_like("v2", Nature::Crashes);
    world.apply(vec![next]);
    world.run_for(secs(60));
    world
}

#[test]
fn a_held_change_of_address_is_closed_again_lest_people_wait_there_for_nobody() {
    let world = held_at_another_address();

    let open: Vec<_> = world.fronts[&shop()].open.keys().collect();
    assert_eq!((world.state(), open), (AppState::Held, vec![&listener("shop", 0)]));
}

#[test]
fn a_retry_opens_the_address_of_the_held_generation_again() {
    let mut world = held_at_another_address();
    world.is_like("v2", Nature::Good);

    world.order(&shop(), AppOrder::Retry);
    world.run_for(secs(60));

    let open: Vec<_> = world.fronts[&shop()].open.keys().collect();
    assert_eq!((world.state(), open), (AppState::Serving, vec![&listener("shop", 1)]));
}

#[test]
fn an_address_that_is_taken_back_during_a_roll_is_closed_again() {
    let mut world = World::serving(fixed("v1", 2));
    let mut next = fixed("v2", 2);
    next.listen = vec![listener("shop", 1)];
    world.is_like("v2", Nature::Hangs);
    world.apply(vec![next]);
    world.run_for(secs(5));
    assert_eq!((world.state(), world.fronts[&shop()].open.len()), (AppState::Rolling, 2));

    world.apply(vec![fixed("v1", 2)]);
    world.run_for(secs(60));

    let open: Vec<_> = world.fronts[&shop()].open.keys().collect();
    assert_eq!((world.state(), open), (AppState::Serving, vec![&listener("shop", 0)]));
}

#[test]
fn a_stop_during_a_roll_stops_both_generations() {
    let mut world = World::serving(fixed("v1", 4));
    let roll = world.apply(vec![fixed("v2", 4)]);
    world.run_for(millis(300));

    let stop = world.order(&shop(), AppOrder::Stop);
    world.run_for(secs(5));

    assert_eq!((world.alive.len(), world.state()), (0, AppState::Stopped));
    assert_eq!((world.outcome(roll), world.outcome(stop)), (Ok(()), Ok(())));
}

#[test]
fn a_removal_during_a_roll_leaves_nothing() {
    let mut world = World::serving(fixed("v1", 4));
    let reload = world.order(&shop(), AppOrder::Reload);
    world.run_for(millis(300));

    let removal = world.apply(Vec::new());
    world.run_for(secs(5));

    assert!(world.alive.is_empty() && world.fronts[&shop()].open.is_empty());
    assert!(world.core.view(&shop(), world.now).is_none());
    assert_eq!(world.outcome(removal), Ok(()));
    assert_eq!(world.outcome(reload), Err("the app was removed meanwhile".to_owned()));
}

#[test]
fn a_restart_waits_until_the_last_old_worker_is_gone() {
    let mut world = World::serving(fixed("v1", 3));
    let old = world.alive.clone();

    let restart = world.order(&shop(), AppOrder::Restart);
    while world.alive.iter().any(|id| old.contains(id)) {
        assert!(world.alive.is_subset(&old), "a new worker beside an old one");
        world.step();
    }
    world.run_for(secs(2));

    assert_eq!((world.outcome(restart), world.accepting().len()), (Ok(()), 3));
}
