//! Where requests go: opens one non-blocking connection after another to the same address.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect, socket,
};
use scgi_protocol::address::Address;

/// A server's address in the form the kernel takes.
#[derive(Debug)]
pub(crate) enum Target {
    Unix(UnixAddr),
    Tcp(SockaddrStorage),
}

impl Target {
    /// # Errors
    ///
    /// The kernel takes no path of this length.
    pub(crate) fn new(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Unix(path) => Self::Unix(UnixAddr::new(path)?),
            Address::Tcp(address) => Self::Tcp((*address).into()),
        })
    }

    /// A connection, or one under way; it never blocks.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the server's queue is full (unix sockets only), or whatever else connecting met.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        match self {
            Self::Unix(address) => open(AddressFamily::Unix, address),
            Self::Tcp(address) => {
                open(address.family().expect("an address made from a socket address"), address)
            }
        }
    }
}

fn open(family: AddressFamily, address: &dyn SockaddrLike) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}
