//! Finds the daemon's control socket and connects to it; tells apart why that does not work.
//!
//! What is said on the connection is `client`'s business.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
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
        let said = given.or_else(|| env::var_os(socket::VARIABLE).map(PathBuf::from));
        Self::first_of(candidates(said, geteuid(), env::var_os("XDG_RUNTIME_DIR")))
    }

    fn first_of(candidates: Vec<PathBuf>) -> Self {
        let is_there = |path: &&PathBuf| {
            fs::symlink_metadata(path)
                .map_or_else(|e| e.kind() != io::ErrorKind::NotFound, |_| true)
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
            io::ErrorKind::ConnectionRefused => ReachError::Stale { path },
            io::ErrorKind::PermissionDenied => {
                ReachError::Denied { owner: Owner::in_the_way(&path), path }
            }
            _ => ReachError::Connect { path, source },
        }
    }
}

/// Where to look, in order; never empty.
fn candidates(said: Option<PathBuf>, uid: Uid, xdg: Option<OsString>) -> Vec<PathBuf> {
    if let Some(path) = said {
        return vec![path];
    }
    let mut paths = vec![socket::default_path(uid.as_raw(), xdg.map(PathBuf::from))];
    if !uid.is_root() {
        paths.push(PathBuf::from(socket::SYSTEM));
    }
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
            Self::NoSocket { .. } | Self::Stale { .. } | Self::Connect { .. } => Exit::Unreachable,
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

        assert_eq!(user, ["/run/user/1000/scgid/control.sock", socket::SYSTEM].map(PathBuf::from));
        assert_eq!(root, [PathBuf::from(socket::SYSTEM)]);
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
