//! The two things the daemon needs of the kernel and the reactor that no safe interface offers.
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
