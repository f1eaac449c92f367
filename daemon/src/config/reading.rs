//! Reading a configuration: the first file, the files it includes, and all their apps together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scgi_protocol::name::AppName;

use super::check::Written;
use super::files::Files;
use super::kinds::Apps;
use super::problem::{Finding, Findings};
use super::raw::{Included, Site};
use super::read::{Read, Said};
use super::scalar::Text;
use super::sources::{Kept, Sources, Spot, Where};
use super::yaml::{self, Entry, Node, Value};

/// A configuration as far as it was read.
#[derive(Default)]
pub(super) struct Reading {
    /// The site, if enough of the first file made sense.
    pub(super) written: Option<Written>,
    /// The texts.
    pub(super) sources: Sources,
    /// What was wrong with them.
    pub(super) findings: Findings,
    /// Where included files come from.
    files: Files,
    /// Files read so far, by their real paths.
    seen: BTreeSet<PathBuf>,
}

impl Reading {
    /// Reads a file and everything it includes.
    pub(super) fn of_file(path: &Path) -> Self {
        let mut reading = Self::default();
        match reading.files.slurp(path) {
            Ok(bytes) => reading.site(&path.display().to_string(), &folder_of(path), bytes),
            Err(finding) => reading.findings.push(*finding),
        }
        reading
    }

    /// Reads a text and everything it includes. Its problems call it `name`; relative paths in it
    /// start from `folder`.
    pub(super) fn of_text(name: &str, folder: &Path, text: &str) -> Self {
        let mut reading = Self::default();
        reading.site(name, folder, text.as_bytes().to_owned());
        reading
    }

    /// Reads the texts of an earlier reading again, the first one first.
    pub(super) fn of_kept(kept: &[Kept]) -> Self {
        let Some((first, included)) = kept.split_first() else {
            let mut reading = Self::default();
            let finding = Finding::anywhere("no text was kept");
            reading.findings.push(finding.hint("return to another revision"));
            return reading;
        };
        let by_path = |kept: &Kept| (PathBuf::from(&kept.name), kept.text.clone());
        let files = Files::Kept(included.iter().map(by_path).collect());
        let mut reading = Self { files, ..Self::default() };
        reading.site(&first.name, &first.folder, first.text.as_bytes().to_owned());
        reading
    }

    fn site(&mut self, name: &str, folder: &Path, bytes: Vec<u8>) {
        self.seen.insert(real(Path::new(name)));
        let Some(node) = self.tree(name, folder, bytes) else { return };
        let Some(site) = Site::read(&node, &mut self.findings) else { return };
        let defaults = site.defaults.as_ref().map(|said| &said.value.0);
        let (mut apps, mut nameless) = (BTreeMap::new(), Vec::new());
        nameless.extend(self.adopt(site.apps.as_ref(), defaults, &mut apps));
        for pattern in site.include.iter().flat_map(|said| &said.value.0) {
            for path in self.included(pattern) {
                let Some(included) = self.include(pattern, &path) else { continue };
                nameless.extend(self.adopt(included.apps.as_ref(), defaults, &mut apps));
            }
        }
        if apps.is_empty() && self.findings.is_empty() {
            let at = site.apps.as_ref().map_or(&node.said, |said| &said.at);
            self.findings.push(
                Finding::at(at, "there is no app")
                    .hint("write one below `apps`; `scgid init` shows how"),
            );
        }
        self.written = Some(Written { site, apps, nameless });
    }

    /// The files that one `include` means, without those that were read already.
    fn included(&mut self, pattern: &Said<Text>) -> Vec<PathBuf> {
        let whole = self.sources.absolute(&pattern.value.0, &pattern.at);
        let mut files = self.files.matching(&whole).unwrap_or_else(|finding| {
            self.findings.push(finding.placed(&pattern.at));
            Vec::new()
        });
        let first = real(Path::new(&self.sources.text(0).name));
        if files.iter().any(|file| real(file) == first) {
            let finding = Finding::at(&pattern.at, "this file includes itself");
            self.findings.push(finding.hint("keep the included files in a folder of their own"));
        }
        files.retain(|file| self.seen.insert(real(file)));
        files
    }

