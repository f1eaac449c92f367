//! One connection in the hands of a thread: a request in, a response out.
//!
//! ```text
//! receive ─▶ route ─▶ handler ─▶ reply ─▶ close
//!    │ nothing at all: closed in silence       │ unread or untaken bytes: parked
//!    │ not SCGI: told so, counted              │ handler failed or panicked: 500, or cut
//!    │ half and nothing more: parked           └ client gone: counted, nothing more
//!    └ whole again: taken up here
//! ```
//!
//! A thread waits for no client longer than a blink: whoever is slower is *parked*, given back to
//! the caller with what has come of the request or has to go out of the reply. Whatever happens
//! here, the worker lives. Accepts nothing and knows of no other connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Phase, now_ns};
use scgi_protocol::scgi::{Decoder, Head, HeadError};

use crate::account::{self, described, panic_text, refusal};
use crate::blinks::Blinks;
use crate::body::{self, Body, BodyEnd};
use crate::cgi::Output;
use crate::clues::{Clues, Places};
use crate::intake::{self, Intake, Tail};
use crate::leaving::{Leaving, Progress};
use crate::log;
use crate::place::Place;
use crate::reply::{self, Buffers, Fault, Outlet, may_block};
use crate::request::Request;
use crate::response::Response;
use crate::service::{Answer, Service};
use crate::tally::Record;
use crate::unsent::Unsent;
use crate::wire::Wire;

/// What one thread works with, from connection to connection.
pub(crate) struct Desk<'a> {
    record: Record<'a>,
    intake: Intake,
    decoder: Decoder,
    places: Places,
    buffers: Buffers,
    blinks: Blinks,
}

/// What a connection waits for.
#[derive(Debug)]
pub(crate) enum Parked {
    /// Its request.
    Coming { intake: Intake, since_ns: u64 },
    /// The client, who is to take the reply or to be heard out.
    Leaving(Leaving),
}

/// What came of a connection.
#[derive(Debug)]
pub(crate) struct Served {
    /// When the thread was done with it.
    pub(crate) ended_ns: u64,
    /// What it waits for; `None` if it is to be closed.
    pub(crate) parked: Option<Parked>,
}

/// How receiving a request went, if it is not whole.
enum NotWhole {
    /// It has not come yet.
    Waits,
    /// The peer closed without a word, as some front ends do after refusing a request.
    Nothing,
    /// The head ended before its end.
    Incomplete,
    Refused(HeadError),
    /// The client left in the middle of the body.
    Gone,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(record: Record<'a>) -> Self {
        Self {
            record,
            intake: Intake::default(),
            decoder: Decoder::default(),
            places: Places::default(),
            buffers: Buffers::default(),
            blinks: Blinks::default(),
        }
    }

    /// Serves the connection that was accepted at `since_ns`.
    pub(crate) fn serve<S>(
        &mut self,
        service: &Service<S>,
        wire: &dyn Wire,
        since_ns: u64,
    ) -> Served {
        self.intake.clear();
        self.blinks.begin();
        let received = self.receive_head(service, wire);
        let served = received.and_then(|()| self.take_up(service, wire, (since_ns, None)));
        served.unwrap_or_else(|not_whole| self.turn_away(service, wire, not_whole, since_ns))
    }

    /// Serves a request that was parked and may be served; it is taken up at `since_ns`. Its client
    /// took `slow` to send it.
    pub(crate) fn resume<S>(
        &mut self,
        service: &Service<S>,
        wire: &dyn Wire,
        (intake, slow): (Intake, Duration),
        since_ns: u64,
    ) -> Served {
        self.intake = intake;
        let served = self.take_up(service, wire, (since_ns, Some(slow)));
        served.unwrap_or_else(|not_whole| self.turn_away(service, wire, not_whole, since_ns))
    }

    /// Receives until the head is there, and what came with it.
    fn receive_head<S>(&mut self, service: &Service<S>, wire: &dyn Wire) -> Result<(), NotWhole> {
        loop {
            match wire.take(self.intake.room()) {
                Ok(Some(0)) if self.intake.is_empty() => return Err(NotWhole::Nothing),
                Ok(Some(0)) => return Err(NotWhole::Incomplete),
                Ok(Some(_)) => {
                    let codec = &service.terms.codec;
                    if self.intake.is_head_whole(codec).map_err(NotWhole::Refused)? {
                        return Ok(());
                    }
                }
                Ok(None) if self.blinks.one_more(wire) => {}
                Ok(None) => return Err(NotWhole::Waits),
                Err(_) => return Err(NotWhole::Nothing),
            }
        }
    }

