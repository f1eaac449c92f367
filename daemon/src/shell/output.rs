//! Output: what workers write to stdout and stderr, line by line.
//!
//! Each pipe has a task that reads it, cuts it into lines, and writes them into the journal and,
//! as records of target `worker`, into the daemon's own log. Bounded everywhere: a line in its
//! length, an app in its rate. A worker never waits for its reader, save one that writes faster
//! than its rate allows, which is slowed rather than let take the daemon's processor.
//!
//! A pipe may outlive its worker, held open by something the worker left behind. So a worker's
//! end is never read off its pipes: the loop asks for its [`Output::last_words`] when it has died and
//! says [`Output::finish`] when it is forgotten.

mod lines;
mod rate;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use scgi_protocol::control::Stream;
use scgi_protocol::name::{AppName, WorkerId};
use tokio::net::unix::pipe::Receiver;
use tokio::task::AbortHandle;
use tracing::info;

use crate::journal::{Journal, Written};
use crate::shell::clock::Clock;
use crate::supervisor::About;
use lines::{Line, Splitter};
use rate::{Rate, Verdict};

/// Bytes read at once.
const READ_BYTES: usize = 8 * 1024;

/// Bytes read from one pipe before somebody else has a turn; what a pipe holds by default.
const TURN_BYTES: usize = 64 * 1024;

/// Most bytes read when a worker has died; the most a pipe can be made to hold unprivileged.
/// Something the worker left behind may go on writing, and must not keep the loop here.
const DRAIN_BYTES: usize = 1024 * 1024;

/// How many lines of a dead worker are kept with its death, and how many characters of each.
const LAST_WORDS: usize = 5;
const WORDS_CHARS: usize = 300;

/// How long a pipe is left alone after lines of it had to be dropped.
const PENALTY: Duration = Duration::from_millis(10);

/// The read ends of a worker's pipes.
#[derive(Debug)]
pub struct Pipes {
    /// What the worker has as its standard output.
    pub stdout: OwnedFd,
    /// What the worker has as its standard error.
    pub stderr: OwnedFd,
}

/// Collects what workers write. Used by the loop alone.
#[derive(Debug)]
pub struct Output {
    journal: Journal,
    clock: Clock,
    taps: BTreeMap<WorkerId, [Open; 2]>,
    rates: BTreeMap<AppName, Arc<Mutex<Rate>>>,
}

/// A tap and the task that waits for it.
#[derive(Debug)]
struct Open {
    tap: Arc<Tap>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One pipe of one worker.
#[derive(Debug)]
struct Tap {
    about: About,
    stream: Stream,
    pipe: Receiver,
    splitter: Mutex<Splitter>,
    rate: Arc<Mutex<Rate>>,
    journal: Journal,
    clock: Clock,
}

/// What came of reading a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// There is nothing more at the moment.
    Empty,
    /// There may be more.
    Enough,
    /// There may be more, and some of what was read came too fast.
    TooFast,
    /// There will never be more.
    Closed,
}

impl Output {
    /// Collects into `journal`.
    pub fn new(journal: Journal, clock: Clock) -> Self {
        Self { journal, clock, taps: BTreeMap::new(), rates: BTreeMap::new() }
    }

    /// Begins to collect what a worker writes. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// If a descriptor is no pipe, or the runtime cannot watch it; then nothing is collected.
    pub fn collect(&mut self, about: &About, pipes: Pipes) -> io::Result<()> {
        let stdout = Receiver::from_owned_fd(pipes.stdout)?;
        let stderr = Receiver::from_owned_fd(pipes.stderr)?;
        let taps =
            [self.open(about, Stream::Stdout, stdout), self.open(about, Stream::Stderr, stderr)];
        self.taps.insert(about.worker, taps);
        Ok(())
    }

    /// Reads what a worker that has ended wrote until then, and returns the last few lines of its
    /// standard error, oldest first; a long one is cut. Never waits.
    pub fn last_words(&self, worker: WorkerId) -> Vec<String> {
        let Some(taps @ [_, stderr]) = self.taps.get(&worker) else { return Vec::new() };
        for open in taps {
            open.tap.read(DRAIN_BYTES);
            open.tap.end();
        }
        let said = self.journal.last_words(&stderr.tap.about.app, worker, LAST_WORDS);
        said.into_iter().map(|line| short(line.trim_end())).collect()
    }

    /// Reads what a worker has written until this moment, a last line without an end included,
    /// and closes its pipes, whoever else may hold them. Never waits.
    pub fn finish(&mut self, worker: WorkerId) {
        let Some(taps) = self.taps.remove(&worker) else { return };
        for open in &taps {
            open.tap.read(DRAIN_BYTES);
            open.tap.end();
        }
    }

