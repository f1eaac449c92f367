//! The daemon's own log: one record a line on standard error, as text or as JSON.
//!
//! Whoever reads that may be slow or hang, and the daemon must not wait for it: lines go through
//! a queue to a thread that does. What does not fit in the queue is dropped and counted, and the
//! count is told with the next line that fits. Nothing here decides what is worth a line.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait for the reader.
const QUEUE_LINES: usize = 4096;

/// How long the end of the program waits for a reader that takes nothing.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message and fields, for people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("`{filter}` is no filter of log records; write `info`, or `info,scgid::shell=debug`")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
}

/// Writes out what is still queued when it is dropped; the end of the program holds it.
#[derive(Debug)]
#[must_use = "lines that are still queued are lost unless this lives until the end"]
pub struct Telemetry {
    queue: SyncSender<Letter>,
}

/// Sets up the log of this process; records less urgent than `filter` says are not made.
///
/// # Errors
///
/// [`TelemetryError`]; there is no log then.
pub fn init(format: Format, filter: &str) -> Result<Telemetry, TelemetryError> {
    let parsed = EnvFilter::builder().parse(filter);
    let parsed =
        parsed.map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (queue, letters) = sync_channel(QUEUE_LINES);
    thread::Builder::new()
        .name("scgid-log".to_owned())
        .spawn(move || post(&letters, &mut io::stderr()))
        .map_err(TelemetryError::Thread)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(Letterbox { queue: queue.clone(), dropped: Arc::default(), gap: gap(format) })
        // The library would say it on standard error, which is what failed.
        .log_internal_errors(false);
    // A second set-up in one process (tests) leaves the first in place.
    let _ = match format {
        Format::Text => {
            let subscriber = subscriber.with_ansi(colour).with_target(false).finish();
            tracing::subscriber::set_global_default(subscriber)
        }
        Format::Json => {
            let subscriber = subscriber.json().flatten_event(true).finish();
            tracing::subscriber::set_global_default(subscriber)
        }
    };
    Ok(Telemetry { queue })
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let (done, written) = channel();
        if self.queue.try_send(Letter::Flush(done)).is_ok() {
            // A reader that takes nothing must not keep the daemon from ending.
            let _ = written.recv_timeout(FLUSH_PATIENCE);
        }
    }
}

/// What is queued.
#[derive(Debug)]
enum Letter {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Where the log drops its lines.
#[derive(Clone, Debug)]
struct Letterbox {
    queue: SyncSender<Letter>,
    dropped: Arc<AtomicU64>,
    gap: fn(u64) -> String,
}

/// How a gap of some lines is told, in the manner of the others.
fn gap(format: Format) -> fn(u64) -> String {
    match format {
        Format::Text => |lines| format!("({lines} lines dropped; nobody read them)\n"),
        Format::Json => |lines| {
            format!("{{\"level\":\"WARN\",\"message\":\"lines dropped\",\"lines\":{lines}}}\n")
        },
    }
}

impl<'a> MakeWriter<'a> for Letterbox {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Letterbox {
    /// Takes one whole record: the formatter writes each with a single call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let mut letter = Vec::new();
        if dropped > 0 {
            letter = (self.gap)(dropped).into_bytes();
        }
        letter.extend_from_slice(line);
        match self.queue.try_send(Letter::Line(letter)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what comes, until nobody is left to send any.
fn post(letters: &Receiver<Letter>, out: &mut dyn Write) {
    for letter in letters {
        match letter {
            // Without a reader there is nobody to tell that there is none.
            Letter::Line(line) => drop(out.write_all(&line)),
            // Whoever waits for it may have given up.
            Letter::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_hangs_costs_lines_but_never_time() {
        let (queue, letters) = sync_channel(2);
        let mut log = Letterbox { queue, dropped: Arc::default(), gap: gap(Format::Text) };

        for line in 0..5 {
            log.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let mut seen = Vec::new();
        let mut read = || match letters.try_recv() {
            Ok(Letter::Line(line)) => seen.extend(line),
            other => panic!("{other:?}"),
        };
        read();
        read();
        log.write_all(b"5\n").unwrap();
        read();

        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen, "0\n1\n(3 lines dropped; nobody read them)\n5\n");
    }

    #[test]
    fn what_was_said_is_written_in_order() {
        let (queue, letters) = sync_channel(8);
        let mut log =
            Letterbox { queue: queue.clone(), dropped: Arc::default(), gap: gap(Format::Json) };
        let (done, written) = channel();

        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        queue.send(Letter::Flush(done)).unwrap();
        drop((log, queue));
        let mut out = Vec::new();
        post(&letters, &mut out);

        assert_eq!(out, b"one\ntwo\n");
        assert_eq!(written.try_recv(), Ok(()));
    }

    #[test]
    fn a_filter_that_is_none_is_refused_with_an_example() {
        let error = init(Format::Text, "scgid=loud").unwrap_err();

        assert_eq!(
            error.to_string(),
            "`scgid=loud` is no filter of log records; write `info`, or `info,scgid::shell=debug`"
        );
    }
}
