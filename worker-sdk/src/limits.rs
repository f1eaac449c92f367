//! How much and how long a worker puts up with. Knows nothing of who enforces it.

use std::time::Duration;

use scgi_protocol::scgi;

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
    /// Largest request head in bytes: 1 MiB, above the most that Apache sends by default.
    pub head_bytes: usize,
    /// Time for the whole head to arrive, from acceptance on: 10 s.
    pub head_timeout: Duration,
    /// Longest silence while a body arrives: 60 s.
    pub body_timeout: Duration,
    /// Longest time for the peer to take nothing of a reply: 60 s.
    pub write_timeout: Duration,
    /// The most that is read of a body no handler asked for, in bytes: 16 MiB. Apache takes no
    /// reply before it has sent its whole request.
    pub discard_bytes: u64,
    /// The longest such reading goes on: 2 s.
    pub discard_timeout: Duration,
    /// Refuse heads that break the SCGI specification in the harmless ways front ends do; they
    /// are served and counted by default.
    pub policy: scgi::Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 1 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            discard_bytes: 16 << 20,
            discard_timeout: Duration::from_secs(2),
            policy: scgi::Policy::Lenient,
        }
    }
}

impl Limits {
    pub(crate) fn codec(&self) -> scgi::Limits {
        scgi::Limits { max_head_bytes: self.head_bytes, policy: self.policy }
    }
}
