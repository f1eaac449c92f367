//! Programs that have their address to themselves. That two of them are never there at once is what
//! the oracle says of every history.

use scgi_protocol::name::Generation;

use super::super::chaos::alone;
use super::*;
use crate::supervisor::AppOrder;

/// A program that makes its own socket.
fn own(version: &str) -> AppSpec {
    alone(fixed(version, 1))
}

#[test]
fn one_is_replaced_only_when_it_is_gone() {
    let mut world = World::serving(own("v1"));

    let roll = world.apply(vec![own("v2")]);
    world.run_for(secs(60));

    assert_eq!((world.outcome(roll), world.state()), (Ok(()), AppState::Serving));
    assert_eq!((world.accepting().len(), world.newest().generation), (1, Generation(2)));
}

#[test]
fn one_that_takes_its_time_to_leave_is_waited_for_and_killed() {
    let mut slow = own("v1");
    slow.timing.stop_timeout = secs(5);
    let mut world = World::serving(slow);
    world.is_like("v1", Nature::Hangs);

    let roll = world.order(&shop(), AppOrder::Reload);
    world.is_like("v1", Nature::Good);
    world.run_for(secs(60));

    assert_eq!((world.outcome(roll), world.accepting().len()), (Ok(()), 1));
}

#[test]
fn when_the_new_one_cannot_live_the_old_launch_is_started_again() {
    for nature in [Nature::Crashes, Nature::Hangs, Nature::CannotSpawn, Nature::Quits] {
        let mut world = World::serving(own("v1"));
        world.is_like("v2", nature);

        let roll = world.apply(vec![own("v2")]);
        world.run_for(secs(3600));

        assert!(world.outcome(roll).is_err(), "{nature:?}");
        assert_eq!((world.state(), world.accepting().len()), (AppState::Held, 1), "{nature:?}");
        assert_eq!(world.newest().spec.launch.arguments[1], "v1");
    }
}

#[test]
fn nobody_answers_in_the_place_of_one_that_fails() {
    let mut world = World::with(Nature::Crashes, own("v1"));

    world.run_for(secs(600));

    assert_eq!((world.state(), world.relief()), (AppState::Failing, 0));
}

#[test]
fn workers_make_room_for_one_and_it_for_workers() {
    let mut world = World::serving(fixed("v1", 2));

    let there = world.apply(vec![own("v2")]);
    world.run_for(secs(60));
    let alone = world.accepting().len();
    let back = world.apply(vec![fixed("v3", 2)]);
    world.run_for(secs(60));

    assert_eq!((world.outcome(there), world.outcome(back)), (Ok(()), Ok(())));
    assert_eq!((alone, world.accepting().len()), (1, 2));
}