    /// The numbers of all pipes.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.taps.values().flatten().map(|open| open.tap.pipe.as_fd().as_raw_fd())
    }

    /// A worker's pipes, standard output first.
    pub(super) fn pipes(&self, worker: WorkerId) -> Option<[BorrowedFd<'_>; 2]> {
        Some(self.taps.get(&worker)?.each_ref().map(|open| open.tap.pipe.as_fd()))
    }

    /// Lines that were begun and not ended when they were last read.
    pub(super) fn begun_lines(&self) -> BTreeMap<WorkerId, [Vec<u8>; 2]> {
        let begun = |open: &Open| lock(&open.tap.splitter).begun().to_vec();
        let lines = self.taps.iter().map(|(worker, taps)| (*worker, taps.each_ref().map(begun)));
        lines.filter(|(_, lines)| lines.iter().any(|line| !line.is_empty())).collect()
    }

    /// Goes on with lines that were begun before.
    pub(super) fn resume(&self, worker: WorkerId, begun: &[Vec<u8>; 2]) {
        let taps = self.taps.get(&worker).into_iter().flatten();
        for (open, begun) in taps.zip(begun) {
            // No line is complete without its end.
            lock(&open.tap.splitter).feed(begun, |_| {});
        }
    }

    /// Forgets at what rate an app wrote; to be called when it is no longer part of the site.
    pub fn forget(&mut self, app: &AppName) {
        self.rates.remove(app);
    }

    fn open(&mut self, about: &About, stream: Stream, pipe: Receiver) -> Open {
        let now = self.clock.now();
        let rate = self.rates.entry(about.app.clone());
        let tap = Arc::new(Tap {
            about: about.clone(),
            stream,
            pipe,
            splitter: Mutex::default(),
            rate: Arc::clone(rate.or_insert_with(|| Arc::new(Mutex::new(Rate::new(now))))),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
        });
        let task = tokio::spawn(follow(Arc::clone(&tap))).abort_handle();
        Open { tap, task }
    }
}

/// Reads a pipe until nobody can write to it any more.
async fn follow(tap: Arc<Tap>) {
    while tap.pipe.readable().await.is_ok() {
        // Within `try_io`, the runtime learns that the pipe is empty and waits for more.
        let outcome = tap.pipe.try_io(|| match tap.read(TURN_BYTES) {
            Read::Empty => Err(io::ErrorKind::WouldBlock.into()),
            outcome => Ok(outcome),
        });
        match outcome.unwrap_or(Read::Empty) {
            Read::Empty => {}
            Read::Enough => tokio::task::yield_now().await,
            Read::TooFast => tokio::time::sleep(PENALTY).await,
            Read::Closed => break,
        }
    }
    tap.end();
}

impl Tap {
    /// Reads what is there, at most `most` bytes or little more.
    ///
    /// The descriptor is read past the runtime, which may not have noticed yet what a worker wrote
    /// right before it died.
    fn read(&self, most: usize) -> Read {
        let mut splitter = lock(&self.splitter);
        let mut bytes = [0; READ_BYTES];
        let mut taken = 0;
        let mut verdict = Verdict::Keep;
        while taken < most {
            match nix::unistd::read(self.pipe.as_fd(), &mut bytes) {
                Ok(0) => return Read::Closed,
                Ok(count) => {
                    taken += count;
                    splitter.feed(&bytes[..count], |line| verdict = verdict.and(self.write(line)));
                }
                Err(Errno::EAGAIN) if verdict == Verdict::Keep => return Read::Empty,
                Err(Errno::EAGAIN) => return Read::TooFast,
                Err(Errno::EINTR) => {}
                Err(_) => return Read::Closed,
            }
        }
        match verdict {
            Verdict::Keep => Read::Enough,
            Verdict::Drop => Read::TooFast,
        }
    }

    /// Writes the last line if it has no end.
    fn end(&self) {
        lock(&self.splitter).end(|line| {
            self.write(line);
        });
    }

    fn write(&self, line: Line<'_>) -> Verdict {
        let now = self.clock.now();
        let admitted = lock(&self.rate).admit(now);
        let Some(dropped_before) = admitted else {
            self.journal.drop_line(&self.about.app);
            return Verdict::Drop;
        };
        let text = String::from_utf8_lossy(line.bytes).into_owned();
        let About { app, seat, generation, .. } = &self.about;
        let stream = self.stream.as_str();
        info!(target: "worker", %app, seat = seat.0, generation = generation.0, stream, line = text);
        self.journal.write_line(Written {
            by: &self.about,
            stream: self.stream,
            at: self.clock.wall(now),
            line: text,
            cut_bytes: line.cut_bytes,
            dropped_before,
        });
        Verdict::Keep
    }
}

/// A line as it is kept with a death.
fn short(line: &str) -> String {
    match line.char_indices().nth(WORDS_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
