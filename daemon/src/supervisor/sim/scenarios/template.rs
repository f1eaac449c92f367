//! Apps that are loaded beforehand. Whom workers are forked from is what the oracle says of every
//! history.

use scgi_protocol::name::Generation;

use super::*;
use crate::supervisor::AppOrder;

/// An app whose workers are forked from a template.
fn preloaded(mut spec: AppSpec) -> AppSpec {
    spec.launch.preload = true;
    spec
}

fn four(version: &str) -> AppSpec {
    preloaded(fixed(version, 4))
}

/// Everything of the app's that lives, by what it is: templates and workers.
fn living(world: &World) -> (usize, usize) {
    let workers = world.alive.iter().filter(|id| world.lives[id].role == Role::App);
    (world.templates(&shop()), workers.count())
}

fn template(world: &World) -> WorkerId {
    let is_one = |id: &&WorkerId| world.lives[id].role == Role::Template;
    *world.alive.iter().find(is_one).unwrap()
}

#[test]
fn all_workers_come_from_one_template() {
    let world = World::serving(four("v1"));

    assert_eq!((world.state(), living(&world)), (AppState::Serving, (1, 4)));
    assert_eq!(world.view().restarts, 0);
}

#[test]
fn a_worker_that_dies_is_replaced_at_once_from_the_template_that_is_there() {
    let mut world = World::serving(four("v1"));
    let (before, died) = (template(&world), world.accepting()[2]);

    world.crash(died);
    world.run_for(millis(500));

    assert_eq!((world.accepting().len(), template(&world)), (4, before));
}

#[test]
fn a_template_that_dies_is_loaded_again_and_workers_do_not_notice() {
    let mut world = World::serving(four("v1"));
    let (before, workers) = (template(&world), world.accepting());

    world.crash(before);
    world.run_for(secs(2));

    assert_eq!((world.accepting(), living(&world)), (workers, (1, 4)));
    assert_ne!(template(&world), before);
}

#[test]
fn workers_that_die_while_there_is_no_template_wait_for_it() {
    let mut world = World::serving(four("v1"));
    let (before, died) = (template(&world), world.accepting()[0]);

    world.crash(before);
    world.crash(died);
    world.run_for(secs(2));

    assert_eq!((world.state(), living(&world)), (AppState::Serving, (1, 4)));
}

#[test]
fn a_roll_loads_a_template_of_its_own_and_lets_the_old_one_go() {
    let mut world = World::serving(four("v1"));

    let roll = world.apply(vec![four("v2")]);
    let least = world.least_until(roll, &shop());
    world.run_for(secs(60));

    assert_eq!((world.outcome(roll), least), (Ok(()), 4));
    assert_eq!(living(&world), (1, 4));
    assert_eq!(world.lives[&template(&world)].generation, Generation(2));
}

#[test]
fn where_old_workers_leave_first_none_does_before_there_is_a_template_for_the_new_ones() {
    let surge_0 = |version| {
        let mut spec = four(version);
        spec.roll.surge = crate::spec::Surge::Count(0);
        spec
    };
    let mut world = World::serving(surge_0("v1"));
    world.is_like("v2", Nature::Hangs);

    let roll = world.apply(vec![surge_0("v2")]);
    let least = world.least_until(roll, &shop());

    assert!(world.outcome(roll).is_err());
    assert_eq!((world.state(), least), (AppState::Held, 4));
}

#[test]
fn a_program_that_cannot_be_loaded_is_held_or_failing() {
    for nature in [Nature::Crashes, Nature::Hangs, Nature::CannotSpawn, Nature::Quits] {
        let mut world = World::serving(four("v1"));
        world.is_like("v2", nature);

        let roll = world.apply(vec![four("v2")]);
        world.run_for(secs(3600));

        assert!(world.outcome(roll).is_err(), "{nature:?}");
        assert_eq!((world.state(), world.accepting().len()), (AppState::Held, 4), "{nature:?}");

        let mut world = World::with(nature, four("v1"));
        world.run_for(secs(3600));
        assert_eq!((world.state(), world.relief()), (AppState::Failing, 1), "{nature:?}");
    }
}

#[test]
fn a_template_that_forks_nobody_is_killed_and_its_launch_pays() {
    let mut world = World::with(Nature::Barren, four("v1"));

    world.run_for(secs(3600));

    assert_eq!((world.state(), world.relief()), (AppState::Failing, 1));
    let cause = world.view().trouble.unwrap().cause;
    assert!(cause.contains("no worker forked within 30.0 s"), "{cause}");
}

#[test]
fn an_app_that_sleeps_keeps_its_template_for_the_next_request() {
    let mut world = World::serving(preloaded(on_demand(2)));
    assert_eq!(living(&world), (0, 0), "nobody has asked for it");
    assert!(world.connect(&shop()));
    world.run_for(secs(600));
    assert_eq!((world.state(), living(&world)), (AppState::Idle, (1, 0)));

    assert!(world.connect(&shop()));
    world.run_for(millis(700));

    assert_eq!(living(&world), (1, 1));
}

#[test]
fn an_app_that_sleeps_keeps_one_template_though_its_new_generation_is_not_trusted_yet() {
    let mut v1 = preloaded(on_demand(2));
    v1.sizing = Sizing::dynamic(0, 2, 0, secs(1)).unwrap();
    let mut v2 = v1.clone();
    v2.launch.arguments[1] = "v2".to_owned();
    let mut world = World::serving(v1);
    assert!(world.connect(&shop()));
    world.run_for(secs(60));
    let roll = world.apply(vec![v2]);
    world.run_for(secs(60));
    assert_eq!((world.outcome(roll), living(&world)), (Ok(()), (1, 0)));

    assert!(world.connect(&shop()));
    world.run_for(millis(700));
    let newest = world.accepting()[0];
    world.crash(newest);
    world.run_for(secs(60));

    assert_eq!((world.state(), living(&world)), (AppState::Idle, (1, 0)));
    assert_eq!(
        world.lives[&template(&world)].generation,
        Generation(1),
        "it would begin with that"
    );
}

#[test]
fn a_stop_ends_the_template_and_a_start_loads_anew() {
    let mut world = World::serving(four("v1"));

    world.order(&shop(), AppOrder::Stop);
    world.run_for(secs(40));
    assert_eq!((world.state(), living(&world)), (AppState::Stopped, (0, 0)));

    world.order(&shop(), AppOrder::Start);
    world.run_for(secs(10));
    assert_eq!((world.state(), living(&world)), (AppState::Serving, (1, 4)));
}

#[test]
fn templates_leave_with_their_daemon_and_the_next_one_loads_its_own_for_nothing() {
    let mut world = World::serving(four("v1"));
    let (before, workers) = (template(&world), world.accepting());

    world.kill_daemon();
    world.run_for(secs(10));

    assert_eq!((world.accepting(), living(&world)), (workers, (1, 4)));
    assert_ne!(template(&world), before);
    assert_eq!((world.state(), world.view().restarts), (AppState::Serving, 0));
}
