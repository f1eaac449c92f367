//! Finds the daemon's control socket and connects to it; tells apart why that does not work.
//!
//! What is said on the connection is `client`'s business.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, geteuid};
use scgi_protocol::control::socket;
use tokio::net::UnixStream;

use crate::exit::Exit;

/// The control socket to talk to, and where else was looked for one.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    looked: Vec<PathBuf>,
}

/// Why the daemon could not be reached. It has not been told anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    #[error("the daemon is not running: there is no socket at {}", listed(looked))]
    NoSocket { looked: Vec<PathBuf> },
    #[error("the daemon is not running: nobody listens on `{}`", path.display())]
    Stale { path: PathBuf },
    #[error("`{}` is no socket", path.display())]
    NoSuch { path: PathBuf },
    #[error("not allowed to connect to `{}`", path.display())]
    Denied { path: PathBuf, owner: Option<Owner> },
    #[error("cannot connect to `{}`", path.display())]
    Connect { path: PathBuf, source: io::Error },
}

/// To whom a socket, or the directory around it, belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    path: PathBuf,
    user: String,
    group: String,
    mode: u32,
}

impl Socket {
    /// The socket to talk to: `given`, else `$SCGI_SOCKET`, else the first that exists of the
    /// user's own and the system's.
    pub(crate) fn find(given: Option<PathBuf>) -> Self {
        // Set to nothing is not set, as usual.
        let named = env::var_os(socket::VARIABLE).filter(|value| !value.is_empty());
        let said = given.or_else(|| named.map(PathBuf::from)).map(bare);
        Self::first_of(candidates(said, geteuid(), env::var_os("XDG_RUNTIME_DIR")))
    }

    fn first_of(candidates: Vec<PathBuf>) -> Self {
        let is_there = |path: &&PathBuf| match fs::symlink_metadata(path) {
            Ok(data) => is_trusted(path, data.uid()),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        let path = candidates.iter().find(is_there).unwrap_or(&candidates[0]).clone();
        Self { path, looked: candidates }
    }

    /// Connects to it.
    ///
    /// # Errors
    ///
    /// [`ReachError`], by what the kernel says.
    pub(crate) async fn connect(&self) -> Result<UnixStream, ReachError> {
        UnixStream::connect(&self.path).await.map_err(|source| self.explain(source))
    }

    fn explain(&self, source: io::Error) -> ReachError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::NotFound => ReachError::NoSocket { looked: self.looked.clone() },
            io::ErrorKind::ConnectionRefused if !is_socket(&path) => ReachError::NoSuch { path },
            io::ErrorKind::ConnectionRefused => ReachError::Stale { path },
            io::ErrorKind::PermissionDenied => {
                ReachError::Denied { owner: Owner::in_the_way(&path), path }
            }
            _ => ReachError::Connect { path, source },
        }
    }
}

/// The path of a socket that may be written as an address.
fn bare(said: PathBuf) -> PathBuf {
    let path = said.to_str().and_then(|text| text.strip_prefix("unix:")).map(PathBuf::from);
    path.unwrap_or(said)
}

/// Anybody can make something in a folder for all: what stands below `/tmp` must be the user's own.
fn is_trusted(path: &Path, owner: u32) -> bool {
    let own = geteuid();
    let guessed = !own.is_root() && path == socket::default_path(own.as_raw(), None);
    !guessed || owner == own.as_raw()
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.file_type().is_socket())
}

/// Where to look, in order; never empty.
///
/// A user's daemon may have been started in a session of another kind (by cron, by su) than this
/// one, with another idea of where the user's sockets are.
fn candidates(said: Option<PathBuf>, uid: Uid, xdg: Option<OsString>) -> Vec<PathBuf> {
    if let Some(path) = said {
        return vec![path];
    }
    let own = |runtime| socket::default_path(uid.as_raw(), runtime);
    let mut paths = vec![own(xdg.map(PathBuf::from))];
    if !uid.is_root() {
        let session = PathBuf::from(format!("/run/user/{uid}"));
        paths.extend([own(Some(session)), own(None), PathBuf::from(socket::SYSTEM)]);
    }
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

impl Owner {
    /// Who owns the socket, or the nearest directory above it that can be looked at.
    fn in_the_way(path: &Path) -> Option<Self> {
        let (path, data) = path.ancestors().find_map(|p| Some((p, fs::metadata(p).ok()?)))?;
        let user = User::from_uid(Uid::from_raw(data.uid())).ok().flatten();
        let group = Group::from_gid(Gid::from_raw(data.gid())).ok().flatten();
        Some(Self {
            path: path.to_owned(),
            user: user.map_or_else(|| data.uid().to_string(), |user| user.name),
            group: group.map_or_else(|| data.gid().to_string(), |group| group.name),
            mode: data.mode() & 0o7777,
        })
    }
}

impl ReachError {
    /// The exit code this ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Denied { .. } => Exit::Denied,
            Self::NoSocket { .. }
            | Self::Stale { .. }
            | Self::NoSuch { .. }
            | Self::Connect { .. } => Exit::Unreachable,
        }
    }

    /// What a person can do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::NoSocket { .. } => "start it with `scgid run FILE`, or say where its socket is \
                                      with `--socket PATH` or $SCGI_SOCKET"
                .to_owned(),
            Self::Stale { .. } => "it died and left its socket behind; start it again with \
                                   `scgid run FILE`"
                .to_owned(),
            Self::Denied { owner: Some(owner), .. } => owner.help(),
            Self::Denied { owner: None, .. } => "try it with `sudo`".to_owned(),
            Self::NoSuch { .. } => {
                "name the control socket itself, such as `/run/scgid/control.sock`".to_owned()
            }
            Self::Connect { .. } => "is it the control socket of scgid?".to_owned(),
        }
    }
}

