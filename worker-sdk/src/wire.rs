//! The connection to a front end: bytes in, bytes out, each with a bound on waiting.
//!
//! [`Socket`] is the real one. It asks the kernel without waiting first, since a front end has
//! usually sent its whole request before we look; only who has to wait pays for a time-out, which
//! is then set once. (A thread that watches over those who wait would save that call, and cost as
//! much: the kernel and the C library are quicker with processes that have but one.) Knows nothing
//! of SCGI. The other one is in memory, for testing apps.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
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

    /// Sends all of `parts`, at most [`PARTS_MAX`]; waits at most `patience` for each bit of room.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `patience`, or what the connection broke with; how much was sent before
    /// is unknown.
    fn send(&self, parts: &[&[u8]], patience: Duration) -> io::Result<()>;

    /// The connection, to be waited for beside others; `None` if there is nothing to wait for.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the peer has closed the connection, as far as can be seen without waiting.
    fn is_gone(&self) -> bool {
        let Some(connection) = self.descriptor() else { return false };
        let mut polled = [PollFd::from_borrowed_fd(connection, PollFlags::RDHUP)];
        let looked = poll(&mut polled, Some(&Timespec::default())).is_ok();
        let hung_up = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        looked && polled[0].revents().intersects(hung_up)
    }

    /// Tells the peer that nothing more will be sent.
    fn finish(&self);

    /// Makes the coming close one that the peer takes for a failure, where the kernel can (TCP).
    fn spoil(&self);
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
    receive_patience: Cell<Option<Duration>>,
    send_patience: Cell<Option<Duration>>,
}

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, receive_patience: Cell::new(None), send_patience: Cell::new(None) }
    }

    /// Receives by `attempt`, without waiting and then, if it must be, with.
    #[inline]
    fn receive_by(
        &self,
        patience: Duration,
        mut attempt: impl FnMut(RecvFlags) -> Result<usize, Errno>,
    ) -> io::Result<usize> {
        // Who had to wait before will have to again: a body on its way.
        if self.receive_patience.get().is_none() {
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
        if self.receive_patience.replace(Some(patience)) != Some(patience) {
            set_socket_timeout(&self.fd, Timeout::Recv, Some(at_least_some(patience)))?;
        }
        Ok(())
    }

    #[cold]
    fn send_waiting(&self, mut rest: &[u8], patience: Duration) -> io::Result<()> {
        if self.send_patience.get() != Some(patience) {
            set_socket_timeout(&self.fd, Timeout::Send, Some(at_least_some(patience)))?;
            self.send_patience.set(Some(patience));
        }
        while !rest.is_empty() {
            match send(&self.fd, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
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
    fn send(&self, parts: &[&[u8]], patience: Duration) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let tried = match parts {
            [] => return Ok(()),
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
        let mut sent = match tried {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for part in parts {
            let gone = sent.min(part.len());
            sent -= gone;
            if gone < part.len() {
                self.send_waiting(&part[gone..], patience)?;
            }
        }
        Ok(())
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
    fn a_peer_that_takes_nothing_is_given_up() {
        let (socket, _theirs) = pair();

        let error = socket.send(&[&[0; 4 << 20]], Duration::from_millis(5)).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn parts_larger_than_the_kernel_takes_at_once_arrive_whole_and_in_order() {
        let (socket, mut theirs) = pair();
        let middle = vec![7; 3 << 20];
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            got
        });

        socket.send(&[b"head", &middle, b"tail"], LONG).unwrap();
        drop(socket);

        assert_eq!(reader.join().unwrap(), [b"head".as_slice(), &middle, b"tail"].concat());
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
