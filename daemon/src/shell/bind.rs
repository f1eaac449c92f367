//! Opens listening sockets, so that they are right from the first moment they can be connected to.
//!
//! ```text
//! bind ─▶ owner, mode ─▶ listen           nothing has the path: bound there at once
//!                          └──▶ rename     a dead program's socket has it: bound beside it
//! ```
//!
//! Until it listens a unix socket refuses everybody, so nobody can connect to one with wrong
//! rights. One left behind by a dead program is replaced in one step; a live one is refused.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, sockopt,
};
use scgi_protocol::address::Address;
use scgi_protocol::name::AppName;

use super::sys;
use crate::spec::{ListenAt, Ownership};

/// Why a listener could not be opened. Nothing has changed when this is returned.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A process listens there.
    #[error("`{}` belongs to a running process; stop it or choose another path", .0.display())]
    Taken(PathBuf),
    /// Something else than a socket has that name.
    #[error("`{}` exists and is no socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The directory could not be made.
    #[error("cannot make the directory `{}`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket could not get its owner or mode.
    #[error("cannot give `{}` its owner, group or mode", path.display())]
    Ownership {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// Where.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// Another app of this site listens there.
    #[error("`{address}` belongs to app `{app}` until its last worker is gone; take it away first")]
    OtherApp {
        /// Where.
        address: ListenAt,
        /// Whose it is.
        app: AppName,
    },
    /// There is no descriptor left for a listener that is in use.
    #[error("cannot get another descriptor of `{address}`")]
    Again {
        /// Where.
        address: ListenAt,
        /// Why.
        source: io::Error,
    },
    /// It is held by workers of a daemon that is no more, and cannot be had back from them.
    #[error(
        "`{0}` is held by workers of the scgid before this one, and the kernel does not let it be \
         taken back from them; stop the app and start it to bind it again"
    )]
    Lost(ListenAt),
    /// The service manager handed over several sockets of this name.
    #[error(
        "the service manager handed over several sockets called `{0}`; give each address a socket \
         unit of its own, and each unit its own `FileDescriptorName=`"
    )]
    Ambiguous(String),
    /// The service manager handed over nothing of this name.
    #[error("no socket called `{name}` was handed over by the service manager{}", known(.had))]
    NotInherited {
        /// The name.
        name: String,
        /// The names that were handed over.
        had: Vec<String>,
    },
}

fn known(had: &[String]) -> String {
    match had {
        [] => "; it handed over none".to_owned(),
        names => format!("; it handed over {}", names.join(", ")),
    }
}

/// The file of a unix socket that this process made; removed when the value is dropped, unless
/// somebody else's has taken its place meanwhile.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let file = path.symlink_metadata()?;
        Ok(Self { path: path.to_owned(), identity: (file.dev(), file.ino()) })
    }

    /// The file of a socket at `address` that this process made before it became this program.
    pub(crate) fn at(address: &Address) -> Option<Self> {
        let Address::Unix(path) = address else { return None };
        Self::of(path).ok()
    }

    /// The file that another process made at `path`.
    pub(super) fn known(path: &Path, identity: (u64, u64)) -> Self {
        Self { path: path.to_owned(), identity }
    }

    /// Its device and number.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Gives the file its owner, group and mode.
    ///
    /// # Errors
    ///
    /// What chown(2) and chmod(2) say.
    pub fn own(&self, ownership: Ownership) -> io::Result<()> {
        own(&self.path, ownership)
    }
}

/// Removes the file of a socket that another process made and that was closed since.
pub(super) fn forget_file(address: &Address, identity: (u64, u64)) {
    if let Address::Unix(path) = address {
        drop(SocketFile::known(path, identity));
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self.path.symlink_metadata().is_ok_and(|f| (f.dev(), f.ino()) == self.identity);
        if ours {
            // It may be gone by now, or its directory; there is nothing to do about either.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens a listener on `address`.
///
/// # Errors
///
/// [`BindError`]; nothing has changed then, save directories that were made on the way.
pub fn bind(
    address: &Address,
    ownership: Ownership,
    backlog: u16,
) -> Result<(OwnedFd, Option<SocketFile>), BindError> {
    match address {
        Address::Unix(path) => bind_unix(path, ownership, backlog).map(|(fd, f)| (fd, Some(f))),
        Address::Tcp(to) => {
            let listen = |source| BindError::Listen { address: address.clone(), source };
            bind_tcp(to, backlog).map(|fd| (fd, None)).map_err(listen)
        }
    }
}

fn bind_tcp(address: &SocketAddr, backlog: u16) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    sys::defer_accept(&fd)?;
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(*address))?;
    socket::listen(&fd, Backlog::new(backlog)?)?;
    Ok(fd)
}

fn bind_unix(
    path: &Path,
    ownership: Ownership,
    backlog: u16,
) -> Result<(OwnedFd, SocketFile), BindError> {
    bind_unless(path, ownership, backlog, refuse_the_living)
}

/// Opens a listener on a unix socket's `path`, whoever listens there: they keep whom they have in
/// their queue, and get nobody else.
///
/// # Errors
///
/// [`BindError`]; nothing has changed then.
pub(super) fn bind_over(
    path: &Path,
    ownership: Ownership,
    backlog: u16,
) -> Result<(OwnedFd, SocketFile), BindError> {
    bind_unless(path, ownership, backlog, |_| Ok(()))
}

/// Opens a listener on a unix socket's `path`, unless `refused` says why not if something is there.
fn bind_unless(
    path: &Path,
    ownership: Ownership,
    backlog: u16,
    refused: fn(&Path) -> Result<(), BindError>,
) -> Result<(OwnedFd, SocketFile), BindError> {
    let address = Address::Unix(path.to_owned());
    let listen = |source| BindError::Listen { address: address.clone(), source };
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None);
    let fd = fd.map_err(|errno| listen(errno.into()))?;
    let place = take_place(&fd, path, refused)?;
    // Removes the name if anything goes wrong from here on.
    let mut file = SocketFile::of(&place).map_err(listen)?;
    own(&place, ownership)
        .map_err(|source| BindError::Ownership { path: path.to_owned(), source })?;
    resize_queue(&fd, backlog).map_err(listen)?;
    if place != path {
        std::fs::rename(&place, path).map_err(listen)?;
        file.path = path.to_owned();
    }
    Ok((fd, file))
}

