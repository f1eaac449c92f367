//! Finding and reading the files of a configuration, and putting together what they say.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use scgi_protocol::name::AppName;

use super::check::{Written, filled};
use super::kinds::Apps;
use super::problem::{Finding, Findings, Problems};
use super::raw;
use super::read::{Read, Said};
use super::scalar::Text;
use super::sources::{Sources, Spot, Where};
use super::yaml::{self, Node, Value};

/// Where a configuration is looked for when none is named, in this order.
pub const PLACES: [&str; 2] = ["./scgid.yaml", "/etc/scgid/scgid.yaml"];

/// Longest file, in bytes.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The configuration to read: the one that is named, or the first of [`PLACES`] that exists.
///
/// # Errors
///
/// None is named and none exists.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Problems> {
    let usual = || PLACES.iter().map(Path::new).find(|path| path.exists());
    named.or_else(usual).map(Path::to_owned).ok_or_else(|| {
        let mut findings = Findings::default();
        let message =
            format!("no configuration is named, and there is none at {}", PLACES.join(" or "));
        findings.push(
            Finding::anywhere(message)
                .hint("`scgid init` writes one to start from; `scgid demo` needs none"),
        );
        Problems::new(PLACES[0], findings, Sources::default())
    })
}

/// What was read so far.
pub(super) struct Reading {
    /// The site, if enough of the first file made sense.
    pub(super) written: Option<Written>,
    /// The texts.
    pub(super) sources: Sources,
    /// What was wrong with them.
    pub(super) findings: Findings,
}

impl Reading {
    /// Reads a file and everything it includes.
    pub(super) fn of_file(path: &Path) -> Self {
        match slurp(path) {
            Ok(text) => Self::of_text(path, text),
            Err(finding) => {
                let mut findings = Findings::default();
                findings.push(*finding);
                Self { written: None, sources: Sources::default(), findings }
            }
        }
    }

    /// Reads a text and everything it includes; `path` is where it is thought to stand.
    pub(super) fn of_text(path: &Path, text: String) -> Self {
        let mut reading =
            Self { written: None, sources: Sources::default(), findings: Findings::default() };
        reading.written = reading.site(path, text);
        reading
    }

    fn site(&mut self, path: &Path, text: String) -> Option<Written> {
        let node = self.tree(path, text)?;
        let site = raw::Site::read(&node, &mut self.findings)?;
        let mut apps = BTreeMap::new();
        let defaults = site.defaults.as_ref().map(|said| said.value.0.clone());
        if let Some(said) = &site.apps {
            self.adopt(&said.value, defaults.as_ref(), &mut apps);
        }
        for pattern in site.include.iter().flat_map(|said| &said.value.0) {
            for file in self.matching(pattern, path) {
                let text = slurp(&file).map_err(|finding| {
                    let at = Where { spot: pattern.at.spot, path: pattern.at.path.clone() };
                    self.findings
                        .push(Finding { hint: finding.hint, ..Finding::at(&at, finding.message) });
                });
                let Ok(text) = text else { continue };
                let Some(node) = self.tree(&file, text) else { continue };
                let Some(included) = raw::Included::read(&node, &mut self.findings) else {
                    continue;
                };
                if let Some(said) = &included.apps {
                    self.adopt(&said.value, defaults.as_ref(), &mut apps);
                }
            }
        }
        if apps.is_empty() && self.findings.is_empty() {
            let at = site.apps.as_ref().map_or(&node.said, |said| &said.at);
            self.findings.push(
                Finding::at(at, "names no app")
                    .hint("write one below `apps`; `scgid init` shows how"),
            );
        }
        Some(Written { site, apps })
    }

    /// The tree of one text, its keys remembered; `None` if there is none, and why is told.
    fn tree(&mut self, path: &Path, text: String) -> Option<Node> {
        let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
        let file = self.sources.add(&path.display().to_string(), &folder, text);
        let text = &self.sources.text(file).content;
        let start = Where { spot: Spot { file, start: 0, end: 0 }, path: "".into() };
        let node = match yaml::read(text, file) {
            Ok(Node { value: Value::Null, .. }) => {
                let finding = Finding::at(&start, "says nothing");
                self.findings.push(finding.hint("`scgid init` writes one to start from"));
                return None;
            }
            Ok(node) => node,
            Err(finding) => {
                self.findings.push(finding);
                return None;
            }
        };
        self.remember(&node);
        Some(node)
    }

    fn remember(&mut self, node: &Node) {
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    let path = entry.node.said.path.to_string();
                    let spot = match entry.node.value {
                        Value::Scalar { .. } => entry.node.said.spot,
                        _ => entry.said.spot,
                    };
                    self.sources.remember(path, spot);
                    self.remember(&entry.node);
                }
            }
            Value::List(items) => {
                for item in items {
                    self.sources.remember(item.said.path.to_string(), item.said.spot);
                    self.remember(item);
                }
            }
            Value::Null | Value::Scalar { .. } => {}
        }
    }

    /// Takes the apps of one file in.
    fn adopt(
        &mut self,
        found: &Apps,
        defaults: Option<&Node>,
        apps: &mut BTreeMap<AppName, (Where, Node)>,
    ) {
        for (name, node) in &found.0 {
            if let Some((first, _)) = apps.get(&name.value) {
                self.findings.push(
                    Finding::at(&name.at, format!("there is an app `{}` already", name.value))
                        .beside(first.spot, "first here")
                        .hint("give one of them another name"),
                );
                continue;
            }
            apps.insert(name.value.clone(), (name.at.clone(), filled(node, defaults)));
        }
    }

    /// The files that one `include` means, by name.
    fn matching(&mut self, _pattern: &Said<Text>, _site: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// The text of a file.
fn slurp(path: &Path) -> Result<String, Box<Finding>> {
    let shown = path.display();
    let refuse = |message: String| Err(Box::new(Finding::anywhere(message)));
    let file = std::fs::File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file)));
    let file = match file {
        Ok((false, file)) => file,
        Ok((true, _)) => {
            let finding = Finding::anywhere(format!("`{shown}` is a directory, not a file"));
            return Err(Box::new(
                finding.hint(format!("name the file: `{}`", path.join("scgid.yaml").display())),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let finding = Finding::anywhere(format!("there is no file `{shown}`"));
            return Err(Box::new(finding.hint("`scgid init` writes one to start from")));
        }
        Err(error) => return refuse(format!("cannot open `{shown}`: {error}")),
    };
    let mut bytes = Vec::new();
    if let Err(error) = file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes) {
        return refuse(format!("cannot read `{shown}`: {error}"));
    }
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return refuse(format!("`{shown}` has more than {FILE_MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).or_else(|error| {
        let byte = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..byte].iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(format!("`{shown}` is not UTF-8: line {line} has a byte that means nothing"))
    })
}
