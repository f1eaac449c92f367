//! The files of programs, kept open by generation: a worker that comes back from an older launch
//! runs the program that its launch began with, whatever a deploy has put at the path since.
//!
//! ```text
//! first worker of a generation ─open its path─▶ kept ─the core forgets the launch─▶ closed
//! next daemon ─▶ handed over? at the path still? run by a worker? ─the very file─▶ kept
//! ```
//!
//! One descriptor a file, however many apps run it. It names the file and no more (`O_PATH`): the
//! daemon needs no right to read it, and whoever writes a program is not kept from it. Nothing is
//! read or run here; `launch/` decides by which way a program is run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use scgi_protocol::name::{AppName, Generation};

use super::state::record::{FileMark, ProgramRecord};

/// The programs that workers may have to come back from.
#[derive(Debug, Default)]
pub(super) struct Programs {
    files: BTreeMap<FileMark, OwnedFd>,
    kept: BTreeMap<AppName, BTreeMap<Generation, FileMark>>,
}

impl FileMark {
    /// How the file behind `fd` is known; `None` if the kernel does not say.
    pub(super) fn of(fd: &OwnedFd) -> Option<Self> {
        let found = File::from(fd.try_clone().ok()?).metadata().ok()?;
        // The number alone may be another file's by the time it is asked for again.
        let made = found.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Some(Self { device: found.dev(), inode: found.ino(), made: made.unwrap_or(Duration::ZERO) })
    }
}

impl Programs {
    /// The file that a generation's workers run: the one that is kept, or else what stands at
    /// `path`, which is kept from then on. `None` if there is nothing at hand; the launcher finds
    /// out why.
    pub(super) fn of(
        &mut self,
        app: &AppName,
        generation: Generation,
        path: &Path,
    ) -> Option<BorrowedFd<'_>> {
        let known = self.kept.get(app).and_then(|kept| kept.get(&generation)).copied();
        let mark = match known {
            Some(mark) => mark,
            None => {
                let fd = find(path).ok()?;
                let mark = FileMark::of(&fd)?;
                self.keep(app, generation, mark, fd);
                mark
            }
        };
        self.files.get(&mark).map(AsFd::as_fd)
    }

    /// Keeps of an app's programs only those of these `generations`.
    pub(super) fn keep_only(&mut self, app: &AppName, generations: &[Generation]) {
        let Some(kept) = self.kept.get_mut(app) else { return };
        let before = kept.len();
        kept.retain(|generation, _| generations.contains(generation));
        if kept.len() == before {
            return;
        }
        if kept.is_empty() {
            self.kept.remove(app);
        }
        let kept: Vec<_> = self.kept.values().flat_map(BTreeMap::values).collect();
        self.files.retain(|mark, _| kept.contains(&mark));
    }

    /// An app's programs as they are written down.
    pub(super) fn records(&self, app: &AppName) -> Vec<ProgramRecord> {
        let kept = self.kept.get(app).into_iter().flatten();
        kept.map(|(generation, file)| ProgramRecord { generation: *generation, file: *file })
            .collect()
    }

    /// The numbers of all descriptors.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.files.values().map(AsRawFd::as_raw_fd)
    }

    /// Takes a descriptor of a program's file that was handed over.
    pub(super) fn take(&mut self, fd: OwnedFd) {
        if let Some(mark) = FileMark::of(&fd) {
            self.files.insert(mark, fd);
        }
    }

    /// Finds a program again that was written down, at one of these `places` if it was not handed
    /// over; tells whether it is kept again.
    pub(super) fn take_back(
        &mut self,
        app: &AppName,
        record: &ProgramRecord,
        places: impl IntoIterator<Item = PathBuf>,
    ) -> bool {
        let ProgramRecord { generation, file } = *record;
        if self.files.contains_key(&file) {
            self.kept.entry(app.clone()).or_default().insert(generation, file);
            return true;
        }
        let is_it = |fd: &OwnedFd| FileMark::of(fd) == Some(file);
        let found = places.into_iter().filter_map(|place| find(&place).ok()).find(is_it);
        found.map(|fd| self.keep(app, generation, file, fd)).is_some()
    }

    fn keep(&mut self, app: &AppName, generation: Generation, mark: FileMark, fd: OwnedFd) {
        self.files.entry(mark).or_insert(fd);
        self.kept.entry(app.clone()).or_default().insert(generation, mark);
    }
}

