//! Output through real pipes.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use scgi_protocol::control::LogLine;
use scgi_protocol::name::{Generation, Seat};

use super::*;
use crate::journal::{Bounds, Start};
use crate::supervisor::Role;

const PATIENCE: Duration = Duration::from_secs(20);

struct Worker {
    journal: Journal,
    output: Output,
    stdout: File,
    stderr: File,
}

const WORKER: WorkerId = WorkerId(1);

/// A worker whose output is collected.
fn worker() -> Worker {
    let bounds = Bounds { lines_per_app: 100_000, line_bytes: usize::MAX, events: 1 };
    let journal = Journal::new(bounds);
    let mut output = Output::new(journal.clone(), Clock::start());
    let about = About {
        app: "shop".parse().unwrap(),
        seat: Seat(2),
        worker: WORKER,
        generation: Generation(3),
        role: Role::App,
    };
    let (stdout, to_stdout) = nix::unistd::pipe().unwrap();
    let (stderr, to_stderr) = nix::unistd::pipe().unwrap();
    output.collect(&about, Pipes { stdout, stderr }).unwrap();
    Worker { journal, output, stdout: to_stdout.into(), stderr: to_stderr.into() }
}

impl Worker {
    fn lines(&self) -> Vec<Arc<LogLine>> {
        let app = "shop".parse().unwrap();
        self.journal.lines(Start::Last(usize::MAX), &app, usize::MAX).entries
    }

    fn texts(&self) -> Vec<String> {
        self.lines().iter().map(|line| line.line.clone()).collect()
    }

    /// Waits until `count` lines have been collected.
    async fn until(&self, count: usize) -> Vec<String> {
        let mut follower = self.journal.follow_lines(Start::After(0), "shop".parse().unwrap());
        let mut texts = Vec::new();
        while texts.len() < count {
            let batch = tokio::time::timeout(PATIENCE, follower.next()).await.unwrap();
            texts.extend(batch.entries.iter().map(|line| line.line.clone()));
        }
        texts
    }
}

#[tokio::test]
async fn a_line_torn_into_two_writes_stays_one_line() {
    let mut worker = worker();

    worker.stdout.write_all(b"whole\nhello, ").unwrap();
    assert_eq!(worker.until(1).await, ["whole"]);
    worker.stdout.write_all(b"world\n").unwrap();

    assert_eq!(worker.until(2).await, ["whole", "hello, world"]);
}

#[tokio::test]
async fn a_line_says_who_wrote_it_and_where_to() {
    let mut worker = worker();

    worker.stderr.write_all(b"oops\n").unwrap();
    worker.until(1).await;

    let line = worker.lines().remove(0);
    assert_eq!((line.app.as_str(), line.seat, line.worker), ("shop", Seat(2), WORKER));
    assert_eq!((line.generation, line.stream), (Generation(3), Stream::Stderr));
    assert_eq!((line.cut_bytes, line.dropped_before), (0, 0));
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_replaced() {
    let mut worker = worker();

    worker.stdout.write_all(b"caf\xe9\n").unwrap();

    assert_eq!(worker.until(1).await, ["caf\u{fffd}"]);
}

#[tokio::test]
async fn the_last_words_of_a_dead_worker_are_there_at_once() {
    let mut worker = worker();
    worker.stderr.write_all(b"KeyError: 'DATABASE'\n").unwrap();

    // No await: the runtime has not looked at the pipe yet.
    let words = worker.output.last_words(WORKER);

    assert_eq!(words, ["KeyError: 'DATABASE'"]);
    assert_eq!(worker.texts(), words);
}

#[tokio::test]
async fn last_words_are_few_and_short_and_the_last_needs_no_end() {
    let mut worker = worker();
    let long = "é".repeat(WORDS_CHARS + 1);
    let lines = format!("one\ntwo\nthree\nfour\n\n{long}\nfatal: no such table");
    worker.stdout.write_all(b"chatter\n").unwrap();
    worker.stderr.write_all(lines.as_bytes()).unwrap();

    let words = worker.output.last_words(WORKER);

    let cut = format!("{}…", "é".repeat(WORDS_CHARS));
    assert_eq!(words, ["two", "three", "four", &cut, "fatal: no such table"]);
}

#[tokio::test]
async fn a_last_line_without_an_end_is_kept_even_if_somebody_else_holds_the_pipe() {
    let mut worker = worker();
    worker.stdout.write_all(b"complete\nincomplete").unwrap();

    worker.output.finish(WORKER);

    assert_eq!(worker.texts(), ["complete", "incomplete"]);
}

#[tokio::test]
async fn finishing_closes_the_pipes_whoever_may_write_to_them() {
    let mut worker = worker();

    worker.output.finish(WORKER);
    let closed = async {
        while worker.stdout.write_all(b"anybody?\n").is_ok() {
            tokio::task::yield_now().await;
        }
    };

    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn an_endless_line_is_cut_and_the_cut_counted() {
    let mut worker = worker();
    let mut pipe = worker.stdout.try_clone().unwrap();
    let writing = tokio::task::spawn_blocking(move || {
        pipe.write_all(&vec![b'x'; 1_000_000])?;
        pipe.write_all(b"\nnext\n")
    });

    let texts = worker.until(2).await;

    writing.await.unwrap().unwrap();
    assert_eq!((texts[0].len(), texts[1].as_str()), (lines::LINE_MAX_BYTES, "next"));
    assert_eq!(worker.lines()[0].cut_bytes, 1_000_000 - lines::LINE_MAX_BYTES as u64);
    worker.output.finish(WORKER);
}

#[tokio::test]
async fn an_app_that_writes_too_fast_loses_lines_but_no_count_of_them() {
    let mut worker = worker();
    let mut pipe = worker.stdout.try_clone().unwrap();
    let sent = 200_000;
    let flood = "flood\n".repeat(sent);
    let writing = tokio::task::spawn_blocking(move || pipe.write_all(flood.as_bytes()));
    tokio::time::timeout(PATIENCE, writing).await.unwrap().unwrap().unwrap();
    worker.output.last_words(WORKER);

    // One more line at a time, until one is let through and tells of those before it.
    let told = async {
        let mut asked = 0;
        while worker.texts().last().is_none_or(|line| line != "after") {
            worker.stderr.write_all(b"after\n").unwrap();
            asked += 1;
            worker.output.last_words(WORKER);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asked
    };
    let asked: usize = tokio::time::timeout(PATIENCE, told).await.unwrap();

    let lines = worker.lines();
    let dropped: u64 = lines.iter().map(|line| line.dropped_before).sum();
    assert!(dropped > 0);
    assert_eq!(lines.len() + usize::try_from(dropped).unwrap(), sent + asked);
    let counted: Vec<u64> = worker.journal.dropped_lines().into_values().collect();
    assert_eq!(counted, [dropped]);
}

#[tokio::test]
async fn a_file_is_refused_as_a_pipe() {
    let mut output = Output::new(Journal::default(), Clock::start());
    let about = About {
        app: "shop".parse().unwrap(),
        seat: Seat(0),
        worker: WORKER,
        generation: Generation(1),
        role: Role::App,
    };
    let file = || OwnedFd::from(File::open("/dev/null").unwrap());

    assert!(output.collect(&about, Pipes { stdout: file(), stderr: file() }).is_err());
    assert!(output.taps.is_empty());
}
