//! How people, programs and Prometheus get at the daemon, and what it keeps for them.

use std::path::PathBuf;

use scgi_protocol::address::Address;
use scgi_protocol::control::socket;

use super::{Context, clash::Clashes, identity, listen};
use crate::config::kinds::{Endpoint, Metrics, OneOrMany};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Text, Word};
use crate::spec::{ControlSpec, ListenAt, MetricsSpec, Ownership, RevisionsSpec, Who};

/// Where the metrics are unless the configuration says another place.
const METRICS: &str = "127.0.0.1:9464";

/// Mode of the control socket unless the configuration says another. Who can write to it may act,
/// if nothing else is said: no umask decides that.
const MODE: u32 = 0o660;

/// The control socket.
pub(super) fn control(
    said: Option<&Said<raw::Control>>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> ControlSpec {
    let raw = said.map(|said| &said.value);
    let socket = raw.and_then(|raw| raw.socket.as_ref());
    let mode = raw.and_then(|raw| raw.mode.as_ref());
    let owner = raw.and_then(|raw| raw.owner.as_ref());
    let group = raw.and_then(|raw| raw.group.as_ref());
    let said = listen::ownership(owner, group, mode, context).unwrap_or_default();
    ControlSpec {
        socket: socket_path(socket, clashes, context),
        ownership: Ownership { mode: said.mode.or(Some(MODE)), ..said },
        readers: people(raw.and_then(|raw| raw.readers.as_ref()), context),
        writers: people(raw.and_then(|raw| raw.writers.as_ref()), context),
    }
}

/// The socket's path, claimed.
fn socket_path(
    said: Option<&Said<Text>>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> PathBuf {
    let spelled = said.map(|said| {
        let bare = said.value.0.strip_prefix("unix:").unwrap_or(&said.value.0);
        said.map(|_| Endpoint(format!("unix:{bare}")))
    });
    match spelled.and_then(|said| Some((listen::address(&said, context)?, said.at))) {
        Some((Address::Unix(path), at)) => {
            clashes.claim(ListenAt::Address(Address::Unix(path.clone())), &at);
            path
        }
        Some((Address::Tcp(_), _)) | None => {
            let (uid, _) = context.machine.own();
            let usual = socket::default_path(uid, context.machine.runtime_dir());
            clashes.claim_usual(ListenAt::Address(Address::Unix(usual.clone())), "control.socket");
            usual
        }
    }
}

fn people(said: Option<&Said<OneOrMany<Text>>>, context: &mut Context<'_>) -> Vec<Who> {
    let all = said.map_or(&[][..], |said| &said.value.0);
    all.iter().filter_map(|one| who(one, context)).collect()
}

fn who(said: &Said<Text>, context: &mut Context<'_>) -> Option<Who> {
    let text = &said.value.0;
    let named = |name: &str| said.map(|_| Word(name.to_owned()));
    match text.split_once(':') {
        Some(("user", name)) => identity::uid(&named(name), context).map(Who::User),
        Some(("group", name)) => identity::gid(&named(name), context).map(Who::Group),
        _ => {
            let name = text.rsplit(['@', ':']).next().unwrap_or(text);
            let finding = Finding::at(&said.at, format!("`{text}` is neither a user nor a group"));
            context.refuse(finding.hint(format!("write `user:{name}` or `group:{name}`")))
        }
    }
}

/// The listener for metrics, unless it is off.
pub(super) fn metrics(
    said: Option<&Said<Metrics>>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<MetricsSpec> {
    let listen = match said.map(|said| &said.value) {
        Some(Metrics::Off) => return None,
        Some(Metrics::On(at)) => at.listen.as_ref(),
        None => None,
    };
    let listen = match listen {
        None => {
            let usual: Address = METRICS.parse().expect("it is an address");
            clashes.claim_usual(ListenAt::Address(usual.clone()), "metrics.listen");
            usual
        }
        Some(said) => {
            let address = listen::address(said, context)?;
            clashes.claim(ListenAt::Address(address.clone()), &said.at);
            address
        }
    };
    Some(MetricsSpec { listen })
}

/// Where configurations are kept that were in force.
pub(super) fn revisions(
    said: Option<&Said<raw::Revisions>>,
    context: &Context<'_>,
) -> RevisionsSpec {
    let raw = said.map(|said| &said.value);
    let directory = raw.and_then(|raw| raw.directory.as_ref());
    let keep = raw.and_then(|raw| raw.keep.as_ref());
    RevisionsSpec {
        directory: directory.map(|said| context.sources.absolute(&said.value.0, &said.at)),
        keep: keep.map_or(RevisionsSpec::DEFAULT_KEEP, |said| said.value.to()),
    }
}
