//! Takes descriptors back that a dead daemon shared with its workers.
//!
//! A worker can put anything under any number. So nothing is used that is not, to the kernel, the
//! very thing that was written down: the same socket, the same memory, the same pipe.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{SockaddrStorage, getsockname, getsockopt, sockopt};
use nix::sys::stat::fstat;
use scgi_protocol::address::Address;
use scgi_protocol::birth::LISTEN_FDS_START;
use scgi_protocol::name::WorkerId;
use scgi_protocol::page::Book;

use super::identity;
use super::survivor::Survivor;
use crate::shell::output::Pipes;
use crate::shell::state::record::{ListenerRecord, ProcessRecord, SocketMark, inode};
use crate::spec::ListenAt;

impl SocketMark {
    /// How the socket behind `fd` is known.
    pub(in crate::shell) fn of(fd: &OwnedFd) -> Self {
        let cookie = rustix::net::sockopt::socket_cookie(fd).unwrap_or(0);
        Self { inode: inode(fd), cookie }
    }
}

/// Whether a descriptor is the listener that was written down; in words if it is not.
pub(super) fn is_listener(fd: &OwnedFd, record: &ListenerRecord) -> Result<(), String> {
    if getsockopt(fd, sockopt::AcceptConn) != Ok(true) {
        return Err("it is no listening socket".to_owned());
    }
    if SocketMark::of(fd) != record.socket {
        return Err("it is another socket".to_owned());
    }
    if !listens_at(fd, &record.spec.at) {
        return Err("it listens elsewhere".to_owned());
    }
    Ok(())
}

/// Whether a socket was bound for `at`. One of the file system was bound beside its path, and then
/// renamed.
pub(super) fn listens_at(fd: &OwnedFd, at: &ListenAt) -> bool {
    let ListenAt::Address(address) = at else { return true };
    let Ok(name) = getsockname::<SockaddrStorage>(fd.as_raw_fd()) else { return false };
    match address {
        Address::Unix(path) => {
            let bound = name.as_unix_addr().and_then(|name| name.path());
            bound.is_some_and(|bound| bound.parent() == path.parent())
        }
        Address::Tcp(to) => {
            let v4 = name.as_sockaddr_in().map(|name| std::net::SocketAddrV4::from(*name).into());
            let v6 = name.as_sockaddr_in6().map(|name| std::net::SocketAddrV6::from(*name).into());
            v4.or(v6).is_some_and(|bound: std::net::SocketAddr| bound == *to)
        }
    }
}

/// The listener, from a worker that has it; what is wrong with what it has otherwise.
pub(super) fn listener(
    from: &Survivor,
    listeners: u16,
    record: &ListenerRecord,
) -> Result<OwnedFd, String> {
    let mut why = "its worker has no such descriptor".to_owned();
    for number in (LISTEN_FDS_START..).take(listeners.into()) {
        match from.descriptor(number) {
            Ok(fd) => match is_listener(&fd, record) {
                Ok(()) => return Ok(fd),
                Err(wrong) => why = wrong,
            },
            Err(error) => why = format!("the kernel refuses: {error}"),
        }
    }
    Err(why)
}

/// The book of its app, from a worker.
pub(super) fn book(from: &Survivor, record: &ProcessRecord, inode: u64) -> Result<Book, String> {
    let number = LISTEN_FDS_START + i32::from(record.listeners);
    descriptor(from, number, inode).map(Book::from)
}

/// Two ends of pipes, if they are for reading.
pub(super) fn both_reading(stdout: OwnedFd, stderr: OwnedFd) -> Result<Pipes, String> {
    Ok(Pipes { stdout: reading(stdout)?, stderr: reading(stderr)? })
}

/// The read ends of a worker's log pipes.
pub(super) fn pipes(from: &Survivor, record: &ProcessRecord) -> Result<Pipes, String> {
    let first = LISTEN_FDS_START + i32::from(record.listeners) + 1;
    let [out, err] = record.pipes;
    both_reading(descriptor(from, first, out)?, descriptor(from, first + 1, err)?)
}

/// The descriptor `number` of a worker, if what is behind it is what is known as `inode`.
fn descriptor(from: &Survivor, number: i32, inode: u64) -> Result<OwnedFd, String> {
    let fd = from.descriptor(number).map_err(|error| format!("the kernel refuses: {error}"))?;
    is_known(&fd, inode).map(|()| fd)
}

/// Whether what is behind a descriptor is what was written down.
pub(super) fn is_known(fd: &OwnedFd, inode: u64) -> Result<(), String> {
    match fstat(fd) {
        Ok(found) if found.st_ino == inode && inode != 0 => Ok(()),
        Ok(_) => Err("something else is there".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A pipe's end that is for reading and never makes us wait.
pub(super) fn reading(fd: OwnedFd) -> Result<OwnedFd, String> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = fcntl(&fd, FcntlArg::F_GETFL).map_err(|error| error.to_string())?;
    let flags = OFlag::from_bits_retain(flags);
    if flags & OFlag::O_ACCMODE != OFlag::O_RDONLY {
        return Err("it is not for reading".to_owned());
    }
    let set = fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK));
    set.map_err(|error| error.to_string())?;
    Ok(fd)
}

/// How a worker would have been written down that was started right before the daemon ended: its
/// leaf is the one its environment speaks of, its pipes are those it writes to.
pub(super) fn discover(from: &Survivor, worker: WorkerId, listeners: u16) -> ProcessRecord {
    ProcessRecord {
        worker,
        pid: from.pid(),
        began: identity::began(from.pid()).unwrap_or(0),
        listeners,
        leaf: identity::leaf(from.pid()).unwrap_or(0),
        pipes: [1, 2].map(|output| from.descriptor(output).map_or(0, inode)),
    }
}

/// What stands in a worker where its app's book belongs, if none is known yet.
pub(super) fn book_inode(from: &Survivor, record: &ProcessRecord) -> u64 {
    let number = LISTEN_FDS_START + i32::from(record.listeners);
    from.descriptor(number).map_or(0, inode)
}
