//! One question to the kernel about all listening sockets of this network namespace
//! (sock_diag(7)): unix, TCP over IPv4, TCP over IPv6.
//!
//! Bounded in time and in answers. A kind the kernel does not answer for is left out and logged
//! once; the others are still answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{self, InetRequest, SocketId};
use netlink_packet_sock_diag::unix::{self, ShowFlags, UnixRequest};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::{Depth, Inode};

/// How long the kernel may take for one piece of its answer; it takes microseconds.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many pieces of an answer are read: some 400 sockets each.
const PIECES_MAX: usize = 1_000;

/// The kernel makes no piece longer than this.
const PIECE_BYTES: usize = 32 * 1024;

/// Why the kernel did not say.
#[derive(Debug, thiserror::Error)]
pub enum BacklogError {
    /// It has no such interface, or no descriptor left.
    #[error("cannot open a netlink socket to ask about listeners")]
    Open(#[source] io::Error),
    /// It broke off, or knows nothing of this kind of socket.
    #[error("cannot list the {0} listeners")]
    Ask(&'static str, #[source] io::Error),
    /// It answered what nobody understands.
    #[error("the answer about {0} listeners is not understood: {1}")]
    Answer(&'static str, String),
    /// It never came to an end.
    #[error("the answer about {0} listeners has no end")]
    Endless(&'static str),
}

/// A line to the kernel for questions about listening sockets.
#[derive(Debug)]
pub struct Backlog {
    line: OwnedFd,
    complained: BTreeSet<Kind>,
}

/// A kind of listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unix,
    Tcp4,
    Tcp6,
}

impl Backlog {
    /// Opens a line to the kernel.
    ///
    /// # Errors
    ///
    /// [`BacklogError::Open`].
    pub fn open() -> Result<Self, BacklogError> {
        let line = open().map_err(|errno| BacklogError::Open(errno.into()))?;
        Ok(Self { line, complained: BTreeSet::new() })
    }

    /// The queues of all listeners of this network namespace, whoever owns them.
    ///
    /// A kind of listener the kernel does not answer for is left out, and logged the first time.
    pub fn depths(&mut self) -> BTreeMap<Inode, Depth> {
        let mut depths = BTreeMap::new();
        for kind in [Kind::Unix, Kind::Tcp4, Kind::Tcp6] {
            if let Err(error) = self.ask(kind, &mut depths) {
                self.complain(kind, &error);
            }
        }
        depths
    }

    fn complain(&mut self, kind: Kind, error: &BacklogError) {
        if self.complained.insert(kind) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "queue depths of some listeners are not known");
        }
        // What is left of a broken answer would be in the way of the next question.
        if let Ok(line) = open() {
            self.line = line;
        }
    }

    fn ask(&self, kind: Kind, depths: &mut BTreeMap<Inode, Depth>) -> Result<(), BacklogError> {
        let broken = |errno: Errno| BacklogError::Ask(kind.name(), errno.into());
        send(self.line.as_raw_fd(), &kind.question(), MsgFlags::empty()).map_err(broken)?;
        let mut piece = vec![0; PIECE_BYTES];
        for _ in 0..PIECES_MAX {
            let len = match recv(self.line.as_raw_fd(), &mut piece, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue, // a receive with a timeout is never restarted
                received => received.map_err(broken)?,
            };
            if kind.read(&piece[..len], depths)? {
                return Ok(());
            }
        }
        Err(BacklogError::Endless(kind.name()))
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Tcp4 => "IPv4",
            Self::Tcp6 => "IPv6",
        }
    }

    /// Reads one piece of an answer; whether it was the last.
    fn read(
        self,
        mut piece: &[u8],
        depths: &mut BTreeMap<Inode, Depth>,
    ) -> Result<bool, BacklogError> {
        while !piece.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(piece)
                .map_err(|error| BacklogError::Answer(self.name(), error.to_string()))?;
            let len = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            let next = len.checked_next_multiple_of(4).unwrap_or(usize::MAX);
            piece = piece.get(next..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::InnerMessage(socket) => depths.extend(depth(&socket)),
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return Err(BacklogError::Ask(self.name(), error.to_io()));
                }
                _ => {}
            }
        }
        Ok(false)
    }

    fn question(self) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, self.request().into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn request(self) -> SockDiagMessage {
        let inet = |family, socket_id| {
            SockDiagMessage::InetRequest(InetRequest {
                family,
                protocol: IPPROTO_TCP,
                extensions: inet::ExtensionFlags::empty(),
                states: inet::StateFlags::LISTEN,
                socket_id,
            })
        };
        match self {
            Self::Tcp4 => inet(AF_INET, SocketId::new_v4()),
            Self::Tcp6 => inet(AF_INET6, SocketId::new_v6()),
            Self::Unix => SockDiagMessage::UnixRequest(UnixRequest {
                state_flags: unix::StateFlags::LISTEN,
                inode: 0,
                show_flags: ShowFlags::RQLEN,
                cookie: [0xff; 8],
            }),
        }
    }
}

