//! Sockets that two would have to share.

use std::net::{IpAddr, SocketAddr};

use scgi_protocol::address::Address;

use crate::config::problem::{Finding, Findings};
use crate::config::sources::Where;
use crate::spec::ListenAt;

/// Every socket that is claimed, in the order in which it was claimed.
#[derive(Debug, Default)]
pub(super) struct Clashes(Vec<(ListenAt, Where)>);

impl Clashes {
    /// Notes that a socket is wanted at `at`.
    pub(super) fn claim(&mut self, socket: ListenAt, at: Where) {
        self.0.push((socket, at));
    }

    /// Reports every socket that is wanted twice, at the later of the two places.
    pub(super) fn report(mut self, findings: &mut Findings) {
        self.0.sort_by_key(|(_, at)| at.spot);
        for (index, (socket, at)) in self.0.iter().enumerate() {
            let Some((first, earlier)) =
                self.0[..index].iter().find(|(first, _)| meet(first, socket))
            else {
                continue;
            };
            let message = if first == socket {
                format!("same socket as {}", earlier.path)
            } else {
                format!("`{socket}` is part of `{first}`, where {} listens", earlier.path)
            };
            findings.push(
                Finding::at(at, message)
                    .beside(earlier.spot, "first claimed here")
                    .hint("every socket belongs to one; choose another address for one of the two"),
            );
        }
    }
}

/// Whether two sockets cannot both be bound. Version 6 sockets take no version 4 connections, so
/// `0.0.0.0:80` and `[::]:80` may stand beside each other; port 0 is another one every time.
fn meet(one: &ListenAt, other: &ListenAt) -> bool {
    let (ListenAt::Address(Address::Tcp(a)), ListenAt::Address(Address::Tcp(b))) = (one, other)
    else {
        return one == other;
    };
    let same_family = matches!(
        (a, b),
        (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_))
    );
    let (a_ip, b_ip): (IpAddr, IpAddr) = (a.ip(), b.ip());
    let overlap = a_ip == b_ip || a_ip.is_unspecified() || b_ip.is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_family && overlap
}
