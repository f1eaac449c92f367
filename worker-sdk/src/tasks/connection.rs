//! One connection in the hands of a task: a request in, a response out.
//!
//! ```text
//! receive ─▶ tower service ─▶ reply ─▶ close
//!    │ nothing at all: closed in silence       │ unread or untaken bytes: parked
//!    │ not SCGI: told so, counted              │ service failed or panicked: 500, or cut
//!    │ half and nothing more: parked           └ client gone: service dropped, counted
//!    └ whole again: taken up here
//! ```
//!
//! A task has room for its request only while there is something to do for it: whoever is slower than
//! a blink is *parked* with the shield, which is that of the threads. Whatever happens here, the worker
//! lives. Accepts nothing and knows of no other connection.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use scgi_protocol::page::report::{End, Refusal};
use scgi_protocol::page::{Phase, now_ns};
use scgi_protocol::scgi::{self, Head};

use super::incoming::{Incoming, discard};
use super::receive::{NotWhole, receive_head, receive_tail};
use super::reply::{Fault, Outlet, Whole, may_block};
use super::request::{Variables, request};
use super::wire::Wire;
use super::{Floor, HttpService};
use crate::account::{self, described, panic_text, refusal};
use crate::clues::Clues;
use crate::connection::Parked;
use crate::intake::Intake;
use crate::leaving::{Leaving, Progress};
use crate::log;
use crate::reply::plain_text;
use crate::shield::Ready;
use crate::tally::Record;
use crate::unsent::Unsent;
use crate::wire::{Socket, Wire as _};

/// A connection to be served.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It was accepted just now.
    Fresh(OwnedFd),
    /// It was parked, and its request is whole.
    Whole(Ready),
}

/// A request to be served.
struct Arrived<'r> {
    head: Head<'r>,
    /// What the head was decoded from.
    bytes: &'r Bytes,
    /// What has come of the body, or more.
    body: Bytes,
}

/// The same as the service is told of it.
struct Understood {
    request: http::Request<Incoming>,
    variables: Variables,
    /// It waited longer than anybody should.
    is_late: bool,
    /// The daemon asks.
    is_checkup: bool,
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

/// Serves a connection with `service`, and keeps account of it at `slot`; receives into `intake`,
/// whatever is in there.
pub(super) async fn serve(
    floor: &Floor,
    service: impl HttpService,
    from: Arrival,
    slot: usize,
    intake: &mut Intake,
) {
    let (socket, slow) = match from {
        Arrival::Fresh(fd) => {
            intake.clear();
            (Socket::new(fd), None)
        }
        Arrival::Whole(ready) => {
            *intake = ready.intake;
            (ready.wire, Some(ready.slow))
        }
    };
    let wire = Arc::new(Wire::new(socket));
    let record = floor.terms.tally.record(slot);
    let exchange = Exchange { floor, wire: &wire, record, since_ns: now_ns(), slow };
    let parked = match exchange.take_up(service, intake).await {
        Ok(leaving) => leaving.map(Parked::Leaving),
        Err(not_whole) => exchange.turn_away(not_whole, intake),
    };
    floor.pulse.beat(now_ns());
    let Some(parked) = parked else { return };
    match wire.into_socket() {
        Ok(socket) => floor.shield.park_or_drop(socket, parked),
        Err(error) => {
            log::say(&format!("cannot wait for a slow client: {error}; dropped"));
            if let Parked::Leaving(mut leaving) = parked {
                let _ = leaving.give_up(&floor.terms.tally);
            }
        }
    }
}

/// One request and its reply.
struct Exchange<'c> {
    floor: &'c Floor,
    wire: &'c Arc<Wire>,
    record: Record<'c>,
    since_ns: u64,
    /// How long its client took to send it, if it was parked for that.
    slow: Option<Duration>,
}

