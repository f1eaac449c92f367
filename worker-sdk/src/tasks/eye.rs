//! The runtime's eye on a descriptor: tells when it can be read or written, and does neither.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream as Std;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::UnixStream;

/// A descriptor that the runtime watches.
///
/// The runtime's interface for descriptors of any kind is unsafe. A stream's is not, and asks no
/// more of its descriptor than that it can be polled: it serves for TCP and for listeners as well,
/// as long as nothing is read or written through it.
#[derive(Debug)]
pub(super) struct Eye(UnixStream);

impl Eye {
    /// Watches what `fd` leads to, through a descriptor of its own, so that what is registered lives
    /// as long as its registration. It becomes non-blocking for all who hold it.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor or no memory left.
    pub(super) fn on(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let own = Std::from(fd.try_clone_to_owned()?);
        own.set_nonblocking(true)?;
        UnixStream::from_std(own).map(Self)
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// What `read` reads as soon as it does not say `WouldBlock`.
    pub(super) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_io(Interest::READABLE, &mut read) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// What `write` writes as soon as it does not say `WouldBlock`.
    pub(super) fn poll_write<T>(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, &mut write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}
