//! A listening socket, inherited or our own.
//!
//! Every one is non-blocking, which all processes that hold it share. Never shut down: others
//! accept on it too.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::sockopt::{AcceptConn, TcpNoDelay};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
use nix::sys::socket::{getsockopt, setsockopt};
use scgi_protocol::address::Address;

use crate::wire;

/// Why a socket cannot be listened on. Nothing has changed when this is returned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("the inherited descriptor {number} is not a listening socket")]
    Inherited { number: i32, source: io::Error },
    #[error("cannot listen on `{address}`")]
    Bind { address: Address, source: io::Error },
    #[error("`{}` belongs to a running process; stop it or choose another path", path.display())]
    Taken { path: PathBuf },
    #[error("`{}` is there and is not a socket; remove it or choose another path", path.display())]
    NotASocket { path: PathBuf },
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Takes over a socket that somebody else made.
    ///
    /// # Errors
    ///
    /// If it is no stream socket that listens.
    pub(crate) fn inherited(fd: OwnedFd) -> io::Result<Self> {
        if !is_listening(fd.as_fd()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let address = getsockname::<SockaddrStorage>(fd.as_raw_fd())?;
        match address.family() {
            Some(AddressFamily::Unix) => Self::ready(Self::Unix(fd.into())),
            Some(AddressFamily::Inet | AddressFamily::Inet6) => Self::ready(Self::Tcp(fd.into())),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Makes a socket of our own. A unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// [`ListenError`].
    pub(crate) fn bind(address: &Address) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address: address.clone(), source };
        let listener = match address {
            Address::Tcp(address) => TcpListener::bind(address).map(Self::Tcp),
            Address::Unix(path) => {
                clear_stale(path)?;
                UnixListener::bind(path).map(Self::Unix)
            }
        };
        listener.and_then(Self::ready).map_err(failed)
    }

    fn ready(self) -> io::Result<Self> {
        match &self {
            Self::Unix(listener) => listener.set_nonblocking(true)?,
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                // Accepted sockets take this over: a stream's small pieces leave at once.
                setsockopt(listener, TcpNoDelay, &true)?;
            }
        }
        Ok(self)
    }

    /// Accepts a connection, in blocking mode and closed on exec.
    #[inline]
    pub(crate) fn accept(&self) -> io::Result<OwnedFd> {
        wire::accept(self)
    }

    /// Where it really listens (port 0 means any), as an [`Address`] is written.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp).ok(),
            Self::Unix(listener) => listener
                .local_addr()
                .ok()
                .and_then(|address| Some(Address::Unix(address.as_pathname()?.to_owned()))),
        }
        .map_or_else(|| "a socket without a name".to_owned(), |address| address.to_string())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }
}

/// Whether a descriptor is a socket that listens.
pub(crate) fn is_listening(fd: BorrowedFd<'_>) -> bool {
    getsockopt(&fd, AcceptConn).unwrap_or(false)
}

/// Removes what a dead process left at `path`.
fn clear_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = path.symlink_metadata() else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ListenError::Bind {
                address: Address::Unix(path.to_owned()),
                source,
            })
        }
        _ => Err(ListenError::Taken { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(path: &Path) -> Address {
        Address::Unix(path.to_owned())
    }

    #[test]
    fn a_socket_nobody_listens_on_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        drop(UnixListener::bind(&path).unwrap());

        let live = Listener::bind(&unix(&path)).unwrap();
        let second = Listener::bind(&unix(&path));

        assert!(matches!(second, Err(ListenError::Taken { .. })), "{second:?}");
        assert!(UnixStream::connect(&path).is_ok());
        drop(live);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "keep").unwrap();

        let refused = Listener::bind(&unix(&path));

        assert!(matches!(refused, Err(ListenError::NotASocket { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"keep");
    }

    #[test]
    fn what_does_not_listen_is_not_taken_for_a_listener() {
        let (connected, _peer) = UnixStream::pair().unwrap();

        assert!(Listener::inherited(connected.into()).is_err());
        assert!(Listener::inherited(std::fs::File::open("/dev/null").unwrap().into()).is_err());
    }
}
