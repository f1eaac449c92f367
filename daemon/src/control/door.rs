//! Who may ask: known by what the kernel says of the process at the other end, never by what it
//! says of itself.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tokio::net::UnixStream;

use super::Room;
use super::problem::Refused;
use crate::shell::peer_groups;
use crate::spec::{ControlSpec, Who};

/// The process at the other end, when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its user.
    pub(super) uid: u32,
    /// Its primary group.
    pub(super) gid: u32,
    /// Its other groups.
    pub(super) groups: Arc<[u32]>,
    /// Its number, for the log alone.
    pub(super) pid: Option<i32>,
}

impl Peer {
    /// Whoever is at the other end; an error if the kernel does not say.
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        let known = stream.peer_cred()?;
        // A kernel that does not know them grants nothing by them.
        let groups = peer_groups(stream).unwrap_or_default().into();
        Ok(Self { uid: known.uid(), gid: known.gid(), groups, pid: known.pid() })
    }

    fn is_in(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }

    /// All its groups, the primary one first, each once.
    pub(super) fn all_groups(&self) -> Vec<u32> {
        let others = self.groups.iter().copied().filter(|group| *group != self.gid);
        std::iter::once(self.gid).chain(others).collect()
    }
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// See how things are.
    Look,
    /// Change something, or see what may be secret.
    Act,
}

impl Right {
    fn needed_for(method: &Method) -> Self {
        if [Method::GET, Method::HEAD].contains(method) { Self::Look } else { Self::Act }
    }
}

/// Who may look and who may act.
///
/// Root and the daemon's own user may do everything. If no reader and no writer is named, so may
/// everybody whom the mode of the socket lets in; if any is, only those who are named.
#[derive(Clone, Debug)]
pub struct Door {
    owner: u32,
    readers: Vec<Who>,
    writers: Vec<Who>,
}

impl Door {
    /// The door of a daemon that runs as user `owner`.
    pub fn new(owner: u32, spec: &ControlSpec) -> Self {
        Self { owner, readers: spec.readers.clone(), writers: spec.writers.clone() }
    }

    /// Refuses a peer that does not have a right.
    pub(super) fn admit(&self, peer: &Peer, right: Right) -> Result<(), Refused> {
        if self.admits(peer, right) {
            return Ok(());
        }
        let Peer { uid, gid, pid, groups: _ } = *peer;
        tracing::warn!(uid, gid, pid, "control request forbidden");
        let list = match right {
            Right::Look => "control.readers",
            Right::Act => "control.writers",
        };
        Err(Refused::forbidden(peer, list))
    }

    fn admits(&self, peer: &Peer, right: Right) -> bool {
        let Self { owner, readers, writers } = self;
        if peer.uid == 0 || peer.uid == *owner || (readers.is_empty() && writers.is_empty()) {
            return true;
        }
        let named = |list: &[Who]| {
            list.iter().any(|who| match *who {
                Who::User(uid) => uid == peer.uid,
                Who::Group(gid) => peer.is_in(gid),
            })
        };
        named(writers) || (right == Right::Look && named(readers))
    }
}

/// Lets a request through if its sender may make it.
pub(super) async fn guard(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    room.facts().door.admit(&peer, Right::needed_for(request.method()))?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Ownership;

    fn door(readers: &[Who], writers: &[Who]) -> Door {
        let spec = ControlSpec {
            socket: "/run/scgid/control.sock".into(),
            ownership: Ownership::default(),
            readers: readers.to_vec(),
            writers: writers.to_vec(),
        };
        Door::new(33, &spec)
    }

    /// What a user and a group may do: `--`, `r-` or `rw`.
    fn rights(door: &Door, uid: u32, gid: u32) -> String {
        rights_of(door, &Peer { uid, gid, groups: [].into(), pid: None })
    }

    fn rights_of(door: &Door, peer: &Peer) -> String {
        let may = |right, yes| if door.admits(peer, right) { yes } else { "-" };
        format!("{}{}", may(Right::Look, "r"), may(Right::Act, "w"))
    }

    #[test]
    fn where_nobody_is_named_the_mode_of_the_socket_decides() {
        assert_eq!(rights(&door(&[], &[]), 1000, 1000), "rw");
    }

    #[test]
    fn root_and_the_daemons_own_user_may_do_everything() {
        let door = door(&[Who::User(1)], &[Who::User(2)]);

        assert_eq!((rights(&door, 0, 0), rights(&door, 33, 33)), ("rw".into(), "rw".into()));
    }

    #[test]
    fn readers_may_look_and_writers_may_look_and_act_and_nobody_else_anything() {
        let door = door(&[Who::User(1000), Who::Group(7)], &[Who::Group(8)]);

        assert_eq!(rights(&door, 1000, 1), "r-");
        assert_eq!(rights(&door, 1, 7), "r-");
        assert_eq!(rights(&door, 1, 8), "rw");
        assert_eq!(rights(&door, 1, 1), "--");
    }

    #[test]
    fn every_group_of_a_peer_counts() {
        let door = door(&[Who::Group(7)], &[Who::Group(8)]);
        let with = |groups: &[u32]| Peer { uid: 1, gid: 1, groups: groups.into(), pid: None };

        assert_eq!(rights_of(&door, &with(&[5, 7])), "r-");
        assert_eq!(rights_of(&door, &with(&[8, 5])), "rw");
        assert_eq!(rights_of(&door, &with(&[5])), "--");
    }

    #[test]
    fn naming_readers_alone_leaves_acting_to_root_and_the_daemons_user() {
        assert_eq!(rights(&door(&[Who::User(1)], &[]), 1, 1), "r-");
        assert_eq!(rights(&door(&[], &[Who::User(1)]), 2, 2), "--");
    }
}
