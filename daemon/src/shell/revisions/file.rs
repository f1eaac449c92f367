//! One revision on disk: a line that says what it is, and a line with all its texts, both JSON.
//!
//! Written so that there is always a whole one, and readable by its owner alone: a configuration
//! may hold secrets. Reading is total: whatever else stands there is told in words.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use scgi_protocol::control::{Outcome, Revision};
use serde::{Deserialize, Serialize};

use crate::config::Kept;
use crate::digest::Digest;

/// What the files of this version begin with.
const FORMAT: u32 = 1;

/// Longest first line, in bytes.
const HEAD_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Longest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 128 * 1024 * 1024;

/// The ending of a revision's file.
const ENDING: &str = "revision";

/// Why a file is no revision.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The system refused.
    #[error("cannot read it")]
    Unreadable(#[source] io::Error),
    /// It has no such name, or is no file.
    #[error("it is no revision of scgid")]
    Foreign,
    /// Another version wrote it.
    #[error("another version of scgid wrote it (format {0})")]
    OtherFormat(u32),
    /// A part is missing, or something else stands there.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    #[serde(flatten)]
    revision: Revision,
}

/// The text of a configuration: its file, and after it each one it includes.
pub(super) fn whole<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join("---\n")
}

/// The file of a revision.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.{ENDING}"))
}

/// The number in a file's name; `None` for another file.
fn number(path: &Path) -> Option<u64> {
    let is_ours = path.extension() == Some(OsStr::new(ENDING));
    path.file_stem().filter(|_| is_ours)?.to_str()?.parse().ok()
}

/// Writes a revision.
pub(super) fn write(folder: &Path, revision: &Revision, texts: &[Kept]) -> io::Result<()> {
    let texts = serde_json::to_string(texts).map_err(io::Error::other)?;
    replace(folder, revision, &texts)
}

/// Writes what came of a revision; its texts stay as they are.
pub(super) fn settle(folder: &Path, revision: &Revision) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path(folder, revision.number))?);
    file.skip_until(b'\n')?;
    let mut texts = String::new();
    file.take(FILE_MAX_BYTES).read_to_string(&mut texts)?;
    replace(folder, revision, texts.trim_end())
}

fn replace(folder: &Path, revision: &Revision, texts: &str) -> io::Result<()> {
    let head = Head { format: FORMAT, revision: revision.clone() };
    let head = serde_json::to_string(&head).map_err(io::Error::other)?;
    let temporary = folder.join(format!(".{}.tmp", revision.number));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(format!("{head}\n{texts}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path(folder, revision.number))?;
    File::open(folder)?.sync_all()
}

/// What a file says of its revision. Its texts are not read: only that they end.
pub(super) fn head(path: &Path) -> Result<Revision, FileError> {
    let Some(number) = number(path) else { return Err(FileError::Foreign) };
    let (revision, mut file) = open(path)?;
    // Both lines end with one; only the second is a list.
    let mut last = [0; 2];
    let ends = file.seek(SeekFrom::End(-2)).and_then(|_| file.read_exact(&mut last));
    ends.map_err(FileError::Unreadable)?;
    match (revision.number == number, &last) {
        (false, _) => Err(FileError::Damaged(format!("it says that it is {}", revision.number))),
        (true, b"]\n") => Ok(revision),
        (true, _) => Err(FileError::Damaged("its end is missing".to_owned())),
    }
}

/// The texts of a revision.
pub(super) fn texts(path: &Path) -> Result<Vec<Kept>, FileError> {
    let (revision, file) = open(path)?;
    let texts = serde_json::from_reader::<_, Vec<Kept>>(file.take(FILE_MAX_BYTES));
    let texts = texts.map_err(|error| FileError::Damaged(error.to_string()))?;
    if Digest::of(&super::joined(&texts)).to_string() != revision.digest {
        return Err(FileError::Damaged("its text is another one than was kept".to_owned()));
    }
    Ok(texts)
}

/// Reads the first line; the file stands behind it then.
fn open(path: &Path) -> Result<(Revision, BufReader<File>), FileError> {
    // Looked at before it is opened: to open a FIFO that nobody writes to is to wait for ever.
    let kind = path.symlink_metadata().map_err(FileError::Unreadable)?;
    if !kind.is_file() {
        return Err(FileError::Foreign);
    }
    let mut file = BufReader::new(File::open(path).map_err(FileError::Unreadable)?);
    let mut line = Vec::new();
    let read = file.by_ref().take(HEAD_MAX_BYTES).read_until(b'\n', &mut line);
    read.map_err(FileError::Unreadable)?;
    let damaged = |error: serde_json::Error| FileError::Damaged(error.to_string());
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(&line).map_err(damaged)?;
    if format != FORMAT {
        return Err(FileError::OtherFormat(format));
    }
    let Head { mut revision, format: _ } = serde_json::from_slice(&line).map_err(damaged)?;
    revision.kept = true;
    if revision.outcome == Outcome::Running {
        // Whoever was taking it over is gone.
        revision.outcome = Outcome::Unknown;
    }
    Ok((revision, file))
}
