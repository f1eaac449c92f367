//! Sockets that two would have to share.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use scgi_protocol::address::Address;

use crate::config::problem::{Finding, Findings};
use crate::config::sources::{Spot, Where};
use crate::spec::ListenAt;

/// Every socket that is claimed.
#[derive(Debug, Default)]
pub(super) struct Clashes(Vec<Claim>);

#[derive(Debug)]
struct Claim {
    socket: ListenAt,
    /// The key that claims it.
    path: Arc<str>,
    /// Where that stands; `None` if it is not written and the usual socket is meant.
    spot: Option<Spot>,
}

impl Clashes {
    /// Notes that a socket is wanted by what stands at `at`.
    pub(super) fn claim(&mut self, socket: ListenAt, at: &Where) {
        self.0.push(Claim { socket, path: Arc::clone(&at.path), spot: Some(at.spot) });
    }

    /// Notes that a socket is wanted by a key that is not written down.
    pub(super) fn claim_usual(&mut self, socket: ListenAt, path: &str) {
        self.0.push(Claim { socket, path: path.into(), spot: None });
    }

    /// Reports every socket that is wanted twice, at the later of the two places.
    pub(super) fn report(mut self, findings: &mut Findings) {
        self.0.sort_by_key(|claim| claim.spot);
        let mut seen: BTreeMap<Near<'_>, Vec<&Claim>> = BTreeMap::new();
        for later in &self.0 {
            let near = seen.entry(near(&later.socket)).or_default();
            let earlier = near.iter().find(|claim| meet(&claim.socket, &later.socket));
            findings.extend(earlier.map(|earlier| later.against(earlier)));
            near.push(later);
        }
    }
}

/// What two sockets that cannot both be bound have in common, so that each of a thousand apps need
/// not be held against all others.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Near<'a> {
    Path(&'a OsStr),
    Port(u16),
    Name(&'a str),
}

fn near(socket: &ListenAt) -> Near<'_> {
    match socket {
        ListenAt::Address(Address::Unix(path)) => Near::Path(path.as_os_str()),
        ListenAt::Address(Address::Tcp(address)) => Near::Port(address.port()),
        ListenAt::Systemd(name) => Near::Name(name),
    }
}

impl Claim {
    fn against(&self, earlier: &Self) -> Finding {
        if self.spot == earlier.spot {
            return Finding { spot: self.spot, path: Arc::clone(&self.path), ..shared() };
        }
        let message = if earlier.socket == self.socket {
            format!("same socket as {}", earlier.path)
        } else {
            format!(
                "`{}` cannot stand beside `{}` of {}",
                self.socket, earlier.socket, earlier.path
            )
        };
        let (hint, other) = match earlier.spot {
            Some(spot) => (
                "a socket belongs to one alone; choose another address for one of the two"
                    .to_owned(),
                Some((spot, "first claimed here")),
            ),
            None => (format!("it is the usual one of {}; choose another", earlier.path), None),
        };
        Finding {
            spot: self.spot,
            path: Arc::clone(&self.path),
            hint: Some(hint),
            other,
            ..Finding::anywhere(message)
        }
    }
}

/// What is wrong with a socket that several apps have from the defaults.
fn shared() -> Finding {
    Finding::anywhere("every app that does not say `listen` would have this same socket")
        .hint("a socket belongs to one alone; say `listen` in each app")
}

/// Whether two sockets cannot both be bound. Version 6 sockets take no version 4 connections, so
/// `0.0.0.0:80` and `[::]:80` may stand beside each other.
fn meet(one: &ListenAt, other: &ListenAt) -> bool {
    let (ListenAt::Address(Address::Tcp(a)), ListenAt::Address(Address::Tcp(b))) = (one, other)
    else {
        return one == other;
    };
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && overlap
}
