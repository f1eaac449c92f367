//! Ports that nobody else takes between finding them and using them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, sockopt,
};

/// A TCP port on loopback that is free to listen on, for whoever sets `SO_REUSEADDR` as every
/// server does, and that the kernel gives to nobody else meanwhile.
///
/// A socket that is bound and does not listen keeps the port.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _keeper: OwnedFd,
}

impl Port {
    /// A port of 127.0.0.1.
    pub fn reserve() -> Self {
        Self::keep(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("loopback has a free port")
    }

    /// A port of ::1.
    ///
    /// # Errors
    ///
    /// If this machine has no version 6.
    pub fn reserve_v6() -> nix::Result<Self> {
        Self::keep(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn keep(address: SocketAddr) -> nix::Result<Self> {
        let address = SockaddrStorage::from(address);
        let family = address.family().unwrap_or(AddressFamily::Inet);
        let keeper = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        socket::setsockopt(&keeper, sockopt::ReuseAddr, &true)?;
        socket::bind(keeper.as_raw_fd(), &address)?;
        let bound: SockaddrStorage = socket::getsockname(keeper.as_raw_fd())?;
        let v4 = bound.as_sockaddr_in().map(socket::SockaddrIn::port);
        let v6 = bound.as_sockaddr_in6().map(socket::SockaddrIn6::port);
        let number = v4.or(v6).expect("it was bound to an address of TCP");
        Ok(Self { number, _keeper: keeper })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_reserved_port_can_be_listened_on_by_a_server_and_is_given_to_nobody_else() {
        let port = Port::reserve();

        let others: Vec<_> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let server = TcpListener::bind(("127.0.0.1", port.number()));

        assert!(server.is_ok(), "{server:?}");
        assert!(others.iter().all(|other| other.local_addr().unwrap().port() != port.number()));
    }
}
