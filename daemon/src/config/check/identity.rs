//! Who a worker is, and whom a socket belongs to.

use super::{Context, optional};
use crate::config::advice;
use crate::config::kinds::OneOrMany;
use crate::config::machine::{Login, Names};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::Word;
use crate::config::sources::Where;
use crate::spec::Identity;

/// Who the workers of an app are; `Some(None)` leaves them who the daemon is.
pub(super) fn identity(raw: &raw::App, context: &mut Context<'_>) -> Option<Option<Identity>> {
    let raw::App { user, group, groups, .. } = raw;
    let places = [user.as_ref().map(Said::place), group.as_ref().map(Said::place)];
    let Some(at) = places.into_iter().flatten().next().or_else(|| groups.as_ref().map(Said::place))
    else {
        return Some(None);
    };
    let login = optional(user.as_ref(), |said| login(said, group.is_some(), context));
    let gid = optional(group.as_ref(), |said| gid(said, context));
    let listed = optional(groups.as_ref(), |said| gids(&said.value, context));
    let (login, gid, listed) = (login?, gid?, listed?);
    let (own_uid, own_gid) = context.machine.own();
    let uid = login.as_ref().map_or(own_uid, |login| login.uid);
    let gid = gid.unwrap_or_else(|| login.as_ref().map_or(own_gid, |login| login.gid));
    if own_uid != 0 {
        return if (uid, gid, listed.is_some()) == (own_uid, own_gid, false) {
            Some(None)
        } else {
            context.refuse(only_root(at))
        };
    }
    let named = login.filter(|login| !login.name.is_empty());
    let groups = listed.unwrap_or_else(|| match &named {
        Some(login) => context.machine.groups_of(&Login { gid, ..login.clone() }),
        None => Vec::new(),
    });
    let login = named.map(|login| (login.name, login.home));
    Some(Some(Identity { uid, gid, groups, login }))
}

fn only_root(at: &Where) -> Finding {
    Finding::at(at, "only root may start workers as somebody else")
        .hint("run scgid as root, or remove `user`, `group` and `groups`")
        .of_app()
}

/// The user that is named. One that has a number and no entry must come with a group, and has no
/// name.
fn login(said: &Said<Word>, has_group: bool, context: &mut Context<'_>) -> Option<Login> {
    let name = &said.value.0;
    if let Some(login) = context.machine.user(name) {
        return Some(login);
    }
    let Ok(uid) = name.parse() else {
        return context.refuse(unknown(said, Names::Users, context));
    };
    if !has_group {
        let message = format!("user {uid} has no entry on this machine, so its group is not known");
        return context.refuse(Finding::at(&said.at, message).hint("say `group` too").of_app());
    }
    Some(Login { name: String::new(), uid, gid: 0, home: "/".into() })
}

fn gids(said: &OneOrMany<Word>, context: &mut Context<'_>) -> Option<Vec<u32>> {
    let all: Vec<Option<u32>> = said.0.iter().map(|one| gid(one, context)).collect();
    all.into_iter().collect()
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
    if let Some((user, group)) = name.split_once(':').filter(|_| of == Names::Users) {
        let finding = Finding::at(&said.at, format!("`{name}` is a user and a group"));
        return finding.hint(format!("write `user: {user}` and `group: {group}`")).of_app();
    }
    if of == Names::Groups && name.contains([',', ' ']) {
        let each: Vec<&str> = name.split([',', ' ']).filter(|part| !part.is_empty()).collect();
        let finding = Finding::at(&said.at, format!("`{name}` is more than one name"));
        return finding.hint(format!("write `groups: [{}]`", each.join(", "))).of_app();
    }
    let hint = match advice::nearest(name, all.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`{tool} {name}` makes it"),
    };
    Finding::at(&said.at, format!("there is no {what} `{name}` on this machine"))
        .hint(hint)
        .of_app()
}
