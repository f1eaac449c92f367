//! One request on its connection: what has been sent, what has come back, and whether it is right.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

/// The request every connection sends and the one reply it accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// The whole request.
    pub(crate) request: &'a [u8],
    /// The whole reply, head included.
    pub(crate) reply: &'a [u8],
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// When it began, or in an open loop when it should have.
    pub(crate) began: Instant,
    sent: usize,
    received: usize,
}

/// How far a request has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It waits for the server.
    Waiting,
    /// The reply was right to the last byte and the server closed the connection.
    Complete,
    /// The reply was lost or wrong.
    Failed(String),
}

impl Connection {
    /// A request that has sent nothing yet.
    pub(crate) const fn new(socket: OwnedFd, began: Instant) -> Self {
        Self { socket, began, sent: 0, received: 0 }
    }

    /// Sends what the socket takes; true once all of the request is sent.
    ///
    /// # Errors
    ///
    /// Whatever sending met, but for a socket that is full or not yet connected.
    pub(crate) fn send(&mut self, exchange: Exchange<'_>) -> Result<bool, Errno> {
        while self.sent < exchange.request.len() {
            let rest = &exchange.request[self.sent..];
            match send(self.socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(more) => self.sent += more,
                Err(Errno::EAGAIN | Errno::ENOTCONN) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends and receives as far as the server lets it.
    pub(crate) fn advance(&mut self, exchange: Exchange<'_>, scratch: &mut [u8]) -> Progress {
        if self.sent < exchange.request.len()
            && let Err(error) = self.send(exchange)
        {
            return Progress::Failed(format!("sending: {error}"));
        }
        loop {
            match recv(self.socket.as_raw_fd(), scratch, MsgFlags::empty()) {
                Ok(0) if self.received == exchange.reply.len() => return Progress::Complete,
                Ok(0) => return Progress::Failed(format!("closed after {} bytes", self.received)),
                Ok(more) => {
                    let expected = exchange.reply.get(self.received..self.received + more);
                    if expected != Some(&scratch[..more]) {
                        let at = self.received;
                        return Progress::Failed(format!("a wrong byte in {more} from {at} on"));
                    }
                    self.received += more;
                }
                Err(Errno::EAGAIN) => return Progress::Waiting,
                Err(error) => return Progress::Failed(format!("receiving: {error}")),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
