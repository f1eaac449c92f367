//! Files of the state directory: read with mistrust, written whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::de::DeserializeOwned;

/// Longest file, in bytes: one that is longer is neither written nor read.
const MAX_BYTES: u64 = 16 << 20;

/// Most files that are looked at.
const NAMES_MOST: usize = 100_000;

/// Why something that was written down is not believed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel refused.
    #[error("cannot read `{}`: {why}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why, in words.
        why: io::Error,
    },
    /// Somebody else could have written it.
    #[error("`{}` is not believed: {why}", path.display())]
    Foreign {
        /// What.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// It is no state, or only a part of one.
    #[error("`{}` makes no sense: {why}", path.display())]
    Senseless {
        /// What.
        path: PathBuf,
        /// Why.
        why: serde_json::Error,
    },
    /// It is the state of something else than a daemon before this one.
    #[error("{0}")]
    NotOurs(String),
}

/// The directory.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the directory unless it is there, and makes sure that nobody else can write to it.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let folder = Self { path: path.to_owned() };
        let below = [super::APPS, super::ENDED].map(|name| folder.path.join(name));
        for place in std::iter::once(folder.path.clone()).chain(below) {
            let unread = |why| LoadError::Read { path: place.clone(), why };
            match DirBuilder::new().mode(0o700).create(&place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(unread(error));
                }
                Ok(()) | Err(_) => {}
            }
            let found = place.symlink_metadata().map_err(unread)?;
            if !found.is_dir() {
                return Err(LoadError::Foreign { path: place, why: "it is no directory" });
            }
            is_ours(&place, &found)?;
        }
        Ok(folder)
    }

    /// The file whose lock means that a daemon lives.
    pub(super) fn lock_file(&self) -> Result<File, LoadError> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let opened = options.custom_flags(O_NOFOLLOW | O_CLOEXEC).open(&path);
        opened.map_err(|why| LoadError::Read { path, why })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// The names in a directory below this one, in order.
    pub(super) fn names(&self, below: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path.join(below)) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.take(NAMES_MOST).collect();
        names.sort();
        names
    }

    /// What a file says.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, LoadError> {
        let path = self.path.join(name);
        let unread = |why| LoadError::Read { path: path.clone(), why };
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        let file = options.open(&path).map_err(unread)?;
        let found = file.metadata().map_err(unread)?;
        if !found.is_file() {
            return Err(LoadError::Foreign { path, why: "it is no file" });
        }
        is_ours(&path, &found)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LoadError::Foreign { path, why: "it is longer than any state" });
        }
        serde_json::from_slice(&bytes).map_err(|why| LoadError::Senseless { path, why })
    }

    /// Replaces a file: whoever reads it finds what was before, or all of this.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let path = self.path.join(name);
        let beside = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .custom_flags(O_NOFOLLOW | O_CLOEXEC)
            .open(&beside)
            .and_then(|mut file| io::Write::write_all(&mut file, bytes));
        written.and_then(|()| put_in_place(&beside, &path)).inspect_err(|_| {
            // Half a file takes room that a full disk does not have.
            let _ = fs::remove_file(&beside);
        })
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn remove_all(&self) {
        // What is left over is overwritten by the next daemon.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Puts the file `beside` where `path` is, in one step.
///
/// The two change places, and what was before is removed: a file that is renamed over another one is
/// sent to the disk there and then by ext4, and the loop would wait for a disk that is busy, a second
/// and more.
fn put_in_place(beside: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, beside, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => {
            // If it stays, the next one is written over it.
            let _ = fs::remove_file(beside);
            Ok(())
        }
        // There is nothing to change places with, or the file system does not know how.
        Err(_) => fs::rename(beside, path),
    }
}

fn is_ours(path: &Path, found: &fs::Metadata) -> Result<(), LoadError> {
    let foreign = |why| Err(LoadError::Foreign { path: path.to_owned(), why });
    let me = nix::unistd::geteuid().as_raw();
    if found.uid() != me && found.uid() != 0 {
        return foreign("it belongs to somebody else");
    }
    if found.mode() & 0o022 != 0 {
        return foreign("others may write to it");
    }
    Ok(())
}
