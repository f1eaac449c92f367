//! The connection to a front end: bytes in, bytes out, each with a bound on waiting.
//!
//! [`Socket`] is the real one. It asks the kernel without waiting first, since a front end has
//! usually sent its whole request before we look; only who has to wait pays for a time-out, which
//! is then set once. Knows nothing of SCGI. The other one is in memory, for testing apps.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    MsgFlags, Shutdown, recv, send, sendmsg, setsockopt, shutdown,
    sockopt::{Linger, ReceiveTimeout, SendTimeout},
};
use nix::sys::time::TimeVal;

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

    /// Sends all of `parts`, at most [`PARTS_MAX`]; waits at most `patience` for each bit of room.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `patience`, or what the connection broke with; how much was sent before
    /// is unknown.
    fn send(&self, parts: &[&[u8]], patience: Duration) -> io::Result<()>;

    /// Tells the peer that nothing more will be sent.
    fn finish(&self);

    /// Makes the coming close one that the peer takes for a failure, where the kernel can (TCP).
    fn spoil(&self);
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

    #[cold]
    fn receive_waiting(&self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        if self.receive_patience.get() != Some(patience) {
            setsockopt(&self.fd, ReceiveTimeout, &time_val(patience))?;
            self.receive_patience.set(Some(patience));
        }
        loop {
            match recv(self.fd.as_raw_fd(), into, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                answer => return answer.map_err(timed_out),
            }
        }
    }

    #[cold]
    fn send_waiting(&self, mut rest: &[u8], patience: Duration) -> io::Result<()> {
        if self.send_patience.get() != Some(patience) {
            setsockopt(&self.fd, SendTimeout, &time_val(patience))?;
            self.send_patience.set(Some(patience));
        }
        while !rest.is_empty() {
            match send(self.fd.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::EINTR) => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }
}

impl Wire for Socket {
    #[inline]
    fn receive(&self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        if self.receive_patience.get().is_some() {
            // It had to wait before and will again: a body on its way.
            return self.receive_waiting(into, patience);
        }
        match recv(self.fd.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT) {
            Ok(received) => Ok(received),
            Err(Errno::EAGAIN | Errno::EINTR) => self.receive_waiting(into, patience),
            Err(error) => Err(error.into()),
        }
    }

    #[inline]
    fn send(&self, parts: &[&[u8]], patience: Duration) -> io::Result<()> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let fd = self.fd.as_raw_fd();
        let tried = match parts {
            [] => return Ok(()),
            [only] => send(fd, only, flags),
            several => {
                let mut slices = [IoSlice::new(&[]); PARTS_MAX];
                for (slice, part) in slices.iter_mut().zip(several) {
                    *slice = IoSlice::new(part);
                }
                sendmsg::<()>(fd, &slices[..several.len()], &[], flags, None)
            }
        };
        let mut sent = match tried {
            Ok(sent) => sent,
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
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

    fn finish(&self) {
        // Fails only if the peer has gone, which ends the waiting for it all the same.
        let _ = shutdown(self.fd.as_raw_fd(), Shutdown::Write);
    }

    fn spoil(&self) {
        // Fails only if the connection is broken already.
        let _ = setsockopt(&self.fd, Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    }
}

/// The kernel takes zero for "for ever", so that the shortest wait is a microsecond.
fn time_val(patience: Duration) -> TimeVal {
    let patience = patience.max(Duration::from_micros(1));
    let seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX);
    TimeVal::new(seconds.into(), patience.subsec_micros().into())
}

fn timed_out(error: Errno) -> io::Error {
    match error {
        Errno::EAGAIN => io::ErrorKind::TimedOut.into(),
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
}
