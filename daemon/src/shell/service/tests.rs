//! What a manager hears, and when.

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;

use scgi_protocol::control::{AppState, OperationState, Seats, Verb, Wish};
use scgi_protocol::name::{AppName, Generation, OperationId};

use super::talk::Phase;
use super::*;
use crate::supervisor::{Moment, OperationView, PoolView, TroubleView};

const SECOND: u64 = 1_000_000_000;

/// A daemon that is seen and a manager that is told.
struct World {
    board: Board,
    pulse: Pulse,
    talk: Talk,
    /// The loop turns as time goes on.
    turns: bool,
}

impl World {
    /// A site is being taken over, and a manager watches that wants a sign of life within
    /// `deadline_s`.
    fn starting(deadline_s: Option<u64>) -> Self {
        let deadline = deadline_s.map(Duration::from_secs);
        let (board, pulse) = (Board::default(), Pulse::default());
        let world = Self { board, pulse, talk: Talk::new(deadline, SECOND), turns: true };
        world.apply(1, OperationState::Running);
        world
    }

    fn apply(&self, id: u64, state: OperationState) {
        let ended = (state != OperationState::Running).then_some(Moment::START);
        self.board.post_operation(OperationView {
            id: OperationId(id),
            verb: Verb::Apply,
            app: None,
            state,
            progress: String::new(),
            since: Moment::START,
            ended,
            reason: None,
            failures: Vec::new(),
        });
    }

    /// What is told at `at_ns` after something has changed.
    fn hear(&mut self, at_ns: u64) -> Vec<String> {
        self.talk.look_again();
        self.wake(at_ns)
    }

    /// What is told at `at_ns` though nothing has changed.
    fn wake(&mut self, at_ns: u64) -> Vec<String> {
        if self.turns {
            self.pulse.beat(at_ns);
        }
        let mut heard = Vec::new();
        let seen = Seen::of(&self.board, &self.pulse, at_ns);
        while let Some((datagram, told)) = self.talk.next(&seen, at_ns) {
            heard.push(datagram);
            self.talk = told;
        }
        heard
    }

    /// The same, without the status.
    fn words(&mut self, at_ns: u64) -> Vec<String> {
        let lines = self.hear(at_ns).join("\n");
        let words = lines.lines().filter(|line| !line.starts_with("STATUS=") && !line.is_empty());
        words.map(str::to_owned).collect()
    }
}

fn pool(state: AppState, serving: u16, wanted: u16, cause: Option<&str>) -> PoolView {
    let trouble = |cause: &str| TroubleView { cause: cause.to_owned(), ..TroubleView::default() };
    PoolView {
        spec: None,
        state,
        since: Moment::START,
        wish: Wish::Run,
        seats: Seats { serving, wanted, ..Seats::default() },
        generation: Generation(1),
        restarts: 0,
        trouble: cause.map(trouble),
        operation: None,
        roll: None,
        workers: Vec::new(),
    }
}

fn line(phase: Phase, pools: Vec<(&str, PoolView)>) -> String {
    let pools = pools.into_iter();
    let name = |name: &str| AppName::try_from(name.to_owned()).unwrap();
    let pools: BTreeMap<_, _> =
        pools.map(|(app, pool)| (name(app), std::sync::Arc::new(pool))).collect();
    status::line(phase, &pools)
}

#[test]
fn ready_is_said_when_the_site_was_taken_over_and_once_only() {
    let mut world = World::starting(None);
    assert_eq!(world.words(SECOND), [""; 0]);

    world.apply(1, OperationState::Done);

    assert_eq!(world.words(2 * SECOND), ["READY=1"]);
    assert_eq!(world.words(3 * SECOND), [""; 0]);
}

#[test]
fn a_site_that_takes_for_ever_to_come_up_is_ready_after_a_minute() {
    let mut world = World::starting(None);
    world.wake(SECOND);
    assert_eq!(world.talk.pause(SECOND), Duration::from_secs(60));

    assert_eq!(world.words(61 * SECOND), ["READY=1"]);

    // What goes on still is the start, no reload.
    assert_eq!(world.words(62 * SECOND), [""; 0]);
    world.apply(1, OperationState::Done);
    assert_eq!(world.words(63 * SECOND), [""; 0]);
}

