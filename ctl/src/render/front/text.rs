//! A configuration being written: lines with a reason above them, each reason told once.
//!
//! Comments begin with `#` in all four languages. Knows none of them any further.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::render::text::{plain, wrap};

/// Columns of a comment.
const COLUMNS: usize = 96;

/// Columns of one step inwards.
const STEP: usize = 4;

/// A text that grows.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
    told: BTreeSet<String>,
    depth: usize,
}

impl Text {
    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.out.push('\n');
    }

    /// A comment, as often as it is asked for.
    pub(super) fn note(&mut self, words: &str) {
        let indent = self.depth * STEP;
        for line in wrap(&plain(words), 0, Some(COLUMNS - indent)).lines() {
            writeln!(self.out, "{:indent$}# {line}", "").expect("a String takes all");
        }
    }

    /// A line, below the reason why it is there unless another line had the same.
    pub(super) fn line(&mut self, why: &str, line: &str) {
        self.once(why);
        self.bare(line);
    }

    /// A comment, unless it was told before.
    pub(super) fn once(&mut self, why: &str) {
        if self.told.insert(why.to_owned()) {
            self.note(why);
        }
    }

    /// A line that needs no reason, or shares that of the line above.
    pub(super) fn bare(&mut self, line: &str) {
        let indent = self.depth * STEP;
        writeln!(self.out, "{:indent$}{line}", "").expect("a String takes all");
    }

    /// What is written by `inside` stands between `open` and `close`.
    pub(super) fn block(&mut self, open: &str, close: &str, inside: impl FnOnce(&mut Self)) {
        self.bare(open);
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.bare(close);
    }

    pub(super) fn into_string(self) -> String {
        self.out
    }
}
