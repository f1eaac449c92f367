//! The texts a configuration was read from, and the places of things in them.
//!
//! Everything else in this room points into a text with a [`Spot`]; here a spot becomes file, line
//! and column. Nothing here reads a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use scgi_protocol::control::{ConfigProblem, Place};

use super::problem::{Finding, Paint};
use super::render;

/// A stretch of one text, in bytes, from character to character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// Which text, by the order of reading.
    pub(super) file: usize,
    /// Where it begins.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// Where something was said: its stretch of text, and its dotted path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Where {
    /// The stretch that a problem marks.
    pub(super) spot: Spot,
    /// The path from the top: `apps.blog.workers.max`; empty for the text as a whole.
    pub(super) path: Arc<str>,
}

/// One text and the name it goes by.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// The file's path as the operator gave it.
    pub(super) name: String,
    /// The folder that relative paths in it start from; absolute.
    pub(super) folder: PathBuf,
    /// What it says.
    pub(super) content: String,
}

impl Text {
    /// The line and column of a byte, both from 1, the column in characters.
    pub(super) fn place(&self, byte: usize) -> Place {
        let before = &self.content[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place {
            file: self.name.clone(),
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
        }
    }
}

/// One text of a configuration as it is kept, so that it can be read again without the disk.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// What it was called; the whole path of an included file.
    pub name: String,
    /// The folder that relative paths in it start from; absolute.
    pub folder: PathBuf,
    /// What it says.
    pub text: String,
}

/// Everything a configuration was read from: the texts, and where each key stands in them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<Arc<Text>>,
    /// In the order of the text; searched only when there is a problem to tell.
    keys: Vec<Where>,
}

impl Sources {
    /// A problem found after loading, shown where the key `path` stands: `apps.blog.listen`.
    ///
    /// The place is that of the nearest key above if `path` itself is not written down.
    pub fn problem(
        &self,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> ConfigProblem {
        let spot = self.find(path);
        Finding { spot, path: path.into(), hint, ..Finding::anywhere(message) }.told(self)
    }

    /// Every file that was read, under the name it goes by, and its text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|text| (text.name.as_str(), text.content.as_str()))
    }

    /// Every text in the order of reading, to be kept and read again by [`super::load_kept`].
    pub fn kept(&self) -> Vec<Kept> {
        let kept = |text: &Arc<Text>| Kept {
            name: text.name.clone(),
            folder: text.folder.clone(),
            text: text.content.clone(),
        };
        self.texts.iter().map(kept).collect()
    }

    /// Takes a text in and says under which number.
    pub(super) fn add(&mut self, name: &str, folder: &Path, content: String) -> usize {
        self.texts.push(Arc::new(Text {
            name: name.to_owned(),
            folder: folder.to_owned(),
            content,
        }));
        self.texts.len() - 1
    }

    /// Remembers where a key stands; what was said first counts.
    pub(super) fn remember(&mut self, said: &Where) {
        self.keys.push(said.clone());
    }

    /// One text.
    pub(super) fn text(&self, file: usize) -> &Text {
        &self.texts[file]
    }

    /// The absolute path that `path` means in the text it was said in, without `.` and `..`
    /// where that needs no look at the disk.
    pub(super) fn absolute(&self, path: &str, said: &Where) -> PathBuf {
        let mut whole = PathBuf::new();
        for part in self.text(said.spot.file).folder.join(path).components() {
            if part != std::path::Component::CurDir {
                whole.push(part);
            }
        }
        whole
    }

    fn find(&self, path: &str) -> Option<Spot> {
        let mut path = path;
        loop {
            if let Some(said) = self.keys.iter().find(|said| *said.path == *path) {
                return Some(said.spot);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

impl Finding {
    /// What a person or a program is told of this finding.
    pub(super) fn told(&self, sources: &Sources) -> ConfigProblem {
        let snippet = self.spot.map(|_| {
            let bare = Self { hint: None, ..self.clone() };
            let whole = render::finding(&bare, sources, Paint::Plain);
            whole.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned())
        });
        ConfigProblem {
            place: self.spot.map(|spot| sources.text(spot.file).place(spot.start)),
            path: self.path.to_string(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            snippet,
        }
    }
}