#[test]
fn a_configuration_that_is_taken_over_is_a_reload_from_its_reading_to_its_end() {
    let mut world = World::starting(None);
    world.apply(1, OperationState::Done);
    world.hear(SECOND);

    world.board.post_read_begun();
    assert_eq!(world.words(2 * SECOND), ["RELOADING=1", "MONOTONIC_USEC=2000000"]);
    world.apply(2, OperationState::Running);
    world.board.post_read_ended();
    assert_eq!(world.words(3 * SECOND), [""; 0]);
    world.apply(2, OperationState::Done);

    assert_eq!(world.words(4 * SECOND), ["READY=1"]);
    assert_eq!(world.words(5 * SECOND), [""; 0]);
}

#[test]
fn a_configuration_that_is_refused_between_two_looks_is_a_reload_all_the_same() {
    let mut world = World::starting(None);
    world.apply(1, OperationState::Done);
    world.hear(SECOND);

    world.board.post_read_begun();
    world.board.post_read_ended();

    assert_eq!(world.words(2 * SECOND), ["RELOADING=1", "MONOTONIC_USEC=2000000", "READY=1"]);
}

#[test]
fn stopping_is_the_last_word_whatever_goes_on() {
    for early in [true, false] {
        let mut world = World::starting(None);
        if !early {
            world.apply(1, OperationState::Done);
            world.hear(SECOND);
        }
        world.board.post_read_begun();
        world.board.post_stopping();

        assert_eq!(world.words(2 * SECOND)[0], "STOPPING=1");
        world.board.post_read_ended();
        assert_eq!(world.words(3 * SECOND), [""; 0]);
    }
}

#[test]
fn a_stop_is_given_more_time_again_and_again_while_the_loop_turns() {
    const MORE: &str = "EXTEND_TIMEOUT_USEC=20000000";
    let mut world = World::starting(None);
    world.board.post_stopping();

    assert_eq!(world.words(SECOND), ["STOPPING=1", MORE]);
    assert_eq!(world.talk.pause(SECOND), Duration::from_secs(5));
    assert_eq!(world.words(6 * SECOND), [MORE]);
    world.turns = false;
    assert_eq!(world.words(30 * SECOND), [""; 0]);
}

#[test]
fn a_sign_of_life_is_given_twice_within_the_deadline() {
    let mut world = World::starting(Some(20));
    assert!(world.words(SECOND).contains(&"WATCHDOG=1".to_owned()));

    assert_eq!(world.talk.pause(SECOND), Duration::from_secs(10));
    assert_eq!(world.words(10 * SECOND), [""; 0]);
    assert_eq!(world.words(11 * SECOND), ["WATCHDOG=1"]);
}

#[test]
fn a_loop_that_does_not_turn_gives_no_sign_of_life() {
    let mut world = World::starting(Some(20));
    world.words(SECOND);

    world.turns = false;
    assert_eq!(world.words(21 * SECOND), [""; 0]);
    assert_eq!(world.talk.pause(21 * SECOND), Duration::from_secs(1), "and is looked at again");

    world.turns = true;
    assert_eq!(world.words(22 * SECOND), ["WATCHDOG=1"]);
}