    fn include(&mut self, pattern: &Said<Text>, path: &Path) -> Option<Included> {
        match self.files.slurp(path) {
            Ok(bytes) => {
                let node = self.tree(&path.display().to_string(), &folder_of(path), bytes)?;
                Included::read(&node, &mut self.findings)
            }
            Err(finding) => {
                self.findings.push(finding.placed(&pattern.at));
                None
            }
        }
    }

    /// The tree of one text, its keys remembered; `None` if there is none, and why is told.
    fn tree(&mut self, name: &str, folder: &Path, bytes: Vec<u8>) -> Option<Node> {
        let (text, illegible) = decoded(bytes);
        let file = self.sources.add(name, folder, text);
        let text = &self.sources.text(file).content;
        let read = match illegible {
            Some(start) => {
                let said = Where {
                    spot: Spot { file, start, end: start + '\u{fffd}'.len_utf8() },
                    path: "".into(),
                };
                let finding = Finding::at(&said, "this byte is not UTF-8");
                Err(Box::new(finding.hint("save the file as UTF-8")))
            }
            None => yaml::read(text, file),
        };
        match read {
            Ok(Node { value: Value::Null, .. }) => {
                let said = Where { spot: Spot { file, start: 0, end: 0 }, path: "".into() };
                let finding = Finding::at(&said, format!("`{name}` says nothing"));
                self.findings.push(finding.hint("`scgid init` writes a file to start from"));
                None
            }
            Ok(node) => {
                self.remember(&node);
                Some(node)
            }
            Err(finding) => {
                self.findings.push(*finding);
                None
            }
        }
    }

    /// Remembers where every key below a node stands.
    fn remember(&mut self, node: &Node) {
        self.sources.remember(&node.said);
        match &node.value {
            Value::Map(entries) => entries.iter().for_each(|entry| self.remember(&entry.node)),
            Value::List(items) => items.iter().for_each(|item| self.remember(item)),
            Value::Null | Value::Scalar { .. } => {}
        }
    }

    /// Takes the apps of one file in, each with what the defaults add to it. Returns those that
    /// have no name of their own.
    fn adopt(
        &mut self,
        found: Option<&Said<Apps>>,
        defaults: Option<&Node>,
        apps: &mut BTreeMap<AppName, (Where, Node)>,
    ) -> Vec<(Where, Node)> {
        let nameless = found.iter().flat_map(|found| &found.value.nameless);
        let mut nameless: Vec<_> =
            nameless.map(|(at, node)| (at.clone(), filled(node, defaults))).collect();
        for (name, node) in found.iter().flat_map(|found| &found.value.named) {
            if let Some((first, _)) = apps.get(&name.value) {
                self.findings.push(
                    Finding::at(&name.at, format!("there is an app `{}` already", name.value))
                        .beside(first.spot, "first here")
                        .hint("give one of them another name"),
                );
                nameless.push((name.at.clone(), filled(node, defaults)));
                continue;
            }
            let filled = filled(node, defaults);
            if defaults.is_some() {
                self.remember_inherited(&format!("apps.{}", name.value), &filled);
            }
            apps.insert(name.value.clone(), (name.at.clone(), filled));
        }
        nameless
    }

    /// What an app has from the defaults is also found under the app's own path.
    fn remember_inherited(&mut self, path: &str, node: &Node) {
        let Value::Map(entries) = &node.value else { return };
        for Entry { key, node, .. } in entries {
            let path = format!("{path}.{key}");
            self.sources.remember(&Where { path: path.as_str().into(), ..node.said.clone() });
            self.remember_inherited(&path, node);
        }
    }
}

/// `node` with whatever `defaults` says and it does not: a mapping is filled up key by key.
fn filled(node: &Node, defaults: Option<&Node>) -> Node {
    let Some(Value::Map(given)) = defaults.map(|defaults| &defaults.value) else {
        return node.clone();
    };
    let Value::Map(own) = &node.value else { return node.clone() };
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

/// The folder a file is in, as an absolute path.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.parent().unwrap_or_else(|| Path::new("/")).to_owned()
}

/// The path of a file without links, or as it is if that cannot be known.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Bytes as text without a byte order mark, and where the first byte stands that is none.
fn decoded(bytes: Vec<u8>) -> (String, Option<usize>) {
    let (text, illegible) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(start))
        }
    };
    match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest.to_owned(), illegible.map(|start| start.saturating_sub(3))),
        None => (text, illegible),
    }
}
