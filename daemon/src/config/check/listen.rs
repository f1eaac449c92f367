//! Where an app listens.

use scgi_protocol::address::Address;
use scgi_protocol::birth::LISTENERS_MAX;
use scgi_protocol::name::AppName;

use super::{Context, app, clash::Clashes, identity, policy};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Mode, Text, Word};
use crate::config::sources::Where;
use crate::spec::{ListenAt, ListenSpec, Ownership};

/// All sockets of one app, each of them claimed.
pub(super) fn all(
    name: &Said<AppName>,
    raw: &raw::App,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<Vec<ListenSpec>> {
    let Some(said) = &raw.listen else {
        let hint = format!(
            "write `listen: unix:/run/scgid/{}.sock` or `listen: \"127.0.0.1:4000\"`",
            name.value
        );
        return app::missing(name, "listen", &hint, context);
    };
    if said.value.0.len() > LISTENERS_MAX {
        let message = format!("an app listens on at most {LISTENERS_MAX} sockets");
        return context.refuse(Finding::at(&said.at, message));
    }
    let specs: Vec<_> = said.value.0.iter().map(|one| socket(one, clashes, context)).collect();
    specs.into_iter().collect()
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
    clashes.claim(at.clone(), address.at.clone());
    if !matches!(at, ListenAt::Address(Address::Unix(_))) {
        only_unix(
            &[
                owner.as_ref().map(|said| &said.at),
                group.as_ref().map(|said| &said.at),
                mode.as_ref().map(|said| &said.at),
            ],
            context,
        )?;
    }
    let ownership = ownership(owner.as_ref(), group.as_ref(), mode.as_ref(), context)?;
    let backlog =
        backlog.as_ref().map_or(ListenSpec::DEFAULT_BACKLOG, |said| policy::small(said.value.0));
    Some(ListenSpec { at, ownership, backlog })
}

fn only_unix(said: &[Option<&Where>], context: &mut Context<'_>) -> Option<()> {
    match said.iter().flatten().next() {
        None => Some(()),
        Some(at) => context.refuse(
            Finding::at(at, "only the file of a unix socket has an owner, a group and a mode")
                .hint("remove it, or listen on `unix:PATH`"),
        ),
    }
}

/// The address or the name of a socket handed over by the service manager.
fn place(said: &Said<Text>, context: &mut Context<'_>) -> Option<ListenAt> {
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

/// An address to listen on; a relative path starts from the file's folder.
pub(super) fn address(said: &Said<Text>, context: &mut Context<'_>) -> Option<Address> {
    let text = match said.value.0.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        Some(path) => {
            let whole = context.sources.absolute(path, &said.at);
            format!("unix:{}", whole.display())
        }
        None => said.value.0.clone(),
    };
    text.parse()
        .map_err(|why: scgi_protocol::address::AddressError| {
            context.findings.push(Finding::at(&said.at, why.to_string()).hint(
                "`unix:/run/scgid/APP.sock`, `127.0.0.1:4000`, `[::1]:4000` or `systemd:NAME`",
            ));
        })
        .ok()
}

/// Whom the file of a unix socket belongs to.
pub(super) fn ownership(
    owner: Option<&Said<Word>>,
    group: Option<&Said<Word>>,
    mode: Option<&Said<Mode>>,
    context: &mut Context<'_>,
) -> Option<Ownership> {
    let owner = owner.map(|said| identity::uid(said, context));
    let group = group.map(|said| identity::gid(said, context));
    let mode = mode.map(|said| said.value.0);
    let (owner, group) = (
        owner.map_or(Some(None), |uid| uid.map(Some)),
        group.map_or(Some(None), |gid| gid.map(Some)),
    );
    Some(Ownership { owner: owner?, group: group?, mode })
}
