//! The connection to a front end: bytes in, bytes out, each with a bound on waiting.
//!
//! [`Socket`] is the real one. It asks the kernel without waiting first, since a front end has
//! usually sent its whole request before we look; only who has to wait pays for a time-out, which
//! is then set once. Knows nothing of SCGI. The other one is in memory, for testing apps.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags};
use rustix::net::{accept_with, recv, send, sendmsg, shutdown};

/// The most parts one message is sent in: a head, what was held back, what comes.
pub(crate) const PARTS_MAX: usize = 3;

/// One connection, as far as serving a request needs it.
pub(crate) trait Wire {
    /// Receives what there is; waits at most `patience` for the first byte. 0 at the end.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `patience`, or what the connection broke with.
    fn receive(&self, into: &mut [u8], patience: Duration) -> io::Result<usize>;

    /// Receives as [`receive`](Self::receive) does, behind what `into` holds and into the memory
    /// it has to spare, of which there must be some.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    fn append(&self, into: &mut Vec<u8>, patience: Duration) -> io::Result<usize>;

    /// Receives what there is as [`append`](Self::append) does, without waiting; `None` if there is
    /// nothing yet.
    ///
    /// # Errors
    ///
    /// What the connection broke with.
    fn take(&self, into: &mut Vec<u8>) -> io::Result<Option<usize>>;

    /// Bytes that could be received without waiting, as far as the kernel tells.
    fn waiting(&self) -> usize;

    /// Sends as much of `parts`, at most [`PARTS_MAX`], as there is room for, without waiting; 0
    /// if there is none.
    ///
    /// # Errors
    ///
    /// What the connection broke with.
    fn give(&self, parts: &[&[u8]]) -> io::Result<usize>;

    /// Waits at most `longest` until it would be of use to do `what`; whether it is.
    fn wait(&self, what: Doing, longest: Duration) -> bool;

    /// Whether the peer has closed the connection, as far as can be seen without waiting. Bytes of
    /// his that nobody has received are no hindrance.
    fn is_gone(&self) -> bool;

    /// The connection, to be waited for beside others; `None` if there is nothing to wait for.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Tells the peer that nothing more will be sent.
    fn finish(&self);

    /// Makes the coming close one that the peer takes for a failure, where the kernel can (TCP).
    fn spoil(&self);
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Taking,
    Giving,
}

/// Accepts a connection, in blocking mode and closed on exec.
///
/// Does not ask the kernel whose it is: the request says for whom the front end speaks.
#[inline]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    Ok(retry_on_intr(|| accept_with(&listener, SocketFlags::CLOEXEC))?)
}

