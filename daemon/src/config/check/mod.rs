//! Raw shapes into the spec: what is written becomes what is meant, or a finding says why not.
//!
//! Two kinds of findings: a text that can mean nothing refuses the site; a text that means
//! something this machine lacks (a program, a user, a file) concerns its app alone.

mod app;
mod clash;
mod control;
mod identity;
mod launch;
mod listen;
mod policy;

use std::collections::BTreeMap;
use std::sync::Arc;

use scgi_protocol::name::AppName;

use super::machine::Machine;
use super::problem::{Finding, Findings};
use super::raw;
use super::read::{Read, Said};
use super::sources::{Sources, Where};
use super::yaml::{Entry, Node, Value};
use crate::spec::{AppSpec, Site};

/// What a check may look at, and where it says what it found.
pub(super) struct Context<'a> {
    /// The machine.
    pub(super) machine: &'a dyn Machine,
    /// The texts.
    pub(super) sources: &'a Sources,
    /// What was found.
    pub(super) findings: Findings,
}

impl Context<'_> {
    /// Reports something; `None`, so that a check can end with it.
    fn refuse<T>(&mut self, finding: Finding) -> Option<T> {
        self.findings.push(finding);
        None
    }
}

/// A site as written, with every app's keys put together with the defaults.
pub(super) struct Written {
    /// The site's own keys.
    pub(super) site: raw::Site,
    /// The apps of all files, by name.
    pub(super) apps: BTreeMap<AppName, (Where, Node)>,
}

/// What came of a site.
pub(super) struct Checked {
    /// The site, without the apps that cannot be prepared.
    pub(super) site: Site,
    /// What keeps each of the others from being prepared.
    pub(super) unprepared: BTreeMap<AppName, Findings>,
}

/// Checks everything that was written. Whatever refuses the site is among the findings of
/// `context` then; the result is worth nothing in that case.
pub(super) fn site(written: &Written, context: &mut Context<'_>) -> Checked {
    let mut clashes = clash::Clashes::default();
    let control = control::control(written.site.control.as_ref(), &mut clashes, context);
    let metrics = control::metrics(written.site.metrics.as_ref(), &mut clashes, context);
    let mut apps = BTreeMap::new();
    let mut unprepared = BTreeMap::new();
    for (name, (at, node)) in &written.apps {
        let mut alone = Context { findings: Findings::default(), ..*context };
        let spec = one(name, at, node, &mut clashes, &mut alone);
        match spec {
            Some(spec) if alone.findings.is_empty() => {
                apps.insert(name.clone(), Arc::new(spec));
            }
            _ if alone.findings.refuse_site() => {}
            _ => {
                unprepared.insert(name.clone(), alone.findings.clone());
            }
        }
        context.findings.extend(alone.findings);
    }
    clashes.report(&mut context.findings);
    Checked { site: Site { control, metrics, apps }, unprepared }
}

fn one(
    name: &AppName,
    at: &Where,
    node: &Node,
    clashes: &mut clash::Clashes,
    context: &mut Context<'_>,
) -> Option<AppSpec> {
    let raw = raw::App::read(node, &mut context.findings)?;
    app::spec(&Said { value: name.clone(), at: at.clone() }, &raw, clashes, context)
}

/// `node` with whatever `defaults` says and it does not.
pub(super) fn filled(node: &Node, defaults: Option<&Node>) -> Node {
    let Some(defaults) = defaults else { return node.clone() };
    let (Value::Map(own), Value::Map(given)) = (&node.value, &defaults.value) else {
        return node.clone();
    };
    let given_for = |key: &str| given.iter().find(|entry| entry.key == key);
    let mut entries: Vec<Entry> = own
        .iter()
        .map(|entry| Entry {
            node: filled(&entry.node, given_for(&entry.key).map(|given| &given.node)),
            ..entry.clone()
        })
        .collect();
    let said = |key: &str| own.iter().any(|entry| entry.key == key);
    entries.extend(given.iter().filter(|entry| !said(&entry.key)).cloned());
    Node { said: node.said.clone(), value: Value::Map(entries) }
}
