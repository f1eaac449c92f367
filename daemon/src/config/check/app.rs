//! One app, put together of its parts.

use scgi_protocol::control::AppKind;
use scgi_protocol::name::AppName;

use super::{Context, clash::Clashes, kind, launch, listen, policy};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::sources::Where;
use crate::config::yaml::{Node, Value};
use crate::spec::AppSpec;

/// The spec of one app; `None` if a part of it is missing, and the findings say which.
pub(super) fn spec(
    name: &AppName,
    raw: &raw::App,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<AppSpec> {
    let kind = kind::kind(raw, clashes, context);
    let usual = kind::said(raw);
    let launch = launch::launch(raw, context);
    let listen = match usual {
        AppKind::Standalone => Some(Vec::new()),
        AppKind::Worker | AppKind::Cgi | AppKind::Inetd => {
            listen::all(raw.listen.as_ref(), clashes, context)
        }
    };
    let sizing = policy::sizing(raw.workers.as_ref(), usual, context);
    let timing = policy::timing(raw, usual, context);
    let restart = policy::restart(raw.restart.as_ref(), context);
    let alone = usual == AppKind::Standalone;
    let concurrency = raw.concurrency.as_ref().filter(|_| !alone);
    Some(AppSpec {
        name: name.clone(),
        kind: kind?,
        launch: launch?,
        listen: listen?,
        sizing: sizing?,
        concurrency: concurrency.map_or(1, |said| said.value.to()),
        timing: timing?,
        restart: restart?,
        roll: policy::roll(raw.roll.as_ref(), usual),
    })
}

/// Reports every key that an app must say and does not.
pub(super) fn required(name: &AppName, at: &Where, node: &Node, context: &mut Context<'_>) {
    let Value::Map(entries) = &node.value else { return };
    let hints = [
        ("run", "write `run: [PROGRAM, ARGUMENT, …]`".to_owned()),
        (
            "listen",
            format!("write `listen: unix:/run/scgid/{name}.sock`, or `listen: \"127.0.0.1:4000\"`"),
        ),
    ];
    let is = |kind: AppKind| kind::written(entries) == Some(kind.as_str());
    for (key, hint) in hints {
        if key == "listen" && is(AppKind::Standalone) {
            continue;
        }
        if !entries.iter().any(|entry| entry.key == key) {
            context.findings.push(Finding::at(at, format!("does not say `{key}`")).hint(hint));
        }
    }
}