/// Binds `fd` to `path`, or beside it if a dead program's socket has that name; returns where.
fn take_place(
    fd: &OwnedFd,
    path: &Path,
    refused: fn(&Path) -> Result<(), BindError>,
) -> Result<PathBuf, BindError> {
    let address = Address::Unix(path.to_owned());
    let listen =
        |errno: Errno| BindError::Listen { address: address.clone(), source: errno.into() };
    match bind_at(fd, path) {
        Err(Errno::ENOENT) => {
            make_directory(path)?;
            bind_at(fd, path).map_err(listen)?;
        }
        Err(Errno::EADDRINUSE) => {
            refused(path)?;
            let beside = beside(path);
            // What a killed predecessor of the same pid left in the middle of its work.
            let _ = std::fs::remove_file(&beside);
            bind_at(fd, &beside).map_err(listen)?;
            return Ok(beside);
        }
        bound => bound.map_err(listen)?,
    }
    Ok(path.to_owned())
}

fn bind_at(fd: &OwnedFd, path: &Path) -> nix::Result<()> {
    socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?)
}

fn make_directory(path: &Path) -> Result<(), BindError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.map_err(|source| BindError::Directory { path: directory.to_owned(), source })
}

/// Sees to it that what stands at `path` is a socket nobody listens on.
fn refuse_the_living(path: &Path) -> Result<(), BindError> {
    match path.symlink_metadata() {
        Ok(file) if !file.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) if is_live(path) => Err(BindError::Taken(path.to_owned())),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Somebody listens at `path`. A full queue counts as somebody.
fn is_live(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => {
            !matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
        }
    }
}

/// A name in the same directory that fits where `path` fits: not longer, unless it is very short.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(format!("{:x}", std::process::id()));
    path.with_file_name(name)
}

/// Gives a listener that is in use an accept queue of another length.
///
/// # Errors
///
/// What listen(2) says.
pub fn resize_queue(listener: &OwnedFd, backlog: u16) -> io::Result<()> {
    Ok(socket::listen(listener, Backlog::new(backlog)?)?)
}

fn own(path: &Path, ownership: Ownership) -> io::Result<()> {
    if ownership.owner.is_some() || ownership.group.is_some() {
        std::os::unix::fs::lchown(path, ownership.owner, ownership.group)?;
    }
    match ownership.mode {
        Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn at(directory: &tempfile::TempDir, name: &str) -> (PathBuf, Address) {
        let path = directory.path().join(name);
        (path.clone(), Address::Unix(path))
    }

    fn open(address: &Address) -> Result<(OwnedFd, Option<SocketFile>), BindError> {
        bind(address, Ownership { mode: Some(0o640), ..Ownership::default() }, 16)
    }

    #[test]
    fn a_unix_socket_has_its_mode_and_leaves_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, address) = at(&directory, "made/on/the/way/app.sock");

        let opened = open(&address).unwrap();

        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1);
        drop(opened);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_a_live_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, address) = at(&directory, "app.sock");
        drop(UnixListener::bind(&path).unwrap());

        let first = open(&address).unwrap();
        let second = open(&address);

        assert!(matches!(second, Err(BindError::Taken(_))), "{second:?}");
        assert!(UnixStream::connect(&path).is_ok());
        drop(first);
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (path, address) = at(&directory, "notes.txt");
        std::fs::write(&path, "precious").unwrap();

        assert!(matches!(open(&address), Err(BindError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_socket_file_that_somebody_replaced_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, address) = at(&directory, "app.sock");
        let opened = open(&address).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();

        drop(opened);

        assert!(path.exists());
    }

    #[test]
    fn a_taken_tcp_port_is_refused_with_its_address() {
        let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(theirs.local_addr().unwrap());

        let refused = open(&address).unwrap_err();

        assert_eq!(refused.to_string(), format!("cannot listen on `{address}`"));
    }
}
