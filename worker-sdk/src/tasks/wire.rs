//! A connection that a task waits on: asks the kernel first, and the runtime only if it must wait.
//!
//! A front end has usually sent its whole request before it is looked at, and takes the whole reply
//! at once. Such a connection is never registered with the runtime's epoll set, which saves two
//! system calls a request. Knows nothing of SCGI.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::retry_on_intr;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use rustix::net::{recv, send, sendmsg, shutdown};
use tokio::time::timeout;

use super::eye::Eye;

/// A connected socket, shared by who replies and whoever reads the request's body.
#[derive(Debug)]
pub(super) struct Wire {
    fd: OwnedFd,
    eye: OnceLock<Eye>,
    /// Bytes of the body that nobody has received yet.
    pub(super) unread: AtomicU64,
    /// More came than the body is long.
    pub(super) surplus: AtomicBool,
    /// The peer went away in the middle of the body.
    pub(super) gone: AtomicBool,
    /// The peer was silent for too long.
    pub(super) silent: AtomicBool,
    /// The request was answered: who still holds its body gets no more of it.
    pub(super) closed: AtomicBool,
}

impl Wire {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            eye: OnceLock::new(),
            unread: AtomicU64::new(0),
            surplus: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Receives behind what `into` holds, into the memory it has to spare; 0 at the end.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `patience`, or what the connection broke with.
    pub(super) async fn append(&self, into: &mut Vec<u8>, patience: Duration) -> io::Result<usize> {
        within(patience, |cx| self.poll_append(into, cx)).await
    }

    /// As [`append`](Self::append), for ever.
    pub(super) fn poll_append(
        &self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_read(cx, || self.receive(into))
    }

    /// Receives as [`append`](Self::append) does, without waiting; `None` if there is nothing yet.
    pub(super) fn try_append(&self, into: &mut Vec<u8>) -> Option<io::Result<usize>> {
        without_waiting(true, || self.receive(into))
    }

    fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let got = || recv(&self.fd, spare_capacity(into), RecvFlags::DONTWAIT);
        Ok(retry_on_intr(got)?.0)
    }

    /// Sends all of `parts`.
    ///
    /// # Errors
    ///
    /// `TimedOut` if the peer takes nothing for `patience`, or what the connection broke with.
    pub(super) async fn send(&self, parts: [&[u8]; 2], patience: Duration) -> io::Result<()> {
        let mut done = 0;
        let whole: usize = parts.iter().map(|part| part.len()).sum();
        while done < whole {
            let mut left = parts;
            let mut skip = done;
            for part in &mut left {
                let gone = skip.min(part.len());
                *part = &part[gone..];
                skip -= gone;
            }
            done += within(patience, |cx| self.poll_send(left, cx)).await?;
        }
        Ok(())
    }

    fn poll_send(&self, parts: [&[u8]; 2], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let give = || {
            let given = || match parts {
                [only, []] | [[], only] => send(&self.fd, only, flags),
                both => {
                    let slices = both.map(IoSlice::new);
                    sendmsg(&self.fd, &slices, &mut SendAncillaryBuffer::default(), flags)
                }
            };
            Ok(retry_on_intr(given)?)
        };
        match without_waiting(self.eye.get().is_none(), give) {
            Some(done) => Poll::Ready(done),
            None => self.watch()?.poll_write(cx, give),
        }
    }

    /// Waits until the peer is gone: it closed its side, which no front end does before it has the
    /// reply. One that goes on sending is there.
    pub(super) async fn until_gone(&self) {
        let look = |cx: &mut Context<'_>| {
            self.poll_read(cx, || {
                let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
                Ok(retry_on_intr(|| recv(&self.fd, &mut [0], flags))?.0)
            })
        };
        if !matches!(poll_fn(look).await, Ok(0) | Err(_)) {
            std::future::pending::<()>().await;
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub(super) fn finish(&self) {
        // Fails only if the peer has gone, which ends the waiting for it all the same.
        let _ = shutdown(&self.fd, Shutdown::Write);
    }

    /// Makes the coming close one that the peer takes for a failure, where the kernel can (TCP).
    pub(super) fn spoil(&self) {
        // Fails only if the connection is broken already.
        let _ = set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        match without_waiting(self.eye.get().is_none(), &mut read) {
            Some(done) => Poll::Ready(done),
            None => self.watch()?.poll_read(cx, read),
        }
    }

    /// Has the runtime look after the connection from here on.
    fn watch(&self) -> io::Result<&Eye> {
        if let Some(eye) = self.eye.get() {
            return Ok(eye);
        }
        let eye = Eye::on(self.fd.as_fd())?;
        Ok(self.eye.get_or_init(|| eye))
    }
}

/// What `attempt` comes to if nobody has to wait for it; not tried unless it is the `first`.
fn without_waiting<T>(
    first: bool,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Option<io::Result<T>> {
    let would_block = |done: &io::Result<T>| {
        done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    first.then(&mut attempt).filter(|done| !would_block(done))
}

/// Waits for `poll`, at most `patience`. Who need not wait pays for no timer.
async fn within<T>(
    patience: Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(poll(cx))).await {
        return done;
    }
    timeout(patience, poll_fn(poll)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
