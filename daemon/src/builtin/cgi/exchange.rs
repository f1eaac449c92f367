//! A program at work on one request: the body goes in while its output comes out.
//!
//! One thread does both, and never waits for one side alone: a program that writes before it has
//! read everything, or reads nothing at all, blocks nobody. It is over when the program has ended
//! and what it wrote is read, whoever else may still hold its output open; or when it has closed its
//! output, after a moment in which it may end by itself.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use scgi_worker::Body;

use super::failure::Failure;
use crate::builtin::offspring::Offspring;

/// Bytes that are moved at once.
const PIECE_BYTES: usize = 64 << 10;

/// How long a program that has closed its output may go on.
const AFTERTIME: Duration = Duration::from_secs(2);

/// How much and how long a program may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// From its start to its end.
    pub(super) timeout: Duration,
    /// Bytes of its output; `None` is no limit.
    pub(super) output: Option<u64>,
}

/// A program at work. Dropping it ends the program.
#[derive(Debug)]
pub(super) struct Run {
    program: Offspring,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// What is on its way to the program.
    input: Vec<u8>,
    bounds: Bounds,
    until: Instant,
    /// When it is over for a program that closed its output.
    closed: Option<Instant>,
    written: u64,
    has_ended: bool,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something has moved.
    Moved,
    /// Nothing can move at this moment.
    Still,
    /// All that the program has to say is said.
    Over,
}

/// Whether a step waits until something can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Yes,
    No,
}

/// What can be done at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    stdin: bool,
    stdout: bool,
    client: bool,
    any: bool,
}

