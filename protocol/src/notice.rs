//! What a worker says to the daemon: datagrams in the form of sd_notify(3).
//!
//! A notice is a few lines of `KEY=value`, sent to the socket that `NOTIFY_SOCKET` names: a path,
//! or an abstract name behind `@`. Programs that know systemd speak it already. Who sent it is
//! proven by the kernel's credentials, never by anything in it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A longer datagram is not a notice.
pub const MAX_BYTES: usize = 4096;

/// Longest status text that is kept, in characters.
pub const STATUS_MAX_CHARS: usize = 200;

/// How long a worker waits for a daemon that has too much to hear.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One datagram, understood. What it does not mention is `false` or `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// `READY=1`: the worker accepts connections.
    pub ready: bool,
    /// `STOPPING=1`: the worker is leaving by its own decision.
    pub stopping: bool,
    /// `WATCHDOG=1`: the worker is alive.
    pub watchdog: bool,
    /// `STATUS=…`: one line for people, control characters replaced, at most
    /// [`STATUS_MAX_CHARS`] characters.
    pub status: Option<String>,
    /// `EXTEND_TIMEOUT_USEC=…`: the start or stop under way needs this much more time from now.
    pub extend: Option<Duration>,
}

impl Notice {
    /// The notice of a worker that accepts connections.
    pub fn ready() -> Self {
        Self { ready: true, ..Self::default() }
    }

    /// The notice of a worker that is leaving.
    pub fn stopping() -> Self {
        Self { stopping: true, ..Self::default() }
    }

    /// Reads a datagram. Total: what is not understood is passed over, as sd_notify(3) asks.
    pub fn decode(datagram: &[u8]) -> Self {
        let mut notice = Self::default();
        for line in datagram.split(|&byte| byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            match line.split_once('=') {
                Some(("READY", "1")) => notice.ready = true,
                Some(("STOPPING", "1")) => notice.stopping = true,
                Some(("WATCHDOG", "1")) => notice.watchdog = true,
                Some(("STATUS", text)) => notice.status = Some(printable(text)),
                Some(("EXTEND_TIMEOUT_USEC", number)) => {
                    notice.extend = number.parse().ok().map(Duration::from_micros);
                }
                Some(_) | None => {}
            }
        }
        notice
    }

    /// Writes the datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        let flags =
            [(self.ready, "READY=1"), (self.stopping, "STOPPING=1"), (self.watchdog, "WATCHDOG=1")];
        lines.extend(flags.iter().filter(|(set, _)| *set).map(|(_, line)| (*line).to_owned()));
        lines.extend(self.status.iter().map(|text| format!("STATUS={}", printable(text))));
        lines.extend(self.extend.iter().map(|d| format!("EXTEND_TIMEOUT_USEC={}", d.as_micros())));
        lines.join("\n").into_bytes()
    }
}

/// The address of the socket `name`, the value of `NOTIFY_SOCKET`.
///
/// # Errors
///
/// If `name` is neither an absolute path nor an abstract name, or is too long for one.
pub fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None if name.starts_with('/') => SocketAddr::from_pathname(name),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The worker's end: knows where notices go.
#[derive(Debug)]
pub struct Voice {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Voice {
    /// Prepares to speak to the socket `name`, the value of `NOTIFY_SOCKET`.
    ///
    /// # Errors
    ///
    /// If `name` is neither an absolute path nor an abstract name, or no socket can be had.
    pub fn to(name: &str) -> io::Result<Self> {
        let to = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, to })
    }

    /// Says `notice`. Waits at most [`PATIENCE`] while the daemon has more to hear than the kernel
    /// keeps for it, which is ten datagrams by default (`net.unix.max_dgram_qlen`): many workers
    /// that become ready together fill that.
    ///
    /// # Errors
    ///
    /// If the datagram could not be handed to the kernel: nobody listens, or nobody did in time.
    pub fn say(&self, notice: &Notice) -> io::Result<()> {
        self.socket.send_to_addr(&notice.encode(), &self.to).map(drop)
    }
}

fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(STATUS_MAX_CHARS).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_notice_survives_the_way_there() {
        let said = Notice {
            ready: true,
            watchdog: true,
            status: Some("warming up".into()),
            extend: Some(Duration::from_secs(3)),
            ..Notice::default()
        };

        assert_eq!(Notice::decode(&said.encode()), said);
    }

    #[test]
    fn what_systemd_knows_and_we_do_not_is_passed_over() {
        let notice = Notice::decode(b"MAINPID=4711\nREADY=1\nFDSTORE=1\n\xff\xfe=\n");

        assert_eq!(notice, Notice::ready());
    }

    #[test]
    fn a_status_cannot_smuggle_a_second_line_or_an_escape_into_a_terminal() {
        let said = Notice { status: Some("a\nREADY=1\u{1b}[31m".into()), ..Notice::default() };

        let heard = Notice::decode(&said.encode());

        assert!(!heard.ready);
        assert_eq!(heard.status.as_deref(), Some("a READY=1 [31m"));
    }

    proptest! {
        #[test]
        fn any_datagram_has_a_meaning(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let notice = Notice::decode(&bytes);
            prop_assert!(notice.status.is_none_or(|text| text.chars().count() <= STATUS_MAX_CHARS));
        }
    }
}
