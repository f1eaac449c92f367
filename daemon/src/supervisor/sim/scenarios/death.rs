//! What a death leads to.

use super::*;
use crate::supervisor::{AppOrder, Cause, Moment};

#[test]
fn a_worker_that_had_served_well_is_replaced_at_once() {
    let mut world = World::serving(fixed("v1", 4));
    let victim = world.accepting()[2];

    world.crash(victim);

    assert_eq!(world.newest().at, world.now);
    assert_eq!(world.newest().seat, world.lives[&victim].seat);
    assert_eq!(world.told(|note| matches!(note, Note::BackingOff { .. })), 0);
}

#[test]
fn a_worker_that_dies_early_has_its_successor_wait_ever_longer() {
    let mut world = World::with(Nature::CannotSpawn, fixed("v1", 1));

    world.run_for(secs(2));

    let starts: Vec<_> = world.lives.values().filter(|l| l.role == Role::App).collect();
    let pauses: Vec<_> = starts.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
    let least = [75, 150, 300, 600].map(millis);
    assert_eq!(pauses.len(), least.len());
    assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{pauses:?}");
}

#[test]
fn an_app_that_only_crashes_is_failing_and_relief_answers_in_its_place() {
    let mut world = World::with(Nature::Crashes, fixed("v1", 4));

    world.run_for(secs(600));

    assert_eq!(world.state(), AppState::Failing);
    assert_eq!(world.relief(), 1);
    assert_eq!(world.told(|note| matches!(note, Note::Failing { .. })), 1);
    assert!(world.starts() < 35, "{} starts in ten minutes", world.starts());
}

#[test]
fn a_failing_app_that_is_mended_recovers_by_itself_and_relief_goes() {
    let mut world = World::with(Nature::Crashes, fixed("v1", 4));
    world.run_for(secs(20));

    world.is_like("v1", Nature::Good);
    world.run_for(secs(60));

    assert_eq!((world.state(), world.accepting().len()), (AppState::Serving, 4));
    assert_eq!(world.relief(), 0);
    assert_eq!(world.told(|note| matches!(note, Note::Recovered { .. })), 1);
}

#[test]
fn a_program_that_waits_in_accept_is_tried_while_relief_is_away_and_recovers() {
    let mut spec = fixed("v1", 2);
    spec.timing.ready = crate::spec::Ready::After(secs(1));
    let mut world = World::with(Nature::Crashes, spec);
    world.run_for(secs(600));
    assert_eq!((world.state(), world.relief()), (AppState::Failing, 1));

    world.is_like("v1", Nature::Good);
    world.run_for(secs(60));

    // That none of them met relief is what the oracle says of every history.
    assert_eq!((world.state(), world.relief()), (AppState::Serving, 0));
    assert_eq!(world.accepting().len(), 2);
    let workers = world.lives.values().filter(|life| life.role == Role::App);
    assert!(workers.clone().all(|life| life.waits), "{:?}", workers.collect::<Vec<_>>());
}

#[test]
fn a_failing_app_on_demand_recovers_though_nobody_asks_any_more() {
    let brief = Sizing::dynamic(0, 4, 0, secs(1)).unwrap();
    let mut world = World::with(Nature::Crashes, spec("shop", "v1", brief));
    world.connect(&shop());
    world.run_for(secs(10));
    assert_eq!((world.state(), world.fronts[&shop()].waiting()), (AppState::Failing, 0));

    world.is_like("v1", Nature::Good);
    world.run_for(secs(120));

    assert_eq!((world.state(), world.alive.len()), (AppState::Idle, 0));
}

#[test]
fn an_operators_retry_tries_at_once() {
    let mut world = World::with(Nature::Crashes, fixed("v1", 1));
    world.run_for(secs(20));
    world.is_like("v1", Nature::Good);

    let retry = world.order(&shop(), AppOrder::Retry);

    assert_eq!((world.newest().role, world.newest().at), (Role::App, world.now));
    world.run_for(secs(5));
    assert_eq!(world.outcome(retry), Ok(()));
    assert_eq!(world.state(), AppState::Serving);
}

