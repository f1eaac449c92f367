//! How much and how long a worker puts up with. Knows nothing of who enforces it.

use std::time::Duration;

use scgi_protocol::scgi;

use crate::birth::Found;

/// Bounds on what one request may take. All of them hold for every request by default.
///
/// ```
/// use std::time::Duration;
/// use scgi_worker::{App, Limits};
///
/// let app = App::new().limits(Limits { body_timeout: Duration::from_secs(5), ..Limits::default() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request head in bytes: 1 MiB, above the most that Apache sends by default. A
    /// larger one is answered 431.
    pub head_bytes: usize,
    /// Time for the whole head to arrive, from acceptance on: 10 s. Then the connection is closed.
    pub head_timeout: Duration,
    /// Longest silence while a body arrives: 60 s. Then the answer is a 408.
    pub body_timeout: Duration,
    /// Longest time for the peer to take nothing of a reply: 60 s. Then the connection is closed.
    pub write_timeout: Duration,
    /// How long a request may have waited since the front end's stamp `X-Request-Start` and still
    /// be served; one that waited longer is answered 503 without asking its handler. `None`, the
    /// default, is what the configuration says (`queue_timeout`), and no bound if it says nothing.
    /// Time that its own client was slow does not count.
    pub queue_timeout: Option<Duration>,
    /// The longest body, in bytes, that is waited for before a handler is asked, so that a slow
    /// uploader holds none: 1 MiB. With a longer one the handler begins when the head is there, and
    /// reads it as it comes.
    pub body_buffer_bytes: usize,
    /// The most of a stream, in bytes, that is kept for a slow reader before the handler has to wait
    /// for him: 1 MiB. A response that is in memory anyway is kept whole.
    pub output_buffer_bytes: usize,
    /// The most clients that are waited for beside threads and tasks: 1024, and at most half of the
    /// descriptors that the process may have. One more, and the one that has been silent longest
    /// is dropped.
    pub parked: usize,
    /// The most memory, in bytes, for what they sent and did not take yet: 64 MiB. Beyond that,
    /// bodies are read by handlers as they come, and threads and tasks wait for slow readers themselves.
    pub parked_bytes: usize,
    /// The most that is read of a body no handler asked for, in bytes: 16 MiB. Apache takes no
    /// reply before it has sent its whole request.
    pub discard_bytes: u64,
    /// The longest such reading goes on: 2 s.
    pub discard_timeout: Duration,
    /// What becomes of heads that break the SCGI specification in the harmless ways front ends do: a
    /// repeated variable, `CONTENT_LENGTH` not first, no `SCGI=1`. By default they are served and
    /// counted, unless the configuration says `strict`; [`Strict`](scgi::Policy::Strict) answers 400.
    pub policy: scgi::Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 1 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            queue_timeout: None,
            body_buffer_bytes: 1 << 20,
            output_buffer_bytes: 1 << 20,
            parked: 1024,
            parked_bytes: 64 << 20,
            discard_bytes: 16 << 20,
            discard_timeout: Duration::from_secs(2),
            policy: scgi::Policy::Lenient,
        }
    }
}

impl Limits {
    /// These limits in a worker whose birth says more.
    pub(crate) fn under(self, found: &Found) -> Self {
        let queue_timeout = self.queue_timeout.or(found.queue_timeout);
        let policy = if found.is_strict { scgi::Policy::Strict } else { self.policy };
        Self { queue_timeout, policy, ..self }
    }

    pub(crate) fn codec(&self) -> scgi::Limits {
        scgi::Limits { max_head_bytes: self.head_bytes, policy: self.policy }
    }
}
