//! How people, programs and Prometheus get at the daemon.

use scgi_protocol::address::Address;
use scgi_protocol::control::socket;

use super::{Context, clash::Clashes, identity, listen};
use crate::config::kinds::{Metrics, OneOrMany};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Text, Word};
use crate::spec::{ControlSpec, ListenAt, MetricsSpec, Ownership, Who};

/// Where the metrics are unless the configuration says another place.
const METRICS: &str = "127.0.0.1:9464";

/// The control socket.
pub(super) fn control(
    said: Option<&Said<raw::Control>>,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> ControlSpec {
    let (uid, _) = context.machine.own();
    let usual = socket::default_path(uid, context.machine.runtime_dir());
    let nothing = ControlSpec {
        socket: usual.clone(),
        ownership: Ownership::default(),
        readers: Vec::new(),
        writers: Vec::new(),
    };
    let Some(said) = said else { return nothing };
    let raw::Control { socket, owner, group, mode, readers, writers } = &said.value;
    let path = socket.as_ref().and_then(|said| {
        let bare = said.value.0.strip_prefix("unix:").unwrap_or(&said.value.0);
        let spelled = said.map(|_| Text(format!("unix:{bare}")));
        let Address::Unix(path) = listen::address(&spelled, context)? else { return None };
        clashes.claim(ListenAt::Address(Address::Unix(path.clone())), said.at.clone());
        Some(path)
    });
    ControlSpec {
        socket: path.unwrap_or(usual),
        ownership: listen::ownership(owner.as_ref(), group.as_ref(), mode.as_ref(), context)
            .unwrap_or_default(),
        readers: people(readers.as_ref(), context),
        writers: people(writers.as_ref(), context),
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
        None => METRICS.parse().ok(),
        Some(said) => {
            let address = listen::address(said, context);
            clashes.claim(ListenAt::Address(address.clone()?), said.at.clone());
            address
        }
    };
    Some(MetricsSpec { listen: listen? })
}
