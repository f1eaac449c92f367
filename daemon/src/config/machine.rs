//! What a configuration needs to know of the machine: users, groups, files, cores.
//!
//! A trait, so that what is made of the answers can be tested on any machine.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Gid, Group, Uid, User, eaccess, getgrouplist};

use crate::launch;
use crate::spec::Resource;
use crate::words::in_words;

/// The lowest nice value there is.
const NICE_LEAST: i32 = -20;

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
    /// A device, pipe or socket.
    Odd,
    /// A file that nobody may execute.
    File,
    /// A file that somebody may execute.
    Program,
}

/// Whether a unix socket can be made at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It can, as far as that can be seen without doing it.
    Free,
    /// Something that is no socket stands there.
    NoSocket,
    /// This stands where a folder is wanted.
    NoFolder(PathBuf),
    /// Nothing may be made in this folder by this user.
    Closed(PathBuf),
}

/// How far the limit of a resource may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceiling {
    /// Anywhere.
    None,
    /// As far as the hard limit of the user the daemon runs as.
    User(u64),
    /// As far as the kernel allows anybody.
    Kernel(u64),
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
    /// What would keep an executable file from running.
    fn obstacle(&self, program: &Path) -> Option<launch::Why>;
    /// Why a file of variables cannot be used by the launcher, in words.
    fn env_file(&self, path: &Path) -> Result<(), String>;
    /// Whether a unix socket can be made at a path.
    fn room(&self, path: &Path) -> Room;
    /// Whether this user may listen on a TCP port.
    fn may_listen(&self, port: u16) -> bool;
    /// How far a limit may go.
    fn ceiling(&self, resource: Resource) -> Ceiling;
    /// The lowest nice value that workers may have.
    fn least_nice(&self) -> i32;
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

/// The machine this process runs on. Asks once for each name and path, and once for the cores: a
/// thousand apps of one user must not read `/etc/passwd`, look at their one program, or read the
/// limits of a control group, a thousand times.
#[derive(Debug, Default)]
pub(super) struct Here {
    users: Known<String, Option<Login>>,
    groups: Known<String, Option<u32>>,
    memberships: Known<String, Vec<u32>>,
    entries: Known<PathBuf, Entry>,
    obstacles: Known<PathBuf, Option<launch::Why>>,
    folders: Known<PathBuf, Room>,
    cores: OnceCell<u16>,
    capabilities: OnceCell<u64>,
}

/// Answers by question.
type Known<Q, A> = RefCell<BTreeMap<Q, A>>;

fn once<Q, A>(known: &Known<Q::Owned, A>, question: &Q, ask: impl FnOnce() -> A) -> A
where
    Q: ToOwned<Owned: Ord> + Ord + ?Sized,
    A: Clone,
{
    if let Some(answer) = known.borrow().get(question) {
        return answer.clone();
    }
    let answer = ask();
    known.borrow_mut().insert(question.to_owned(), answer.clone());
    answer
}

/// Bits of capabilities(7), as `/proc/self/status` shows them.
const CAP_NET_BIND_SERVICE: u32 = 10;
const CAP_SYS_NICE: u32 = 23;
const CAP_SYS_RESOURCE: u32 = 24;

impl Here {
    /// Whether this process has a capability. Root in a container often lacks some.
    fn is_capable(&self, bit: u32) -> bool {
        let held = self.capabilities.get_or_init(|| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
            let held = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            // Without /proc, what is usual.
            held.unwrap_or_else(|| if Uid::effective().is_root() { u64::MAX } else { 0 })
        });
        held >> bit & 1 == 1
    }
}

/// The number that stands in a file of `/proc/sys`.
fn kernel_says(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether something can be made in `folder`.
fn room_in(folder: &Path) -> Room {
    // What is missing on the way is made.
    match folder.ancestors().find(|folder| folder.exists()) {
        None => Room::Free,
        Some(folder) if !folder.is_dir() => Room::NoFolder(folder.to_owned()),
        Some(folder) => match eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) => Room::Free,
            Err(_) => Room::Closed(folder.to_owned()),
        },
    }
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
        once(&self.entries, path, || match std::fs::metadata(path) {
            Ok(data) if data.is_dir() => Entry::Directory,
            Ok(data) if !data.is_file() => Entry::Odd,
            Ok(data) if data.permissions().mode() & 0o111 != 0 => Entry::Program,
            Ok(_) => Entry::File,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Entry::Hidden,
            Err(_) => Entry::Missing,
        })
    }

    fn obstacle(&self, program: &Path) -> Option<launch::Why> {
        once(&self.obstacles, program, || launch::obstacle(program))
    }

    fn env_file(&self, path: &Path) -> Result<(), String> {
        launch::read_env_file(path).map(drop).map_err(|why| in_words(&why))
    }

    fn room(&self, path: &Path) -> Room {
        // The link itself is what would be replaced, not what it points to.
        if path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket()) {
            return Room::NoSocket;
        }
        path.parent().map_or(Room::Free, |folder| once(&self.folders, folder, || room_in(folder)))
    }

    fn may_listen(&self, port: u16) -> bool {
        const OPEN_FROM: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
        u64::from(port) >= kernel_says(OPEN_FROM).unwrap_or(1024)
            || self.is_capable(CAP_NET_BIND_SERVICE)
    }

    fn ceiling(&self, resource: Resource) -> Ceiling {
        let user = launch::hard_limit(resource).filter(|_| !self.is_capable(CAP_SYS_RESOURCE));
        match (resource, user) {
            (_, Some(most)) => Ceiling::User(most),
            (Resource::Nofile, None) => {
                kernel_says("/proc/sys/fs/nr_open").map_or(Ceiling::None, Ceiling::Kernel)
            }
            (_, None) => Ceiling::None,
        }
    }

    fn least_nice(&self) -> i32 {
        if self.is_capable(CAP_SYS_NICE) {
            return NICE_LEAST;
        }
        // As setpriority(2) has it: up is always allowed, down as far as the limit says.
        let own = rustix::process::getpriority_process(None).unwrap_or(0);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nice).current;
        let limit = i32::try_from(limit.unwrap_or(40)).unwrap_or(40).min(40);
        own.min(20 - limit)
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
