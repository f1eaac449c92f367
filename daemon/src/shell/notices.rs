//! The socket on which workers say what they have to say.
//!
//! Anybody on the machine may write to it. Who a notice is from is told by the kernel, which puts
//! the sender's credentials to every datagram; what it says has no say in that.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt,
};
use scgi_protocol::notice::{MAX_BYTES, Notice};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::supervisor::Pid;

/// The daemon's end of all workers' voices.
#[derive(Debug)]
pub(super) struct Notices {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notices {
    /// Listens at `path`; what was there before is replaced. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = StdDatagram::bind(path)?;
        // Workers run as anybody.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixDatagram::from_std(socket)?, path: path.to_owned() })
    }

    /// Goes on listening at `path` with the socket that the program before this one had there.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch it.
    pub(super) fn handed(socket: OwnedFd, path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::from_std(StdDatagram::from(socket))?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// The next notice, and the process it is from. Waits for one.
    pub(super) async fn next(&self) -> (Pid, Notice) {
        loop {
            if self.socket.ready(Interest::READABLE).await.is_err() {
                return std::future::pending().await;
            }
            if let Ok(Some(heard)) = self.socket.try_io(Interest::READABLE, || self.receive()) {
                return heard;
            }
        }
    }

    /// One datagram; `None` if it is not a notice or does not say who it is from.
    fn receive(&self) -> io::Result<Option<(Pid, Notice)>> {
        let mut buffer = [0; MAX_BYTES + 1];
        let (from, length) = receive(self.socket.as_fd(), &mut buffer)?;
        Ok(from.filter(|_| length <= MAX_BYTES).map(|pid| (pid, Notice::decode(&buffer[..length]))))
    }
}

/// One datagram: the process it is from, if the kernel says so, and how long it is. Descriptors that
/// come with it have no room.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(Option<Pid>, usize)> {
    let mut space = nix::cmsg_space!(UnixCredentials);
    let (fd, mut parts) = (socket.as_raw_fd(), [IoSliceMut::new(buffer)]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(fd, &mut parts, Some(&mut space), flags)?;
    let from = message.cmsgs()?.find_map(|item| match item {
        ControlMessageOwned::ScmCredentials(from) => Some(from.pid()),
        _ => None,
    });
    Ok((from, message.bytes))
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        // Somebody may have tidied up before us.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use scgi_protocol::notice::Voice;

    use super::*;

    #[tokio::test]
    async fn a_notice_comes_with_the_process_it_is_from() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify.sock");
        let notices = Notices::open(&path).unwrap();

        Voice::to(path.to_str().unwrap()).unwrap().say(&Notice::ready()).unwrap();

        let me = Pid::try_from(std::process::id()).unwrap();
        assert_eq!(notices.next().await, (me, Notice::ready()));
    }

    #[tokio::test]
    async fn a_datagram_that_is_too_long_is_not_a_notice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify.sock");
        let notices = Notices::open(&path).unwrap();
        let sender = StdDatagram::unbound().unwrap();

        sender.send_to(&[b'R'; MAX_BYTES + 100], &path).unwrap();
        sender.send_to(b"STOPPING=1", &path).unwrap();

        assert_eq!(notices.next().await.1, Notice::stopping());
    }
}
