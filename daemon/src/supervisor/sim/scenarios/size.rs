//! How many workers there are.

use scgi_protocol::control::Scale;
use scgi_protocol::name::Seat;

use super::super::chaos::listener;
use super::*;
use crate::supervisor::{AppOrder, Load};

#[test]
fn an_app_on_demand_starts_with_the_first_request_and_ends_with_the_last() {
    let mut world = World::serving(on_demand(4));
    assert_eq!((world.starts(), world.state()), (0, AppState::Idle));

    assert!(world.connect(&shop()));
    world.run_for(secs(10));
    assert_eq!((world.accepting().len(), world.fronts[&shop()].waiting()), (1, 0));

    world.run_for(secs(70));
    assert_eq!((world.alive.len(), world.state()), (0, AppState::Idle));

    assert!(world.connect(&shop()));
    world.run_for(secs(10));
    assert_eq!(world.fronts[&shop()].waiting(), 0);
}

#[test]
fn an_app_on_demand_whose_visitor_left_goes_back_to_zero() {
    let mut world = World::serving(on_demand(4));

    world.connect(&shop());
    world.run_for(millis(5));
    *world.front(&shop()).open.values_mut().next().unwrap() = 0;
    world.run_for(secs(90));

    assert_eq!((world.starts(), world.alive.len()), (1, 0));
}

#[test]
fn numbers_of_workers_that_are_not_there_count_for_nothing() {
    let mut world = World::serving(on_demand(4));

    let idle = (90..95).map(|id| (WorkerId(id), Some(secs(1)))).collect();
    world.tell(&Event::Load { app: shop(), load: Load { waiting: 1, idle, ..Load::default() } });

    assert_eq!(world.starts(), 1);
}

#[test]
fn a_pool_grows_while_people_wait_and_shrinks_when_nobody_comes() {
    let mut world = World::serving(spec_between(1, 8));

    for _ in 0..60 {
        world.connect(&shop());
    }
    world.run_for(secs(3));
    assert_eq!(world.accepting().len(), 8);

    world.run_for(secs(900));
    assert_eq!(world.accepting().len(), 1);
}

fn spec_between(min: u16, max: u16) -> AppSpec {
    spec("shop", "v1", Sizing::dynamic(min, max, 0, secs(60)).unwrap())
}

#[test]
fn a_sleeping_pool_hears_of_connections_at_its_new_address() {
    let mut world = World::serving(on_demand(4));
    let mut next = on_demand(4);
    next.listen = vec![listener("shop", 1)];

    world.apply(vec![next]);
    world.run_for(secs(10));
    world.connect(&shop());
    world.run_for(secs(10));

    assert_eq!((world.starts(), world.fronts[&shop()].waiting()), (1, 0));
}

#[test]
fn a_lowered_least_lets_idle_workers_go() {
    let mut world = World::serving(spec_between(4, 8));

    world.apply(vec![spec_between(0, 8)]);
    world.run_for(secs(300));

    assert_eq!(world.alive.len(), 0);
}

#[test]
fn scaling_restarts_nobody() {
    let mut world = World::serving(fixed("v1", 3));
    let before = world.accepting();

    let scale = world.order(&shop(), AppOrder::Scale(Scale::To(6)));
    world.run_for(secs(2));

    assert_eq!((world.outcome(scale), world.accepting().len()), (Ok(()), 6));
    assert_eq!(world.accepting()[..3], before);
}

#[test]
fn a_scale_by_command_lasts_until_the_next_apply_and_is_shown() {
    let mut world = World::serving(fixed("v1", 4));

    world.order(&shop(), AppOrder::Scale(Scale::By(-2)));
    world.run_for(secs(60));
    assert_eq!((world.accepting().len(), world.view().seats.scaled), (2, true));

    world.order(&shop(), AppOrder::Reload);
    world.run_for(secs(60));
    assert_eq!((world.accepting().len(), world.view().seats.scaled), (2, true));

    world.apply(vec![fixed("v1", 4)]);
    world.run_for(secs(60));
    assert_eq!((world.accepting().len(), world.view().seats.scaled), (4, false));
}

#[test]
fn absurd_numbers_of_a_scale_stay_within_bounds() {
    let mut world = World::serving(fixed("v1", 4));

    world.order(&shop(), AppOrder::Scale(Scale::By(i32::MIN)));
    assert_eq!(world.view().seats.wanted, 1);

    world.order(&shop(), AppOrder::Scale(Scale::Range { min: Some(9), max: Some(2) }));
    assert_eq!((world.view().seats.min, world.view().seats.max), (2, 2));
}

#[test]
fn a_pool_scaled_down_keeps_no_seat_beyond_its_most() {
    let mut world = World::serving(spec_between(4, 4));
    // The lower seats have been idle for longer.
    for seat in [2, 3] {
        let id = *world.alive.iter().find(|id| world.lives[id].seat == Seat(seat)).unwrap();
        world.lives.get_mut(&id).unwrap().process.as_mut().unwrap().busy = true;
    }
    let load = world.load(&shop());
    world.tell(&Event::Load { app: shop(), load });

    world.order(&shop(), AppOrder::Scale(Scale::To(2)));
    world.run_for(secs(5));

    let seats: Vec<_> = world.alive.iter().map(|id| world.lives[id].seat).collect();
    assert_eq!(seats, [Seat(0), Seat(1)]);
}

#[test]
fn a_pool_gives_up_the_worker_that_has_been_idle_longest() {
    let mut world = World::serving(spec_between(0, 3));
    for _ in 0..30 {
        world.connect(&shop());
    }
    world.run_for(secs(30));
    assert_eq!(world.accepting().len(), 3);
    let keep = *world.accepting().last().unwrap();
    world.lives.get_mut(&keep).unwrap().process.as_mut().unwrap().busy = true;

    world.run_for(secs(600));

    assert_eq!(world.accepting(), [keep]);
}

#[test]
fn a_program_that_has_not_served_well_yet_gets_a_dozen_workers_at_first() {
    let mut world = World::with(Nature::Good, fixed("v1", 100));

    world.run_for(secs(4));
    assert_eq!(world.accepting().len(), 12);

    world.run_for(secs(4));
    assert_eq!(world.accepting().len(), 100);
}