    /// Serves the request whose head is whole, unless its body is not. It is taken up at
    /// `since_ns`; if it was parked, its client was `slow` for so long.
    fn take_up<S>(
        &mut self,
        service: &Service<S>,
        wire: &dyn Wire,
        (since_ns, slow): (u64, Option<Duration>),
    ) -> Result<Served, NotWhole> {
        let (input, tail) = self.intake.parts();
        let decoded = self.decoder.decode(input, &service.terms.codec);
        let decoded = decoded.map_err(NotWhole::Refused)?;
        let (head, taken) = decoded.ok_or(NotWhole::Incomplete)?;
        let exchange = Exchange { service, wire, record: self.record };
        let early = &input[taken..];
        let (length, limits) = (head.content_length(), &service.terms.limits);
        let missing = if slow.is_none() { intake::missing(length, early, limits) } else { 0 };
        let is_lying = missing > 0 && wire.waiting() >= missing;
        if missing > 0 && !is_lying {
            tail.expect(length, early, limits);
            let received = receive_tail(tail, wire, &mut self.blinks);
            if let Err(NotWhole::Gone) = received {
                let came = (taken + tail.received()) as u64;
                return Ok(exchange.give_up(&head, came, since_ns));
            }
            if received.is_err() {
                self.intake.has_seen_head();
                return Err(NotWhole::Waits);
            }
        }
        let body = match tail.take() {
            Some(bytes) => body::Arrived::Behind(bytes),
            None if is_lying => body::Arrived::Lying(early),
            None => body::Arrived::WithHead(early),
        };
        let clues = self.places.clues(&head);
        let arrived = Arrived { head: &head, clues, body, taken, slow };
        Ok(exchange.run(arrived, &mut self.buffers, since_ns))
    }

    /// Ends a connection that brought no request, or none yet.
    #[cold]
    fn turn_away<S>(
        &mut self,
        service: &Service<S>,
        wire: &dyn Wire,
        not_whole: NotWhole,
        since_ns: u64,
    ) -> Served {
        let parked = match not_whole {
            NotWhole::Nothing | NotWhole::Gone => None,
            NotWhole::Waits => {
                let intake = std::mem::take(&mut self.intake);
                Some(Parked::Coming { intake, since_ns })
            }
            NotWhole::Incomplete => {
                self.record.refused(Refusal::Incomplete);
                None
            }
            NotWhole::Refused(error) => {
                self.record.refused(refusal(&error));
                let mut leaving = Leaving::refusal(&error.answer(), &service.terms.limits);
                let progress = leaving.go_on(wire, &service.terms.tally);
                (progress != Progress::Over).then_some(Parked::Leaving(leaving))
            }
        };
        Served { ended_ns: now_ns(), parked }
    }
}

/// Receives what is missing of the body and waited for.
fn receive_tail(tail: &mut Tail, wire: &dyn Wire, blinks: &mut Blinks) -> Result<(), NotWhole> {
    while !tail.is_whole() {
        match wire.take(tail.room()) {
            Ok(Some(0)) | Err(_) => return Err(NotWhole::Gone),
            Ok(Some(_)) => {}
            Ok(None) if blinks.one_more(wire) => {}
            Ok(None) => return Err(NotWhole::Waits),
        }
    }
    Ok(())
}