#[test]
fn a_retry_that_does_not_help_fails_with_the_reason() {
    let mut world = World::with(Nature::Crashes, fixed("v1", 1));
    world.run_for(secs(20));

    let retry = world.order(&shop(), AppOrder::Retry);
    world.run_for(secs(20));

    let why = world.outcome(retry).unwrap_err();
    assert!(why.starts_with("generation 1 spent its restart budget; its last worker: "));
}

#[test]
fn a_program_that_says_never_again_is_not_tried_again() {
    let mut world = World::with(Nature::Quits, fixed("v1", 1));

    world.run_for(secs(3600));

    assert_eq!((world.starts(), world.relief()), (1, 1));
    assert_eq!(world.state(), AppState::Failing);
    let next = world.view().trouble.unwrap();
    assert!(next.cause.ends_with("nothing is tried any more"), "{next:?}");
    assert_eq!(next.retry_at, None);
}

#[test]
fn an_app_told_to_give_up_is_not_tried_again_once_its_budget_is_spent() {
    let mut spec = fixed("v1", 1);
    spec.restart.give_up = true;
    let mut world = World::with(Nature::Crashes, spec);

    world.run_for(secs(3600));
    assert_eq!(world.starts(), 5);

    world.is_like("v1", Nature::Good);
    world.order(&shop(), AppOrder::Retry);
    world.run_for(secs(10));
    assert_eq!((world.state(), world.relief()), (AppState::Serving, 0));
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_and_paid_for_once() {
    let mut spec = fixed("v1", 1);
    spec.timing.start_timeout = secs(2);
    let mut world = World::with(Nature::Hangs, spec);

    world.run_for(millis(2050));

    let late = |note: &Note| matches!(note, Note::WorkerKilled { cause: Cause::StartTimeout, .. });
    assert_eq!(world.told(late), 1);
    let gone = |note: &Note| matches!(note, Note::WorkerGone { cause: Cause::StartTimeout, .. });
    assert_eq!(world.told(gone), 1);
    assert_eq!(world.told(|note| matches!(note, Note::BackingOff { deaths: 1, .. })), 1);
    assert_eq!(world.told(|note| matches!(note, Note::BackingOff { .. })), 1);
}

#[test]
fn a_worker_that_asks_for_more_time_gets_it() {
    let mut spec = fixed("v1", 1);
    spec.timing.start_timeout = secs(2);
    let mut world = World::with(Nature::Hangs, spec);
    let id = *world.alive.first().unwrap();

    world.later(secs(1), Happening::Pleads(id, secs(10)));
    world.later(secs(9), Happening::Ready(id));
    world.run_for(secs(10));

    assert_eq!(world.accepting(), [id]);
    assert_eq!(world.told(|note| matches!(note, Note::WorkerKilled { .. })), 0);
}

#[test]
fn a_worker_that_leaves_by_itself_after_good_service_is_replaced_before_it_is_gone() {
    let mut world = World::serving(fixed("v1", 2));
    let leaver = world.accepting()[0];

    world.desert(leaver, secs(20));
    world.run_for(secs(5));

    assert!(world.alive.contains(&leaver));
    assert_eq!(world.accepting().len(), 2);
}

#[test]
fn a_worker_that_deserts_keeps_its_seat_until_it_is_gone() {
    let mut world = World::with(Nature::Deserts, fixed("v1", 1));

    world.run_for(millis(900));
    assert_eq!(world.starts(), 1);

    world.run_for(secs(3600));
    assert_eq!(world.state(), AppState::Failing);
}

#[test]
fn a_worker_that_leaves_by_itself_and_does_not_go_is_killed_and_paid_for() {
    let mut spec = fixed("v1", 1);
    spec.timing.stop_timeout = millis(500);
    let mut world = World::with(Nature::Deserts, spec);

    world.run_for(secs(1));

    let late = |note: &Note| matches!(note, Note::WorkerKilled { cause: Cause::StopTimeout, .. });
    assert!(world.told(late) >= 1);
    assert_eq!(world.told(|note| matches!(note, Note::BackingOff { .. })), world.told(late));
}

#[test]
fn a_worker_that_ignores_the_request_to_leave_is_killed_in_the_end() {
    let mut world = World::serving(fixed("v1", 1));
    let id = world.accepting()[0];
    world.lives.get_mut(&id).unwrap().process.as_mut().unwrap().fate.manners =
        super::super::process::Manners::Ignores;

    world.order(&shop(), AppOrder::Stop);
    world.run_for(secs(29));
    assert!(world.alive.contains(&id));

    world.run_for(secs(2));
    assert!(!world.alive.contains(&id));
    let asked = world.lives[&id].process.as_ref().unwrap().asked;
    assert_eq!(asked, 5, "the request is repeated");
}

#[test]
fn a_pool_too_big_for_the_machine_serves_with_what_it_gets() {
    let mut world = World::with(Nature::Crowd(3), fixed("v1", 4));

    world.run_for(secs(60));
    assert_eq!((world.state(), world.accepting().len()), (AppState::Degraded, 3));
    let before = world.starts();
    world.run_for(secs(600));

    assert!(world.starts() - before < 30, "{} starts in ten minutes", world.starts() - before);
    assert_eq!((world.accepting().len(), world.relief()), (3, 0));
    assert_eq!(world.told(|note| matches!(note, Note::Failing { .. })), 0);
}

#[test]
fn a_pool_that_shrinks_to_those_who_serve_is_well_again() {
    let sizing = Sizing::dynamic(1, 2, 0, secs(5)).unwrap();
    let mut world = World::with(Nature::Crowd(1), spec("shop", "v1", sizing));
    world.run_for(secs(20));
    for _ in 0..20 {
        world.connect(&shop());
    }
    world.run_for(secs(5));
    assert_eq!(world.state(), AppState::Degraded);

    world.run_for(secs(300));

    assert_eq!((world.state(), world.accepting().len()), (AppState::Serving, 1));
    assert_eq!(world.told(|note| matches!(note, Note::Recovered { .. })), 1);
}

#[test]
fn a_big_pool_with_a_death_now_and_then_stays_nearly_full() {
    let mut world = World::serving(fixed("v1", 40));

    for _ in 0..100 {
        let victim = world.accepting()[0];
        world.crash(victim);
        world.run_for(secs(5));
        assert!(world.accepting().len() >= 30, "{}", world.accepting().len());
    }
}

#[test]
fn a_program_without_a_word_is_ready_when_it_has_lived_long_enough() {
    let mut spec = fixed("v1", 1);
    spec.timing.ready = crate::spec::Ready::After(secs(1));
    let mut world = World::with(Nature::Hangs, spec);

    world.run_for(millis(900));
    assert_eq!(world.state(), AppState::Starting);

    world.run_for(millis(200));
    assert_eq!(world.state(), AppState::Serving);
}

#[test]
fn a_worker_that_was_ready_while_nobody_looked_is_not_too_slow() {
    let mut spec = fixed("v1", 1);
    spec.timing.ready = crate::spec::Ready::After(secs(1));
    let mut world = World::with(Nature::Good, spec);

    world.oversleep(secs(3600));
    world.tell(&Event::Tick);

    assert_eq!(world.state(), AppState::Serving);
    assert_eq!(world.told(|note| matches!(note, Note::WorkerKilled { .. })), 0);
}

#[test]
fn after_a_long_sleep_one_request_to_leave_stands_for_all_that_are_overdue() {
    let mut world = World::serving(fixed("v1", 1));
    let id = world.accepting()[0];
    world.order(&shop(), AppOrder::Stop);

    world.oversleep(secs(10));
    world.tell(&Event::Tick);

    assert_eq!(world.lives[&id].process.as_ref().unwrap().asked, 2);
    assert_eq!(world.core.deadline(), Some(Moment(secs(50))));
}
