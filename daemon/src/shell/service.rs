//! The daemon's talk with the service manager that started it, as sd_notify(3) has it: how the
//! site is, and that the loop turns.
//!
//! ```text
//! board, pulse ─▶ talk: what is worth saying ─▶ NOTIFY_SOCKET
//! ```
//!
//! It runs beside the loop and never holds it up: a manager that does not listen, or has too much
//! to hear, is told again a second later. The socket and the deadline are read from the environment
//! once; no worker inherits them.

mod status;
mod talk;

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use scgi_protocol::notice;

use super::board::Board;
use super::clock::Clock;
use crate::metrics::Pulse;
use talk::{Seen, Talk};

/// Pause before a manager that could not be told is told again.
const RETRY: Duration = Duration::from_secs(1);

/// The service manager that started the daemon.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    to: SocketAddr,
    /// Within how long it has to hear of the daemon again and again; `None` if it does not ask.
    deadline: Option<Duration>,
}

impl Manager {
    /// The one that the environment names; `None` if there is none, or none that can be told: then
    /// the log says so.
    pub fn from_environment() -> Option<Self> {
        let text = |name: &str| std::env::var(name).ok();
        let name = text("NOTIFY_SOCKET")?;
        let deadline = deadline(text, std::process::id());
        let manager = Self::at(&name, deadline);
        let warn = |error: &io::Error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "service manager named by NOTIFY_SOCKET cannot be told anything");
        };
        manager.inspect_err(warn).ok()
    }

    /// The one that listens at `name`, a path or an abstract name behind `@`.
    fn at(name: &str, deadline: Option<Duration>) -> io::Result<Self> {
        let to = notice::address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to, deadline })
    }

    /// Tells it how the site is, for as long as the daemon lives. To be called once the daemon
    /// has begun with its site.
    pub async fn tell(self, board: Board, pulse: Pulse) {
        let mut changes = board.changes();
        let mut talk = Talk::new(self.deadline, Clock::monotonic_ns());
        let mut is_heard = true;
        loop {
            changes.borrow_and_update();
            let now_ns = Clock::monotonic_ns();
            let said = self.say_all(&mut talk, &Seen::of(&board, &pulse, now_ns), now_ns);
            if let (Err(error), true) = (&said, is_heard) {
                let error = error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "service manager does not listen; telling it again and again"
                );
            }
            is_heard = said.is_ok();
            if is_heard {
                let pause = talk.pause(Clock::monotonic_ns());
                tokio::select! {
                    _ = changes.changed() => talk.look_again(),
                    () = tokio::time::sleep(pause) => {}
                }
            } else {
                talk.look_again();
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Says all that is worth saying.
    fn say_all(&self, talk: &mut Talk, seen: &Seen<'_>, now_ns: u64) -> io::Result<()> {
        while let Some((datagram, told)) = talk.next(seen, now_ns) {
            self.socket.send_to_addr(datagram.as_bytes(), &self.to)?;
            *talk = told;
        }
        Ok(())
    }
}

/// Within how long the manager wants a sign of life of the process `pid`; `None` if it wants none,
/// or that of another process, whose environment this one has inherited.
fn deadline(text: impl Fn(&str) -> Option<String>, pid: u32) -> Option<Duration> {
    let micros: u64 = text("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0)?;
    let is_ours = text("WATCHDOG_PID").is_none_or(|theirs| theirs.parse() == Ok(pid));
    is_ours.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests;
