//! Where an app listens: a unix socket's path or a TCP address, written as one string.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest path of a unix socket in bytes: `sun_path` less its final NUL (unix(7)).
pub const UNIX_PATH_MAX_BYTES: usize = 107;

/// An address to listen on or connect to.
///
/// Written `unix:/run/blog.sock`, `127.0.0.1:4000` or `[::1]:4000`. Host names are not looked up:
/// where a site listens must not depend on a resolver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "control", serde(try_from = "String", into = "String"))]
pub enum Address {
    /// A unix socket; the path is absolute when it comes from a configuration.
    Unix(PathBuf),
    /// TCP, version 4 or 6.
    Tcp(SocketAddr),
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `unix:` with nothing behind it.
    #[error("the path after `unix:` is missing")]
    NoPath,
    /// The kernel holds no path of this length.
    #[error("a unix socket's path has at most {UNIX_PATH_MAX_BYTES} bytes, not {0}")]
    PathTooLong(usize),
    /// A path without `unix:` before it.
    #[error("a path is written `unix:{0}`")]
    BarePath(String),
    /// A port alone, or `:port`, or `*:port`.
    #[error("`{0}` names no interface; write `127.0.0.1:{1}`, or `0.0.0.0:{1}` for all of them")]
    BarePort(String, u16),
    /// A name where a number is wanted.
    #[error("`{0}` is not an IP address with a port; names are not looked up")]
    NotAnAddress(String),
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(AddressError::NoPath),
                1..=UNIX_PATH_MAX_BYTES => Ok(Self::Unix(path.into())),
                long => Err(AddressError::PathTooLong(long)),
            };
        }
        if text.contains('/') {
            return Err(AddressError::BarePath(text.to_owned()));
        }
        let port = text.trim_start_matches('*').trim_start_matches(':');
        if let Ok(port) = port.parse::<u16>() {
            return Err(AddressError::BarePort(text.to_owned(), port));
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self::Tcp)
            .map_err(|_| AddressError::NotAnAddress(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_was_written() {
        for text in ["unix:/run/a b.sock", "127.0.0.1:4000", "[::1]:4000", "0.0.0.0:0"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn localhost_is_the_only_name_and_means_version_4() {
        assert_eq!("localhost:80".parse::<Address>(), "127.0.0.1:80".parse());
        assert_eq!(
            "example.org:80".parse::<Address>(),
            Err(AddressError::NotAnAddress("example.org:80".into()))
        );
    }

    #[test]
    fn a_bare_port_or_path_is_answered_with_the_right_spelling() {
        let port = "*:4000".parse::<Address>().unwrap_err();
        let path = "/run/x.sock".parse::<Address>().unwrap_err();

        assert!(port.to_string().contains("`127.0.0.1:4000`"), "{port}");
        assert!(path.to_string().contains("`unix:/run/x.sock`"), "{path}");
        assert_eq!("unix:".parse::<Address>(), Err(AddressError::NoPath));
        assert_eq!(
            format!("unix:/{}", "x".repeat(107)).parse::<Address>(),
            Err(AddressError::PathTooLong(108))
        );
    }
}