#[test]
fn the_status_is_told_when_it_changes_and_at_most_once_a_second() {
    let mut world = World::starting(None);
    world.apply(1, OperationState::Done);
    let blog = AppName::try_from("blog".to_owned()).unwrap();
    let serve = |world: &mut World, serving: u16, at_ns: u64| {
        world.board.post_pool(&blog, Some(pool(AppState::Degraded, serving, 4, None)));
        world.hear(at_ns)
    };

    let status =
        |serving| format!("STATUS=1 app, {serving} of 4 workers serving; blog is degraded");
    assert_eq!(serve(&mut world, 1, SECOND), [format!("READY=1\n{}", status(1))]);
    assert_eq!(serve(&mut world, 2, SECOND + SECOND / 4), [""; 0]);
    assert_eq!(world.talk.pause(SECOND + SECOND / 4), Duration::from_millis(750));
    assert_eq!(world.wake(2 * SECOND), [status(2)]);
    assert_eq!(world.wake(4 * SECOND), [""; 0]);
    assert!(world.talk.pause(4 * SECOND) > Duration::from_secs(60), "nobody wakes for nothing");
    assert_eq!(serve(&mut world, 3, 5 * SECOND), [status(3)]);
}

#[test]
fn the_status_says_what_is_wrong_in_one_line() {
    let pools = vec![
        ("blog", pool(AppState::Serving, 5, 4, None)),
        ("shop", pool(AppState::Held, 2, 2, Some("exit 1;\nREADY=0"))),
        ("wiki", pool(AppState::Idle, 0, 0, None)),
        ("xray", pool(AppState::Stopped, 0, 0, None)),
    ];

    assert_eq!(
        line(Phase::Ready, pools),
        "4 apps, 6 of 6 workers serving; shop is held: exit 1; READY=0; xray is stopped"
    );
    assert_eq!(line(Phase::Ready, Vec::new()), "0 apps, 0 of 0 workers serving");
    assert_eq!(line(Phase::Stopping, Vec::new()), "stopping: 0 workers left");
}

#[test]
fn a_status_of_many_troubles_stays_short() {
    let long = "x".repeat(1000);
    let ailing = || pool(AppState::Failing, 0, 1, None);
    let many = ["a", "b", "c", "d", "e"].map(|name| (name, ailing())).to_vec();

    assert!(line(Phase::Ready, many).ends_with("; c is failing; 2 more not well"));
    let one = vec![("a", pool(AppState::Failing, 0, 1, Some(&long)))];
    assert_eq!(line(Phase::Ready, one).chars().count(), 241);
}

#[test]
fn a_deadline_of_another_process_is_not_ours() {
    let with = |micros: &str, pid: Option<&str>| {
        let text = |name: &str| match name {
            "WATCHDOG_USEC" => Some(micros.to_owned()),
            "WATCHDOG_PID" => pid.map(str::to_owned),
            _ => None,
        };
        deadline(text, 42)
    };

    assert_eq!(with("1000000", Some("42")), Some(Duration::from_secs(1)));
    assert_eq!(with("1000000", None), Some(Duration::from_secs(1)));
    assert_eq!(with("1000000", Some("43")), None);
    assert_eq!(with("1000000", Some("")), None);
    assert_eq!(with("0", Some("42")), None);
    assert_eq!(with("soon", Some("42")), None);
    assert_eq!(deadline(|_| None, 42), None);
}

#[test]
fn a_manager_that_is_missing_or_full_is_told_later_and_nobody_waits() {
    let name = format!("scgid-test-{}", std::process::id());
    let manager = Manager::at(&format!("@{name}"), None).unwrap();
    let mut world = World::starting(None);
    world.apply(1, OperationState::Done);
    let seen = Seen::of(&world.board, &world.pulse, SECOND);

    manager.say_all(&mut world.talk, &seen, SECOND).unwrap_err();

    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let ear = UnixDatagram::bind_addr(&address).unwrap();
    while manager.socket.send_to_addr(b"x", &address).is_ok() {}
    let full = manager.say_all(&mut world.talk, &seen, SECOND).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);

    ear.set_nonblocking(true).unwrap();
    let mut buffer = [0; 100];
    while ear.recv(&mut buffer).is_ok() {}
    manager.say_all(&mut world.talk, &seen, SECOND).unwrap();
    let length = ear.recv(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"READY=1"));
}

#[test]
fn a_name_that_is_no_address_is_no_manager() {
    assert!(Manager::at("notify", None).is_err());
    assert!(Manager::at(&"/long".repeat(100), None).is_err());
}
