//! Where a thread waits for connections: all listeners of the worker, shared with others.
//!
//! ```text
//!          ┌──── nothing there ◀─┐
//!          ▼                     │
//!   cold: wait, then accept    hot: accept at once
//!          │                     ▲
//!          └─ something there ───┘   (tried after 1, 2, 4 … 64 waits)
//! ```
//!
//! Waits with EPOLLEXCLUSIVE: of several idle workers the kernel wakes one, the one that took its
//! place first, so that surplus workers stay idle. A wake-up is eaten by whom it woke; a thread that
//! leaves therefore tries every listener once more, or the connection it was woken for would sit
//! there until the next one comes. Serves nothing.
//!
//! Requests whose clients were slow, and which are whole by now, are taken here as well: in turn with
//! what the listeners have, so that neither has to wait for the other's rush to end.
//!
//! Where old workers are idle, a new one would not be woken before one of them is busy. One that
//! has to show soon what it is worth therefore waits without EPOLLEXCLUSIVE until it has its first
//! connection: the kernel wakes such ones first, and one of the others beside them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use scgi_protocol::birth::LISTENERS_MAX;
use scgi_protocol::page::now_ns;

use crate::drain::Drain;
use crate::listener::Listener;
use crate::log;
use crate::pulse::Pulse;
use crate::serve::Post;
use crate::shield::{Ready, Shield};

/// Marks the event of the order to leave.
const DRAIN: u64 = u64::MAX;

/// Marks the event that a request is ready which was parked.
const READY: u64 = u64::MAX - 1;

/// Connections taken from one listener before the others are looked at again.
const FAIR_STREAK: u32 = 64;

/// Connections a leaving thread still takes, at most: others are there to take the rest.
const LAST_ONES: u32 = 16;

// The ready listeners are kept as bits of a word.
const _: () = assert!(LISTENERS_MAX <= 64);

/// Where a thread stands among those that wait for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// In one line with the threads of all workers.
    Shared,
    /// Before that line, until it has a connection.
    Front,
}

/// One thread's place before the listeners.
pub(crate) struct Gate<'a> {
    listeners: &'a [Listener],
    drain: &'a Drain,
    pulse: &'a Pulse,
    /// `None` where nobody is ever parked.
    shield: Option<&'a Shield>,
    epoll: Epoll,
    line: Line,
    /// The last was a connection: a parked request comes first this time.
    owes_parked: bool,
    /// Listeners the last wait found ready, by bit.
    ready: u64,
    /// The listener that had a connection last.
    last: usize,
    eagerness: Eagerness,
    leaving: Option<Leaving>,
}

/// What a thread is to serve.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Somebody has connected.
    Connection(OwnedFd),
    /// A request that was parked is whole.
    Request(Ready),
}

/// How far a leaving thread has come with its last look.
#[derive(Clone, Copy)]
struct Leaving {
    listener: usize,
    left: u32,
}

impl<'a> Gate<'a> {
    /// Takes a place before `listeners`: from here on the thread can be woken.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor or no memory left.
    pub(crate) fn open(post: &'a Post, shield: Option<&'a Shield>) -> io::Result<Self> {
        let Post { listeners, drain, pulse, line, .. } = post;
        Ok(Self {
            listeners,
            drain,
            pulse,
            shield,
            epoll: stand(*line, listeners, drain, shield)?,
            line: *line,
            owes_parked: true,
            ready: 0,
            last: 0,
            eagerness: Eagerness::default(),
            leaving: None,
        })
    }

    /// What comes next; `None` when it is time to leave.
    pub(crate) fn next(&mut self) -> Option<Arrival> {
        let next = self.take();
        if self.line == Line::Front {
            self.step_back();
        }
        next
    }

