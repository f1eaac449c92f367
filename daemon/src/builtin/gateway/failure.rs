//! What can go wrong between the gateway and an app, and what a person should try.

use std::io;

use scgi_protocol::address::Address;
use scgi_protocol::scgi::{RequestError, ResponseDecodeError};

/// Why a request got no answer from its app.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("nobody listens at {address}")]
    Refused { address: Address, source: io::Error },
    #[error("the queue of {address} is full")]
    Busy { address: Address },
    #[error("{address} cannot be reached")]
    Unreachable { address: Address, source: io::Error },
    #[error("the app does not take the connection")]
    SlowConnect,
    #[error("the app closed the connection without an answer")]
    Closed,
    #[error("the app closed the connection in the middle of its answer's head")]
    Cut,
    #[error("the connection to the app broke before its answer")]
    Broken(#[source] io::Error),
    #[error("the app answered with something that is no response")]
    Garbage(#[source] ResponseDecodeError),
    #[error("the app takes too long to answer")]
    Silent,
    #[error("the request cannot be passed on")]
    Unsendable(#[source] RequestError),
    #[error("the path leads out of itself")]
    Path,
    #[error("a body of unknown length has at most {most} bytes here")]
    TooLong { most: usize },
    #[error("the request did not arrive as a whole")]
    ClientGone,
    #[error("the gateway opens no tunnels")]
    Method,
}

impl Failure {
    /// Why connecting to `address` failed.
    pub(super) fn connecting(address: &Address, source: io::Error) -> Self {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                Self::Refused { address, source }
            }
            io::ErrorKind::WouldBlock => Self::Busy { address },
            _ => Self::Unreachable { address, source },
        }
    }

    /// The status a client gets.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Closed
            | Self::Cut
            | Self::Broken(_)
            | Self::Garbage(_) => 502,
            Self::Busy { .. } => 503,
            Self::SlowConnect | Self::Silent => 504,
            Self::Unsendable(_) | Self::Path | Self::ClientGone => 400,
            Self::TooLong { .. } => 413,
            Self::Method => 405,
        }
    }

    /// The command that helps, for the app called `name`; `None` if it is the client's fault.
    pub(super) fn remedy(&self, name: &str) -> Option<String> {
        match self {
            Self::Refused { .. } | Self::Unreachable { .. } => {
                Some(format!("scgictl describe {name}    # how it is, and where it listens"))
            }
            Self::Busy { .. } | Self::SlowConnect => {
                Some(format!("scgictl scale {name} +2    # more workers"))
            }
            Self::Closed | Self::Cut | Self::Broken(_) | Self::Garbage(_) => {
                Some(format!("scgictl logs {name}    # what its workers said"))
            }
            Self::Silent => {
                Some(format!("scgictl describe {name}    # what its workers are doing"))
            }
            Self::Unsendable(_)
            | Self::Path
            | Self::TooLong { .. }
            | Self::ClientGone
            | Self::Method => None,
        }
    }
}
