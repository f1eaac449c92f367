//! The shield: where clients are waited for, so that no thread is.
//!
//! ```text
//! thread or task ──parks──▶ guard (one thread for all, one epoll set) ──whole──▶ ready ──▶ any of them
//!                             └ replies sent, peers heard out ──▶ closed
//! ```
//!
//! The guard is started with the first client that is slow; a worker who never meets one has none.
//! Where it cannot be had (no more threads, too much memory), whoever parks a client waits for it.
//! Tasks, which must not wait for it, have it dropped then. Serves nothing: a request that is whole is
//! given back.

mod case;
mod guard;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit};
use scgi_protocol::page::now_ns;

use crate::connection::Parked;
use crate::intake::Intake;
use crate::log;
use crate::pulse::Pulse;
use crate::service::Terms;
use crate::wire::Socket;

use case::Case;
use guard::Guard;

/// How often whoever waits for the end looks whether there is something to say.
const LOOK: Duration = Duration::from_secs(1);

/// The clients of a worker that are waited for.
#[derive(Debug)]
pub(crate) struct Shield {
    terms: Arc<Terms>,
    state: Mutex<State>,
    changed: Condvar,
    /// Readable while requests are ready.
    bell: EventFd,
    /// Readable when the guard has something to look at.
    knock: EventFd,
    /// The number of requests that are ready, for a look without a lock.
    ready: AtomicUsize,
    /// Bytes of memory that all of them hold.
    weight: AtomicUsize,
    most: usize,
}

/// Who is where.
#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Ready>,
    /// Connections the guard has not seen yet.
    inbox: Vec<Case<Socket>>,
    /// Connections that a thread may have to serve yet, ready ones included.
    coming: usize,
    /// All connections.
    parked: usize,
    guard: Post,
}

/// Whether the guard is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Post {
    /// Nobody was slow so far.
    #[default]
    Vacant,
    Manned,
    /// It is to leave when nobody is parked.
    Closing,
}

/// A request that may be served.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) wire: Socket,
    pub(crate) intake: Intake,
    /// How long its client took to send it.
    pub(crate) slow: Duration,
    weight: usize,
}

