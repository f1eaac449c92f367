//! Which program answers a request, and how the path of the URL is divided for it.
//!
//! ```text
//! one program:   /git/repo/info      SCRIPT_NAME /git                 PATH_INFO /repo/info
//! a directory:   /bin/sub/say/a/b    SCRIPT_NAME /bin/sub/say         PATH_INFO /a/b
//! ```
//!
//! In a directory the path is followed segment by segment, down to the first file: that is the
//! program, and the rest is its PATH_INFO. No path leads out: `.`, `..`, empty segments and names
//! that begin with a dot are nobody's. A symbolic link is followed if it stays inside, or if whoever
//! made it owns what it points at, as in Apache's SymLinksIfOwnerMatch, the rule for CGI directories.
//! Nothing is run here.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::failure::Failure;

/// Where programs come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// One program answers for every path.
    Program { program: PathBuf, arguments: Vec<String> },
    /// The path leads to a program in a directory.
    Directory(PathBuf),
}

/// A program that answers a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script<'a> {
    /// Its file.
    pub(super) program: PathBuf,
    /// What it is called with.
    pub(super) arguments: &'a [String],
    /// The part of the app's own path that leads to it: empty, or begins with `/`.
    pub(super) name: Vec<u8>,
    /// The rest of the path: empty, or begins with `/`.
    pub(super) rest: Vec<u8>,
}

impl Source {
    /// The program for `path`, the app's own part of the URL's path, decoded: whatever bytes, of which
    /// files are called as well. None has a NUL in it.
    pub(super) fn find(&self, path: &[u8]) -> Result<Script<'_>, Failure> {
        if path.contains(&0) {
            return Err(Failure::Nowhere);
        }
        match self {
            Self::Program { program, arguments } => Ok(Script {
                program: program.clone(),
                arguments,
                name: Vec::new(),
                rest: path.to_owned(),
            }),
            Self::Directory(directory) => inside(directory, path),
        }
    }
}

fn inside<'a>(directory: &Path, path: &[u8]) -> Result<Script<'a>, Failure> {
    let mut place = directory.to_owned();
    let mut end = 0;
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let path = &path[slashes..];
    for segment in path.split(|byte| *byte == b'/') {
        if segment.is_empty() || segment.starts_with(b".") {
            return Err(Failure::Nowhere);
        }
        place.push(OsStr::from_bytes(segment));
        end += 1 + segment.len();
        let found = may_be_followed(directory, &place)?;
        if found.is_dir() {
            continue;
        }
        if !found.is_file() || access(&place, AccessFlags::X_OK).is_err() {
            return Err(Failure::Forbidden { path: place });
        }
        // One slash stands before the first segment, however many were sent.
        let mut name = [b"/", path].concat();
        let rest = name.split_off(end);
        return Ok(Script { program: place, arguments: &[], name, rest });
    }
    Err(Failure::Nowhere)
}

/// What stands at `place`, if it is there and a request may be led to it.
fn may_be_followed(directory: &Path, place: &Path) -> Result<Metadata, Failure> {
    let link = fs::symlink_metadata(place).map_err(|_| Failure::Nowhere)?;
    if !link.is_symlink() {
        return Ok(link);
    }
    let found = fs::metadata(place).map_err(|_| Failure::Nowhere)?;
    let real = |path: &Path| path.canonicalize().map_err(|_| Failure::Nowhere);
    if link.uid() == found.uid() || real(place)?.starts_with(real(directory)?) {
        Ok(found)
    } else {
        Err(Failure::Forbidden { path: place.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory with a program, a folder with another, and things that are no programs.
    fn scripts() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        for (name, mode) in [("say", 0o755), ("sub/deep.cgi", 0o755), ("notes", 0o644)] {
            let path = folder.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::copy(folder.path().join("say"), folder.path().join(".hidden")).unwrap();
        folder
    }

    fn found(folder: &Path, path: &str) -> Result<(String, String), u8> {
        let source = Source::Directory(folder.to_owned());
        match source.find(path.as_bytes()) {
            Ok(script) => {
                assert!(script.program.starts_with(folder) && script.program.is_file());
                let text = |bytes| String::from_utf8(bytes).unwrap();
                Ok((text(script.name), text(script.rest)))
            }
            Err(Failure::Nowhere) => Err(4),
            Err(Failure::Forbidden { .. }) => Err(3),
            Err(other) => panic!("{path}: {other}"),
        }
    }

    fn pair(name: &str, rest: &str) -> Result<(String, String), u8> {
        Ok((name.to_owned(), rest.to_owned()))
    }

    #[test]
    fn the_first_file_on_the_way_is_the_program_and_the_rest_is_its_own() {
        let folder = scripts();

        assert_eq!(found(folder.path(), "/say"), pair("/say", ""));
        assert_eq!(found(folder.path(), "/say/"), pair("/say", "/"));
        assert_eq!(found(folder.path(), "/say/a//b/../c"), pair("/say", "/a//b/../c"));
        assert_eq!(found(folder.path(), "/sub/deep.cgi/x"), pair("/sub/deep.cgi", "/x"));
        assert_eq!(found(folder.path(), "//say/x"), pair("/say", "/x"));
    }

    #[test]
    fn names_and_paths_are_bytes_and_need_not_be_text() {
        let folder = scripts();
        let latin1 = OsStr::from_bytes(b"caf\xe9");
        fs::copy(folder.path().join("say"), folder.path().join(latin1)).unwrap();
        let source = Source::Directory(folder.path().to_owned());

        let script = source.find(b"/caf\xe9/th\xe9").unwrap();

        assert_eq!((&*script.name, &*script.rest), (&b"/caf\xe9"[..], &b"/th\xe9"[..]));
        assert!(source.find(b"/caf\xc3\xa9").is_err());
    }

    #[test]
    fn no_path_leads_out_of_the_directory_or_to_what_is_hidden() {
        let folder = scripts();
        let inner = folder.path().join("sub");

        for path in ["/../say", "/..", "/./deep.cgi", "/", "//", "/.hidden", "/none", "/a\0b"] {
            assert_eq!(found(&inner, path), Err(4), "{path:?}");
        }
        for path in ["/.hidden", "/sub", "/sub/", "/sub//deep.cgi", "/sub/../say"] {
            assert_eq!(found(folder.path(), path), Err(4), "{path:?}");
        }
    }

    #[test]
    fn what_is_not_executable_is_not_run() {
        let folder = scripts();

        assert_eq!(found(folder.path(), "/notes"), Err(3));
        assert_eq!(found(folder.path(), "/notes/x"), Err(3));
    }

    #[test]
    fn a_link_is_followed_inside_and_to_what_its_maker_owns() {
        let (folder, elsewhere) = (scripts(), scripts());
        symlink("say", folder.path().join("same")).unwrap();
        symlink(elsewhere.path().join("say"), folder.path().join("own")).unwrap();
        symlink("none", folder.path().join("dangling")).unwrap();

        assert_eq!(found(folder.path(), "/same"), pair("/same", ""));
        assert_eq!(found(folder.path(), "/own"), pair("/own", ""));
        assert_eq!(found(folder.path(), "/dangling"), Err(4));
    }

    #[test]
    fn a_link_to_what_another_user_owns_is_not_followed() {
        let folder = scripts();
        let link = folder.path().join("theirs");
        symlink("/bin/sh", &link).unwrap();
        let owner = fs::symlink_metadata(&link).unwrap().uid();
        let other = fs::metadata("/bin/sh").unwrap().uid();
        if owner == other {
            std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        }

        assert_eq!(found(folder.path(), "/theirs"), Err(3));
    }
}
