//! What kind of program an app is, and which keys mean nothing to that kind.
//!
//! A key that means nothing is refused where the app says it; one that it has from `defaults`, which
//! are said for all kinds at once, is passed over.

use std::path::PathBuf;

use scgi_protocol::control::AppKind;

use super::{Context, clash::Clashes, listen};
use crate::config::bound::Cap;
use crate::config::kinds::{self, Workers};
use crate::config::machine::Entry as Stands;
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::sources::Where;
use crate::config::yaml::{Entry, Value};
use crate::spec::{Cgi, Inetd, Kind, Serves, Standalone};

/// A key that means something to some kinds only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Ready,
    Workers,
}

/// The kind an app says it is.
pub(super) fn said(raw: &raw::App) -> AppKind {
    raw.kind.as_ref().map_or(AppKind::Worker, |said| said.value.0)
}

/// The kind that is written among the keys of an app, as a word.
pub(super) fn written(entries: &[Entry]) -> Option<&str> {
    let kind = entries.iter().find(|entry| entry.key == "kind")?;
    match &kind.node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// Whether a key that is said at `at` counts for an app of this kind: what stands in `defaults` does
/// not where it means nothing.
pub(super) fn means(kind: AppKind, key: Key, at: &Where) -> bool {
    let inherited = is_default(at);
    match (kind, key) {
        (AppKind::Worker, _) => true,
        (AppKind::Cgi | AppKind::Inetd, Key::Workers) => true,
        (AppKind::Cgi | AppKind::Inetd, Key::Ready) => false,
        (AppKind::Standalone, Key::Workers | Key::Ready) => !inherited,
    }
}

/// Whether programs of this kind, or scgid in front of them, read requests by our rules.
pub(super) fn reads_requests(kind: AppKind) -> bool {
    match kind {
        AppKind::Worker | AppKind::Cgi => true,
        AppKind::Inetd | AppKind::Standalone => false,
    }
}

/// What kind of program an app is; every key that means nothing to it is reported.
pub(super) fn kind(
    raw: &raw::App,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<Kind> {
    let kind = said(raw);
    misplaced(raw, kind, context);
    match kind {
        AppKind::Worker => Some(Kind::Worker),
        AppKind::Cgi => cgi(raw, context).map(Kind::Cgi),
        AppKind::Inetd => {
            let limits = raw.inetd.as_ref().map(|said| &said.value);
            let timeout = limits.and_then(|limits| limits.timeout.as_ref());
            let timeout = timeout.map_or(Inetd::DEFAULT_TIMEOUT, |said| said.value.0);
            Some(Kind::Inetd(Inetd { timeout }))
        }
        AppKind::Standalone => {
            let at = listen::own(raw.listen.as_ref(), clashes, context)?;
            Some(Kind::Standalone(Standalone { at }))
        }
    }
}

fn cgi(raw: &raw::App, context: &mut Context<'_>) -> Option<Cgi> {
    let limits = raw.cgi.as_ref().map(|said| &said.value);
    let timeout = limits.and_then(|limits| limits.timeout.as_ref());
    let output = limits.and_then(|limits| limits.output.as_ref());
    let serves = match folder(raw, context) {
        Some(_) => Serves::Directory,
        None => Serves::Program,
    };
    let arguments = raw.run.as_ref().filter(|said| !said.value.arguments.is_empty());
    if let (Serves::Directory, Some(said)) = (serves, arguments) {
        let finding = Finding::at(&said.at, "a directory of programs takes no arguments");
        return context.refuse(finding.hint("name the directory alone, or one program in it"));
    }
    Some(Cgi {
        serves,
        timeout: timeout.map_or(Cgi::DEFAULT_TIMEOUT, |said| said.value.0),
        output: match output.map(|said| &said.value) {
            None => Some(Cgi::DEFAULT_OUTPUT),
            Some(Cap::Unlimited) => None,
            Some(Cap::At(size)) => Some(size.0),
        },
    })
}

/// The directory that `run` of a CGI app names, if it is one.
pub(super) fn folder(raw: &raw::App, context: &Context<'_>) -> Option<PathBuf> {
    let program = &raw.run.as_ref()?.value.program;
    let named = said(raw) == AppKind::Cgi && program.value.0.contains('/');
    let path = named.then(|| context.sources.absolute(&program.value.0, &program.at))?;
    (context.machine.entry(&path) == Stands::Directory).then_some(path)
}

/// Reports every key that means nothing to a kind.
fn misplaced(raw: &raw::App, kind: AppKind, context: &mut Context<'_>) {
    group(raw.cgi.as_ref().map(Said::place), AppKind::Cgi, kind, context);
    group(raw.inetd.as_ref().map(Said::place), AppKind::Inetd, kind, context);
    if kind != AppKind::Worker {
        let message = format!(
            "workers of kind `{}` are not forked from a program that is loaded once",
            kind.as_str()
        );
        refuse(raw.preload.as_ref().map(Said::place), &message, "remove the key", context);
    }
    match kind {
        AppKind::Worker => {
            let finding = "a worker's socket is made before it is, and always takes connections";
            refuse(connects(raw), finding, "write `notify` or `{after: 1s}`", context);
        }
        AppKind::Cgi | AppKind::Inetd => {
            let ready = raw.ready.as_ref().map(Said::place);
            let message = format!(
                "an app of kind `{}` is served by scgid itself, which says when it is ready",
                kind.as_str()
            );
            refuse(ready, &message, "remove the key", context);
        }
        AppKind::Standalone => standalone(raw, context),
    }
    if !reads_requests(kind) {
        unread(raw, context);
    }
}

/// Reports what is for those who read requests, where nobody of scgid does.
fn unread(raw: &raw::App, context: &mut Context<'_>) {
    let message = "what is said on a connection is between the program and its client";
    for at in [raw.queue_timeout.as_ref().map(Said::place), raw.strict.as_ref().map(Said::place)] {
        refuse(at, message, "remove the key", context);
    }
}

/// Reports what means nothing to a program that makes its own socket.
fn standalone(raw: &raw::App, context: &mut Context<'_>) {
    let message = "how many requests a standalone program serves at once is its own affair";
    let concurrency = raw.concurrency.as_ref().map(Said::place);
    refuse(concurrency, message, "remove the key", context);
    let range = raw.workers.as_ref().filter(|said| matches!(said.value, Workers::Range(_)));
    let message = "nobody sees how busy a standalone program is, so it cannot grow or shrink";
    refuse(range.map(Said::place), message, "remove the key, or write a number", context);
    let roll = raw.roll.as_ref().map(|said| &said.value);
    let surge = roll.and_then(|roll| roll.surge.as_ref()).map(Said::place);
    let message = "a standalone program has its address to itself: the old one leaves before the \
                   new one comes";
    refuse(surge, message, "remove `surge`", context);
    if raw.listen.is_none() {
        let health = roll.and_then(|roll| roll.health.as_ref()).map(Said::place);
        let hint = "say `listen`, where the program listens";
        refuse(health, "nobody knows where to ask whether it is healthy", hint, context);
        refuse(connects(raw), "nobody knows where to connect to", hint, context);
    }
}

/// Where it is said that an app is ready once it takes a connection.
fn connects(raw: &raw::App) -> Option<&Where> {
    let ready = raw.ready.as_ref();
    ready.filter(|said| matches!(said.value, kinds::Ready::Connect)).map(Said::place)
}

/// Reports the limits of another kind.
fn group(at: Option<&Where>, of: AppKind, kind: AppKind, context: &mut Context<'_>) {
    if of == kind {
        return;
    }
    let (of, kind) = (of.as_str(), kind.as_str());
    let message = format!("`{of}` means nothing to an app of kind `{kind}`");
    refuse(at, &message, &format!("write `kind: {of}`, or remove the key"), context);
}

fn refuse(at: Option<&Where>, message: &str, hint: &str, context: &mut Context<'_>) {
    let Some(at) = at.filter(|at| !is_default(at)) else { return };
    context.findings.push(Finding::at(at, message).hint(hint));
}

/// Whether something is said in `defaults`, for all apps at once.
fn is_default(at: &Where) -> bool {
    at.path.starts_with("defaults.")
}
