//! The environment an app is born with, layer upon layer; the later one wins.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use scgi_protocol::birth::{Birth, VARIABLES};

use super::envfile::Variables;
use crate::spec::{Identity, Launch};

/// What an app gets of the daemon's environment if `clear_env` is set.
const ALWAYS: [&str; 2] = ["PATH", "LANG"];

/// Variables by which a service manager speaks to the daemon alone, besides those that a birth
/// has as well.
const NOT_FOR_APPS: [&str; 3] = ["WATCHDOG_PID", "LISTEN_PIDFDID", "FDSTORE"];

/// An app's environment.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// Builds the environment from this process's own, the identity, the `files` as read, what the
/// configuration says, and the birth.
pub(super) fn build(launch: &Launch, files: Variables, birth: &Birth) -> Environment {
    let mut environment: Environment =
        std::env::vars_os().filter(|(name, _)| is_inherited(name, launch.clear_env)).collect();
    environment.extend(launch.identity.iter().flat_map(login));
    environment.extend(files.into_iter().map(owned));
    environment.extend(launch.env.clone().into_iter().map(owned));
    for name in VARIABLES {
        environment.remove(OsStr::new(name));
    }
    let pid = nix::unistd::getpid().as_raw();
    environment.extend(birth.environment(pid).into_iter().map(owned));
    environment
}

fn is_inherited(name: &OsStr, cleared: bool) -> bool {
    if cleared {
        return ALWAYS.iter().any(|always| name == *always);
    }
    !NOT_FOR_APPS.iter().any(|theirs| name == *theirs)
}

fn login(identity: &Identity) -> Vec<(OsString, OsString)> {
    let Some((user, home)) = &identity.login else { return Vec::new() };
    vec![
        ("USER".into(), user.into()),
        ("LOGNAME".into(), user.into()),
        ("HOME".into(), home.into()),
    ]
}

fn owned<N: Into<OsString>, V: Into<OsString>>((name, value): (N, V)) -> (OsString, OsString) {
    (name.into(), value.into())
}

#[cfg(test)]
mod tests {
    use super::super::order::tests::order;
    use super::*;

    fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    #[test]
    fn a_cleared_environment_holds_what_was_said_and_the_path() {
        let mut order = order("/bin/true");
        order.launch.env.insert("MODE".into(), "fast".into());

        let environment = build(&order.launch, Variables::new(), &order.birth);

        assert_eq!(value(&environment, "MODE"), Some("fast"));
        assert_eq!(value(&environment, "SCGI_APP"), Some("blog"));
        assert_eq!(value(&environment, "PATH"), std::env::var("PATH").ok().as_deref());
        assert_eq!(value(&environment, "CARGO_MANIFEST_DIR"), None);
    }

    #[test]
    fn without_clearing_the_app_sees_the_daemons_variables_but_not_its_birth() {
        let mut order = order("/bin/true");
        order.launch.clear_env = false;
        order.birth.watchdog = None;

        let environment = build(&order.launch, Variables::new(), &order.birth);

        assert!(value(&environment, "CARGO_MANIFEST_DIR").is_some());
        assert!(!is_inherited(OsStr::new("WATCHDOG_PID"), false));
        assert_eq!(value(&environment, "WATCHDOG_USEC"), None);
    }

    #[test]
    fn the_configuration_wins_over_files_and_files_over_the_login() {
        let mut order = order("/bin/true");
        order.launch.identity = Some(Identity {
            uid: 1,
            gid: 1,
            groups: Vec::new(),
            login: Some(("ada".into(), "/home/ada".into())),
        });
        order.launch.env.insert("MODE".into(), "fast".into());
        let said = [("MODE", "slow"), ("HOME", "/srv/ada")];
        let files = said.map(|(name, value)| (name.to_owned(), value.to_owned())).into();

        let environment = build(&order.launch, files, &order.birth);

        assert_eq!(value(&environment, "MODE"), Some("fast"));
        assert_eq!(value(&environment, "HOME"), Some("/srv/ada"));
        assert_eq!(value(&environment, "LOGNAME"), Some("ada"));
    }

    #[test]
    fn nothing_can_forge_a_birth() {
        let mut order = order("/bin/true");
        order.birth.notify_socket = None;
        order.launch.env.insert("SCGI_SEAT".into(), "9".into());
        order.launch.env.insert("NOTIFY_SOCKET".into(), "/tmp/x".into());

        let environment = build(&order.launch, Variables::new(), &order.birth);

        assert_eq!(value(&environment, "SCGI_SEAT"), Some("2"));
        assert_eq!(value(&environment, "NOTIFY_SOCKET"), None);
    }
}