    fn take(&mut self) -> Option<Arrival> {
        loop {
            if self.drain.is_asked() {
                return self.one_of_the_last().map(Arrival::Connection);
            }
            if let Some(shield) = self.shield.filter(|shield| shield.has_ready())
                && std::mem::take(&mut self.owes_parked)
                && let Some(ready) = shield.take()
            {
                return Some(Arrival::Request(ready));
            }
            self.owes_parked = true;
            if self.ready != 0 {
                let at = self.ready.trailing_zeros() as usize;
                self.ready &= self.ready - 1;
                self.last = at;
                if let Some(connection) = self.accept(at) {
                    return Some(Arrival::Connection(connection));
                }
            } else if self.eagerness.tries_first(self.listeners.len()) {
                let accepted = self.accept(self.last);
                self.eagerness.tried(accepted.is_some());
                if accepted.is_some() {
                    return accepted.map(Arrival::Connection);
                }
            } else {
                self.wait();
            }
        }
    }

    /// Takes its place in the line of all.
    #[cold]
    fn step_back(&mut self) {
        // Without memory for it the place is kept: others are woken in vain, and nothing is lost.
        if let Ok(epoll) = stand(Line::Shared, self.listeners, self.drain, self.shield) {
            (self.epoll, self.line) = (epoll, Line::Shared);
        }
    }

    fn wait(&mut self) {
        let mut events = [EpollEvent::empty(); 8];
        let timeout = self.pulse.interval().map_or(EpollTimeout::NONE, epoll_timeout);
        let found = match self.epoll.wait(&mut events, timeout) {
            Ok(found) => found,
            Err(Errno::EINTR) => 0,
            Err(error) => return self.cannot("wait for", &error.into()),
        };
        for event in &events[..found] {
            // Whether requests are ready is asked anyway.
            if !matches!(event.data(), DRAIN | READY) {
                self.ready |= 1 << event.data();
            }
        }
        if found == 0 {
            self.pulse.beat(now_ns());
        }
    }

    fn accept(&self, at: usize) -> Option<OwnedFd> {
        match self.listeners[at].accept() {
            Ok(connection) => Some(connection),
            Err(error) if is_nobodys_fault(&error) => None,
            Err(error) => {
                self.cannot("accept", &error);
                None
            }
        }
    }

    fn one_of_the_last(&mut self) -> Option<OwnedFd> {
        let start = Leaving { listener: 0, left: LAST_ONES };
        let mut leaving = self.leaving.unwrap_or(start);
        while leaving.listener < self.listeners.len() && leaving.left > 0 {
            let accepted = self.listeners[leaving.listener].accept();
            match &accepted {
                Ok(_) => leaving.left -= 1,
                // The one behind it may be whole.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => leaving.left -= 1,
                Err(_) => leaving.listener += 1,
            }
            self.leaving = Some(leaving);
            if let Ok(connection) = accepted {
                return Some(connection);
            }
        }
        None
    }

    /// Tells of trouble and lets the machine recover: no descriptors, no memory.
    #[cold]
    fn cannot(&self, what: &str, error: &io::Error) {
        log::say(&format!("cannot {what} connections: {error}; trying again"));
        self.drain.rest();
    }
}

/// A place before the listeners.
fn stand(
    line: Line,
    listeners: &[Listener],
    drain: &Drain,
    shield: Option<&Shield>,
) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let flags = match line {
        Line::Shared => EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
        Line::Front => EpollFlags::EPOLLIN,
    };
    for (at, listener) in (0..).zip(listeners) {
        epoll.add(listener, EpollEvent::new(flags, at))?;
    }
    if let Some(shield) = shield {
        let one_of_us = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        epoll.add(shield, EpollEvent::new(one_of_us, READY))?;
    }
    epoll.add(drain, EpollEvent::new(EpollFlags::EPOLLIN, DRAIN))?;
    Ok(epoll)
}

/// Whether to look for a connection before waiting for one: saves a system call if one is there,
/// wastes one if not.
#[derive(Debug, Default)]
struct Eagerness {
    /// The last look found a connection.
    hot: bool,
    /// Looks in a row that found one.
    streak: u32,
    /// Waits since the last look.
    waits: u32,
    /// Waits before the next look, as a power of two; grows with every look in vain.
    doubt: u32,
}

impl Eagerness {
    const MOST_DOUBT: u32 = 6;

