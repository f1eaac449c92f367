//! Where an app listens.

use std::fmt;

use scgi_protocol::address::Address;
use serde::{Deserialize, Serialize};

/// One listening socket of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListenSpec {
    /// Where it comes from.
    pub at: ListenAt,
    /// Whom a unix socket belongs to.
    pub ownership: Ownership,
    /// Length of the accept queue; the kernel silently takes at most `net.core.somaxconn`.
    pub backlog: u16,
}

impl ListenSpec {
    /// The backlog unless the configuration says another.
    pub const DEFAULT_BACKLOG: u16 = 4096;
}

/// Where a listening socket comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ListenAt {
    /// The daemon binds it.
    Address(Address),
    /// The service manager bound it and handed it over under this name (sd_listen_fds(3)).
    Systemd(String),
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// Whom the file of a unix socket belongs to; `None` leaves it as the kernel makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ownership {
    /// Its owner's number.
    pub owner: Option<u32>,
    /// Its group's number.
    pub group: Option<u32>,
    /// Its mode, the lowest nine bits.
    pub mode: Option<u32>,
}