impl Shield {
    /// A shield that waits for nobody yet.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor left.
    pub(crate) fn new(terms: Arc<Terms>) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            most: most(terms.limits.parked),
            terms,
            state: Mutex::default(),
            changed: Condvar::new(),
            bell: EventFd::from_flags(flags | EfdFlags::EFD_SEMAPHORE)?,
            knock: EventFd::from_flags(flags)?,
            ready: AtomicUsize::new(0),
            weight: AtomicUsize::new(0),
        })
    }

    /// Takes over a connection. Returns at once, unless there is nobody to give it to.
    pub(crate) fn park(self: &Arc<Self>, wire: Socket, parked: Parked) {
        if let Some(case) = self.give(wire, parked) {
            Guard::see_off(self, case);
        }
    }

    /// Takes over a connection for somebody who must not wait: without the means to look after it,
    /// it is dropped and counted.
    #[cfg(feature = "async")]
    pub(crate) fn park_or_drop(self: &Arc<Self>, wire: Socket, parked: Parked) {
        if let Some(case) = self.give(wire, parked) {
            log::say("cannot wait for a slow client; dropped");
            self.drop_at_once(case);
        }
    }

    /// Gives a connection to the guard; back to whoever has it if there is none, or no memory.
    fn give(self: &Arc<Self>, wire: Socket, parked: Parked) -> Option<Case<Socket>> {
        let case = Case::new(wire, parked, now_ns());
        let mut state = self.lock();
        state.coming += usize::from(case.is_coming());
        self.count(&mut state, |parked| parked + 1);
        let has_room = case.is_coming() || self.has_room(case.weight());
        if has_room && self.is_manned(&mut state) {
            state.inbox.push(case);
            ring(&self.knock);
            return None;
        }
        Some(case)
    }

    /// Whether a request is ready, as far as can be seen without a lock.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.load(Relaxed) > 0
    }

    /// A request that is ready, if another thread was not quicker.
    pub(crate) fn take(&self) -> Option<Ready> {
        self.take_from(&mut self.lock())
    }

    /// The next request for a thread that accepts no more; waits for it. `None` when none can come.
    pub(crate) fn next_of_the_last(&self, pulse: &Pulse) -> Option<Ready> {
        let mut state = self.lock();
        loop {
            let ready = self.take_from(&mut state);
            if ready.is_some() || state.coming == 0 {
                return ready;
            }
            state = self.wait(state, pulse);
        }
    }

    /// Waits until nobody is parked, and ends the guard.
    pub(crate) fn finish(&self, pulse: &Pulse) {
        let mut state = self.lock();
        if state.guard == Post::Manned {
            state.guard = Post::Closing;
            ring(&self.knock);
        }
        while state.guard == Post::Closing {
            state = self.wait(state, pulse);
        }
    }

    /// Whether somebody is parked who may have to be served yet.
    #[cfg(feature = "async")]
    pub(crate) fn is_coming(&self) -> bool {
        self.lock().coming > 0
    }

    /// Asks the guard to leave when nobody is parked; whether it has left.
    #[cfg(feature = "async")]
    pub(crate) fn has_closed(&self) -> bool {
        let mut state = self.lock();
        if state.guard == Post::Manned {
            state.guard = Post::Closing;
            ring(&self.knock);
        }
        state.guard == Post::Vacant
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, pulse: &Pulse) -> MutexGuard<'s, State> {
        let longest = pulse.interval().unwrap_or(LOOK);
        let (state, _) =
            self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner);
        pulse.beat(now_ns());
        state
    }

    fn take_from(&self, state: &mut State) -> Option<Ready> {
        let ready = state.ready.pop_front()?;
        self.ready.store(state.ready.len(), Relaxed);
        self.weight.fetch_sub(ready.weight, Relaxed);
        // One ring for each: whoever is woken for nothing goes back to sleep.
        let _ = self.bell.read();
        self.count(state, |parked| parked - 1);
        self.is_no_longer_coming(state);
        Some(ready)
    }

    /// Gives a request to the threads.
    fn give_back(&self, ready: Ready) {
        let mut state = self.lock();
        state.ready.push_back(ready);
        self.ready.store(state.ready.len(), Relaxed);
        ring(&self.bell);
        self.changed.notify_one();
    }

    /// Connections that the guard has not seen.
    fn newcomers(&self) -> Vec<Case<Socket>> {
        std::mem::take(&mut self.lock().inbox)
    }

    fn hear_knock(&self) {
        // Whoever it was, all that is new is looked at.
        let _ = self.knock.read();
    }

    /// Whether the guard may leave, who looks after nobody.
    fn dismisses_guard(&self) -> bool {
        let mut state = self.lock();
        let is_done = state.guard == Post::Closing && state.inbox.is_empty();
        if is_done {
            state.guard = Post::Vacant;
            self.changed.notify_all();
        }
        is_done
    }

    /// Notes that a connection holds another amount of memory; whether that is too much in all.
    fn reweigh(&self, before: usize, after: usize) -> bool {
        let others = self.weight.fetch_sub(before, Relaxed) - before;
        self.weight.fetch_add(after, Relaxed);
        others + after > self.terms.limits.parked_bytes
    }

    /// Notes that a connection was closed, which held so much memory.
    fn is_over(&self, weight: usize) {
        self.weight.fetch_sub(weight, Relaxed);
        self.count(&mut self.lock(), |parked| parked - 1);
    }

    fn drop_at_once(&self, mut case: Case<Socket>) {
        self.terms.tally.shed();
        if case.is_coming() {
            self.is_no_longer_coming(&mut self.lock());
        }
        case.give_up(&self.terms);
        self.is_over(0);
    }

    fn is_no_longer_coming(&self, state: &mut State) {
        state.coming -= 1;
        if state.coming == 0 {
            self.changed.notify_all();
        }
    }

    fn count(&self, state: &mut State, change: impl FnOnce(usize) -> usize) {
        state.parked = change(state.parked);
        self.terms.tally.parked(state.parked);
    }

    /// Whether there is memory for so many bytes more.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let held = self.weight.load(Relaxed);
        held.saturating_add(bytes) <= self.terms.limits.parked_bytes
    }

    /// Whether the guard is there; sees to it that it is.
    fn is_manned(self: &Arc<Self>, state: &mut State) -> bool {
        if state.guard == Post::Vacant {
            let started = Guard::open(self).and_then(|guard| {
                let thread = thread::Builder::new().name("scgi-shield".to_owned());
                thread.spawn(move || guard.keep())
            });
            match started {
                Ok(_) => state.guard = Post::Manned,
                Err(error) => log::say(&format!("cannot wait for slow clients aside: {error}")),
            }
        }
        state.guard != Post::Vacant
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic: nothing in here can.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its descriptor is readable while requests are ready.
impl AsFd for Shield {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn ring(bell: &EventFd) {
    // Fails only if it has been rung 2^64 times already.
    let _ = bell.write(1);
}

/// How many clients to wait for: the rest of the descriptors is for those that are served.
fn most(wanted: usize) -> usize {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let half = usize::try_from(allowed / 2).unwrap_or(usize::MAX);
    wanted.min(half).max(1)
}
