//! What a new worker has to show before an old one leaves for it: trial, soak, health.

use scgi_protocol::control::Scale;
use scgi_protocol::name::{Generation, Seat};

use super::*;
use crate::spec::{Health, Surge};
use crate::supervisor::AppOrder;

#[test]
fn only_who_is_the_first_of_its_launch_beside_another_one_is_told_that_it_is_on_trial() {
    let mut world = World::serving(fixed("v1", 3));
    let roll = world.apply(vec![fixed("v2", 3)]);
    world.least_until(roll, &shop());
    world.order(&shop(), AppOrder::Scale(Scale::To(5)));
    world.run_for(secs(5));

    let told: Vec<_> = world.lives.values().filter(|life| life.on_trial).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].generation, Generation(2));
}

#[test]
fn a_program_that_dies_of_its_first_request_takes_no_seat_from_the_older() {
    for count in [1, 4] {
        let mut world = World::serving(fixed("v1", count));
        world.is_like("v2", Nature::Poisoned);

        let roll = world.apply(vec![fixed("v2", count)]);
        let mut least = usize::from(count);
        for _ in 0..400 {
            world.connect(&shop());
            world.run_for(millis(50));
            let old = |id: &&WorkerId| world.lives[id].generation == Generation(1);
            least = least.min(world.accepting().iter().filter(old).count());
        }

        assert_eq!(least, usize::from(count));
        assert!(world.outcome(roll).is_err());
        assert_eq!(world.state(), AppState::Held);
    }
}

#[test]
fn a_program_that_is_found_out_after_its_roll_is_held_and_the_older_returns() {
    let mut world = World::serving(fixed("v1", 2));
    world.is_like("v2", Nature::Poisoned);

    let roll = world.apply(vec![fixed("v2", 2)]);
    world.least_until(roll, &shop());
    assert_eq!(world.outcome(roll), Ok(()), "nobody asked anything");
    while world.state() != AppState::Held {
        world.connect(&shop());
        world.run_for(millis(50));
    }
    world.run_for(secs(10));

    assert_eq!(world.accepting().len(), 2);
    assert!(world.accepting().iter().all(|id| world.lives[id].generation == Generation(1)));
}

#[test]
fn an_app_that_sleeps_has_its_new_generation_tried_all_the_same() {
    let mut world = World::serving(on_demand(4));
    world.connect(&shop());
    world.run_for(secs(120));
    assert_eq!(world.state(), AppState::Idle);
    world.is_like("v2", Nature::Crashes);

    let mut next = on_demand(4);
    next.launch.arguments[1] = "v2".to_owned();
    let roll = world.apply(vec![next]);
    world.run_for(secs(60));
    world.connect(&shop());
    world.run_for(secs(10));

    assert!(world.outcome(roll).is_err());
    assert_eq!((world.state(), world.fronts[&shop()].waiting()), (AppState::Held, 0));
    assert_eq!(world.newest().generation, Generation(1));
}

#[test]
fn an_old_worker_stays_until_the_new_one_has_lived_through_its_soak() {
    let mut spec = fixed("v1", 2);
    spec.roll.soak = secs(10);
    let mut world = World::serving(spec.clone());
    spec.launch.arguments[1] = "v2".to_owned();

    let roll = world.apply(vec![spec]);
    world.run_for(secs(9));
    assert_eq!(world.told(|note| matches!(note, Note::WorkerGone { .. })), 0);
    world.run_for(secs(5));
    assert_eq!(world.told(|note| matches!(note, Note::WorkerGone { .. })), 1);
    world.run_for(secs(15));

    assert_eq!((world.outcome(roll), world.state()), (Ok(()), AppState::Serving));
}

#[test]
fn a_generation_that_answers_the_health_request_badly_is_held() {
    let mut spec = fixed("v1", 2);
    spec.roll.health = Some(Health { path: "/up".to_owned(), timeout: secs(5) });
    let mut world = World::serving(spec.clone());
    world.is_like("v2", Nature::Sick);
    spec.launch.arguments[1] = "v2".to_owned();

    let roll = world.apply(vec![spec]);
    let least = world.least_until(roll, &shop());
    world.run_for(secs(60));

    assert_eq!((least, world.state()), (2, AppState::Held));
    let why = world.outcome(roll).unwrap_err();
    assert!(why.contains("its last worker: GET /up: status 500"), "{why}");
    assert!(world.accepting().iter().all(|id| world.lives[id].generation == Generation(1)));
}

#[test]
fn without_surge_one_seat_at_a_time_is_given_up_for_its_successor() {
    let mut spec = fixed("v1", 4);
    spec.roll.surge = Surge::Count(0);
    let mut world = World::serving(spec.clone());
    spec.launch.arguments[1] = "v2".to_owned();

    let roll = world.apply(vec![spec]);
    let (mut least, mut most) = (4, 4);
    while world.ledger.operations[&roll].ended.is_none() {
        world.step();
        let seats = world.view().seats;
        least = least.min(seats.serving);
        most = most.max(seats.serving + seats.starting);
    }

    assert_eq!((least, most, world.outcome(roll)), (3, 4, Ok(())));
}

#[test]
fn old_workers_that_die_during_the_trial_come_back_from_their_own_launch() {
    for (count, deaths) in [(2, 1), (1, 1), (4, 4)] {
        let mut world = World::serving(fixed("v1", count));
        world.is_like("v2", Nature::Hangs);
        world.apply(vec![fixed("v2", count)]);
        world.run_for(secs(1));

        for victim in world.accepting().into_iter().take(deaths) {
            world.crash(victim);
        }
        world.run_for(secs(2));

        let old = |id: &&WorkerId| world.lives[id].generation == Generation(1);
        assert_eq!(world.accepting().iter().filter(old).count(), usize::from(count));
        assert_eq!(world.state(), AppState::Rolling);
    }
}

#[test]
fn an_old_worker_that_dies_beside_a_candidate_comes_back_in_their_seat_though_a_lower_one_is_free()
{
    let mut world = World::serving(fixed("v1", 2));
    // So it is in a pool that shrank by the worker that was idle longest.
    let lowest = *world.accepting().iter().find(|id| world.lives[id].seat.0 == 0).unwrap();
    world.lives.get_mut(&lowest).unwrap().seat = Seat(2);
    let pool = world.core.pools.get_mut(&shop()).unwrap();
    pool.workers.get_mut(&lowest).unwrap().seat = Seat(2);
    world.order(&shop(), AppOrder::Reload);
    world.run_for(millis(10));
    let seat = world.newest().seat;
    assert!(seat.0 > 0);

    let beside = |id: &&WorkerId| world.lives[id].seat == seat;
    let old = *world.accepting().iter().find(beside).unwrap();
    world.crash(old);
    world.run_for(millis(10));

    let back = world.newest();
    assert_eq!((back.seat, back.generation), (seat, Generation(1)));
}
