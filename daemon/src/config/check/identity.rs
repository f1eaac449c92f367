//! Who a worker is, and whom a socket belongs to.

use super::Context;
use crate::config::advice;
use crate::config::machine::{Login, Names};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::Word;
use crate::spec::Identity;

/// Who the workers of an app are; `Some(None)` leaves them who the daemon is.
pub(super) fn identity(raw: &raw::App, context: &mut Context<'_>) -> Option<Option<Identity>> {
    let raw::App { user, group, groups, .. } = raw;
    let (own_uid, own_gid) = context.machine.own();
    let at = user
        .as_ref()
        .or(group.as_ref())
        .map(|said| &said.at)
        .or(groups.as_ref().map(|said| &said.at));
    let Some(at) = at else { return Some(None) };
    let login = user.as_ref().map(|said| login(said, group.is_some(), context));
    let gid = group.as_ref().map(|said| gid(said, context));
    let listed: Option<Vec<Option<u32>>> = groups
        .as_ref()
        .map(|said| said.value.0.iter().map(|one| self::gid(one, context)).collect());
    let login = match login {
        Some(login) => Some(login?),
        None => None,
    };
    let gid = match gid {
        Some(gid) => Some(gid?),
        None => None,
    };
    let listed = match listed {
        Some(listed) => Some(listed.into_iter().collect::<Option<Vec<u32>>>()?),
        None => None,
    };
    let uid = login.as_ref().map_or(own_uid, |login| login.uid);
    let gid = gid.unwrap_or_else(|| login.as_ref().map_or(own_gid, |login| login.gid));
    if own_uid != 0 {
        if (uid, gid, listed.is_some()) == (own_uid, own_gid, false) {
            return Some(None);
        }
        let finding = Finding::at(at, "only root may start workers as somebody else");
        return context.refuse(
            finding.hint("run scgid as root, or remove `user`, `group` and `groups`").of_app(),
        );
    }
    let groups = listed.unwrap_or_else(|| {
        login.as_ref().map_or_else(Vec::new, |login| {
            context.machine.groups_of(&Login { gid, ..login.clone() })
        })
    });
    let login = login.filter(|login| !login.name.is_empty()).map(|login| (login.name, login.home));
    Some(Some(Identity { uid, gid, groups, login }))
}

/// The user that is named; one that only has a number must come with a group.
fn login(said: &Said<Word>, has_group: bool, context: &mut Context<'_>) -> Option<Login> {
    let name = &said.value.0;
    let known = context.machine.user(name);
    match name.parse() {
        Ok(uid) if known.is_none() && has_group => {
            Some(Login { name: String::new(), uid, gid: 0, home: "/".into() })
        }
        Ok(_) if known.is_none() => {
            let finding = Finding::at(
                &said.at,
                format!("user {name} has no entry, so its group is not known"),
            );
            context.refuse(finding.hint("say `group` too").of_app())
        }
        _ => known.or_else(|| context.refuse(unknown(said, Names::Users, context))),
    }
}

/// The number of a user, by name or number.
pub(super) fn uid(said: &Said<Word>, context: &mut Context<'_>) -> Option<u32> {
    let name = &said.value.0;
    let known = context.machine.user(name).map(|login| login.uid).or_else(|| name.parse().ok());
    known.or_else(|| context.refuse(unknown(said, Names::Users, context)))
}

/// The number of a group, by name or number.
pub(super) fn gid(said: &Said<Word>, context: &mut Context<'_>) -> Option<u32> {
    let known = context.machine.group(&said.value.0);
    known.or_else(|| context.refuse(unknown(said, Names::Groups, context)))
}

fn unknown(said: &Said<Word>, of: Names, context: &Context<'_>) -> Finding {
    let (what, tool) = match of {
        Names::Users => ("user", "useradd --system"),
        Names::Groups => ("group", "groupadd --system"),
    };
    let name = &said.value.0;
    let all = context.machine.names(of);
    let hint = match advice::nearest(name, all.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`{tool} {name}` makes it"),
    };
    Finding::at(&said.at, format!("there is no {what} `{name}` on this machine"))
        .hint(hint)
        .of_app()
}