/// What stands at `path`, by a descriptor that does no more than name it.
fn find(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use super::*;

    const FIRST: Generation = Generation(1);
    const SECOND: Generation = Generation(2);

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    /// A folder with a program in it.
    fn deployed(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    /// Puts another program in the place of the one at `path`.
    fn deploy(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }

    /// What the program of a generation is.
    fn text(programs: &mut Programs, app: &AppName, generation: Generation, path: &Path) -> String {
        let file = programs.of(app, generation, path).unwrap().as_raw_fd();
        let mut text = String::new();
        let place = format!("/proc/self/fd/{file}");
        File::open(place).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_generation_has_the_file_that_stood_there_when_it_began() {
        let (_folder, path) = deployed("old");
        let (mut programs, blog) = (Programs::default(), app("blog"));
        assert_eq!(text(&mut programs, &blog, FIRST, &path), "old");

        deploy(&path, "new");

        assert_eq!(text(&mut programs, &blog, SECOND, &path), "new");
        assert_eq!(text(&mut programs, &blog, FIRST, &path), "old");
        fs::remove_file(&path).unwrap();
        assert_eq!(text(&mut programs, &blog, FIRST, &path), "old");
    }

    #[test]
    fn what_nobody_comes_back_from_is_closed_and_looked_for_anew() {
        let (_folder, path) = deployed("old");
        let (mut programs, blog) = (Programs::default(), app("blog"));
        text(&mut programs, &blog, FIRST, &path);
        deploy(&path, "new");
        text(&mut programs, &blog, SECOND, &path);

        programs.keep_only(&blog, &[SECOND]);

        assert_eq!(programs.descriptors().count(), 1);
        assert_eq!(text(&mut programs, &blog, FIRST, &path), "new");
        programs.keep_only(&blog, &[]);
        assert_eq!(programs.descriptors().count(), 0);
        assert_eq!(programs.records(&blog), []);
    }

    #[test]
    fn many_apps_that_run_one_program_cost_one_descriptor() {
        let (_folder, path) = deployed("one for all");
        let mut programs = Programs::default();

        for name in ["blog", "shop", "wiki"] {
            text(&mut programs, &app(name), FIRST, &path);
        }
        programs.keep_only(&app("shop"), &[]);

        assert_eq!(programs.descriptors().count(), 1);
        assert_eq!(text(&mut programs, &app("wiki"), FIRST, &path), "one for all");
    }

    #[test]
    fn only_the_very_file_that_was_written_down_is_taken_back() {
        let (folder, path) = deployed("old");
        let blog = app("blog");
        let mut before = Programs::default();
        text(&mut before, &blog, FIRST, &path);
        let [record] = before.records(&blog)[..] else { panic!("one program is kept") };
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        fs::write(&path, "new").unwrap();

        let mut next = Programs::default();
        assert!(!next.take_back(&blog, &record, [path.clone()]));
        assert!(next.take_back(&blog, &record, [path.clone(), elsewhere]));

        assert_eq!(text(&mut next, &blog, FIRST, &path), "old");
    }

    #[test]
    fn a_program_that_is_missing_is_looked_for_again_the_next_time() {
        let (_folder, path) = deployed("late");
        let (mut programs, blog) = (Programs::default(), app("blog"));
        fs::remove_file(&path).unwrap();
        assert!(programs.of(&blog, FIRST, &path).is_none());

        fs::write(&path, "there").unwrap();

        assert_eq!(text(&mut programs, &blog, FIRST, &path), "there");
    }
}
