//! Raw shapes into the spec: what is written becomes what is meant, or a finding says why not.
//!
//! Two kinds of findings: a text that can mean nothing refuses the site; a text that means
//! something this machine lacks (a program, a user, a file) concerns its app alone.

mod app;
mod clash;
mod control;
mod identity;
mod kind;
mod launch;
mod limits;
mod listen;
mod policy;
mod program;

use std::collections::BTreeMap;
use std::sync::Arc;

use scgi_protocol::name::AppName;

use super::machine::Machine;
use super::problem::{Finding, Findings};
use super::raw;
use super::read::Read;
use super::sources::{Sources, Where};
use super::yaml::Node;
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

/// What comes of a key that need not be said: `Some(None)` if it is not, `None` if it is wrong.
fn optional<T, U>(said: Option<&T>, check: impl FnOnce(&T) -> Option<U>) -> Option<Option<U>> {
    match said {
        None => Some(None),
        Some(said) => check(said).map(Some),
    }
}

/// A site as written, with every app's keys put together with the defaults.
pub(super) struct Written {
    /// The site's own keys.
    pub(super) site: raw::Site,
    /// The apps of all files, by name.
    pub(super) apps: BTreeMap<AppName, (Where, Node)>,
    /// Apps that have no name, or one that another app has already.
    pub(super) nameless: Vec<(Where, Node)>,
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
    let revisions = control::revisions(written.site.revisions.as_ref(), context);
    // What is wrong up to here has no app that could be left out.
    context.findings.concern_site();
    let mut apps = BTreeMap::new();
    let mut unprepared = BTreeMap::new();
    for (name, (at, node)) in &written.apps {
        let mut alone = Context { findings: Findings::default(), ..*context };
        match one(name, at, node, &mut clashes, &mut alone) {
            Some(spec) => {
                apps.insert(name.clone(), Arc::new(spec));
            }
            None => {
                unprepared.insert(name.clone(), alone.findings.clone());
            }
        }
        context.findings.extend(alone.findings);
    }
    for (at, node) in &written.nameless {
        // The site is refused for its name already; whoever mends that wants to know the rest.
        let name = "app".parse().expect("a word of small letters is a name");
        one(&name, at, node, &mut clash::Clashes::default(), context);
    }
    clashes.report(&mut context.findings);
    Checked { site: Site { control, metrics, revisions, apps }, unprepared }
}

fn one(
    name: &AppName,
    at: &Where,
    node: &Node,
    clashes: &mut clash::Clashes,
    context: &mut Context<'_>,
) -> Option<AppSpec> {
    app::required(name, at, node, context);
    let raw = raw::App::read(node, &mut context.findings)?;
    app::spec(name, &raw, clashes, context)
}
