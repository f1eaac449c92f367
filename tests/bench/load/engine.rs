//! The loop of the load generator.
//!
//! ```text
//! free slot ─connect, send─▶ waiting ─reply complete and right, end of file─▶ free
//!                               └──── error, wrong byte, early end: counted ─▶ free
//! ```
//!
//! A slot holds one connection. In a closed loop there are as many slots as connections and a free
//! one is used at once; in an open loop a timer says how many are due, and slots grow with the need.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use scgi_protocol::address::Address;

use crate::connection::{Connection, Exchange, Progress};
use crate::tally::Tally;
use crate::target::Target;

const SCRATCH_BYTES: usize = 128 * 1024;
const EVENTS: usize = 256;

/// The timer's mark among the numbers of slots.
const TICK: u64 = u64::MAX;

/// A server that says nothing for this long has lost every request it holds.
const PATIENCE_MS: u16 = 10_000;

/// When the next request begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as one of `connections` is free.
    Closed { connections: usize },
    /// `rate` times a second.
    Open { rate: u32 },
}

/// How much to ask: no request begins after either is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) requests: u64,
    pub(crate) duration: Duration,
}

/// One server under load.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    target: Target,
    exchange: Exchange<'a>,
    pace: Pace,
    epoll: Epoll,
    timer: Option<TimerFd>,
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
    tally: Tally,
}

impl<'a> Engine<'a> {
    /// # Errors
    ///
    /// The kernel refuses an epoll set or a timer.
    pub(crate) fn new(address: &Address, exchange: Exchange<'a>, pace: Pace) -> io::Result<Self> {
        let slots = match pace {
            Pace::Closed { connections } => connections,
            Pace::Open { .. } => 0,
        };
        Ok(Self {
            target: Target::new(address)?,
            exchange,
            pace,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            timer: None,
            slots: (0..slots).map(|_| None).collect(),
            free: (0..slots).collect(),
            scratch: vec![0; SCRATCH_BYTES],
            tally: Tally::default(),
        })
    }

