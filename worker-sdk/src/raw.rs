//! Connections as they are, for who answers in another way than by a handler: accepted, handed over,
//! counted.
//!
//! Not a byte of them is read or written here. What is known of each is when it began, when it
//! ended, and how.

use std::io;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::thread;

use scgi_protocol::page::now_ns;
use scgi_protocol::page::report::End;

use crate::birth::{self, BirthError, DEFAULT_ADDRESS, Found};
use crate::drain::Drain;
use crate::exit::Exit;
use crate::gate::{Arrival, Gate, Line};
use crate::log;
use crate::pulse::Pulse;
use crate::serve::Post;
use crate::tally::{Record, Tally};

/// What stands in the place of a method and a path where nobody knows them.
const UNKNOWN: (&[u8], &[u8]) = (b"-", b"(connection)");

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// By whoever served it.
    Done,
    /// It was cut.
    Cut,
}

/// Why no connection was taken.
#[derive(Debug, thiserror::Error)]
enum RawError {
    #[error("cannot begin to serve")]
    Birth(#[source] BirthError),
    #[error("cannot begin to serve")]
    Start(#[source] io::Error),
}

/// Takes connections until told to leave, as many at once as the configuration says
/// (`concurrency`), and hands each to `handler` in blocking mode and closed on exec. Returns when
/// the last one is done with.
///
/// A handler that panics ends the worker.
pub fn serve_connections(handler: impl Fn(OwnedFd) -> Parting + Sync) -> Exit {
    match try_serve(&handler) {
        Ok(()) => Exit::Drained,
        Err(error) => {
            log::say(&log::chain(&error));
            Exit::Failed
        }
    }
}

fn try_serve(handler: &(impl Fn(OwnedFd) -> Parting + Sync)) -> Result<(), RawError> {
    let own = DEFAULT_ADDRESS.parse().expect("the default address is one");
    let found = birth::look_around(&own).map_err(RawError::Birth)?;
    let Found { page, page_fd, listeners, voice, watchdog, concurrency, on_trial, .. } = found;
    let drain = if found.is_managed { Drain::of_worker() } else { Drain::of_program() };
    let post = Post {
        line: if on_trial { Line::Front } else { Line::Shared },
        listeners,
        drain: drain.map_err(RawError::Start)?,
        pulse: Pulse::new(voice, watchdog),
        threads: concurrency.and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN),
    };
    let served = stand(handler, &Tally::new(page), &post).map_err(RawError::Start);
    drop(page_fd);
    if let Some(path) = found.made {
        // Another process may have replaced or removed it already.
        let _ = std::fs::remove_file(path);
    }
    served
}

/// Lets as many threads as there are take connections.
fn stand(
    handler: &(impl Fn(OwnedFd) -> Parting + Sync),
    tally: &Tally,
    post: &Post,
) -> io::Result<()> {
    let gates =
        (0..post.threads.get()).map(|_| Gate::open(post, None)).collect::<io::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        for (slot, mut gate) in gates.into_iter().enumerate() {
            thread::Builder::new().name(format!("scgi-{slot}")).spawn_scoped(scope, move || {
                // Nobody is parked here, so that nothing else arrives.
                while let Some(Arrival::Connection(connection)) = gate.next() {
                    attend(handler, &tally.record(slot), connection);
                    post.pulse.beat(now_ns());
                }
                tally.draining(post.threads.get());
                post.pulse.stopping();
            })?;
        }
        let now_ns = now_ns();
        tally.accepting(post.threads.get(), now_ns);
        post.pulse.ready();
        post.pulse.beat(now_ns);
        Ok(())
    })
}

fn attend(handler: &impl Fn(OwnedFd) -> Parting, record: &Record<'_>, connection: OwnedFd) {
    let since_ns = now_ns();
    record.begin(since_ns, UNKNOWN.0, UNKNOWN.1);
    let aborted = handler(connection) == Parting::Cut;
    let ended_ns = now_ns();
    let took_ns = ended_ns.saturating_sub(since_ns);
    record.end(&End { aborted, took_ns, ..End::default() }, ended_ns);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use scgi_protocol::page::Page;

    use super::*;

    #[test]
    fn a_connection_is_handed_over_as_it_is_and_counted_when_it_ends() {
        let tally = Tally::new(Page::create().unwrap().0);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        tally.accepting(1, 1);

        for parting in [Parting::Done, Parting::Cut] {
            let connection = ours.try_clone().unwrap();
            attend(
                &|_| {
                    assert_eq!(tally.report().begun, tally.report().ended + 1);
                    parting
                },
                &tally.record(0),
                connection.into(),
            );
        }

        let report = tally.report();
        assert_eq!((report.begun, report.ended, report.aborted), (2, 2, 1));
        assert_eq!((report.bytes_in, report.bytes_out), (0, 0));
    }
}
