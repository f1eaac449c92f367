//! What is wrong with a configuration: one finding, and all of them.
//!
//! A [`Finding`] is made wherever something is read or checked; [`Problems`] is what the operator
//! gets: every finding with its place, its lines and a way out. Nothing here decides what is wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use scgi_protocol::control::ConfigProblem;

use super::render;
use super::sources::{Sources, Spot, Where};

/// How far a finding reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// The text is wrong: the whole site is refused.
    Site,
    /// The text is right, but the machine lacks something that this app needs.
    App,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// How far it reaches.
    pub(super) reach: Reach,
    /// What it marks.
    pub(super) spot: Option<Spot>,
    /// The dotted path of the key.
    pub(super) path: Arc<str>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
    /// Another place that has to do with it, and what it is.
    pub(super) other: Option<(Spot, &'static str)>,
}

impl Finding {
    /// Something wrong with what stands at `said`.
    pub(super) fn at(said: &Where, message: impl Into<String>) -> Self {
        Self { spot: Some(said.spot), path: Arc::clone(&said.path), ..Self::anywhere(message) }
    }

    /// Something wrong that has no place in a text.
    pub(super) fn anywhere(message: impl Into<String>) -> Self {
        Self {
            reach: Reach::Site,
            spot: None,
            path: "".into(),
            message: message.into(),
            hint: None,
            other: None,
        }
    }

    /// The same with a way out.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same with a way out, if there is one.
    pub(super) fn perhaps(self, hint: Option<String>) -> Self {
        Self { hint: hint.or(self.hint), ..self }
    }

    /// The same with another place beside it.
    pub(super) fn beside(self, other: Spot, what: &'static str) -> Self {
        Self { other: Some((other, what)), ..self }
    }

    /// The same as something wrong with what stands at `said`.
    pub(super) fn placed(self, said: &Where) -> Self {
        Self { spot: Some(said.spot), path: Arc::clone(&said.path), ..self }
    }

    /// The same as a matter of one app alone.
    pub(super) fn of_app(self) -> Self {
        Self { reach: Reach::App, ..self }
    }
}

/// Findings as they are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    all: Vec<Finding>,
    known: BTreeSet<(Option<Spot>, String)>,
}

impl Findings {
    /// Takes one in. The same thing is said once, however often it is come upon: what `defaults`
    /// gets wrong is met again in every app.
    pub(super) fn push(&mut self, finding: Finding) {
        if self.known.insert((finding.spot, finding.message.clone())) {
            self.all.push(finding);
        }
    }

    /// Takes several in.
    pub(super) fn extend(&mut self, others: impl IntoIterator<Item = Finding>) {
        others.into_iter().for_each(|finding| self.push(finding));
    }

    /// Makes each of them refuse the whole site.
    pub(super) fn concern_site(&mut self) {
        self.all.iter_mut().for_each(|finding| finding.reach = Reach::Site);
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one of them refuses the whole site.
    pub(super) fn refuse_site(&self) -> bool {
        self.all.iter().any(|finding| finding.reach == Reach::Site)
    }

    /// What a person or a program is told of each.
    pub(super) fn told(&self, sources: &Sources) -> Vec<ConfigProblem> {
        self.all.iter().map(|finding| finding.told(sources)).collect()
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

/// Whether a text may carry colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Letters alone: for files, pipes and `NO_COLOR`.
    Plain,
    /// With the escape sequences of a terminal.
    Colour,
}

/// Everything that is wrong with a configuration; at least one thing. Nothing has changed.
#[derive(Clone, Debug)]
pub struct Problems {
    name: String,
    found: Vec<Finding>,
    more: usize,
    sources: Sources,
}

impl Problems {
    /// The most problems that are told in full; of the others only their number.
    pub const TOLD_MAX: usize = 50;

    /// Sorts the findings by place. `name` is the file the operator named.
    pub(super) fn new(name: &str, findings: Findings, sources: Sources) -> Self {
        let mut found = findings.all;
        debug_assert!(!found.is_empty(), "a refusal has a reason");
        found.sort_by_key(|finding| finding.spot);
        let more = found.len().saturating_sub(Self::TOLD_MAX);
        found.truncate(Self::TOLD_MAX);
        Self { name: name.to_owned(), found, more, sources }
    }

    /// Each problem, in the order of the text.
    pub fn list(&self) -> Vec<ConfigProblem> {
        self.found.iter().map(|finding| finding.told(&self.sources)).collect()
    }

    /// How many there are, including those beyond [`Self::TOLD_MAX`].
    pub fn count(&self) -> usize {
        self.found.len() + self.more
    }

    /// The whole refusal as a person reads it, ending in a newline.
    pub fn render(&self, paint: Paint) -> String {
        let told = |finding| format!("{}\n\n", render::finding(finding, &self.sources, paint));
        let body: String = self.found.iter().map(told).collect();
        match self.more {
            0 => format!("{self}\n\n{}\n", body.trim_end()),
            more => format!("{self}\n\n{body}and {more} more\n"),
        }
    }
}

/// The first line alone; [`Problems::render`] gives the whole.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        let problems = if count == 1 { "problem" } else { "problems" };
        write!(f, "refused: {count} {problems} in {}; nothing has changed", self.name)
    }
}

impl std::error::Error for Problems {}
