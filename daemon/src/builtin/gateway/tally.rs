//! What the gateway tells the daemon by its page: how many requests it passes on, and how they end.
//!
//! Never asked by anybody: the daemon reads it in the shared memory.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use scgi_protocol::page::report::End;
use scgi_protocol::page::{Page, Phase, State, now_ns};

/// The body of a reply before it is counted.
pub(super) type Content = UnsyncBoxBody<Bytes, io::Error>;

/// The gateway's page, and who stands where on it.
#[derive(Debug)]
pub(super) struct Tally {
    page: Page,
    /// For how many requests at once the configuration lets it be asked.
    capacity: u16,
    /// Which records are taken.
    taken: Mutex<Vec<bool>>,
}

/// One request under way; counted when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    tally: Arc<Tally>,
    slot: usize,
    end: End,
    since_ns: u64,
}

impl Tally {
    pub(super) fn new(page: Page, capacity: u16) -> Self {
        Self { page, capacity, taken: Mutex::default() }
    }

    /// Says that connections are accepted.
    pub(super) fn accepting(&self) {
        self.page.set_idle_since(now_ns());
        self.page.set_state(State::Accepting, self.capacity);
    }

    /// Says that no further connection is.
    pub(super) fn draining(&self) {
        self.page.set_state(State::Draining, self.capacity);
    }

    /// Notes that a request began.
    pub(super) fn begin(self: &Arc<Self>, method: &str, uri: &str) -> Turn {
        let since_ns = now_ns();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = taken.iter().position(|taken| !taken).unwrap_or(taken.len());
        match taken.get_mut(slot) {
            Some(free) => *free = true,
            None => taken.push(true),
        }
        self.page.set_idle_since(0);
        self.page.begin(slot, since_ns, method.as_bytes(), uri.as_bytes());
        Turn { tally: Arc::clone(self), slot, end: End::default(), since_ns }
    }

    fn end(&self, slot: usize, end: &End) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = taken.get_mut(slot) {
            *slot = false;
        }
        self.page.free(slot);
        self.page.count(end);
        let now_ns = now_ns();
        self.page.beat(now_ns);
        if !taken.contains(&true) {
            self.page.set_idle_since(now_ns);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end.took_ns = now_ns().saturating_sub(self.since_ns);
        self.tally.end(self.slot, &self.end);
    }
}

/// The body of a reply on its way, and the request it answers.
pub(super) struct Counted {
    content: Content,
    /// Bytes still to come, if that is known.
    left: Option<u64>,
    turn: Turn,
}

impl Counted {
    /// The body of the answer to `turn`. `length` is what its head announces, if it does; 0 if the
    /// client wants no body.
    pub(super) fn new(content: Content, mut turn: Turn, status: u16, length: Option<u64>) -> Self {
        turn.tally.page.set_phase(turn.slot, Phase::Writing);
        let left = length.or_else(|| content.size_hint().exact());
        // Whoever drops it before the end went away before the end.
        turn.end = End { status, aborted: left != Some(0), ..End::default() };
        Self { content, left, turn }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.content).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.turn.end.bytes_out += bytes;
                self.left = self.left.map(|left| left.saturating_sub(bytes));
                self.turn.end.aborted = self.left != Some(0);
            }
            // An end that comes too early is the app's doing, and cuts the connection.
            Poll::Ready(None) => self.turn.end.aborted = self.left.is_some_and(|left| left > 0),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content: _, left, turn } = self;
        f.debug_struct("Counted").field("left", left).field("turn", turn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn tally() -> Arc<Tally> {
        let tally = Tally::new(Page::create().unwrap().0, 64);
        tally.accepting();
        Arc::new(tally)
    }

    fn content(text: &'static str) -> Content {
        Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_request_is_counted_with_its_status_and_bytes_when_it_is_answered() {
        let tally = tally();

        let first = tally.begin("GET", "/a");
        let second = tally.begin("GET", "/b");
        assert_eq!((tally.page.serving().len(), tally.page.in_flight(64)), (2, 2));
        assert_eq!(tally.page.idle_since(u64::MAX), None);
        drop(Counted::new(content("hello"), first, 200, None).collect().await);
        drop(Counted::new(content(""), second, 502, None));

        let report = tally.page.report();
        assert_eq!((report.ended, report.aborted, report.bytes_out), (2, 0, 5));
        assert_eq!(report.ends, [0, 1, 0, 0, 1]);
        assert!(tally.page.idle_since(u64::MAX).is_some());
        assert!(tally.page.serving().is_empty());
    }

    #[tokio::test]
    async fn a_client_that_leaves_early_is_counted_as_gone() {
        let tally = tally();

        drop(Counted::new(content("hello"), tally.begin("GET", "/"), 200, None));
        let mut broken = Counted::new(content("hello"), tally.begin("GET", "/"), 200, Some(9));
        while broken.frame().await.is_some() {}
        drop(broken);
        drop(Counted::new(content("hello"), tally.begin("HEAD", "/"), 200, Some(0)));

        assert_eq!(tally.page.report().aborted, 2);
        assert_eq!(tally.page.report().ended, 3);
    }
}
