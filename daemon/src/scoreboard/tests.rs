//! What becomes of workers' numbers, honest and not, in the hands of those who read the board.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use scgi_protocol::page::layout::BYTES;
use scgi_protocol::page::report::End;

use super::*;

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

/// Seats a worker and gives what it writes with: its page, and the memory behind it.
fn born(board: &Scoreboard, app: &AppName, worker: u64, concurrency: u16) -> (Arc<Page>, File) {
    let (page, fd) = Page::create().unwrap();
    let page = Arc::new(page);
    let (worker, seat) = (WorkerId(worker), Seat(0));
    board.seat(app, Living { worker, seat, page: Arc::clone(&page), concurrency });
    (page, File::from(fd))
}

fn ended(page: &Page, times: u64) {
    for at in 0..times {
        page.begin(0, at + 1, b"GET", b"/");
        page.count(&End { status: 200, ..End::default() });
        page.free(0);
    }
}

#[test]
fn what_the_dead_counted_stays_in_the_totals() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (first, _memory) = born(&board, &shop, 1, 1);
    let (second, _memory) = born(&board, &shop, 2, 1);
    ended(&first, 3);
    ended(&second, 4);

    let (report, _) = board.retire(WorkerId(1)).unwrap();

    assert_eq!(report.ended, 3);
    assert_eq!(board.totals(&shop).ended, 7);
    assert!(board.retire(WorkerId(1)).is_none());
    assert_eq!(board.totals(&shop).ended, 7);
}

#[test]
fn what_a_worker_counted_while_no_daemon_lived_is_in_the_score_that_is_written_down_next() {
    let (before, shop) = (Scoreboard::default(), app("shop"));
    let (page, _memory) = born(&before, &shop, 1, 1);
    let left = before.score(&shop);
    ended(&page, 3);

    let board = Scoreboard::default();
    let living = Living { worker: WorkerId(1), seat: Seat(0), page, concurrency: 1 };
    board.resume(&shop, left, vec![living]);

    assert_eq!(board.score(&shop).living[&WorkerId(1)].ended, 3);
}

#[test]
fn the_last_words_of_a_worker_are_the_requests_it_took_with_it() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (page, _memory) = born(&board, &shop, 1, 2);
    page.begin(1, 20, b"POST", b"/pay");
    page.begin(0, 10, b"GET", b"/cart");

    let (_, words) = board.retire(WorkerId(1)).unwrap();

    let uris: Vec<_> = words.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(uris, ["/cart", "/pay"]);
}

#[test]
fn a_removed_app_takes_its_counters_with_it() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (page, _memory) = born(&board, &shop, 1, 1);
    ended(&page, 3);
    board.add_saturated(&shop, Duration::from_secs(1));

    board.remove_app(&shop);

    assert!(board.retire(WorkerId(1)).is_none());
    board.add_app(&shop);
    assert_eq!(board.totals(&shop), Report::default());
    assert_eq!(board.saturated(&shop), Duration::ZERO);
    assert!(board.living(&shop).is_empty());
}

#[test]
fn adding_an_app_again_forgets_nothing() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (page, _memory) = born(&board, &shop, 1, 1);
    ended(&page, 3);

    board.add_app(&shop);

    assert_eq!(board.totals(&shop).ended, 3);
}

#[test]
fn a_worker_with_room_is_idle_and_one_without_is_not() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (idle, _memory) = born(&board, &shop, 1, 1);
    idle.set_state(State::Accepting, 1);
    idle.set_idle_since(1_000);
    let (full, _memory) = born(&board, &shop, 2, 1);
    full.set_state(State::Accepting, 1);
    full.begin(0, 1, b"GET", b"/");
    let (half, _memory) = born(&board, &shop, 3, 2);
    half.set_state(State::Accepting, 2);
    half.begin(0, 1, b"GET", b"/");
    let (leaving, _memory) = born(&board, &shop, 4, 1);
    leaving.set_state(State::Draining, 1);
    let ids = [1, 2, 3, 4, 99].map(WorkerId);

    let load = board.load(&shop, &ids, 5_000, Duration::from_secs(9));

    let room = |idle_ns| Some(Duration::from_nanos(idle_ns));
    let expected = [(1, room(4_000)), (2, None), (3, room(0)), (4, None)];
    assert_eq!(load, expected.map(|(id, idle)| (WorkerId(id), idle)).into());
}

#[test]
fn only_the_workers_that_are_asked_about_are_part_of_the_load() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let _first = born(&board, &shop, 1, 1);
    let _second = born(&board, &shop, 2, 1);

    let load = board.load(&shop, &[WorkerId(2)], 1, Duration::from_secs(1));

    assert_eq!(load.into_keys().collect::<Vec<_>>(), [WorkerId(2)]);
}