/// A connected socket in blocking mode.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    /// How long the kernel waits for something to receive, in nanoseconds; 0 if it was not told.
    receive_patience_ns: AtomicU64,
}

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, receive_patience_ns: AtomicU64::new(0) }
    }

    /// The same connection through a descriptor of its own.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor left.
    #[cfg(feature = "async")]
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        self.fd.try_clone().map(Self::new)
    }

    /// How many bytes could be received, none of them taken and at most one counted; 0 at the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing yet, or what the connection broke with.
    #[cfg(feature = "async")]
    pub(crate) fn peek(&self) -> io::Result<usize> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        Ok(retry_on_intr(|| recv(&self.fd, &mut [0], flags))?.0)
    }

    /// Receives by `attempt`, without waiting and then, if it must be, with.
    #[inline]
    fn receive_by(
        &self,
        patience: Duration,
        mut attempt: impl FnMut(RecvFlags) -> Result<usize, Errno>,
    ) -> io::Result<usize> {
        // Who had to wait before will have to again: a body on its way.
        if self.receive_patience_ns.load(Relaxed) == 0 {
            match attempt(RecvFlags::DONTWAIT) {
                Ok(received) => return Ok(received),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.wait_at_most(patience)?;
        loop {
            match attempt(RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                answer => return answer.map_err(timed_out),
            }
        }
    }

    #[cold]
    fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        let patience = at_least_some(patience);
        let ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        if self.receive_patience_ns.swap(ns, Relaxed) != ns {
            set_socket_timeout(&self.fd, Timeout::Recv, Some(patience))?;
        }
        Ok(())
    }

    fn poll(&self, events: PollFlags, longest: Duration) -> PollFlags {
        let timeout = Timespec::try_from(longest).ok();
        let mut polled = [PollFd::new(&self.fd, events)];
        match retry_on_intr(|| poll(&mut polled, timeout.as_ref())) {
            Ok(_) => polled[0].revents(),
            // Without memory for it: whoever then tries without waiting finds out.
            Err(_) => PollFlags::empty(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Wire for Socket {
    #[inline]
    fn receive(&self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        self.receive_by(patience, |flags| recv(&self.fd, &mut *into, flags).map(|(got, _)| got))
    }

    #[inline]
    fn append(&self, into: &mut Vec<u8>, patience: Duration) -> io::Result<usize> {
        self.receive_by(patience, |flags| {
            recv(&self.fd, spare_capacity(into), flags).map(|(got, _)| got)
        })
    }

    #[inline]
    fn take(&self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let flags = RecvFlags::DONTWAIT;
        match retry_on_intr(|| recv(&self.fd, spare_capacity(into), flags).map(|(got, _)| got)) {
            Ok(received) => Ok(Some(received)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[inline]
    fn waiting(&self) -> usize {
        ioctl_fionread(&self.fd).map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0))
    }

    #[inline]
    fn give(&self, parts: &[&[u8]]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let given = match parts {
            [] => return Ok(0),
            [only] => send(&self.fd, only, flags),
            several => {
                let mut slices = [IoSlice::new(&[]); PARTS_MAX];
                for (slice, part) in slices.iter_mut().zip(several) {
                    *slice = IoSlice::new(part);
                }
                let slices = &slices[..several.len()];
                sendmsg(&self.fd, slices, &mut SendAncillaryBuffer::default(), flags)
            }
        };
        match given {
            Ok(given) => Ok(given),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn wait(&self, what: Doing, longest: Duration) -> bool {
        let events = match what {
            Doing::Taking => PollFlags::IN,
            Doing::Giving => PollFlags::OUT,
        };
        !self.poll(events, longest).is_empty()
    }

    fn is_gone(&self) -> bool {
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        self.poll(PollFlags::RDHUP, Duration::ZERO).intersects(gone)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn finish(&self) {
        // Fails only if the peer has gone, which ends the waiting for it all the same.
        let _ = shutdown(&self.fd, Shutdown::Write);
    }

    fn spoil(&self) {
        // Fails only if the connection is broken already.
        let _ = set_socket_linger(&self.fd, Some(Duration::ZERO));
    }
}

/// The kernel takes zero for "for ever", so that the shortest wait is a microsecond.
fn at_least_some(patience: Duration) -> Duration {
    patience.clamp(Duration::from_micros(1), Duration::from_secs(u32::MAX.into()))
}

fn timed_out(error: Errno) -> io::Error {
    match error {
        Errno::AGAIN => io::ErrorKind::TimedOut.into(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Socket::new(ours.into()), theirs)
    }

    #[test]
    fn silence_is_a_time_out_and_not_an_end() {
        let (socket, _theirs) = pair();

        let error = socket.receive(&mut [0; 8], Duration::from_millis(5)).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn as_much_is_given_as_there_is_room_for_and_the_rest_when_there_is_again() {
        let (socket, mut theirs) = pair();
        let body = vec![7; 3 << 20];
        let parts = [b"head".as_slice(), &body, b"tail"];
        let whole = parts.concat();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            got
        });

        let mut rest = &whole[socket.give(&parts).unwrap()..];
        while !rest.is_empty() {
            assert!(socket.wait(Doing::Giving, LONG), "a reader that reads makes room");
            rest = &rest[socket.give(&[rest]).unwrap()..];
        }
        drop(socket);

        assert_eq!(reader.join().unwrap(), whole);
    }

    #[test]
    fn without_room_nothing_is_given_and_nothing_waited_for() {
        let (socket, _theirs) = pair();
        while socket.give(&[&[0; 64 << 10]]).unwrap() > 0 {}

        assert!(!socket.wait(Doing::Giving, Duration::from_millis(1)));
        assert_eq!(socket.give(&[b"more"]).unwrap(), 0);
    }

    #[test]
    fn a_peer_is_seen_to_be_gone_behind_what_it_left_unread() {
        let (socket, mut theirs) = pair();
        assert!(!socket.is_gone());

        theirs.write_all(b"unread").unwrap();
        assert!(!socket.is_gone());
        drop(theirs);

        assert!(socket.is_gone());
    }

    #[test]
    fn nothing_yet_is_told_from_the_end() {
        let (socket, mut theirs) = pair();
        let mut buffer = Vec::with_capacity(64);

        assert_eq!(socket.take(&mut buffer).unwrap(), None);
        assert!(!socket.wait(Doing::Taking, Duration::from_millis(1)));
        theirs.write_all(b"x").unwrap();
        assert!(socket.wait(Doing::Taking, LONG));
        assert_eq!(socket.take(&mut buffer).unwrap(), Some(1));
        drop(theirs);
        assert_eq!(socket.take(&mut buffer).unwrap(), Some(0));
    }

    #[test]
    fn what_arrives_while_we_wait_is_received() {
        let (socket, mut theirs) = pair();
        let mut buffer = [0; 8];
        assert!(socket.receive(&mut buffer, Duration::from_micros(1)).is_err());

        theirs.write_all(b"late").unwrap();
        drop(theirs);

        assert_eq!(socket.receive(&mut buffer, LONG).unwrap(), 4);
        assert_eq!(socket.receive(&mut buffer, LONG).unwrap(), 0);
    }

    #[test]
    fn what_is_appended_stands_behind_what_was_there_and_fits_the_room_made_for_it() {
        let (socket, mut theirs) = pair();
        let mut buffer = Vec::with_capacity(64);
        buffer.extend_from_slice(b"first ");
        let room = buffer.capacity() - buffer.len();
        theirs.write_all(&vec![b'x'; room + 1]).unwrap();

        assert_eq!(socket.append(&mut buffer, LONG).unwrap(), room);

        assert_eq!(buffer, [b"first ".to_vec(), vec![b'x'; room]].concat());
        assert_eq!(socket.receive(&mut [0; 8], LONG).unwrap(), 1);
    }
}
