//! The three things the daemon needs of the kernel and the reactor that no safe interface offers.
//!
//! One of the few files of the house that lift the ban on `unsafe`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::libc;
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
    let length = libc::socklen_t::try_from(size_of_val(&seconds)).expect("an int is small");
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
