//! One connection from its first byte to its last: a request in, a response out.
//!
//! ```text
//! receive the head ─▶ tower service ─▶ reply ─▶ close
//!    │ nothing at all: closed in silence       │ body left unread: heard out, within bounds
//!    │ not SCGI: told so, counted              │ service failed or panicked: 500, or cut
//!    └ half and silence: closed, counted       └ client gone: service dropped, counted
//! ```
//!
//! Whatever happens here, the worker lives. Accepts nothing and knows of no other connection.

use std::future::poll_fn;
use std::io;
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
use scgi_protocol::scgi::{self, HeadError};
use tokio::time::timeout;

use super::incoming::{self, Incoming};
use super::reply::{Fault, Outlet, Whole, may_block};
use super::request::{Variables, request};
use super::wire::Wire;
use super::{Floor, HttpService};
use crate::account::{self, described, panic_text, refusal};
use crate::clues::Clues;
use crate::intake::{INPUT_BYTES, KEPT_BYTES};
use crate::log;
use crate::reply::plain_text;
use crate::tally::Record;

/// Bytes that nobody wants are received so many at a time.
const WASTE_BYTES: usize = 16 << 10;

/// How long a peer that did not speak SCGI gets to take the answer in.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(200);

/// The most that is read from such a peer before he is left, in bytes.
const REFUSAL_BYTES: u64 = 64 << 10;

/// How receiving a head went, if not well.
enum NoHead {
    /// The peer closed without a word, as some front ends do after refusing a request.
    Nothing,
    /// The head did not come in time, or not to its end.
    Incomplete,
    Refused(HeadError),
}

/// A request that came.
struct Understood {
    request: http::Request<Incoming>,
    variables: Variables,
    /// Bytes of its head.
    taken: usize,
    /// It waited longer than anybody should.
    is_late: bool,
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

/// Serves the connection `fd` with `service`, and keeps account of it at `slot`; receives its head
/// into `input`, whatever is in there.
pub(super) async fn serve(
    floor: &Floor,
    service: impl HttpService,
    fd: OwnedFd,
    slot: usize,
    input: &mut Vec<u8>,
) {
    let wire = Arc::new(Wire::new(fd));
    let record = floor.terms.tally.record(slot);
    let exchange = Exchange { floor, wire: &wire, record, since_ns: now_ns() };
    input.clear();
    input.shrink_to(KEPT_BYTES);
    input.reserve(INPUT_BYTES);
    match exchange.receive_head(input).await {
        Ok(()) => exchange.run(service, input).await,
        Err(no_head) => exchange.turn_away(no_head).await,
    }
}

/// One request and its reply.
struct Exchange<'c> {
    floor: &'c Floor,
    wire: &'c Arc<Wire>,
    record: Record<'c>,
    since_ns: u64,
}

