//! One connection from its first byte to its last: a request in, a response out.
//!
//! ```text
//! receive the head ─▶ route ─▶ handler ─▶ reply ─▶ close
//!    │ nothing at all: closed in silence       │ body left unread: heard out, within bounds
//!    │ not SCGI: told so, counted              │ handler failed or panicked: 500, or cut
//!    └ half and silence: closed, counted       └ client gone: counted, nothing more
//! ```
//!
//! Whatever happens here, the worker lives. Accepts nothing and knows of no other connection.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Phase, now_ns};
use scgi_protocol::scgi::{self, Head, HeadError};

use crate::body::{Body, BodyEnd};
use crate::clues::Clues;
use crate::log;
use crate::place::Place;
use crate::reply::{self, Buffers, Fault, Outlet, may_block};
use crate::request::Request;
use crate::service::Service;
use crate::stamp;
use crate::tally::Record;
use crate::wire::Wire;

/// Where a head is received: room for the usual head and a small body in one go.
const INPUT_BYTES: usize = 16 << 10;

/// A buffer that grew beyond this is given back after the request.
const KEPT_BYTES: usize = 64 << 10;

/// How long a peer that did not speak SCGI gets to take the answer in.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(200);

/// The most that is read from such a peer before he is left, in bytes.
const REFUSAL_BYTES: u64 = 64 << 10;

/// What one thread works with, from connection to connection.
pub(crate) struct Desk<'a> {
    record: Record<'a>,
    input: Vec<u8>,
    buffers: Buffers,
}

/// How receiving a head went, if not well.
enum NoHead {
    /// The peer closed without a word, as some front ends do after refusing a request.
    Nothing,
    /// The head did not come in time, or not to its end.
    Incomplete,
    Refused(HeadError),
}

impl<'a> Desk<'a> {
    pub(crate) fn new(record: Record<'a>) -> Self {
        Self { record, input: Vec::with_capacity(INPUT_BYTES), buffers: Buffers::default() }
    }

    /// Serves the connection that was accepted at `since_ns`; returns when it was answered, in
    /// nanoseconds of the same clock.
    pub(crate) fn serve<S>(&mut self, service: &Service<S>, wire: &dyn Wire, since_ns: u64) -> u64 {
        let outcome = self.receive_head(service, wire, since_ns).and_then(|()| {
            let decoded = scgi::decode(&self.input, &service.codec);
            let (head, taken) = decoded.map_err(NoHead::Refused)?.ok_or(NoHead::Incomplete)?;
            let arrived = Arrived { head: &head, rest: &self.input[taken..], taken };
            let exchange = Exchange { service, wire, record: self.record };
            Ok(exchange.run(arrived, &mut self.buffers, since_ns))
        });
        if self.input.capacity() > KEPT_BYTES {
            self.input = Vec::with_capacity(INPUT_BYTES);
        }
        outcome.unwrap_or_else(|no_head| {
            self.turn_away(service, wire, no_head);
            now_ns()
        })
    }

    /// Receives until the head is there, and what came with it.
    fn receive_head<S>(
        &mut self,
        service: &Service<S>,
        wire: &dyn Wire,
        since_ns: u64,
    ) -> Result<(), NoHead> {
        self.input.clear();
        let mut patience = service.limits.head_timeout;
        loop {
            match wire.append(&mut self.input, patience) {
                Ok(0) if self.input.is_empty() => return Err(NoHead::Nothing),
                Ok(0) => return Err(NoHead::Incomplete),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(NoHead::Incomplete);
                }
                Err(_) => return Err(NoHead::Nothing),
                Ok(_) => {}
            }
            let filled = self.input.len();
            let needed = scgi::needed(&self.input, &service.codec).map_err(NoHead::Refused)?;
            if needed.is_some_and(|needed| needed <= filled) {
                return Ok(());
            }
            if filled == self.input.capacity() {
                // By what has come, not by what is announced: announcing costs a peer nothing.
                self.input.reserve_exact(filled);
            }
            let spent = Duration::from_nanos(now_ns().saturating_sub(since_ns));
            patience = service.limits.head_timeout.checked_sub(spent).ok_or(NoHead::Incomplete)?;
        }
    }

    /// Ends a connection that brought no request.
    #[cold]
    fn turn_away<S>(&self, service: &Service<S>, wire: &dyn Wire, no_head: NoHead) {
        let error = match no_head {
            NoHead::Nothing => return,
            NoHead::Incomplete => return self.record.refused(Refusal::Incomplete),
            NoHead::Refused(error) => error,
        };
        self.record.refused(match error {
            HeadError::TooLong { .. } => Refusal::TooLong,
            _ => Refusal::Malformed,
        });
        if wire.send(&[&error.answer()], REFUSAL_PATIENCE).is_ok() {
            // Closing at once would make the kernel throw the answer away if more is coming.
            wire.finish();
            let longest = service.limits.discard_timeout.min(REFUSAL_PATIENCE);
            Body::new(wire, &[], u64::MAX, longest, self.record).discard(REFUSAL_BYTES, longest);
        }
    }
}

