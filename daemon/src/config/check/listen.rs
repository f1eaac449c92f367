//! Where an app listens.

use std::path::PathBuf;

use scgi_protocol::address::{Address, AddressError, UNIX_PATH_MAX_BYTES};
use scgi_protocol::birth::LISTENERS_MAX;

use super::{Context, clash::Clashes, identity, optional};
use crate::config::kinds::{Endpoint, Listen};
use crate::config::machine::Room;
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Mode, Word};
use crate::config::slips;
use crate::config::sources::Where;
use crate::spec::{ListenAt, ListenSpec, Ownership};

/// All sockets of one app, each of them claimed.
pub(super) fn all(
    said: Option<&Said<Listen>>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<Vec<ListenSpec>> {
    let said = said?;
    if said.value.0.len() > LISTENERS_MAX {
        let message = format!("an app listens on at most {LISTENERS_MAX} sockets");
        return context.refuse(Finding::at(&said.at, message).hint("make two apps of it"));
    }
    let specs: Vec<_> = said.value.0.iter().map(|one| socket(one, clashes, context)).collect();
    specs.into_iter().collect()
}

/// The address at which a program listens itself, claimed; `Some(None)` if it does not say one.
pub(super) fn own(
    said: Option<&Said<Listen>>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<Option<Address>> {
    let Some(said) = said else { return Some(None) };
    let [one] = &said.value.0[..] else {
        let finding =
            Finding::at(&said.at, "a standalone program says the one place it listens at");
        return context.refuse(finding.hint("write the address that requests are to be sent to"));
    };
    let raw::ListenAt { address, owner, group, mode, backlog } = &one.value;
    let places = [owner, group].map(|word| word.as_ref().map(Said::place)).into_iter();
    let places = places.chain([mode.as_ref().map(Said::place)]);
    let first = places.chain([backlog.as_ref().map(Said::place)]).flatten().next();
    if let Some(at) = first {
        let finding = Finding::at(at, "a standalone program makes its socket itself");
        return context.refuse(finding.hint("remove it, and tell the program"));
    }
    let Some(address) = address else {
        let finding = Finding::at(&one.at, "does not say `address`");
        return context.refuse(finding.hint("write `listen: unix:/run/APP/APP.sock`"));
    };
    match place(address, context)? {
        ListenAt::Address(own) => {
            clashes.claim(ListenAt::Address(own.clone()), &address.at);
            Some(Some(own))
        }
        ListenAt::Systemd(_) => {
            let message = "a standalone program makes its socket itself, so nobody hands it over";
            context
                .refuse(Finding::at(&address.at, message).hint("write the address it listens at"))
        }
    }
}

fn socket(
    said: &Said<raw::ListenAt>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<ListenSpec> {
    let raw::ListenAt { address, owner, group, mode, backlog } = &said.value;
    let Some(address) = address else {
        let finding = Finding::at(&said.at, "does not say `address`");
        return context.refuse(finding.hint("write `{address: unix:/run/scgid/APP.sock, …}`"));
    };
    let at = place(address, context)?;
    clashes.claim(at.clone(), &address.at);
    if !matches!(at, ListenAt::Address(Address::Unix(_))) {
        let said = owner.as_ref().or(group.as_ref()).map(Said::place);
        only_unix(said.or_else(|| mode.as_ref().map(Said::place)), context)?;
    }
    let ownership = ownership(owner.as_ref(), group.as_ref(), mode.as_ref(), context)?;
    let backlog = backlog.as_ref().map_or(ListenSpec::DEFAULT_BACKLOG, |said| said.value.to());
    Some(ListenSpec { at, ownership, backlog })
}

fn only_unix(said: Option<&Where>, context: &mut Context<'_>) -> Option<()> {
    let Some(at) = said else { return Some(()) };
    context.refuse(
        Finding::at(at, "only the file of a unix socket has an owner, a group and a mode")
            .hint("remove it, or listen on `unix:PATH`"),
    )
}

/// The address or the name of a socket handed over by the service manager.
fn place(said: &Said<Endpoint>, context: &mut Context<'_>) -> Option<ListenAt> {
    let text = &said.value.0;
    let Some(name) = text.strip_prefix("systemd:") else {
        return address(said, context).map(ListenAt::Address);
    };
    let legal = |c: char| c.is_ascii_graphic() && c != ':';
    if name.is_empty() || name.len() > 255 || !name.chars().all(legal) {
        let finding = Finding::at(&said.at, "`systemd:` is followed by no name of a socket");
        return context.refuse(
            finding.hint("the name is what `FileDescriptorName=` says in the .socket unit"),
        );
    }
    Some(ListenAt::Systemd(name.to_owned()))
}

/// An address to listen on, which people can find and where there is room; a relative path starts
/// from the file's folder.
pub(super) fn address(said: &Said<Endpoint>, context: &mut Context<'_>) -> Option<Address> {
    let text = &said.value.0;
    let parsed = match text.strip_prefix("unix:") {
        Some(name) if name.starts_with('@') => return context.refuse(no_abstract(said, name)),
        Some(path) if slips::path(path).is_some() => {
            let finding = Finding::at(&said.at, format!("`{path}` is what a shell would read"));
            return context.refuse(finding.perhaps(slips::path(path).map(str::to_owned)));
        }
        Some(path) if path.ends_with('/') => return context.refuse(no_name(said, path)),
        Some(path) if !path.is_empty() => unix(context.sources.absolute(path, &said.at)),
        _ => text.parse(),
    };
    let wrong = |why: AddressError| match text.split_once("://") {
        Some((_, rest)) => Finding::at(&said.at, format!("`{text}` is a URL, not an address"))
            .hint(format!("write `{rest}`")),
        None => {
            let slip = match why {
                AddressError::NotAnAddress(_) => slips::address(text),
                _ if text.to_lowercase().starts_with("unix:") => slips::address(text),
                _ => None,
            };
            Finding::at(&said.at, why.to_string()).hint(spelled(&why)).perhaps(slip)
        }
    };
    match parsed {
        Ok(Address::Tcp(at)) if at.port() == 0 => context.refuse(no_port(said)),
        Err(AddressError::BarePort(_, 0)) => context.refuse(no_port(said)),
        Ok(address) => room(&address, &said.at, context).map(|()| address),
        Err(why) => context.refuse(wrong(why)),
    }
}

/// Whether somebody can listen there, as far as that is seen without doing it.
fn room(address: &Address, at: &Where, context: &mut Context<'_>) -> Option<()> {
    let finding = match address {
        Address::Tcp(tcp) if context.machine.may_listen(tcp.port()) => return Some(()),
        Address::Tcp(tcp) => {
            Finding::at(at, format!("this user may not listen on port {}", tcp.port()))
                .hint("choose a port from 1024 on, or run scgid as root")
        }
        Address::Unix(path) => match context.machine.room(path) {
            Room::Free => return Some(()),
            Room::NoSocket => {
                Finding::at(at, format!("`{}` exists and is no socket", path.display()))
                    .hint("choose another path, or remove it")
            }
            Room::NoFolder(other) => {
                Finding::at(at, format!("`{}` is no directory", other.display()))
                    .hint("choose a path below a directory")
            }
            Room::Closed(folder) => {
                let message = format!("this user may make nothing in `{}`", folder.display());
                Finding::at(at, message).hint("choose another path, or run scgid as root")
            }
        },
    };
    context.refuse(finding.of_app())
}

fn no_abstract(said: &Said<Endpoint>, name: &str) -> Finding {
    let message = "an abstract socket has no owner and no mode: whoever is on this machine could \
                   connect, and web servers cannot";
    let named = name.trim_start_matches('@');
    let hint = format!("write a path, such as `unix:/run/scgid/{named}`");
    Finding::at(&said.at, message).hint(hint)
}

fn no_name(said: &Said<Endpoint>, path: &str) -> Finding {
    Finding::at(&said.at, format!("`{path}` is a directory; a socket has a name in it"))
        .hint(format!("write `unix:{path}APP.sock`"))
}

fn no_port(said: &Said<Endpoint>) -> Finding {
    Finding::at(&said.at, "port 0 is another port at every start, where nobody would find it")
        .hint("write a port, such as `127.0.0.1:4000`")
}

/// The address of a whole path.
fn unix(path: PathBuf) -> Result<Address, AddressError> {
    match path.as_os_str().len() {
        long if long > UNIX_PATH_MAX_BYTES => Err(AddressError::PathTooLong(long)),
        _ => Ok(Address::Unix(path)),
    }
}

/// How to write what could not be understood.
fn spelled(why: &AddressError) -> String {
    match why {
        AddressError::NoPath => "write `unix:/run/scgid/APP.sock`".to_owned(),
        AddressError::PathTooLong(_) => {
            "choose a shorter one; `/run/scgid` is made for it".to_owned()
        }
        AddressError::BarePath(path) => format!("write `unix:{path}`"),
        AddressError::BarePort(_, port) => format!("write `127.0.0.1:{port}`"),
        AddressError::NotAnAddress(_) => {
            "write `127.0.0.1:4000`, `[::1]:4000` or `unix:/run/scgid/APP.sock`".to_owned()
        }
    }
}

/// Whom the file of a unix socket belongs to.
pub(super) fn ownership(
    owner: Option<&Said<Word>>,
    group: Option<&Said<Word>>,
    mode: Option<&Said<Mode>>,
    context: &mut Context<'_>,
) -> Option<Ownership> {
    let owner = optional(owner, |said| identity::uid(said, context));
    let group = optional(group, |said| identity::gid(said, context));
    Some(Ownership { owner: owner?, group: group?, mode: mode.map(|said| said.value.0) })
}
