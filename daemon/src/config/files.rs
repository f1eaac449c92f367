//! The files of a configuration: which there are, and what bytes they hold; on disk, or as they
//! were when they were kept.
//!
//! What the bytes mean is none of its business.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use scgi_protocol::control::CONFIG_MAX_BYTES;

use super::problem::{Finding, Findings, Problems};
use super::sources::Sources;

/// Where a configuration is looked for when none is named, in this order.
pub const PLACES: [&str; 2] = ["./scgid.yaml", "/etc/scgid/scgid.yaml"];

/// Longest file, in bytes.
const FILE_MAX_BYTES: u64 = CONFIG_MAX_BYTES as u64;

const READABLE: &str = "the user who runs scgid must be able to read it";

/// The configuration to read: the one that is named, or the first of [`PLACES`] that exists.
///
/// # Errors
///
/// None is named and none exists.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Problems> {
    named.map_or_else(|| first_of(&PLACES), |named| Ok(named.to_owned()))
}

fn first_of(places: &[&str]) -> Result<PathBuf, Problems> {
    let there = places.iter().map(Path::new).find(|path| path.exists());
    there.map(Path::to_owned).ok_or_else(|| {
        let mut findings = Findings::default();
        findings.push(
            Finding::anywhere(format!("there is no configuration at {}", places.join(" or ")))
                .hint("`scgid init` writes one to start from; `scgid demo` needs none"),
        );
        Problems::new("the usual places", findings, Sources::default())
    })
}

/// Where included files come from.
#[derive(Clone, Debug, Default)]
pub(super) enum Files {
    /// The disk.
    #[default]
    Disk,
    /// These and no others, by path: what an earlier reading found.
    Kept(BTreeMap<PathBuf, String>),
}

impl Files {
    /// The bytes of a file.
    pub(super) fn slurp(&self, path: &Path) -> Result<Vec<u8>, Box<Finding>> {
        match self {
            Self::Disk => slurp(path),
            Self::Kept(texts) => {
                texts.get(path).map(|text| text.as_bytes().to_owned()).ok_or_else(|| {
                    let message = format!("`{}` was not kept", path.display());
                    Box::new(Finding::anywhere(message).hint("return to another revision"))
                })
            }
        }
    }

    /// The files that an absolute pattern means, by name: one file, or, if the last part has `*`
    /// or `?`, all files of that folder which fit and do not begin with a dot.
    pub(super) fn matching(&self, pattern: &Path) -> Result<Vec<PathBuf>, Box<Finding>> {
        match self {
            Self::Disk => matching(pattern, listing),
            Self::Kept(texts) => matching(pattern, |folder| {
                let inside = texts.keys().filter(|path| path.parent() == Some(folder));
                let names = inside.filter_map(|path| path.file_name()?.to_str());
                Ok(names.map(str::to_owned).collect())
            }),
        }
    }
}

fn slurp(path: &Path) -> Result<Vec<u8>, Box<Finding>> {
    let shown = path.display();
    let refuse = |message: String, hint: &str| Box::new(Finding::anywhere(message).hint(hint));
    // Looked at before it is opened: to open a FIFO that nobody writes to is to wait for ever.
    let kind = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refuse(
            format!("there is no file `{shown}`"),
            "correct the path; `scgid init` writes a file to start from",
        ),
        _ => refuse(format!("cannot look at `{shown}`: {error}"), READABLE),
    })?;
    if kind.is_dir() {
        let inside = path.join("scgid.yaml");
        let hint = format!("name the file inside it, such as `{}`", inside.display());
        return Err(refuse(format!("`{shown}` is a directory, not a file"), &hint));
    }
    if !kind.is_file() {
        let hint = "write the configuration into a file";
        return Err(refuse(format!("`{shown}` is a device, pipe or socket, not a file"), hint));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(format!("cannot read `{shown}`: {error}"), READABLE))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX_BYTES {
        return Err(refuse(
            format!("`{shown}` has more than {FILE_MAX_BYTES} bytes"),
            "spread the apps over files and `include` them",
        ));
    }
    Ok(bytes)
}

fn matching(
    pattern: &Path,
    names: impl FnOnce(&Path) -> io::Result<Vec<String>>,
) -> Result<Vec<PathBuf>, Box<Finding>> {
    let wild = |part: &str| part.contains(['*', '?']);
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Err(Box::new(
            Finding::anywhere("this names no file")
                .hint("write the path of a file, such as `apps.d/*.yaml`"),
        ));
    };
    let name = name.to_string_lossy();
    if wild(&folder.to_string_lossy()) {
        let finding = Finding::anywhere("only the name of a file may have `*` and `?`");
        return Err(Box::new(finding.hint("write one line for each folder")));
    }
    if !wild(&name) {
        return Ok(vec![pattern.to_owned()]);
    }
    let names = names(folder).map_err(|error| {
        let message = format!("cannot look into `{}`: {error}", folder.display());
        Box::new(Finding::anywhere(message).hint("make the folder, or correct the path"))
    })?;
    let fitting = |file: &String| !file.starts_with('.') && fits(name.as_bytes(), file.as_bytes());
    let mut files: Vec<PathBuf> =
        names.into_iter().filter(fitting).map(|file| folder.join(file)).collect();
    files.sort();
    Ok(files)
}

/// The names in a folder on disk that are text.
fn listing(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// Whether a name fits a pattern of letters, `?` and `*`. Takes time by the product of their
/// lengths, whatever they are.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(&letter) if letter == b'?' || letter == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                (p, n) = (star + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_exists_is_the_one_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let (none, first, second) = (place("none"), place("first"), place("second"));
        fs::write(&first, "").unwrap();
        fs::write(&second, "").unwrap();

        assert_eq!(first_of(&[&none, &first, &second]).unwrap(), Path::new(&first));
        let told = first_of(&["./none", "/none"]).unwrap_err().list().remove(0);
        assert_eq!(told.message, "there is no configuration at ./none or /none");
    }

    #[test]
    fn a_star_is_any_letters_and_a_question_mark_is_one() {
        let cases = [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("*.yaml", ".yaml", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("?.yaml", "a.yaml", true),
            ("?.yaml", "ab.yaml", false),
            ("*", "", true),
            ("a", "a", true),
        ];

        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