/// A request's head, and what came with it.
#[derive(Clone, Copy)]
struct Arrived<'r> {
    head: &'r Head<'r>,
    /// The first part of the body.
    rest: &'r [u8],
    /// Bytes of the head.
    taken: usize,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The client was sent a whole response.
    Answered,
    /// The client was sent the beginning of one, and can tell.
    Cut,
    /// The client went away.
    Gone,
}

/// One request and its reply.
struct Exchange<'r, S> {
    service: &'r Service<S>,
    wire: &'r dyn Wire,
    record: Record<'r>,
}

impl<'r, S> Exchange<'r, S> {
    fn run(&self, arrived: Arrived<'r>, buffers: &mut Buffers, since_ns: u64) -> u64 {
        let Arrived { head, rest, taken } = arrived;
        let Self { service, wire, record } = *self;
        let clues = Clues::of(head);
        self.begin(head, &clues, since_ns);
        let method = clues.method();
        let place = Place::of(&clues, service.mount.as_deref());
        let patience = service.limits.body_timeout;
        let body = Body::new(wire, rest, head.content_length(), patience, record);
        let state = &service.state;
        let mut request = Request { head, method, place: &place, params: None, body, state };
        let head_only = method == "HEAD";
        let mut outlet = Outlet::new(wire, buffers, service.limits.write_timeout, head_only);

        let ending = self.answer(&mut request, &mut outlet);

        let body = &mut request.body;
        let ended_ns = now_ns();
        let end = End {
            status: outlet.status(),
            aborted: ending == Ending::Gone,
            bytes_in: taken as u64 + body.received(),
            bytes_out: outlet.sent_bytes(),
            took_ns: ended_ns.saturating_sub(since_ns),
        };
        if body.leaves_rest() && ending == Ending::Answered {
            wire.finish();
            body.discard(service.limits.discard_bytes, service.limits.discard_timeout);
        }
        record.end(&end, ended_ns);
        ended_ns
    }

    fn begin(&self, head: &Head<'_>, clues: &Clues<'_>, since_ns: u64) {
        self.record.begin(since_ns, clues.method().as_bytes(), clues.uri());
        if !head.leniencies().is_none() {
            self.record.lenient();
        }
        if let Some(stamp) = clues.request_start {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            if let Some(waited) = stamp::waited(stamp, now) {
                self.record.waited(waited);
            }
        }
    }

    /// Runs the handler and sends what it answers, or what there is to say if it fails.
    fn answer<'o>(&'o self, request: &mut Request<'o, S>, outlet: &mut Outlet<'_>) -> Ending
    where
        'r: 'o,
    {
        let head = request.head;
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_answer(request, outlet)));
        let fault = match tried {
            Ok(Ok(())) if request.body.end() == BodyEnd::Gone => return Ending::Gone,
            Ok(Ok(())) => return Ending::Answered,
            Ok(Err(Fault::Client)) => return Ending::Gone,
            Ok(Err(Fault::Invalid(error))) => error.to_string(),
            Ok(Err(Fault::Handler(reason))) => reason,
            Err(panic) => format!("the handler panicked: {}", panic_text(&*panic)),
        };
        let status = match request.body.end() {
            BodyEnd::Gone => return Ending::Gone,
            BodyEnd::Silent => 408,
            BodyEnd::TooLong => 413,
            BodyEnd::Sound => {
                log::say(&format!("{fault} ({})", described(head)));
                500
            }
        };
        if outlet.sent_bytes() > 0 {
            self.wire.spoil();
            return Ending::Cut;
        }
        match outlet.reply(reply::plain(status), &mut request.body) {
            Ok(()) => Ending::Answered,
            Err(_) => Ending::Gone,
        }
    }

    fn try_answer<'o>(
        &'o self,
        request: &mut Request<'o, S>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        self.record.phase(Phase::Handling);
        let mut response = self.service.answer(request);
        if let Some(reason) = response.failure.take() {
            return Err(Fault::Handler(reason));
        }
        let body = &mut request.body;
        if body.leaves_rest() && may_block(&response) {
            let limits = &self.service.limits;
            body.discard(limits.discard_bytes, limits.discard_timeout);
        }
        self.record.phase(Phase::Writing);
        outlet.reply(response, body)
    }
}

/// What the request was, for a line of the log.
pub(crate) fn described(head: &Head<'_>) -> String {
    let clues = Clues::of(head);
    format!("{} {}", clues.method().escape_default(), clues.uri().escape_ascii())
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