    /// Begins requests until the amount is reached, then waits for the replies still owed.
    ///
    /// # Errors
    ///
    /// The kernel's, of epoll or the timer. What a server does wrong is in the tally.
    pub(crate) fn run(mut self, amount: Amount) -> io::Result<Tally> {
        self.timer = self.start_timer()?;
        let start = Instant::now();
        let mut begun = 0;
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let elapsed = start.elapsed();
            let is_over = begun >= amount.requests || elapsed >= amount.duration;
            if is_over {
                self.timer = None;
            } else {
                begun += self.begin_due(start, elapsed, begun..amount.requests);
            }
            if is_over && self.free.len() == self.slots.len() {
                return Ok(self.tally.finish(start.elapsed()));
            }
            self.turn(&mut events)?;
        }
    }

    /// Ticks as often as requests begin in an open loop.
    fn start_timer(&self) -> io::Result<Option<TimerFd>> {
        let Pace::Open { rate } = self.pace else { return Ok(None) };
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let interval = TimeSpec::from_duration(interval(rate));
        timer.set(Expiration::Interval(interval), TimerSetTimeFlags::empty())?;
        self.epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TICK))?;
        Ok(Some(timer))
    }

    /// Begins the requests whose time has come and for which there is a slot; says how many.
    fn begin_due(&mut self, start: Instant, elapsed: Duration, left: std::ops::Range<u64>) -> u64 {
        let mut begun = left.start;
        match self.pace {
            Pace::Closed { .. } => {
                while begun < left.end
                    && let Some(slot) = self.free.pop()
                {
                    self.begin(slot, Instant::now());
                    begun += 1;
                }
            }
            Pace::Open { rate } => {
                while begun < left.end && moment(rate, begun) <= elapsed {
                    let slot = self.free.pop().unwrap_or_else(|| self.grow());
                    self.begin(slot, start + moment(rate, begun));
                    begun += 1;
                }
            }
        }
        begun - left.start
    }

    fn grow(&mut self) -> usize {
        self.slots.push(None);
        self.slots.len() - 1
    }

    fn begin(&mut self, slot: usize, began: Instant) {
        match self.open(slot, began) {
            Ok(connection) => self.slots[slot] = Some(connection),
            Err(error) => self.fail(slot, format!("connecting: {error}")),
        }
    }

    /// Connects, sends what the socket takes and asks to be told of the reply.
    fn open(&self, slot: usize, began: Instant) -> Result<Connection, Errno> {
        let mut connection = Connection::new(self.target.open()?, began);
        let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        if !connection.send(self.exchange)? {
            flags |= EpollFlags::EPOLLOUT;
        }
        self.epoll.add(&connection, EpollEvent::new(flags, slot as u64))?;
        Ok(connection)
    }

    fn turn(&mut self, events: &mut [EpollEvent]) -> io::Result<()> {
        let ready = match self.epoll.wait(events, EpollTimeout::from(PATIENCE_MS)) {
            Ok(0) => return self.give_up(),
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..ready] {
            match usize::try_from(event.data()) {
                Ok(slot) if event.data() != TICK => self.advance(slot),
                _ => self.rearm(),
            }
        }
        Ok(())
    }

    /// The kernel starts a repeating timer again when its ticks are read; the clock counts them.
    fn rearm(&self) {
        if let Some(timer) = &self.timer {
            let _ = timer.wait();
        }
    }

    fn advance(&mut self, slot: usize) {
        let Some(connection) = &mut self.slots[slot] else { return };
        match connection.advance(self.exchange, &mut self.scratch) {
            Progress::Waiting => {}
            Progress::Complete => {
                self.tally.good(connection.began.elapsed());
                self.slots[slot] = None;
                self.free.push(slot);
            }
            Progress::Failed(why) => self.fail(slot, why),
        }
    }

    fn fail(&mut self, slot: usize, why: String) {
        self.tally.bad(why);
        self.slots[slot] = None;
        self.free.push(slot);
    }

    fn give_up(&mut self) -> io::Result<()> {
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_some() {
                self.fail(slot, format!("no reply within {PATIENCE_MS} ms"));
            }
        }
        Ok(())
    }
}

fn interval(rate: u32) -> Duration {
    Duration::from_secs(1) / rate.max(1)
}

/// When request number `index` of an open loop is due, from its start.
fn moment(rate: u32, index: u64) -> Duration {
    let whole = index / u64::from(rate.max(1));
    let rest = u32::try_from(index % u64::from(rate.max(1))).unwrap_or(u32::MAX);
    Duration::from_secs(whole) + interval(rate) * rest
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    const EXCHANGE: Exchange<'_> = Exchange { request: b"ask", reply: b"answer" };
    const LONG: Duration = Duration::from_secs(3600);

    /// The tally of as many requests as there are `replies`, each answered with the next of them.
    fn load(pace: Pace, replies: &'static [&'static [u8]]) -> Tally {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 3]).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        let amount = Amount { requests: replies.len() as u64, duration: LONG };
        let engine = Engine::new(&Address::Unix(path), EXCHANGE, pace).unwrap();
        let tally = engine.run(amount).unwrap();
        server.join().unwrap();
        tally
    }

    fn figure(tally: &Tally, name: &str) -> u64 {
        tally.report(0)[name].as_u64().unwrap()
    }

    #[test]
    fn every_right_reply_is_counted_once_whatever_the_pace() {
        for pace in [Pace::Closed { connections: 2 }, Pace::Open { rate: 1000 }] {
            let tally = load(pace, &[b"answer", b"answer", b"answer"]);

            assert_eq!((figure(&tally, "requests"), figure(&tally, "failures")), (3, 0));
        }
    }

    #[test]
    fn a_reply_that_is_wrong_short_or_long_by_one_byte_is_a_failure() {
        let pace = Pace::Closed { connections: 1 };

        let tally = load(pace, &[b"answeR", b"answe", b"answer!", b"", b"answer"]);

        assert_eq!((figure(&tally, "requests"), figure(&tally, "failures")), (1, 4));
        assert!(!tally.is_clean());
    }
}
