//! Signals to the daemon, as words.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A child has ended.
    Child,
    /// End everything in order; a second one hurries.
    Leave,
    /// Read the configuration again.
    Reload,
    /// Become the program that this one was started from, as it is by now.
    Upgrade,
}

/// The signals the daemon listens to.
#[derive(Debug)]
pub(super) struct Signals {
    child: Signal,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
}

impl Signals {
    /// Listens. Must be called within the runtime, before the first child is started.
    ///
    /// # Errors
    ///
    /// If a handler cannot be set.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next word. Several signals of one kind may be one word.
    pub(super) async fn next(&mut self) -> Word {
        tokio::select! {
            biased;
            _ = self.child.recv() => Word::Child,
            _ = self.terminate.recv() => Word::Leave,
            _ = self.interrupt.recv() => Word::Leave,
            _ = self.hangup.recv() => Word::Reload,
            _ = self.user.recv() => Word::Upgrade,
        }
    }
}
