//! What of a site a front end can be put in front of: for each app one address and one mount.
//!
//! Several listeners of an app lead to the same workers, so that one of them is enough.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use scgi_protocol::address::Address;
use scgi_protocol::control::AppDetail;
use scgi_protocol::name::AppName;

use super::FrontEnd;
use super::obstacle::Obstacle;
use super::patience::Patience;

/// The apps that a front end is put in front of, those with the longest mount first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(super) front_end: FrontEnd,
    pub(super) places: Vec<Place>,
    pub(super) left_out: Vec<LeftOut>,
    /// The only app that was asked for.
    pub(super) only: Option<AppName>,
}

/// Where an app is for clients, and where for the front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) app: AppName,
    /// Empty for the top, else `/` and more.
    pub(super) mount: String,
    pub(super) address: Address,
    /// Its other addresses, as the daemon tells them.
    pub(super) others: Vec<String>,
    pub(super) patience: Patience,
}

/// An app that is not in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) app: AppName,
    pub(crate) why: Obstacle,
}

impl Site {
    /// The places of `apps` for `front_end`; `only` is set if it is about one app.
    pub(crate) fn of(apps: &[AppDetail], front_end: FrontEnd, only: Option<AppName>) -> Self {
        let (mut places, mut left_out) = (Vec::<Place>::new(), Vec::new());
        for detail in apps {
            let free = |place: Place| match places.iter().find(|p| p.mount == place.mount) {
                None => Ok(place),
                Some(Place { app: first, .. }) => Err(Obstacle::Taken {
                    first: first.clone(),
                    mount: place.location().to_owned(),
                }),
            };
            match Place::of(detail, front_end).and_then(free) {
                Ok(place) => places.push(place),
                Err(why) => left_out.push(LeftOut { app: detail.app.name.clone(), why }),
            }
        }
        places.sort_by_key(|place| std::cmp::Reverse(place.mount.len()));
        Self { front_end, places, left_out, only }
    }

    /// The apps in the configuration: name, mount (`/` for the top), address, seconds to wait.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&AppName, &str, &Address, u64)> {
        self.places
            .iter()
            .map(|place| (&place.app, place.location(), &place.address, place.patience.seconds()))
    }

    /// The apps that are not in the configuration.
    pub(crate) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The front end connects to a unix socket.
    pub(super) fn has_unix(&self) -> bool {
        self.places.iter().any(|place| matches!(place.address, Address::Unix(_)))
    }

    /// The command that makes this configuration.
    pub(super) fn command(&self) -> String {
        let name = self.front_end.as_str();
        match &self.only {
            Some(app) => format!("scgictl front {name} {app}"),
            None => format!("scgictl front {name}"),
        }
    }
}

impl Place {
    fn of(detail: &AppDetail, front_end: FrontEnd) -> Result<Self, Obstacle> {
        let setting = |key: &str| detail.settings.iter().find(|(other, _)| other == key);
        let mount = setting("mount").map(|(_, mount)| mount.clone()).unwrap_or_default();
        if !is_plain(&mount) {
            return Err(Obstacle::Mount(mount));
        }
        let address = reach(&detail.app.listen, front_end)?;
        let others = detail.app.listen.iter();
        Ok(Self {
            app: detail.app.name.clone(),
            others: others.filter(|other| **other != address.to_string()).cloned().collect(),
            address: connectable(address),
            patience: Patience::of(&detail.settings),
            mount,
        })
    }

    /// The path under which clients find it.
    pub(super) fn location(&self) -> &str {
        if self.mount.is_empty() { "/" } else { &self.mount }
    }

    /// The mount as part of a regular expression.
    pub(super) fn pattern(&self) -> String {
        let special = |c: char| matches!(c, '.' | '+' | '*' | '(' | ')' | '[' | ']');
        self.mount.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
    }

    /// What it is, in a line: `blog: unix:/run/blog.sock, also at 127.0.0.1:4000`.
    pub(super) fn title(&self) -> String {
        let Self { app, address, others, .. } = self;
        let place = self.location();
        if others.is_empty() {
            format!("{app}: {place} is at {address}")
        } else {
            format!("{app}: {place} is at {address}; the same workers are at {}", others.join(", "))
        }
    }
}

/// The one of an app's addresses that suits the front end best.
fn reach(listen: &[String], front_end: FrontEnd) -> Result<Address, Obstacle> {
    let found: Vec<Address> = listen.iter().filter_map(|text| text.parse().ok()).collect();
    if found.is_empty() {
        return Err(match listen {
            [] => Obstacle::ListensNowhere,
            names => Obstacle::NotHandedOver(names.to_vec()),
        });
    }
    let suits = |address: &&Address| front_end.takes_unix() || matches!(address, Address::Tcp(_));
    let mut fit: Vec<&Address> = found.iter().filter(suits).collect();
    fit.sort_by_key(|address| matches!(address, Address::Unix(_)) == front_end.prefers_tcp());
    match fit.first() {
        None => Err(Obstacle::UnixAlone),
        Some(Address::Unix(path)) if !path.to_str().is_some_and(is_plain) => {
            Err(Obstacle::Path(path.clone()))
        }
        Some(best) => Ok((*best).clone()),
    }
}

/// Nothing in it means anything else in the configuration of a web server.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "/._-+,@=~".contains(c))
}

/// Where to connect to for who listens at `address`: all interfaces are no place to connect to.
fn connectable(address: Address) -> Address {
    match address {
        Address::Tcp(tcp) if tcp.ip().is_unspecified() => {
            let loopback: IpAddr = match tcp.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            Address::Tcp(SocketAddr::new(loopback, tcp.port()))
        }
        address => address,
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, why } = self;
        write!(f, "{app} is left out: {why}; {}", why.way_out(app))
    }
}