    /// Whether to look now. Asked once before every wait.
    fn tries_first(&mut self, listeners: usize) -> bool {
        if self.hot && (listeners == 1 || self.streak < FAIR_STREAK) {
            return true;
        }
        self.streak = 0;
        self.waits += 1;
        self.waits > 1 << self.doubt
    }

    fn tried(&mut self, found: bool) {
        self.waits = 0;
        self.hot = found;
        if found {
            self.streak += 1;
            self.doubt = 0;
        } else {
            self.streak = 0;
            self.doubt = (self.doubt + 1).min(Self::MOST_DOUBT);
        }
    }
}

/// Errors of accept that mean only: not this connection.
fn is_nobodys_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionAborted | Interrupted)
}

fn epoll_timeout(longest: Duration) -> EpollTimeout {
    let ms = longest.as_millis().clamp(1, 1 << 30);
    EpollTimeout::try_from(ms).expect("clamped to what the kernel takes")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;

    use nix::unistd::gettid;
    use scgi_protocol::address::Address;

    use super::*;

    /// How many of the looks for `requests` connections were in vain, and how many were not, if
    /// the queue is always full or always empty.
    fn looks(requests: u32, full: bool) -> (u32, u32) {
        let mut eagerness = Eagerness::default();
        let mut looks = 0;
        for _ in 0..requests {
            if eagerness.tries_first(1) {
                eagerness.tried(full);
                looks += 1;
                if !full {
                    assert!(!eagerness.tries_first(1), "a look in vain is followed by a wait");
                }
            }
        }
        if full { (0, looks) } else { (looks, 0) }
    }

    /// How many of two that wait for connections are told of one, if the first sleeps and the other
    /// one stands in `line`.
    fn told(line: Line) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix(folder.path().join("app.sock"));
        let listeners = [Listener::bind(&address).unwrap()];
        let drain = Drain::of_worker().unwrap();
        let sleeper = stand(Line::Shared, &listeners, &drain, None).unwrap();
        let other = stand(line, &listeners, &drain, None).unwrap();
        let look = |place: &Epoll, for_how_long: EpollTimeout| {
            place.wait(&mut [EpollEvent::empty(); 8], for_how_long).unwrap()
        };
        thread::scope(|scope| {
            let (says, hears) = mpsc::channel();
            let (sleeper, look) = (&sleeper, &look);
            let first = scope.spawn(move || {
                says.send(gettid()).unwrap();
                look(sleeper, EpollTimeout::NONE)
            });
            let stat = format!("/proc/self/task/{}/stat", hears.recv().unwrap());
            while !std::fs::read_to_string(&stat).unwrap().contains(") S ") {
                thread::yield_now();
            }
            let _client = UnixStream::connect(folder.path().join("app.sock")).unwrap();
            first.join().unwrap() + look(&other, EpollTimeout::ZERO)
        })
    }

    #[test]
    fn a_connection_wakes_one_of_those_in_line_and_whoever_stands_before_it() {
        assert_eq!(told(Line::Shared), 1);
        assert_eq!(told(Line::Front), 2);
    }

    #[test]
    fn a_thread_that_finds_nothing_without_waiting_all_but_stops_looking() {
        let (vain, saved) = looks(10_000, false);

        assert!(vain < 200, "{vain} looks in vain");
        assert_eq!(saved, 0);
    }

    #[test]
    fn a_thread_with_a_full_queue_stops_waiting() {
        let (vain, saved) = looks(10_000, true);

        assert_eq!(vain, 0);
        assert!(saved > 9_990, "{saved} waits saved");
    }

    #[test]
    fn other_listeners_get_their_turn_while_one_is_flooded() {
        let mut eagerness = Eagerness::default();
        let mut longest = 0;
        let mut streak = 0;
        for _ in 0..10_000 {
            if eagerness.tries_first(2) {
                eagerness.tried(true);
                streak += 1;
            } else {
                streak = 0;
            }
            longest = longest.max(streak);
        }

        assert!(longest <= FAIR_STREAK, "{longest}");
    }
}
