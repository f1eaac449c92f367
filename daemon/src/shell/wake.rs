//! Wakes the loop when a connection arrives at an app that asked to be told.
//!
//! Every listener is armed for one wake-up at a time, in an epoll set of its own whose one
//! descriptor stands in the runtime's reactor. Registered in any other way a listener would wake
//! the daemon for every connection, or (exclusively) swallow the wake-up meant for a worker and
//! leave the connection hanging. The daemon never accepts; it only looks.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use scgi_protocol::name::AppName;
use tokio::io::unix::AsyncFd;

use super::sys;

/// Tells of connections that arrive.
#[derive(Debug)]
pub(super) struct Wake {
    epoll: Epoll,
    /// A second handle of the same set, for the reactor.
    readable: AsyncFd<OwnedFd>,
    /// Whose listener a number is.
    armed: BTreeMap<RawFd, AppName>,
}

impl Wake {
    /// An empty set. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = sys::watch(epoll.0.try_clone()?)?;
        Ok(Self { epoll, readable, armed: BTreeMap::new() })
    }

    /// Tells, once, when a connection waits at one of `listeners`.
    pub(super) fn arm(&mut self, app: &AppName, listeners: &[BorrowedFd<'_>]) {
        for listener in listeners {
            let number = listener.as_raw_fd();
            let key = u64::try_from(number).expect("an open descriptor is not negative");
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, key);
            let done = match self.epoll.modify(listener, &mut event) {
                Err(Errno::ENOENT) => self.epoll.add(listener, event),
                other => other,
            };
            match done {
                Ok(()) => drop(self.armed.insert(number, app.clone())),
                Err(error) => {
                    tracing::error!(%app, %error, "listener cannot be watched; the pool will not grow by itself");
                }
            }
        }
    }

    /// Forgets `listeners`; to be called before they are closed. A worker still holds them, so
    /// that the kernel would go on telling.
    pub(super) fn disarm(&mut self, listeners: &[BorrowedFd<'_>]) {
        for listener in listeners {
            self.armed.remove(&listener.as_raw_fd());
            // One that was never armed is not there.
            let _ = self.epoll.delete(listener);
        }
    }

    /// Waits until connections have arrived, and tells for whom.
    pub(super) async fn arrivals(&self) -> Vec<AppName> {
        loop {
            let Ok(mut guard) = self.readable.readable().await else { return Vec::new() };
            let mut events = [EpollEvent::empty(); 64];
            let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            if count < events.len() {
                guard.clear_ready();
            }
            let apps: Vec<_> =
                events[..count].iter().filter_map(|event| self.whose(event)).collect();
            if !apps.is_empty() {
                return apps;
            }
        }
    }

    fn whose(&self, event: &EpollEvent) -> Option<AppName> {
        self.armed.get(&RawFd::try_from(event.data()).ok()?).cloned()
    }
}

/// A connection waits at one of `listeners`. Costs one system call and never waits.
pub(super) fn is_somebody_there(listeners: &[BorrowedFd<'_>]) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut asked: Vec<_> =
        listeners.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn listener() -> (tempfile::TempDir, UnixListener, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        (directory, listener, path)
    }

    #[tokio::test]
    async fn a_connection_is_told_once_for_every_time_it_was_asked() {
        let (_directory, listener, path) = listener();
        let app: AppName = "blog".parse().unwrap();
        let mut wake = Wake::new().unwrap();

        wake.arm(&app, &[listener.as_fd()]);
        let _client = UnixStream::connect(&path).unwrap();
        assert_eq!(wake.arrivals().await, std::slice::from_ref(&app));
        let mut event = [EpollEvent::empty()];
        assert_eq!(wake.epoll.wait(&mut event, EpollTimeout::ZERO), Ok(0));

        wake.arm(&app, &[listener.as_fd()]);
        assert_eq!(wake.arrivals().await, [app]);
    }

    #[tokio::test]
    async fn a_listener_that_was_forgotten_is_not_told_of() {
        let (_directory, listener, path) = listener();
        let mut wake = Wake::new().unwrap();
        wake.arm(&"blog".parse().unwrap(), &[listener.as_fd()]);

        wake.disarm(&[listener.as_fd()]);
        let _client = UnixStream::connect(&path).unwrap();

        let mut event = [EpollEvent::empty()];
        assert_eq!(wake.epoll.wait(&mut event, EpollTimeout::ZERO), Ok(0));
        assert!(is_somebody_there(&[listener.as_fd()]));
    }
}
