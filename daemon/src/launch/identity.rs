//! Becoming the app's user and groups, for good.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid};

use crate::spec::Identity;

/// Why this process did not become somebody else.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("cannot take the groups of {who}; scgid changes identities only when it runs as root")]
    Groups { who: String, source: Errno },
    #[error("cannot become group {gid}; scgid changes identities only when it runs as root")]
    Group { gid: Gid, source: Errno },
    #[error("cannot become {who}; scgid changes identities only when it runs as root")]
    User { who: String, source: Errno },
    #[error("cannot ask the kernel who this process is")]
    Unknown(#[source] Errno),
    #[error("became somebody else than {who}, against what the kernel said")]
    NotTaken { who: String },
}

/// Becomes `identity`, real, effective and saved, so that there is no way back.
///
/// The last thing done with the daemon's rights. Nothing is asked of the kernel if this process
/// is that user already, so that a daemon without rights may name itself.
pub(super) fn take(identity: &Identity) -> Result<(), IdentityError> {
    if is(identity)? {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setgroups(&groups(identity))
        .map_err(|source| IdentityError::Groups { who: who(identity), source })?;
    setresgid(gid, gid, gid).map_err(|source| IdentityError::Group { gid, source })?;
    setresuid(uid, uid, uid)
        .map_err(|source| IdentityError::User { who: who(identity), source })?;
    // An identity that was not taken is a hole, not an inconvenience: read it back.
    if is(identity)? { Ok(()) } else { Err(IdentityError::NotTaken { who: who(identity) }) }
}

fn is(identity: &Identity) -> Result<bool, IdentityError> {
    let user = getresuid().map_err(IdentityError::Unknown)?;
    let group = getresgid().map_err(IdentityError::Unknown)?;
    let mut held = getgroups().map_err(IdentityError::Unknown)?;
    let mut wanted = groups(identity);
    // The kernel may or may not list the main group among the others: it grants nothing more.
    held.retain(|held| held.as_raw() != identity.gid);
    wanted.retain(|wanted| wanted.as_raw() != identity.gid);
    for list in [&mut held, &mut wanted] {
        list.sort_unstable_by_key(|group| group.as_raw());
        list.dedup();
    }
    let same_user = [user.real, user.effective, user.saved].map(Uid::as_raw) == [identity.uid; 3];
    let same_group =
        [group.real, group.effective, group.saved].map(Gid::as_raw) == [identity.gid; 3];
    Ok(same_user && same_group && held == wanted)
}

fn groups(identity: &Identity) -> Vec<Gid> {
    identity.groups.iter().copied().map(Gid::from_raw).collect()
}

fn who(identity: &Identity) -> String {
    match &identity.login {
        Some((name, _)) => format!("user `{name}`"),
        None => format!("user {}", identity.uid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn myself() -> Identity {
        Identity {
            uid: Uid::current().as_raw(),
            gid: Gid::current().as_raw(),
            groups: getgroups().unwrap().into_iter().map(Gid::as_raw).collect(),
            login: None,
        }
    }

    #[test]
    fn whoever_this_process_is_already_needs_no_rights() {
        assert!(is(&myself()).unwrap());
        take(&myself()).unwrap();
    }

    #[test]
    fn another_user_or_group_is_somebody_else() {
        assert!(!is(&Identity { uid: myself().uid + 1, ..myself() }).unwrap());
        assert!(!is(&Identity { gid: myself().gid + 1, ..myself() }).unwrap());
        let more = [myself().groups, vec![4_000_000]].concat();
        assert!(!is(&Identity { groups: more, ..myself() }).unwrap());
    }
}
