//! Takes ownership of descriptors that whoever started this program opened for it.
//!
//! One of the few files of the house that lift the ban on `unsafe`: the standard library has no
//! safe way to own a descriptor that is known by its number only.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The numbers already given out in this process.
static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Takes the inherited descriptor `number`, which is from then on closed on exec.
///
/// Call it before this program opens anything of its own: `number` must have been announced in
/// the environment by whoever started the program, and is otherwise anybody's descriptor.
///
/// # Errors
///
/// `EBADF` if `number` is negative, standard input, output or error, or not open;
/// `AlreadyExists` if it was taken before.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from_raw_os_error(nix::errno::Errno::EBADF as i32));
    }
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if taken.contains(&number) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // Owning begins with a descriptor that is known to be open: a wrong number is an error here,
    // not a surprise at its close.
    let owned = own(number)?;
    fcntl(&owned, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    taken.push(number);
    Ok(owned)
}

#[expect(unsafe_code, reason = "std has no safe way to own an inherited descriptor")]
fn own(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the borrow ends with this statement and only asks the kernel whether the number is
    // open; fcntl(F_GETFD) on a closed number is an error and touches no memory.
    fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD)?;
    // SAFETY: the descriptor is open (asked above) and not one of the standard three. `TAKEN`,
    // locked by the caller, lets each number through once, and the caller of `take` speaks of
    // numbers announced to this program before it opened any of its own, so that nothing else in
    // this process owns it. Ownership begins here and moves with the value.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn an_inherited_descriptor_is_taken_once() {
        let inherited = std::fs::File::open("/dev/null").unwrap().into_raw_fd();

        let first = take(inherited);
        let second = take(inherited);

        assert!(first.is_ok());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_number_that_is_not_open_is_refused() {
        assert!(take(4_000).is_err());
        assert!(take(-1).is_err());
        assert!(take(0).is_err());
    }
}