#[test]
fn the_queue_speaks_for_a_worker_that_keeps_no_page() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let _silent = born(&board, &shop, 1, 4);
    let idle = |quiet| board.load(&shop, &[WorkerId(1)], 9, quiet)[&WorkerId(1)];

    assert_eq!(idle(Duration::from_secs(7)), Some(Duration::from_secs(7)));
    assert_eq!(idle(Duration::ZERO), None);
    assert_eq!(board.living(&shop)[0].capacity(), 4);
    assert_eq!(board.served(WorkerId(1)), None);
}

#[test]
fn a_worker_knows_its_room_where_the_configuration_says_nothing_of_it() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (unsaid, _) = born(&board, &shop, 1, 1);
    let (said, _) = born(&board, &shop, 2, 8);
    unsaid.set_state(State::Accepting, 64);
    said.set_state(State::Accepting, 64);

    let room: Vec<_> = board.living(&shop).iter().map(Living::capacity).collect();

    assert_eq!(room, [64, 8]);
}

#[test]
fn a_worker_that_keeps_a_page_is_known_by_what_it_served() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (page, _memory) = born(&board, &shop, 1, 1);
    page.set_state(State::Accepting, 1);
    ended(&page, 2);

    assert_eq!(board.served(WorkerId(1)), Some(2));
    assert_eq!(board.served(WorkerId(2)), None);
}

#[test]
fn a_serving_worker_is_busy_when_it_has_no_room() {
    let (board, shop) = (Scoreboard::default(), app("shop"));
    let (page, _memory) = born(&board, &shop, 1, 1);
    let (_silent, _memory) = born(&board, &shop, 2, 3);
    page.set_state(State::Accepting, 1);
    let state = |at: usize, waiting| {
        worker_state(LifeView::Serving, Some(&board.living(&shop)[at]), waiting)
    };

    assert_eq!((state(0, 9), state(1, 0)), (WorkerState::Idle, WorkerState::Idle));
    page.begin(0, 1, b"GET", b"/");
    assert_eq!((state(0, 0), state(1, 9)), (WorkerState::Busy, WorkerState::Busy));
    assert_eq!(board.living(&shop)[1].busy(9), 3);
    assert_eq!(worker_state(LifeView::Killed, None, 9), WorkerState::Killed);
    assert_eq!(board.starts(&shop), 2);
}

/// What can happen to a scoreboard, lies included.
#[derive(Clone, Debug)]
enum Deed {
    Born,
    Retire(usize),
    Write { worker: usize, word: u64, value: u64 },
    Look,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let value = prop_oneof![Just(0), Just(u64::MAX), 0..100_u64, any::<u64>()];
    let words = BYTES as u64 / 8;
    let write = (any::<usize>(), 0..words, value);
    let deed = prop_oneof![
        1 => Just(Deed::Born),
        1 => any::<usize>().prop_map(Deed::Retire),
        6 => write.prop_map(|(worker, word, value)| Deed::Write { worker, word, value }),
        2 => Just(Deed::Look),
    ];
    proptest::collection::vec(deed, 1..80)
}

proptest! {
    #[test]
    fn totals_never_go_back_whatever_the_workers_write(deeds in deeds()) {
        let (board, shop) = (Scoreboard::default(), app("shop"));
        let mut workers = vec![(WorkerId(0), born(&board, &shop, 0, 1))];
        let mut before = board.totals(&shop);
        for (at, deed) in (1..).zip(deeds) {
            match deed {
                Deed::Born => workers.push((WorkerId(at), born(&board, &shop, at, 1))),
                Deed::Retire(which) if workers.len() > 1 => {
                    let (worker, _) = workers.swap_remove(which % workers.len());
                    prop_assert!(board.retire(worker).is_some());
                }
                Deed::Retire(_) => {}
                Deed::Write { worker, word, value } => {
                    let (_, (_, memory)) = &workers[worker % workers.len()];
                    memory.write_all_at(&value.to_ne_bytes(), word * 8).unwrap();
                }
                Deed::Look => drop(board.living(&shop)),
            }
            let after = board.totals(&shop);
            prop_assert_eq!(after.not_before(&before), after);
            before = after;
        }
    }

    #[test]
    fn nothing_a_page_says_leaves_the_bounds_of_its_worker(
        words in proptest::collection::vec((0..BYTES as u64 / 8, any::<u64>()), 0..40),
        concurrency in 0..5_u16,
    ) {
        let (board, shop) = (Scoreboard::default(), app("shop"));
        let (_page, memory) = born(&board, &shop, 1, concurrency);
        for (word, value) in words {
            memory.write_all_at(&value.to_ne_bytes(), word * 8).unwrap();
        }

        let living = &board.living(&shop)[0];
        let most = if concurrency > 1 { concurrency } else { CAPACITY_MOST };
        prop_assert!((1..=most).contains(&living.capacity()));
        prop_assert!(living.in_flight() <= most);
        prop_assert!(living.idle_since(1_000).is_none_or(|since| since <= 1_000));
        let load = board.load(&shop, &[WorkerId(1)], 1_000, Duration::ZERO);
        let idle = load[&WorkerId(1)].unwrap_or_default();
        prop_assert!(idle <= Duration::from_nanos(1_000));
    }
}