impl Exchange<'_> {
    /// Receives until the head is there, and what came with it.
    async fn receive_head(&self, input: &mut Vec<u8>) -> Result<(), NoHead> {
        let (limits, codec) = (&self.floor.terms.limits, &self.floor.terms.codec);
        let mut patience = limits.head_timeout;
        loop {
            match self.wire.append(input, patience).await {
                Ok(0) if input.is_empty() => return Err(NoHead::Nothing),
                Ok(0) => return Err(NoHead::Incomplete),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(NoHead::Incomplete);
                }
                Err(_) => return Err(NoHead::Nothing),
                Ok(_) => {}
            }
            let filled = input.len();
            let needed = scgi::needed(input, codec).map_err(NoHead::Refused)?;
            if needed.is_some_and(|needed| needed <= filled) {
                return Ok(());
            }
            if filled == input.capacity() {
                // By what has come, not by what is announced: announcing costs a peer nothing.
                input.reserve_exact(filled);
            }
            let spent = Duration::from_nanos(now_ns().saturating_sub(self.since_ns));
            patience = limits.head_timeout.checked_sub(spent).ok_or(NoHead::Incomplete)?;
        }
    }

    /// Ends a connection that brought no request.
    #[cold]
    async fn turn_away(&self, no_head: NoHead) {
        let error = match no_head {
            NoHead::Nothing => return,
            NoHead::Incomplete => return self.record.refused(Refusal::Incomplete),
            NoHead::Refused(error) => error,
        };
        self.record.refused(refusal(&error));
        if self.wire.send([&error.answer(), &[]], REFUSAL_PATIENCE).await.is_ok() {
            self.linger().await;
        }
    }

    /// Hears out a peer that says more than it announced, lest the kernel throw the answer away.
    #[cold]
    async fn linger(&self) {
        self.wire.finish();
        self.wire.unread.store(u64::MAX, Relaxed);
        self.discard(REFUSAL_BYTES, REFUSAL_PATIENCE).await;
    }

    async fn run(&self, service: impl HttpService, input: &[u8]) {
        let Understood { request, variables, taken, is_late } = match self.understand(input) {
            Ok(understood) => understood,
            Err(no_head) => return self.turn_away(no_head).await,
        };
        let length = request.body().remaining();
        let head_only = request.method() == http::Method::HEAD;
        let mut outlet = Outlet::new(self.wire, self.floor.terms.limits.write_timeout);

        let what = || described(&variables.0);
        let ending = if is_late {
            self.record.expired();
            self.say(503, &mut outlet, head_only).await
        } else {
            match self.answer(service, request, &mut outlet, head_only).await {
                Ok(_) if self.wire.gone.load(Relaxed) => Ending::Gone,
                Ok(ending) => ending,
                Err(reason) => {
                    self.fail(&format!("{reason} ({})", what()), &mut outlet, head_only).await
                }
            }
        };
        if let Some(bytes) = outlet.large_head {
            self.record.large_head();
            log::large_head(bytes, &what());
        }

        self.wire.closed.store(true, Relaxed);
        let (unread, ended_ns) = (self.wire.unread.load(Relaxed), now_ns());
        let end = End {
            status: outlet.sent.status,
            aborted: ending == Ending::Gone,
            bytes_in: taken as u64 + length.saturating_sub(unread),
            bytes_out: outlet.sent.bytes,
            took_ns: ended_ns.saturating_sub(self.since_ns),
        };
        match (ending, unread) {
            (Ending::Answered, 0) if self.wire.surplus.load(Relaxed) => self.linger().await,
            (Ending::Answered, 1..) => {
                let limits = &self.floor.terms.limits;
                self.wire.finish();
                self.discard(limits.discard_bytes, limits.discard_timeout).await;
            }
            (Ending::Answered, 0) | (Ending::Cut | Ending::Gone, _) => {}
        }
        self.record.end(&end, ended_ns);
        self.floor.pulse.beat(ended_ns);
    }

    /// The request that came, begun on the page.
    fn understand(&self, input: &[u8]) -> Result<Understood, NoHead> {
        let codec = &self.floor.terms.codec;
        let taken = scgi::needed(input, codec).map_err(NoHead::Refused)?;
        let (bytes, arrived) = input.split_at(taken.ok_or(NoHead::Incomplete)?);
        let bytes = Bytes::copy_from_slice(bytes);
        let decoded = scgi::decode(&bytes, codec).map_err(NoHead::Refused)?;
        let (head, taken) = decoded.ok_or(NoHead::Incomplete)?;
        let clues = Clues::of(&head);
        let waited = account::begin(self.record, &head, &clues, (self.since_ns, None));
        self.record.phase(Phase::Handling);
        let most = self.floor.terms.limits.queue_timeout;
        let is_late = waited.zip(most).is_some_and(|(waited, most)| waited > most);
        let mut coming = scgi::Body::new(head.content_length());
        let early = coming.take(arrived);
        self.wire.surplus.store(early.len() < arrived.len(), Relaxed);
        self.wire.unread.store(coming.remaining(), Relaxed);
        let early = Incoming::begun(self.wire, early);
        let body =
            Incoming::new(Arc::clone(self.wire), early, self.floor.terms.limits.body_timeout);
        let mut request = request(&head, &bytes, &clues, self.floor.mount.as_deref(), body);
        let variables = Variables(Arc::new(head.into_owned()));
        request.extensions_mut().insert(variables.clone());
        Ok(Understood { request, variables, taken, is_late })
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
                self.discard(limits.discard_bytes, limits.discard_timeout).await;
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
    async fn fail(&self, why: &str, outlet: &mut Outlet<'_>, head_only: bool) -> Ending {
        let status = match (self.wire.gone.load(Relaxed), self.wire.silent.load(Relaxed)) {
            (true, _) => return Ending::Gone,
            (false, true) => 408,
            (false, false) => {
                log::say(why);
                500
            }
        };
        if outlet.sent.bytes > 0 {
            self.wire.spoil();
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

    /// Reads on without use for it, until the end, `most` bytes or `longest`.
    async fn discard(&self, most: u64, longest: Duration) {
        let (wire, mut frame) = (self.wire, Vec::with_capacity(WASTE_BYTES));
        let before = wire.unread.load(Relaxed);
        let read = async {
            while wire.unread.load(Relaxed) > 0 && before - wire.unread.load(Relaxed) < most {
                frame.clear();
                if poll_fn(|cx| incoming::receive(wire, &mut frame, cx)).await.is_err() {
                    return;
                }
            }
        };
        // Whoever sends for longer than this has had time enough to take the answer.
        let _ = timeout(longest, read).await;
    }
}
