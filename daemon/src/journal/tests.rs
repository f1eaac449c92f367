//! The journal's bounds, seen by those who read it.

use std::time::{Duration, SystemTime};

use scgi_protocol::name::{Generation, Seat};

use super::*;
use crate::supervisor::Role;

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn worker(app_name: &str, worker: u64) -> About {
    About {
        app: app(app_name),
        seat: Seat(0),
        worker: WorkerId(worker),
        generation: Generation(1),
        role: Role::App,
    }
}

fn now() -> Timestamp {
    SystemTime::UNIX_EPOCH.into()
}

fn write(journal: &Journal, by: &About, stream: Stream, line: &str) {
    journal.write_line(Written {
        by,
        stream,
        at: now(),
        line: line.to_owned(),
        cut_bytes: 0,
        dropped_before: 0,
    });
}

/// What `future` brings; a follower that waits for ever fails its test.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes in time")
}

fn texts(journal: &Journal, name: &str) -> Vec<String> {
    let batch = journal.lines(Start::Last(usize::MAX), &app(name), usize::MAX);
    batch.entries.iter().map(|line| line.line.clone()).collect()
}

fn recovered(journal: &Journal, name: &str) {
    journal.tell(&Note::Recovered { app: app(name) }, now());
}

#[test]
fn only_the_last_events_are_kept_and_their_numbers_rise_by_one() {
    let journal = Journal::new(Bounds { events: 3, ..Bounds::default() });

    (0..5).for_each(|_| recovered(&journal, "shop"));

    let batch = journal.events(Start::Last(usize::MAX), None, usize::MAX);
    assert_eq!(batch.entries.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn a_journal_goes_on_where_another_ended() {
    let before = Journal::default();
    (0..3).for_each(|_| recovered(&before, "shop"));
    let told = before.events(Start::Last(2), None, 9).entries;
    let journal = Journal::new(Bounds { events: 2, ..Bounds::default() });

    journal.resume_events(told.iter().map(|event| (**event).clone()).collect());
    recovered(&journal, "blog");

    let batch = journal.events(Start::Last(usize::MAX), None, usize::MAX);
    assert_eq!(batch.entries.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn events_can_be_asked_for_by_app() {
    let journal = Journal::default();
    ["shop", "blog", "shop", "blog"].iter().for_each(|name| recovered(&journal, name));

    let last = journal.events(Start::Last(1), Some(&app("shop")), 9);
    let after = journal.events(Start::After(2), Some(&app("blog")), 9);

    assert_eq!(last.entries[0].id, 3);
    assert_eq!(after.entries.iter().map(|event| event.id).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_chatty_app_does_not_push_out_what_a_quiet_one_said() {
    let journal = Journal::new(Bounds { line_bytes: 20_000, ..Bounds::default() });
    let (quiet, chatty) = (worker("quiet", 1), worker("chatty", 2));
    write(&journal, &quiet, Stream::Stderr, "i was here");

    for n in 0..10_000 {
        write(&journal, &chatty, Stream::Stdout, &format!("chatter {n}"));
    }

    assert_eq!(texts(&journal, "quiet"), ["i was here"]);
    assert_eq!(texts(&journal, "chatty").last().unwrap(), "chatter 9999");
    assert!(journal.lock().line_bytes <= 20_000);
}

#[test]
fn an_app_keeps_no_more_lines_than_its_share() {
    let journal = Journal::new(Bounds { lines_per_app: 2, ..Bounds::default() });

    for line in ["a", "b", "c"] {
        write(&journal, &worker("shop", 1), Stream::Stdout, line);
    }

    assert_eq!(texts(&journal, "shop"), ["b", "c"]);
}

#[test]
fn the_bytes_of_all_lines_are_counted_to_the_last_one() {
    let journal = Journal::new(Bounds { lines_per_app: 5, line_bytes: 3_000, events: 9 });

    for n in 0..500 {
        let name = format!("app-{}", n % 7_u16);
        write(
            &journal,
            &worker(&name, n.into()),
            Stream::Stdout,
            &"x".repeat(usize::from(n) % 256),
        );
    }

    let kept = journal.lock();
    let lines = kept.lines.values().flat_map(|lines| lines.ring.iter());
    assert_eq!(lines.map(|line| cost(&line.line)).sum::<usize>(), kept.line_bytes);
}

#[test]
fn the_lines_of_a_removed_app_are_forgotten() {
    let journal = Journal::default();
    write(&journal, &worker("shop", 1), Stream::Stdout, "hello");

    journal.tell(&Note::Removed { app: app("shop") }, now());

    assert!(texts(&journal, "shop").is_empty());
    assert_eq!(journal.lock().line_bytes, 0);
}

#[test]
fn last_words_are_what_a_worker_wrote_last_to_stderr() {
    let journal = Journal::default();
    let words = [
        (7, Stream::Stderr, "of another one"),
        (8, Stream::Stderr, "Traceback"),
        (8, Stream::Stdout, "unrelated"),
        (8, Stream::Stderr, "KeyError: 'DATABASE'"),
        (8, Stream::Stderr, ""),
        (9, Stream::Stderr, "of one that lives"),
    ];
    for (by, stream, line) in words {
        write(&journal, &worker("shop", by), stream, line);
    }
    let said = |by, most| journal.last_words(&app("shop"), WorkerId(by), most);

    assert_eq!(said(8, 3), ["Traceback", "KeyError: 'DATABASE'"]);
    assert_eq!(said(8, 1), ["KeyError: 'DATABASE'"]);
    assert_eq!(said(6, 3), [""; 0]);
}

#[tokio::test]
async fn a_follower_gets_what_is_written_after_it_began_to_wait() {
    let journal = Journal::default();
    let mut follower = journal.follow_events(Start::Last(0), Some(app("shop")));
    let waiting = tokio::spawn(async move { follower.next().await });
    tokio::task::yield_now().await;

    recovered(&journal, "blog");
    tokio::task::yield_now().await;
    recovered(&journal, "shop");

    assert_eq!(soon(waiting).await.unwrap().entries[0].id, 2);
}

#[tokio::test]
async fn a_slow_follower_is_told_how_many_lines_it_missed_and_holds_up_nobody() {
    let journal = Journal::new(Bounds { lines_per_app: 10, ..Bounds::default() });
    let by = worker("shop", 1);
    let mut follower = journal.follow_lines(Start::Last(0), app("shop"));
    write(&journal, &by, Stream::Stdout, "0");
    assert_eq!(soon(follower.next()).await.entries[0].line, "0");

    for n in 1..=25 {
        write(&journal, &by, Stream::Stdout, &n.to_string());
    }

    let batch = soon(follower.next()).await;
    assert_eq!((batch.missed, batch.entries[0].line.as_str()), (15, "16"));
    assert_eq!(batch.entries.len(), 10);
}

#[tokio::test]
async fn a_follower_of_an_app_that_never_spoke_waits_for_its_first_word() {
    let journal = Journal::default();
    let mut follower = journal.follow_lines(Start::Last(5), app("shop"));
    let waiting = tokio::spawn(async move { follower.next().await });
    tokio::task::yield_now().await;

    write(&journal, &worker("shop", 1), Stream::Stdout, "first");

    assert_eq!(soon(waiting).await.unwrap().entries[0].line, "first");
}

/// Lines of two apps in turn: `a` writes the odd ones, `b` the even ones.
fn in_turn(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let by = if number.is_multiple_of(2) { worker("b", 2) } else { worker("a", 1) };
        write(journal, &by, Stream::Stdout, &number.to_string());
    }
}

fn numbers(batch: &Batch<LogLine>) -> Vec<u64> {
    batch.entries.iter().map(|line| line.id).collect()
}

#[test]
fn the_lines_of_all_apps_are_one_list_in_the_order_they_were_read() {
    let journal = Journal::default();
    in_turn(&journal, 1..=6);
    let read = |start, most| numbers(&journal.all_lines(start, most));

    assert_eq!(read(Start::Last(9), 9), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read(Start::Last(3), 9), [4, 5, 6]);
    assert_eq!(read(Start::Last(0), 9), [0; 0]);
    assert_eq!(read(Start::After(2), 3), [3, 4, 5]);
    assert_eq!(read(Start::After(6), 9), [0; 0]);
    assert_eq!(read(Start::After(4711), 9), [1, 2, 3, 4, 5, 6], "of an earlier daemon");
}

#[test]
fn a_reader_of_all_lines_has_missed_what_is_gone_after_the_line_it_names_and_nothing_else() {
    let journal = Journal::new(Bounds { lines_per_app: 2, ..Bounds::default() });
    write(&journal, &worker("quiet", 3), Stream::Stdout, "1");
    in_turn(&journal, 2..=9);
    let read = |start| journal.all_lines(start, 99);

    assert_eq!(
        (numbers(&read(Start::After(1))), read(Start::After(1)).missed),
        (vec![6, 7, 8, 9], 4)
    );
    assert_eq!(read(Start::After(5)).missed, 0);
    let all = read(Start::Last(99));
    assert_eq!((numbers(&all), all.missed), (vec![1, 6, 7, 8, 9], 0));
}

#[tokio::test]
async fn a_follower_of_all_lines_gets_each_once_and_hears_how_many_it_missed() {
    let journal = Journal::new(Bounds { lines_per_app: 200, ..Bounds::default() });
    in_turn(&journal, 1..=3);
    let mut follower = journal.follow_all_lines(Start::Last(1));
    assert_eq!(numbers(&soon(follower.next()).await), [3]);

    in_turn(&journal, 4..=1003);
    let (first, second) = (soon(follower.next()).await, soon(follower.next()).await);

    assert_eq!((first.missed, second.missed), (600, 0));
    let got = [numbers(&first), numbers(&second)].concat();
    assert_eq!(got, (604..=1003).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_follower_of_all_lines_waits_for_the_first_word_of_any_app() {
    let journal = Journal::default();
    let mut follower = journal.follow_all_lines(Start::Last(5));
    let waiting = tokio::spawn(async move { follower.next().await });
    tokio::task::yield_now().await;

    write(&journal, &worker("shop", 1), Stream::Stdout, "first");

    assert_eq!(soon(waiting).await.unwrap().entries[0].line, "first");
}
