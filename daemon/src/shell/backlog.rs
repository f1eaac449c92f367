//! How many connections wait in the listeners' queues, by app, as the kernel says.
//!
//! ```text
//! waiting(app) ─▶ asked within the last tenth of a second? ─yes─▶ that answer, summed
//!                                   └──no──▶ one dump of all listeners (`diag`) ─▶ keep, sum
//! ```
//!
//! Nothing here touches a listener: the kernel is asked about sockets from outside, so no worker
//! loses a wake-up by it. What the kernel does not say is `None`, never 0.

mod diag;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::stat::fstat;
use scgi_protocol::name::AppName;

pub use diag::{Backlog, BacklogError};

use super::clock::Clock;

/// How long the kernel's answer is good for.
const FRESH_NS: u64 = 100_000_000;

/// Where the kernel says how long an accept queue may be at most.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// The number by which the kernel knows a socket in this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inode(pub u64);

impl Inode {
    /// The number of the socket behind `socket`.
    ///
    /// # Errors
    ///
    /// What fstat(2) says.
    pub fn of(socket: impl AsFd) -> io::Result<Self> {
        Ok(Self(fstat(socket)?.st_ino))
    }
}

/// How full an accept queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// How many may wait.
    pub limit: u32,
}

impl Depth {
    /// Two queues taken together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            waiting: self.waiting.saturating_add(other.waiting),
            limit: self.limit.saturating_add(other.limit),
        }
    }
}

/// The queues of every app. Clones are handles of the same ones.
#[derive(Clone, Debug)]
pub struct Queues {
    listeners: Arc<Mutex<BTreeMap<AppName, Vec<Inode>>>>,
    answer: Arc<Mutex<Answer>>,
}

/// What the kernel last said.
#[derive(Debug)]
struct Answer {
    backlog: Option<Backlog>,
    asked_ns: Option<u64>,
    depths: BTreeMap<Inode, Depth>,
}

impl Default for Queues {
    fn default() -> Self {
        Self::new()
    }
}

impl Queues {
    /// No queues yet. If the kernel has no interface to ask about sockets, a warning is logged and
    /// no queue will ever be known.
    pub fn new() -> Self {
        let backlog = Backlog::open().map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "queue depths are not known; the kernel does not answer");
        });
        let answer = Answer { backlog: backlog.ok(), asked_ns: None, depths: BTreeMap::new() };
        Self { listeners: Arc::default(), answer: Arc::new(Mutex::new(answer)) }
    }

    /// These are the listeners of `app`; none of them: the app has no queue.
    pub fn set(&self, app: &AppName, listeners: Vec<Inode>) {
        let mut known = lock(&self.listeners);
        if listeners.is_empty() {
            known.remove(app);
        } else {
            known.insert(app.clone(), listeners);
        }
    }

    /// The queues of all listeners of `app` taken together, not older than a tenth of a second.
    ///
    /// `None` if the app has no listener, or the kernel does not speak of one of them.
    pub fn waiting(&self, app: &AppName) -> Option<Depth> {
        let listeners = lock(&self.listeners).get(app)?.clone();
        let answer = self.answer();
        sum(&listeners, &answer.depths)
    }

    /// As [`Self::waiting`], for all apps of which the kernel speaks.
    pub fn all(&self) -> BTreeMap<AppName, Depth> {
        let listeners = lock(&self.listeners).clone();
        let answer = self.answer();
        let depth = |(app, of): (AppName, Vec<Inode>)| Some((app, sum(&of, &answer.depths)?));
        listeners.into_iter().filter_map(depth).collect()
    }

    fn answer(&self) -> MutexGuard<'_, Answer> {
        let mut answer = lock(&self.answer);
        let now_ns = Clock::monotonic_ns();
        let fresh = answer.asked_ns.is_some_and(|asked| now_ns.saturating_sub(asked) < FRESH_NS);
        if !fresh {
            answer.depths = answer.backlog.as_mut().map(Backlog::depths).unwrap_or_default();
            answer.asked_ns = Some(now_ns);
        }
        answer
    }
}

fn sum(listeners: &[Inode], depths: &BTreeMap<Inode, Depth>) -> Option<Depth> {
    let mut known = listeners.iter().map(|listener| depths.get(listener).copied());
    known.try_fold(Depth::default(), |sum, depth| Some(sum.plus(depth?)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sentence for the operator if the kernel cuts an accept queue of `asked` connections short.
///
/// `None` if it does not, or does not tell its limit.
pub fn cut_short(asked: u16) -> Option<String> {
    let limit = fs::read_to_string(SOMAXCONN).ok()?.trim().parse().ok()?;
    cut_short_by(asked, limit)
}

fn cut_short_by(asked: u16, limit: u32) -> Option<String> {
    (u32::from(asked) > limit).then(|| {
        format!(
            "the kernel cuts a backlog of {asked} to {limit}; \
             allow more with `sysctl -w net.core.somaxconn={asked}`, or ask for less"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    /// The queue of `app` once `waiting` connections wait; the kernel may take a moment over TCP.
    fn filled(queues: &Queues, app: &AppName, waiting: u32) -> Depth {
        let deadline_ns = Clock::monotonic_ns() + 10_000_000_000;
        loop {
            lock(&queues.answer).asked_ns = Some(0); // long ago
            let depth = queues.waiting(app).unwrap();
            if depth.waiting == waiting || Clock::monotonic_ns() > deadline_ns {
                assert_eq!(depth.waiting, waiting);
                return depth;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_waits_at_any_listener_of_an_app_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(folder.path().join("a")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (blog, queues) = (app("blog"), Queues::new());
        queues.set(&blog, vec![Inode::of(&unix).unwrap(), Inode::of(&tcp).unwrap()]);

        let _one = UnixStream::connect(folder.path().join("a")).unwrap();
        let _two = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();

        let depth = filled(&queues, &blog, 2);
        assert!(depth.limit > 2, "{depth:?}");
        assert_eq!(queues.all(), [(blog, depth)].into());
    }

    #[test]
    fn a_queue_the_kernel_does_not_speak_of_is_not_taken_for_an_empty_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (blog, queues) = (app("blog"), Queues::new());

        assert_eq!(queues.waiting(&blog), None);
        queues.set(&blog, vec![Inode::of(&listener).unwrap(), Inode(0)]);
        assert_eq!(queues.waiting(&blog), None);
        assert!(queues.all().is_empty());
    }

    #[test]
    fn an_app_without_listeners_has_no_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (blog, queues) = (app("blog"), Queues::new());
        queues.set(&blog, vec![Inode::of(&listener).unwrap()]);

        queues.set(&blog, Vec::new());

        assert_eq!(queues.waiting(&blog), None);
    }

    #[test]
    fn the_kernel_is_asked_once_for_many_questions() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (blog, queues) = (app("blog"), Queues::new());
        queues.set(&blog, vec![Inode::of(&listener).unwrap()]);
        assert_eq!(queues.waiting(&blog).unwrap().waiting, 0);
        lock(&queues.answer).asked_ns = Some(u64::MAX);

        let _waits = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(queues.waiting(&blog).unwrap().waiting, 0);

        filled(&queues, &blog, 1);
    }

    #[test]
    fn a_backlog_above_what_the_kernel_allows_is_told_with_the_remedy() {
        let told = cut_short_by(4096, 128).unwrap();

        assert!(told.contains("net.core.somaxconn=4096") && told.contains("to 128"), "{told}");
        assert_eq!(cut_short_by(4096, 4096), None);
        assert_eq!(cut_short(1), None);
    }
}