impl Run {
    /// The program at work from here on.
    pub(super) fn of(mut program: Offspring, bounds: Bounds) -> Result<Self, Failure> {
        let child = program.child();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        for end in [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd)] {
            end.map_or(Ok(()), nonblocking).map_err(Failure::Pipe)?;
        }
        let until = Instant::now() + bounds.timeout;
        let (input, closed) = (Vec::new(), None);
        let (written, has_ended) = (0, false);
        Ok(Self { program, stdin, stdout, input, bounds, until, closed, written, has_ended })
    }

    /// Moves what can be moved: of `body` to the program, and of its output behind what `output`
    /// holds.
    pub(super) fn step(
        &mut self,
        body: &mut Body<'_>,
        output: &mut Vec<u8>,
        wait: Wait,
    ) -> Result<Step, Failure> {
        self.take_in(body)?;
        let ready = self.poll(body, wait)?;
        if ready.client {
            self.hear(body)?;
        }
        if ready.stdin {
            self.feed();
        }
        let moved = ready.stdout && self.read(output)?;
        let is_over = match self.closed {
            Some(until) => self.has_ended || Instant::now() >= until,
            // Whoever holds the pipe open besides has nothing to say in the program's name.
            None => self.has_ended && !moved,
        };
        match ready.any {
            _ if is_over => Ok(Step::Over),
            _ if Instant::now() >= self.until => Err(Failure::Late(self.bounds.timeout)),
            true => Ok(Step::Moved),
            false => Ok(Step::Still),
        }
    }

    /// Whether the program still takes what the client has yet to send.
    pub(super) fn is_fed_from(&self, body: &Body<'_>) -> bool {
        self.stdin.is_some() && body.remaining() > 0
    }

    /// Ends the program; an error if it died. One that was only slow to leave did not.
    pub(super) fn end(self) -> Result<Option<ExitStatus>, Failure> {
        let by_itself = self.has_ended;
        match self.program.end() {
            Some(status) if by_itself && status.signal().is_some() => Err(Failure::Died(status)),
            status => Ok(status),
        }
    }

    /// Takes in as much of the body as is there, if the program has taken what was before.
    fn take_in(&mut self, body: &mut Body<'_>) -> Result<(), Failure> {
        if self.stdin.is_none() || !self.input.is_empty() {
            return Ok(());
        }
        if body.remaining() == 0 {
            self.stdin = None;
        } else if body.at_hand() > 0 || body.connection().is_none() {
            self.receive(body)?;
        }
        Ok(())
    }

    fn receive(&mut self, body: &mut Body<'_>) -> Result<(), Failure> {
        self.input.resize(PIECE_BYTES, 0);
        let read = body.read(&mut self.input);
        self.input.truncate(read.as_ref().copied().unwrap_or(0));
        read.map(drop).map_err(|_| Failure::Gone)
    }

    /// The client has something to say, or has left.
    fn hear(&mut self, body: &mut Body<'_>) -> Result<(), Failure> {
        if body.remaining() > 0 && self.stdin.is_some() {
            return self.receive(body);
        }
        if body.is_gone() { Err(Failure::Gone) } else { Ok(()) }
    }

    /// Gives the program as much as it takes.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(&self.input) {
            Ok(taken) => drop(self.input.drain(..taken)),
            Err(error) if is_passing(&error) => {}
            Err(_) => {
                // It wants no more of it, and may have good reasons.
                self.stdin = None;
                self.input.clear();
            }
        }
    }

    /// Reads what the program wrote; whether there was something.
    fn read(&mut self, output: &mut Vec<u8>) -> Result<bool, Failure> {
        let Some(stdout) = &mut self.stdout else { return Ok(false) };
        let before = output.len();
        output.resize(before + PIECE_BYTES, 0);
        let read = stdout.read(&mut output[before..]);
        output.truncate(before + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => {
                self.stdout = None;
                self.closed = Some((Instant::now() + AFTERTIME).min(self.until));
                Ok(false)
            }
            Ok(bytes) => {
                self.written += bytes as u64;
                match self.bounds.output.filter(|limit| self.written > *limit) {
                    Some(limit) => Err(Failure::TooMuch(limit)),
                    None => Ok(true),
                }
            }
            Err(error) if is_passing(&error) => Ok(false),
            Err(error) => Err(Failure::Pipe(error)),
        }
    }

    /// What can be done, once something can, or when time is up.
    fn poll(&mut self, body: &Body<'_>, wait: Wait) -> Result<Ready, Failure> {
        let until = self.closed.unwrap_or(self.until);
        let longest = match wait {
            Wait::Yes => until.saturating_duration_since(Instant::now()),
            Wait::No => Duration::ZERO,
        };
        let timeout = Timespec::try_from(longest).ok();
        let feeds = self.stdin.as_ref().filter(|_| !self.input.is_empty());
        let client = body.connection().zip(self.listens_for(body));
        let sides = [
            (!self.has_ended).then(|| (self.program.ended(), PollFlags::IN)),
            feeds.map(|stdin| (stdin.as_fd(), PollFlags::OUT)),
            self.stdout.as_ref().map(|stdout| (stdout.as_fd(), PollFlags::IN)),
            client,
        ];
        let mut polled: Vec<PollFd<'_>> = sides
            .iter()
            .flatten()
            .map(|(fd, events)| PollFd::from_borrowed_fd(*fd, *events))
            .collect();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::Pipe(error.into())),
        }
        let mut seen = polled.iter().map(|fd| !fd.revents().is_empty());
        let mut is_ready = |side: usize| sides[side].is_some() && seen.next() == Some(true);
        let [ended, stdin, stdout, client] = [0, 1, 2, 3].map(&mut is_ready);
        self.has_ended |= ended;
        // What the ended one wrote last is there by now, if it wrote anything.
        let stdout = stdout || self.has_ended;
        Ok(Ready { stdin, stdout, client, any: ended || stdin || stdout || client })
    }

    /// What is waited for of the client: more of the body, or that it leaves. Nothing while what it
    /// sent is not taken, since then both cannot be told apart.
    fn listens_for(&self, body: &Body<'_>) -> Option<PollFlags> {
        match body.remaining() {
            0 => Some(PollFlags::RDHUP),
            _ if self.stdin.is_some() && self.input.is_empty() => Some(PollFlags::IN),
            _ => None,
        }
    }
}

/// Makes our end of a pipe never wait; the program's is another one.
fn nonblocking(end: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
    fcntl(end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
