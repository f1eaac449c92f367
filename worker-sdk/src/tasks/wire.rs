//! A connection that a task waits on: asks the kernel first, and the runtime only if it must wait.
//!
//! A front end has usually sent its whole request before it is looked at, and takes the whole reply
//! at once. Such a connection is never registered with the runtime's epoll set, which saves two
//! system calls a request. Knows nothing of SCGI.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

use super::eye::Eye;
use crate::unsent::Unsent;
use crate::wire::{Socket, Wire as _};

/// A connected socket, shared by who replies and whoever reads the request's body.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
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
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            eye: OnceLock::new(),
            unread: AtomicU64::new(0),
            surplus: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// The connection, for what is done without waiting.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The connection for somebody else to wait on. Whoever still holds a body gets no more of it.
    ///
    /// # Errors
    ///
    /// If somebody holds one, and the kernel has no descriptor left.
    pub(super) fn into_socket(self: Arc<Self>) -> io::Result<Socket> {
        match Arc::try_unwrap(self) {
            Ok(own) => Ok(own.socket),
            Err(shared) => shared.socket.duplicate(),
        }
    }

    /// Receives behind what `into` holds, into the memory it has to spare; 0 at the end.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `patience`, or what the connection broke with.
    pub(super) async fn append(&self, into: &mut Vec<u8>, patience: Duration) -> io::Result<usize> {
        // Who need not wait pays for no timer.
        if let Poll::Ready(got) = poll_fn(|cx| Poll::Ready(self.poll_append(into, cx))).await {
            return got;
        }
        let got = timeout(patience, poll_fn(|cx| self.poll_append(into, cx))).await;
        got.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// As [`append`](Self::append), for ever.
    pub(super) fn poll_append(
        &self,
        into: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_read(cx, || self.socket.take(into)?.ok_or_else(would_block))
    }

    /// Gives of `unsent` what there is room for, once there is some; how many bytes that were.
    pub(super) fn poll_give(
        &self,
        unsent: &mut Unsent,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let give = || match unsent.give(&self.socket)? {
            0 => Err(would_block()),
            given => Ok(given),
        };
        // Whoever has something unsent has tried.
        self.watch()?.poll_write(cx, give)
    }

    /// Waits until the peer is gone: it closed its side, which no front end does before it has the
    /// reply. One that goes on sending is there.
    pub(super) async fn until_gone(&self) {
        let look = |cx: &mut Context<'_>| self.poll_read(cx, || self.socket.peek());
        if !matches!(poll_fn(look).await, Ok(0) | Err(_)) {
            std::future::pending::<()>().await;
        }
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
        let eye = Eye::on(self.socket.as_fd())?;
        Ok(self.eye.get_or_init(|| eye))
    }
}

/// What `attempt` comes to if nobody has to wait for it; not tried unless it is the `first`.
fn without_waiting<T>(
    first: bool,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Option<io::Result<T>> {
    let blocks = |done: &io::Result<T>| {
        done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    first.then(&mut attempt).filter(|done| !blocks(done))
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