impl Owner {
    fn help(&self) -> String {
        let Self { path, user, group, mode } = self;
        let mut help = format!(
            "`{}` belongs to user {user} and group {group}, mode {mode:04o}: use `sudo -u {user}`",
            path.display()
        );
        if mode & 0o060 != 0 && group != "root" {
            write!(help, ", or have yourself added to group {group}")
                .expect("a String takes all that is written to it");
        }
        help
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    quoted.join(" or ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const ALICE: Uid = Uid::from_raw(1000);

    #[test]
    fn what_is_said_is_the_only_place_to_look() {
        let said = candidates(Some("/x/y.sock".into()), ALICE, Some("/run/user/1000".into()));

        assert_eq!(said, [PathBuf::from("/x/y.sock")]);
    }

    #[test]
    fn a_user_has_a_socket_of_their_own_and_falls_back_to_the_systems() {
        let user = candidates(None, ALICE, Some("/run/user/1000".into()));
        let root = candidates(None, Uid::from_raw(0), None);

        let own = ["/run/user/1000/scgid/control.sock", "/tmp/scgid-1000/control.sock"];
        assert_eq!(user, [own[0], own[1], socket::SYSTEM].map(PathBuf::from));
        assert_eq!(root, [PathBuf::from(socket::SYSTEM)]);
    }

    #[test]
    fn a_users_daemon_is_found_from_a_session_of_another_kind() {
        let places = |xdg: Option<&str>| candidates(None, ALICE, xdg.map(OsString::from));

        for xdg in [None, Some("/elsewhere"), Some("/run/user/1000")] {
            assert!(places(xdg).contains(&"/tmp/scgid-1000/control.sock".into()), "{xdg:?}");
            assert!(places(xdg).contains(&"/run/user/1000/scgid/control.sock".into()), "{xdg:?}");
        }
    }

    #[test]
    fn a_socket_may_be_named_as_an_address() {
        assert_eq!(bare("unix:/x/y.sock".into()), Path::new("/x/y.sock"));
        assert_eq!(bare("/x/y.sock".into()), Path::new("/x/y.sock"));
    }

    #[test]
    fn what_is_no_socket_is_not_taken_for_one_that_was_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let socket = Socket::first_of(vec![path.to_owned()]);
            socket.explain(io::ErrorKind::ConnectionRefused.into())
        };
        let left = dir.path().join("left.sock");
        drop(UnixListener::bind(&left).unwrap());

        assert!(matches!(refused(dir.path()), ReachError::NoSuch { .. }));
        assert!(matches!(refused(&left), ReachError::Stale { .. }));
    }

    #[test]
    fn the_first_socket_that_exists_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, there) = (dir.path().join("a"), dir.path().join("b"));
        let _listener = UnixListener::bind(&there).unwrap();

        let both = Socket::first_of(vec![missing.clone(), there.clone()]);
        let neither = Socket::first_of(vec![missing.clone(), dir.path().join("c")]);

        assert_eq!(both.path, there);
        assert_eq!(neither.path, missing);
    }

    #[test]
    fn no_socket_a_stale_one_and_a_forbidden_one_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        let socket = Socket::first_of(vec![path]);

        let explain = |kind: io::ErrorKind| socket.explain(kind.into());

        assert!(matches!(explain(io::ErrorKind::NotFound), ReachError::NoSocket { .. }));
        assert!(matches!(explain(io::ErrorKind::ConnectionRefused), ReachError::Stale { .. }));
        assert_eq!(explain(io::ErrorKind::PermissionDenied).exit(), Exit::Denied);
        assert_eq!(explain(io::ErrorKind::TimedOut).exit(), Exit::Unreachable);
    }

    #[test]
    fn a_forbidden_socket_says_whose_it_is_and_how_to_get_in() {
        let owner = Owner {
            path: "/run/scgid/control.sock".into(),
            user: "root".into(),
            group: "scgid".into(),
            mode: 0o660,
        };

        insta::assert_snapshot!(owner.help(), @"`/run/scgid/control.sock` belongs to user root and group scgid, mode 0660: use `sudo -u root`, or have yourself added to group scgid");
    }
}