/// A request to be served.
struct Arrived<'r> {
    head: &'r Head<'r>,
    clues: Clues<'r>,
    body: body::Arrived<'r>,
    /// Bytes of the head.
    taken: usize,
    /// How long its client took to send it, if it was parked for that.
    slow: Option<Duration>,
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
    fn run(&self, arrived: Arrived<'r>, buffers: &mut Buffers, since_ns: u64) -> Served {
        let Arrived { head, clues, body, taken, slow } = arrived;
        let Self { service, wire, record } = *self;
        let limits = &service.terms.limits;
        let waited = account::begin(record, head, &clues, (since_ns, slow));
        let is_late = waited.zip(limits.queue_timeout).is_some_and(|(waited, most)| waited > most);
        let method = clues.method();
        let place = Place::of(&clues, service.mount.as_deref());
        let body = Body::new(wire, body, head.content_length(), limits.body_timeout, record);
        let state = &service.state;
        let mut request = Request { head, method, place: &place, params: None, body, state };
        let mut outlet = Outlet::new(wire, buffers, limits, method == "HEAD");

        let ending = if slow.is_some() && request.body.is_gone() {
            Ending::Gone
        } else if is_late {
            self.record.expired();
            send(&mut outlet, reply::plain(503).header("Retry-After", "1"), &mut request)
        } else {
            self.answer(&mut request, &mut outlet)
        };

        if let Some(bytes) = outlet.large_head() {
            self.record.large_head();
            log::large_head(bytes, &described(head));
        }
        request.body.discard_lying();
        let ended_ns = now_ns();
        let end = End {
            status: outlet.status(),
            aborted: ending == Ending::Gone,
            bytes_in: taken as u64 + request.body.received(),
            bytes_out: outlet.sent_bytes(),
            took_ns: ended_ns.saturating_sub(since_ns),
            is_checkup: clues.checkup.is_some(),
        };
        let (unsent, rest) = match ending {
            Ending::Answered => (outlet.into_unsent(), request.body.rest()),
            Ending::Cut | Ending::Gone => (Unsent::default(), None),
        };
        let parked = self.part(unsent, end, rest, ended_ns);
        Served { ended_ns, parked }
    }

    /// Takes leave of the request; what is left to do is left to others.
    #[inline]
    fn part(&self, unsent: Unsent, end: End, rest: Option<u64>, now_ns: u64) -> Option<Parked> {
        if unsent.is_empty() {
            self.record.end(&end, now_ns);
            rest?;
            self.wire.finish();
        } else {
            self.record.hand_over(now_ns);
        }
        let end = Some(end).filter(|_| !unsent.is_empty());
        let limits = &self.service.terms.limits;
        let mut leaving = Leaving::reply(unsent, end, rest, limits);
        let progress = leaving.go_on(self.wire, &self.service.terms.tally);
        (progress != Progress::Over).then_some(Parked::Leaving(leaving))
    }

    /// Counts a request whose client has left before it could be served.
    #[cold]
    fn give_up(&self, head: &Head<'_>, bytes_in: u64, since_ns: u64) -> Served {
        account::begin(self.record, head, &Clues::of(head), (since_ns, None));
        let ended_ns = now_ns();
        let took_ns = ended_ns.saturating_sub(since_ns);
        self.record.end(&End { aborted: true, bytes_in, took_ns, ..End::default() }, ended_ns);
        Served { ended_ns, parked: None }
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
        if outlet.has_begun() {
            self.wire.spoil();
            return Ending::Cut;
        }
        send(outlet, reply::plain(status), request)
    }

    fn try_answer<'o>(
        &'o self,
        request: &mut Request<'o, S>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        self.record.phase(Phase::Handling);
        let answer = self.service.answer(request);
        if request.body.end() == BodyEnd::Gone {
            return Err(Fault::Client);
        }
        let mut response = match answer {
            Answer::Response(response) => response,
            Answer::Writer(manner, write) => {
                let mut output = Output::new(outlet, manner);
                let written = write(request, &mut output);
                return output.end(written);
            }
            Answer::Stager(stage) => {
                outlet.staged(|out| stage(request, out))?;
                return settle(outlet, &request.body);
            }
        };
        if let Some(reason) = response.failure.take() {
            return Err(Fault::Handler(reason));
        }
        let body = &mut request.body;
        if body.rest().is_some() && may_block(&response) {
            let limits = &self.service.terms.limits;
            body.discard(limits.discard_bytes, limits.discard_timeout);
        }
        self.record.phase(Phase::Writing);
        outlet.reply(response, body)?;
        settle(outlet, body)
    }
}

/// Gives a client who is not slow a moment to take the reply. Who is still sending may not be
/// reading yet.
fn settle(outlet: &mut Outlet<'_>, body: &Body<'_>) -> Result<(), Fault> {
    if body.rest().is_some() { Ok(()) } else { outlet.settle() }
}

/// Sends a response that is not a handler's.
fn send<S>(outlet: &mut Outlet<'_>, response: Response, request: &mut Request<'_, S>) -> Ending {
    match outlet.reply(response, &mut request.body) {
        Ok(()) => Ending::Answered,
        Err(_) => Ending::Gone,
    }
}
