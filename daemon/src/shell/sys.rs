//! What the daemon needs of the kernel and the reactor, and no safe interface offers.
//!
//! One of the few files of the house that lift the ban on `unsafe`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::fcntl::FdFlag;
use nix::libc::{self, gid_t, socklen_t};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long the kernel keeps a connection that sends nothing from the workers, in seconds.
const DEFER_SECONDS: libc::c_int = 5;

/// Lets the loop wait until `fd` is readable. Must be called within the runtime.
///
/// # Errors
///
/// If the reactor cannot watch the descriptor, a regular file for one.
#[expect(unsafe_code, reason = "the reactor's safe interface is deprecated as unsound")]
pub(super) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open, and the same, until the `AsyncFd` is dropped. An
    // `OwnedFd` is an open descriptor for as long as it lives, always gives the same number, and
    // is moved into the `AsyncFd`, which gives out only shared references to it here: nobody in
    // this crate calls `AsyncFd::get_mut`.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}

/// Has the kernel hand out a TCP connection only once it has sent something (tcp(7),
/// `TCP_DEFER_ACCEPT`): a worker that accepts it need not wait for the head.
///
/// # Errors
///
/// What setsockopt(2) says.
#[expect(unsafe_code, reason = "no safe wrapper of this socket option exists")]
pub(super) fn defer_accept(listener: impl AsFd) -> io::Result<()> {
    let seconds = DEFER_SECONDS;
    let length = socklen_t::try_from(size_of_val(&seconds)).expect("an int is small");
    // SAFETY: the descriptor is borrowed and so open during the call; the kernel reads `length`
    // bytes from a live local of exactly that size, and keeps no reference to it.
    let result = unsafe {
        libc::setsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// All groups beside the primary one of the process at the other end of a unix socket, as they
/// were when it connected (`SO_PEERGROUPS`, since Linux 4.13). Unlike `/proc`, the kernel's answer
/// needs no pid, which may be another process's by now.
///
/// # Errors
///
/// What getsockopt(2) says.
pub(crate) fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<gid_t> = vec![0; 32];
    loop {
        let room = size_of_val(groups.as_slice());
        let mut length = socklen_t::try_from(room).expect("a process has at most 65536 groups");
        // SAFETY: the descriptor is borrowed and so open during the call; the kernel writes at most
        // `length` bytes, which is exactly the size of the live, initialised elements of `groups`,
        // and the length into a live local; any bits are a valid `gid_t`; it keeps no reference.
        #[expect(unsafe_code, reason = "no safe wrapper of this socket option exists")]
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let needed = usize::try_from(length).unwrap_or(0) / size_of::<gid_t>();
        if result == 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // Too little room; the length says how much is needed, and grows at every turn.
        if error.raw_os_error() != Some(libc::ERANGE) || needed <= groups.len() {
            return Err(error);
        }
        groups.resize(needed, 0);
    }
}

/// Sets the flag by which the descriptor `number` is closed, or not, when this process becomes
/// another program.
///
/// # Errors
///
/// `EBADF` if it is not open.
#[expect(unsafe_code, reason = "descriptors of many owners are known here by their numbers alone")]
pub(super) fn set_descriptor_flag(number: RawFd, flag: FdFlag) -> io::Result<()> {
    // SAFETY: fcntl(F_SETFD) touches no memory of this process; it changes one flag of whatever has
    // this number, and fails if nothing has. The flag means nothing until an execve.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, flag.bits()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel tells of a process (`struct pidfd_info` of linux/pidfd.h).
#[repr(C)]
#[derive(Debug, Default)]
struct ProcessInfo {
    mask: u64,
    cgroup: u64,
    /// Process, thread group and parent, then real, effective, saved and file system identities.
    identity: [u32; 11],
    exit_code: i32,
}

const _: () = assert!(size_of::<ProcessInfo>() == 64, "the size stands in the request's number");

/// `PIDFD_GET_INFO`: `_IOWR(0xff, 11, struct pidfd_info)`.
const GET_INFO: libc::Ioctl = 3 << 30 | 64 << 16 | 0xff << 8 | 11;

/// In the mask: the exit status is asked for, or told.
const INFO_EXIT: u64 = 1 << 3;

/// The status, as of wait(2), of a process that was buried; `None` if it was not, or the kernel is
/// too old to remember (before 6.15).
#[expect(unsafe_code, reason = "no safe wrapper of this ioctl exists")]
pub(super) fn exit_status(pidfd: impl AsFd) -> Option<i32> {
    let mut info = ProcessInfo { mask: INFO_EXIT, ..ProcessInfo::default() };
    // SAFETY: the descriptor is borrowed and so open during the call. The request's number carries
    // the size of `info`, beyond which the kernel writes nothing; every bit pattern is a valid
    // value of its fields, which are integers. The kernel keeps no reference to it.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO, &raw mut info) };
    (result == 0 && info.mask & INFO_EXIT != 0).then_some(info.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_peer_are_those_the_kernel_knows() {
        let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();

        let mut groups = peer_groups(&here).unwrap();

        let mut own: Vec<u32> =
            nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        groups.sort_unstable();
        own.sort_unstable();
        assert_eq!(groups, own);
    }

    #[test]
    fn what_has_no_peer_has_no_groups() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();

        assert!(peer_groups(&listener).is_err());
    }
}