fn depth(socket: &SockDiagMessage) -> Option<(Inode, Depth)> {
    match socket {
        SockDiagMessage::InetResponse(socket) => {
            let depth =
                Depth { waiting: socket.header.recv_queue, limit: socket.header.send_queue };
            Some((Inode(socket.header.inode.into()), depth))
        }
        SockDiagMessage::UnixResponse(socket) => {
            let waiting = socket.number_of_pending_connection()?;
            let limit = socket.max_number_of_pending_connection()?;
            Some((Inode(socket.header.inode.into()), Depth { waiting, limit }))
        }
        SockDiagMessage::InetRequest(_) | SockDiagMessage::UnixRequest(_) => None,
    }
}

fn open() -> nix::Result<OwnedFd> {
    let line = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    let patience = TimeVal::new(0, PATIENCE.subsec_micros().into());
    setsockopt(&line, sockopt::ReceiveTimeout, &patience)?;
    connect(line.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use nix::sys::socket;
    use scgi_protocol::page::now_ns;

    use super::*;

    fn seen(listener: impl AsFd) -> Option<Depth> {
        let mut backlog = Backlog::open().unwrap();
        backlog.depths().get(&Inode::of(listener).unwrap()).copied()
    }

    fn set_limit(listener: impl AsFd, limit: i32) {
        socket::listen(&listener, socket::Backlog::new(limit).unwrap()).unwrap();
    }

    #[test]
    fn who_waits_at_a_unix_listener_is_seen_until_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let listener = UnixListener::bind(&path).unwrap();
        set_limit(&listener, 7);
        assert_eq!(seen(&listener), Some(Depth { waiting: 0, limit: 7 }));

        let _waiting: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(seen(&listener), Some(Depth { waiting: 3, limit: 7 }));

        let _accepted = listener.accept().unwrap();
        assert_eq!(seen(&listener), Some(Depth { waiting: 2, limit: 7 }));
    }

    #[test]
    fn who_waits_at_a_tcp_listener_is_seen_whatever_the_version_of_ip() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            set_limit(&listener, 9);

            let to = listener.local_addr().unwrap();
            let _waiting: Vec<_> = (0..4).map(|_| TcpStream::connect(to).unwrap()).collect();

            // The kernel may take a moment to move the last of them to the queue.
            let deadline_ns = now_ns() + 10_000_000_000;
            while seen(&listener).unwrap().waiting < 4 && now_ns() < deadline_ns {
                std::thread::yield_now();
            }
            assert_eq!(seen(&listener), Some(Depth { waiting: 4, limit: 9 }), "{address}");
        }
    }

    #[test]
    fn listeners_that_do_not_fit_one_piece_are_all_seen() {
        let folder = tempfile::tempdir().unwrap();
        let bind = |at: usize| UnixListener::bind(folder.path().join(at.to_string())).unwrap();
        let listeners: Vec<_> = (0..300).map(bind).collect();

        let depths = Backlog::open().unwrap().depths();

        let inode = |listener| Inode::of(listener).unwrap();
        assert!(listeners.iter().all(|listener| depths.contains_key(&inode(listener))));
    }

    #[test]
    fn a_socket_that_does_not_listen_has_no_queue() {
        let (one, _other) = UnixStream::pair().unwrap();

        assert_eq!(seen(&one), None);
    }

    #[test]
    fn a_line_that_broke_is_replaced_for_the_next_question() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut backlog = Backlog::open().unwrap();
        backlog.line = std::fs::File::open("/dev/null").unwrap().into();

        let inode = Inode::of(&listener).unwrap();
        // The first kind finds the line broken and replaces it, the others are answered.
        assert!(backlog.depths().contains_key(&inode));
        assert_eq!(backlog.complained, [Kind::Unix].into());
    }
}
