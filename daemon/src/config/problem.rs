//! What is wrong with a configuration: one finding, and all of them.
//!
//! A [`Finding`] is made wherever something is read or checked; [`Problems`] is what the operator
//! gets: every finding with its place, its lines and a way out. Nothing here decides what is wrong.

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

    /// The same with another place beside it.
    pub(super) fn beside(self, other: Spot, what: &'static str) -> Self {
        Self { other: Some((other, what)), ..self }
    }

    /// The same marking another place.
    pub(super) fn marking(self, spot: Option<Spot>) -> Self {
        Self { spot, ..self }
    }

    /// The same under another path.
    pub(super) fn named(self, path: &str) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The same as a matter of one app alone.
    pub(super) fn of_app(self) -> Self {
        Self { reach: Reach::App, ..self }
    }
}

/// Findings as they are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Takes one in. The same thing is said once, however often it is come upon: what `defaults`
    /// gets wrong is met again in every app.
    pub(super) fn push(&mut self, finding: Finding) {
        let known = |old: &Finding| old.spot == finding.spot && old.message == finding.message;
        if finding.spot.is_none() || !self.0.iter().any(known) {
            self.0.push(finding);
        }
    }

    /// Takes many in.
    pub(super) fn extend(&mut self, others: Self) {
        for finding in others.0 {
            self.push(finding);
        }
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them refuses the whole site.
    pub(super) fn refuse_site(&self) -> bool {
        self.0.iter().any(|finding| finding.reach == Reach::Site)
    }

    /// What a person or a program is told of each.
    pub(super) fn told(&self, sources: &Sources) -> Vec<ConfigProblem> {
        self.0.iter().map(|finding| finding.told(sources)).collect()
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
        let mut found = findings.0;
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
        let mut text = format!("{self}\n");
        for finding in &self.found {
            text.push('\n');
            text.push_str(&render::finding(finding, &self.sources, paint));
            text.push('\n');
        }
        if self.more > 0 {
            text.push_str(&format!("\nand {} more\n", self.more));
        }
        text
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