impl Exchange<'_> {
    /// Serves the request, if it is whole; what is left to do is left to others.
    async fn take_up(
        &self,
        service: impl HttpService,
        intake: &mut Intake,
    ) -> Result<Option<Leaving>, NotWhole> {
        if self.slow.is_none() {
            receive_head(self.wire, intake, &self.floor.terms.codec, self.since_ns).await?;
        }
        let terms = &self.floor.terms;
        let (input, tail) = intake.parts();
        let needed = scgi::needed(input, &terms.codec).map_err(NotWhole::Refused)?;
        let parts = needed.and_then(|taken| input.split_at_checked(taken));
        let (head, arrived) = parts.ok_or(NotWhole::Incomplete)?;
        // One copy, of which all that the service is told is a part.
        let bytes = Bytes::copy_from_slice(head);
        let decoded = scgi::decode(&bytes, &terms.codec).map_err(NotWhole::Refused)?;
        let (head, taken) = decoded.ok_or(NotWhole::Incomplete)?;
        if self.slow.is_none() {
            tail.expect(head.content_length(), arrived, &terms.limits);
            let received = receive_tail(self.wire, tail, self.since_ns).await;
            if let Err(NotWhole::Gone) = received {
                self.give_up(&head, (taken + tail.received()) as u64);
                return Ok(None);
            }
            if received.is_err() {
                intake.has_seen_head();
                return received.map(|()| None);
            }
        }
        let body = match tail.take() {
            Some(bytes) => bytes.into(),
            None => Bytes::copy_from_slice(arrived),
        };
        Ok(self.run(service, Arrived { head, bytes: &bytes, body }).await)
    }

    /// Ends a connection that brought no request, or none yet.
    #[cold]
    fn turn_away(&self, not_whole: NotWhole, intake: &mut Intake) -> Option<Parked> {
        match not_whole {
            NotWhole::Nothing | NotWhole::Gone => None,
            NotWhole::Waits => {
                let intake = std::mem::take(intake);
                Some(Parked::Coming { intake, since_ns: self.since_ns })
            }
            NotWhole::Incomplete => {
                self.record.refused(Refusal::Incomplete);
                None
            }
            NotWhole::Refused(error) => {
                self.record.refused(refusal(&error));
                let leaving = Leaving::refusal(&error.answer(), &self.floor.terms.limits);
                self.leave(leaving).map(Parked::Leaving)
            }
        }
    }

    /// Counts a request whose client has left before it could be served.
    #[cold]
    fn give_up(&self, head: &Head<'_>, bytes_in: u64) {
        account::begin(self.record, head, &Clues::of(head), (self.since_ns, None));
        let ended_ns = now_ns();
        let took_ns = ended_ns.saturating_sub(self.since_ns);
        self.record.end(&End { aborted: true, bytes_in, took_ns, ..End::default() }, ended_ns);
    }

    /// Does of it what can be done without waiting; what is left then.
    fn leave(&self, mut leaving: Leaving) -> Option<Leaving> {
        let progress = leaving.go_on(self.wire.socket(), &self.floor.terms.tally);
        (progress != Progress::Over).then_some(leaving)
    }

    async fn run(&self, service: impl HttpService, arrived: Arrived<'_>) -> Option<Leaving> {
        let (limits, taken) = (&self.floor.terms.limits, arrived.bytes.len());
        let Understood { request, variables, is_late, is_checkup } = self.understand(arrived);
        let head = &*variables.0;
        let length = request.body().remaining();
        let head_only = request.method() == http::Method::HEAD;
        let mut outlet = Outlet::new(self.wire, limits);

        let ending = if self.slow.is_some() && self.wire.socket().is_gone() {
            Ending::Gone
        } else if is_late {
            self.record.expired();
            self.say(503, &mut outlet, head_only).await
        } else {
            match self.answer(service, request, &mut outlet, head_only).await {
                Ok(_) if self.wire.gone.load(Relaxed) => Ending::Gone,
                Ok(ending) => ending,
                Err(reason) => self.fail(&reason, head, (&mut outlet, head_only)).await,
            }
        };
        if let Some(bytes) = outlet.large_head {
            self.record.large_head();
            log::large_head(bytes, &described(head));
        }

        let rest = self.rest();
        let ending = self.settle(ending, &mut outlet, rest.is_some()).await;
        self.wire.closed.store(true, Relaxed);
        let ended_ns = now_ns();
        let end = End {
            status: outlet.status(),
            aborted: ending == Ending::Gone,
            bytes_in: taken as u64 + length.saturating_sub(self.wire.unread.load(Relaxed)),
            bytes_out: outlet.sent_bytes(),
            took_ns: ended_ns.saturating_sub(self.since_ns),
            is_checkup,
        };
        let (unsent, rest) = match ending {
            Ending::Answered => (outlet.into_unsent(), rest),
            Ending::Cut | Ending::Gone => (Unsent::default(), None),
        };
        self.part(unsent, end, rest, ended_ns)
    }

    /// Bytes of the request that closing would leave unread, as far as is known.
    fn rest(&self) -> Option<u64> {
        match self.wire.unread.load(Relaxed) {
            // Nobody knows how much comes that should not.
            _ if self.wire.surplus.load(Relaxed) => Some(u64::MAX),
            0 => None,
            unread => Some(unread),
        }
    }

    /// Waits a moment for a client who is about to take the end of its reply; longer only where there
    /// is no memory to have it waited for.
    async fn settle(&self, ending: Ending, outlet: &mut Outlet<'_>, is_sending: bool) -> Ending {
        let has_room = self.floor.shield.has_room(outlet.kept_bytes());
        // Who is still sending may not be reading yet.
        if ending != Ending::Answered || (is_sending && has_room) {
            return ending;
        }
        match outlet.settle(!has_room).await {
            Ok(()) => Ending::Answered,
            Err(_) => Ending::Gone,
        }
    }

    /// Takes leave of the request; what is left to do is left to others.
    fn part(&self, unsent: Unsent, end: End, rest: Option<u64>, now_ns: u64) -> Option<Leaving> {
        if unsent.is_empty() {
            self.record.end(&end, now_ns);
            rest?;
            self.wire.socket().finish();
        } else {
            self.record.hand_over(now_ns);
        }
        let end = Some(end).filter(|_| !unsent.is_empty());
        self.leave(Leaving::reply(unsent, end, rest, &self.floor.terms.limits))
    }

    /// The request that a head means, begun on the page.
    fn understand(&self, arrived: Arrived<'_>) -> Understood {
        let Arrived { head, bytes, body: arrived } = arrived;
        let limits = &self.floor.terms.limits;
        let clues = Clues::of(&head);
        let waited = account::begin(self.record, &head, &clues, (self.since_ns, self.slow));
        self.record.phase(Phase::Handling);
        let is_checkup = clues.checkup.is_some();
        let is_late = waited.zip(limits.queue_timeout).is_some_and(|(waited, most)| waited > most);
        let mut coming = scgi::Body::new(head.content_length());
        let wanted = coming.take(&arrived).len();
        self.wire.surplus.store(wanted < arrived.len(), Relaxed);
        self.wire.unread.store(coming.remaining(), Relaxed);
        let early = arrived.slice(..wanted);
        let body = Incoming::new(Arc::clone(self.wire), early, limits.body_timeout);
        let mut request = request(&head, bytes, &clues, self.floor.mount.as_deref(), body);
        let variables = Variables(Arc::new(head.into_owned()));
        request.extensions_mut().insert(variables.clone());
        Understood { request, variables, is_late, is_checkup }
    }

    /// Runs the service and sends what it answers, unless the client leaves meanwhile.
    ///
    /// # Errors
    ///
    /// Why the service did not answer, or not to the end.
    async fn answer(
        &self,
        service: impl HttpService,
        request: http::Request<Incoming>,
        outlet: &mut Outlet<'_>,
        head_only: bool,
    ) -> Result<Ending, String> {
        let work = async {
            let answered = service.answer(request).await;
            let response = answered.map_err(|error| error.to_string())?;
            if self.wire.unread.load(Relaxed) > 0 && may_block(&response) {
                let limits = &self.floor.terms.limits;
                discard(self.wire, limits.discard_bytes, limits.discard_timeout).await;
            }
            self.record.phase(Phase::Writing);
            match outlet.reply(response, head_only).await {
                Ok(()) => Ok(Ending::Answered),
                Err(Fault::Client) => Ok(Ending::Gone),
                Err(Fault::Handler(reason)) => Err(reason),
            }
        };
        let mut work = pin!(work);
        let mut gone = pin!(self.wire.until_gone());
        poll_fn(|cx| {
            let turned = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
            match turned {
                Err(panic) => {
                    return Poll::Ready(Err(format!(
                        "the handler panicked: {}",
                        panic_text(&*panic)
                    )));
                }
                Ok(Poll::Ready(done)) => return Poll::Ready(done),
                Ok(Poll::Pending) => {}
            }
            // While a body is on its way, reading it tells.
            match self.wire.unread.load(Relaxed) {
                0 => gone.as_mut().poll(cx).map(|()| Ok(Ending::Gone)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Answers for a service that did not.
    #[cold]
    async fn fail(
        &self,
        why: &str,
        head: &Head<'_>,
        (outlet, head_only): (&mut Outlet<'_>, bool),
    ) -> Ending {
        let status = match (self.wire.gone.load(Relaxed), self.wire.silent.load(Relaxed)) {
            (true, _) => return Ending::Gone,
            (false, true) => 408,
            (false, false) => {
                log::say(&format!("{why} ({})", described(head)));
                500
            }
        };
        if outlet.has_begun() {
            self.wire.socket().spoil();
            return Ending::Cut;
        }
        self.say(status, outlet, head_only).await
    }

    /// Answers with a status and its name.
    #[cold]
    async fn say(&self, status: u16, outlet: &mut Outlet<'_>, head_only: bool) -> Ending {
        let mut response = http::Response::new(Whole(plain_text(status).into()));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == 503 {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        match outlet.reply(response, head_only).await {
            Ok(()) => Ending::Answered,
            Err(_) => Ending::Gone,
        }
    }
}
