//! What a configuration needs to know of the machine: users, groups, files, cores.
//!
//! A trait, so that what is made of the answers can be tested on any machine.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// A user, as the system's user database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// Its name.
    pub(super) name: String,
    /// Its number.
    pub(super) uid: u32,
    /// Its own group's number.
    pub(super) gid: u32,
    /// Its home.
    pub(super) home: PathBuf,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing.
    Missing,
    /// Something that may not be looked at.
    Hidden,
    /// A directory.
    Directory,
    /// A file that nobody may execute.
    File,
    /// A file that somebody may execute.
    Program,
}

/// The machine as far as a configuration is concerned.
pub(super) trait Machine {
    /// The user the daemon runs as.
    fn own(&self) -> (u32, u32);
    /// A user by name or number.
    fn user(&self, name: &str) -> Option<Login>;
    /// A group's number, by name or number.
    fn group(&self, name: &str) -> Option<u32>;
    /// All groups a user is a member of.
    fn groups_of(&self, login: &Login) -> Vec<u32>;
    /// The names of all users or groups, for suggestions.
    fn names(&self, of: Names) -> Vec<String>;
    /// What stands at a path.
    fn entry(&self, path: &Path) -> Entry;
    /// Where programs are looked up: `PATH`.
    fn search_path(&self) -> String;
    /// How many processes can run at once; at least 1.
    fn cores(&self) -> u16;
    /// `XDG_RUNTIME_DIR`.
    fn runtime_dir(&self) -> Option<PathBuf>;
}

/// Whose names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of users.
    Users,
    /// Those of groups.
    Groups,
}

/// The machine this process runs on. Asks once for each name, and once for the cores: a thousand
/// apps of one user must not read `/etc/passwd`, or the limits of a control group, a thousand times.
#[derive(Debug, Default)]
pub(super) struct Here {
    users: Known<Option<Login>>,
    groups: Known<Option<u32>>,
    memberships: Known<Vec<u32>>,
    cores: OnceCell<u16>,
}

/// Answers by question.
type Known<T> = RefCell<BTreeMap<String, T>>;

fn once<T: Clone>(known: &Known<T>, name: &str, ask: impl FnOnce() -> T) -> T {
    known.borrow_mut().entry(name.to_owned()).or_insert_with(ask).clone()
}

impl Machine for Here {
    fn own(&self) -> (u32, u32) {
        (Uid::effective().as_raw(), Gid::effective().as_raw())
    }

    fn user(&self, name: &str) -> Option<Login> {
        once(&self.users, name, || {
            let by_name = User::from_name(name).ok().flatten();
            let by_number = || User::from_uid(Uid::from_raw(name.parse().ok()?)).ok().flatten();
            let user = by_name.or_else(by_number)?;
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            Some(Login { name: user.name, uid, gid, home: user.dir })
        })
    }

    fn group(&self, name: &str) -> Option<u32> {
        once(&self.groups, name, || {
            let by_name = Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
            by_name.or_else(|| name.parse().ok())
        })
    }

    fn groups_of(&self, login: &Login) -> Vec<u32> {
        once(&self.memberships, &format!("{} {}", login.gid, login.name), || {
            let Ok(name) = CString::new(login.name.as_str()) else { return Vec::new() };
            let groups = getgrouplist(&name, Gid::from_raw(login.gid)).unwrap_or_default();
            groups.into_iter().map(Gid::as_raw).collect()
        })
    }

    fn names(&self, of: Names) -> Vec<String> {
        let path = match of {
            Names::Users => "/etc/passwd",
            Names::Groups => "/etc/group",
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    }

    fn entry(&self, path: &Path) -> Entry {
        match std::fs::metadata(path) {
            Ok(data) if data.is_dir() => Entry::Directory,
            Ok(data) if data.permissions().mode() & 0o111 != 0 => Entry::Program,
            Ok(_) => Entry::File,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Entry::Hidden,
            Err(_) => Entry::Missing,
        }
    }

    fn search_path(&self) -> String {
        let usual = "/usr/local/bin:/usr/bin:/bin";
        std::env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| usual.into())
    }

    fn cores(&self) -> u16 {
        *self.cores.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            u16::try_from(cores).unwrap_or(u16::MAX)
        })
    }

    fn runtime_dir(&self) -> Option<PathBuf> {
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
    }
}
