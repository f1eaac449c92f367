//! Connections as front ends make them: some wait in connect(2), most do not.
//!
//! Who does not wait is refused by a unix socket whose queue is full, and is told later whether TCP
//! took it; both are seen here as the front end sees them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect,
    getsockopt, recv, send, socket, sockopt,
};
use scgi_protocol::address::Address;

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It waits until it is let in.
    Blocking,
    /// It is let in at once or not at all.
    NonBlocking,
}

/// A connection to wherever an app listens.
pub trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

/// A connection to `address`, on which nothing takes longer than `patience`.
///
/// # Errors
///
/// If nobody listens, or, for a client that does not wait, if it is not let in at once.
pub(crate) fn open(
    address: &Address,
    manner: Manner,
    patience: Duration,
) -> io::Result<Box<dyn Connection>> {
    match (manner, address) {
        (Manner::Blocking, Address::Unix(path)) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            Ok(Box::new(stream))
        }
        (Manner::Blocking, Address::Tcp(address)) => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            Ok(Box::new(stream))
        }
        (Manner::NonBlocking, Address::Unix(path)) => {
            Ok(Box::new(Hasty::open(AddressFamily::Unix, &UnixAddr::new(path)?, patience)?))
        }
        (Manner::NonBlocking, Address::Tcp(address)) => {
            let address = SockaddrStorage::from(*address);
            let family = address.family().unwrap_or(AddressFamily::Inet);
            Ok(Box::new(Hasty::open(family, &address, patience)?))
        }
    }
}

/// A socket that is non-blocking all its life; whoever uses it waits in poll(2).
#[derive(Debug)]
struct Hasty {
    socket: OwnedFd,
    patience: PollTimeout,
}

impl Hasty {
    fn open(
        family: AddressFamily,
        address: &dyn SockaddrLike,
        patience: Duration,
    ) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let patience = PollTimeout::try_from(patience).map_err(io::Error::other)?;
        let hasty = Self { socket: socket(family, SockType::Stream, flags, None)?, patience };
        match connect(hasty.socket.as_raw_fd(), address) {
            Ok(()) => Ok(hasty),
            Err(Errno::EINPROGRESS) => {
                hasty.wait(PollFlags::POLLOUT)?;
                match getsockopt(&hasty.socket, sockopt::SocketError)? {
                    0 => Ok(hasty),
                    error => Err(io::Error::from_raw_os_error(error)),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn wait(&self, what: PollFlags) -> io::Result<()> {
        let mut one = [PollFd::new(self.socket.as_fd(), what)];
        match poll(&mut one, self.patience) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Repeats `attempt` until the socket lets it.
    fn until<T>(
        &self,
        what: PollFlags,
        mut attempt: impl FnMut(i32) -> nix::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt(self.socket.as_raw_fd()) {
                Err(Errno::EAGAIN) => self.wait(what)?,
                done => return Ok(done?),
            }
        }
    }
}

impl Read for Hasty {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.until(PollFlags::POLLIN, |socket| recv(socket, into, MsgFlags::empty()))
    }
}

impl Write for Hasty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until(PollFlags::POLLOUT, |socket| send(socket, bytes, MsgFlags::MSG_NOSIGNAL))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
