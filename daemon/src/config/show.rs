//! A site as YAML: what is meant, written in full, so that it can be read again.
//!
//! The only place that knows how YAML is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use crate::spec::{
    AppSpec, Cgi, ControlSpec, Health, Identity, Inetd, Kind, Launch, Limit, ListenSpec,
    MetricsSpec, Ownership, Ready, Resource, Restart, RevisionsSpec, Roll, Site, Sizing,
    Standalone, Surge, Timing, Who,
};

/// The site as YAML: every key that has a value, defaults too.
pub fn show(site: &Site) -> String {
    let Site { control, metrics, revisions, apps } = site;
    let metrics = match metrics {
        None => text("off"),
        Some(MetricsSpec { listen }) => map([("listen", text(listen))]),
    };
    let apps: Mapping = apps.iter().map(|(name, spec)| (text(name), app(spec))).collect();
    let site = map([
        ("control", control_socket(control)),
        ("metrics", metrics),
        ("revisions", kept(revisions)),
        ("apps", Value::Mapping(apps)),
    ]);
    serde_yaml::to_string(&site).expect("a tree of words and numbers can be written")
}

fn kept(revisions: &RevisionsSpec) -> Value {
    let RevisionsSpec { directory, keep } = revisions;
    let directory = directory.as_ref().map(|directory| ("directory", path(directory)));
    map(directory.into_iter().chain([("keep", number(*keep))]))
}

/// A duration as it is written in a configuration.
pub(super) fn duration(span: Duration) -> String {
    humantime::format_duration(span).to_string().replace(' ', "")
}

fn app(spec: &AppSpec) -> Value {
    let AppSpec { name: _, kind, launch, listen, sizing, concurrency, timing, restart, roll } =
        spec;
    let Timing { ready, start_timeout, stop_timeout, stop_signal } = timing;
    let ready = match ready {
        Ready::Notify => text("notify"),
        Ready::After(span) => map([("after", text(&duration(*span)))]),
        Ready::Connect => text("connect"),
    };
    let sockets = || Value::Sequence(listen.iter().map(socket).collect());
    let mut entries = program(launch);
    entries.push(("kind", text(kind.name().as_str())));
    match kind {
        Kind::Worker => entries.extend([
            ("listen", sockets()),
            ("workers", workers(sizing)),
            ("concurrency", number(*concurrency)),
            ("preload", Value::Bool(launch.preload)),
            ("ready", ready),
        ]),
        Kind::Cgi(limits) => entries.extend([
            ("cgi", cgi(limits)),
            ("listen", sockets()),
            ("workers", workers(sizing)),
            ("concurrency", number(*concurrency)),
        ]),
        Kind::Inetd(Inetd { timeout }) => entries.extend([
            ("inetd", map([("timeout", text(&duration(*timeout)))])),
            ("listen", sockets()),
            ("workers", workers(sizing)),
            ("concurrency", number(*concurrency)),
        ]),
        Kind::Standalone(Standalone { at }) => {
            entries.extend(at.iter().map(|at| ("listen", text(at))));
            entries.extend([("workers", number(sizing.max())), ("ready", ready)]);
        }
    }
    entries.extend([
        ("start_timeout", text(&duration(*start_timeout))),
        ("stop_timeout", text(&duration(*stop_timeout))),
        ("stop_signal", text(stop_signal.as_str())),
        ("restart", restarts(restart)),
        ("roll", rolls(roll, kind)),
    ]);
    map(entries)
}

fn cgi(limits: &Cgi) -> Value {
    let Cgi { serves: _, timeout, output } = limits;
    let output = output.map_or_else(|| text("unlimited"), number);
    map([("timeout", text(&duration(*timeout))), ("output", output)])
}

fn rolls(roll: &Roll, kind: &Kind) -> Value {
    let Roll { surge, soak, health } = roll;
    let surge = match surge {
        Surge::Count(count) => number(*count),
        Surge::Percent(share) => text(&format!("{share}%")),
    };
    let mut entries = vec![("soak", text(&duration(*soak)))];
    if !kind.is_alone() {
        entries.insert(0, ("surge", surge));
    }
    if let Some(Health { path, timeout }) = health {
        let request = map([("path", text(path)), ("timeout", text(&duration(*timeout)))]);
        entries.push(("health", request));
    }
    map(entries)
}

/// How its workers are started.
fn program(launch: &Launch) -> Vec<(&'static str, Value)> {
    let Launch {
        program,
        arguments,
        directory,
        env,
        env_files,
        clear_env,
        identity,
        umask,
        nice,
        limits,
        mount,
        queue_timeout,
        preload: _,
        strict,
    } = launch;
    // A bare name that is looked up again must be the same file; anything else is spelled out.
    let called = arguments.first().filter(|name| program.file_name() == Some(name.as_ref()));
    let program = called.map_or_else(|| path(program), text);
    let run = std::iter::once(program).chain(arguments.iter().skip(1).map(text)).collect();
    let mut entries = vec![("run", Value::Sequence(run))];
    entries.extend(directory.as_ref().map(|directory| ("directory", path(directory))));
    if !env.is_empty() {
        let env: Mapping = env.iter().map(|(name, value)| (text(name), text(value))).collect();
        entries.push(("env", Value::Mapping(env)));
    }
    if !env_files.is_empty() {
        entries.push(("env_file", env_files.iter().map(|file| path(file)).collect()));
    }
    entries.push(("clear_env", Value::Bool(*clear_env)));
    entries.extend(mount.as_ref().map(|mount| ("mount", text(mount))));
    entries.extend(queue_timeout.map(|span| ("queue_timeout", text(&duration(span)))));
    if *strict {
        entries.push(("strict", Value::Bool(true)));
    }
    if let Some(Identity { uid, gid, groups, login }) = identity {
        let user = login.as_ref().map_or_else(|| number(*uid), |(name, _)| text(name));
        let groups = groups.iter().map(|gid| number(*gid)).collect();
        entries.extend([("user", user), ("group", number(*gid)), ("groups", groups)]);
    }
    entries.extend(umask.map(|umask| ("umask", mode(umask))));
    entries.extend(nice.map(|nice| ("nice", number(nice))));
    if !limits.is_empty() {
        entries.push(("limits", limited(limits)));
    }
    entries
}

fn socket(spec: &ListenSpec) -> Value {
    let ListenSpec { at, ownership, backlog } = spec;
    let mut entries = vec![("address", text(at))];
    entries.extend(owned(ownership));
    entries.push(("backlog", number(*backlog)));
    map(entries)
}

fn owned(ownership: &Ownership) -> impl Iterator<Item = (&'static str, Value)> {
    let Ownership { owner, group, mode: bits } = ownership;
    let owner = owner.map(|uid| ("owner", number(uid)));
    let group = group.map(|gid| ("group", number(gid)));
    [owner, group, bits.map(|bits| ("mode", mode(bits)))].into_iter().flatten()
}

fn workers(sizing: &Sizing) -> Value {
    map([
        ("min", number(sizing.min())),
        ("max", number(sizing.max())),
        ("spare", number(sizing.spare())),
        ("idle_timeout", text(&duration(sizing.idle_timeout()))),
    ])
}

fn restarts(restart: &Restart) -> Value {
    let Restart { budget, period, backoff_first, backoff_max, give_up } = restart;
    let first = ("first", text(&duration(*backoff_first)));
    let max = ("max", text(&duration(*backoff_max)));
    map([
        ("budget", number(*budget)),
        ("period", text(&duration(*period))),
        ("backoff", map([first, max])),
        ("give_up", Value::Bool(*give_up)),
    ])
}

fn limited(limits: &BTreeMap<Resource, Limit>) -> Value {
    let amount = |resource: Resource, amount: Option<u64>| match (resource, amount) {
        (_, None) => text("unlimited"),
        (Resource::Cpu, Some(seconds)) => text(&duration(Duration::from_secs(seconds))),
        (_, Some(amount)) => number(amount),
    };
    let entry = |(&resource, limit): (&Resource, &Limit)| {
        let soft = ("soft", amount(resource, limit.soft));
        let hard = ("hard", amount(resource, limit.hard));
        (text(resource.as_str()), map([soft, hard]))
    };
    Value::Mapping(limits.iter().map(entry).collect())
}

fn control_socket(control: &ControlSpec) -> Value {
    let ControlSpec { socket, ownership, readers, writers } = control;
    let people = |all: &[Who]| Value::Sequence(all.iter().map(who).collect());
    let mut entries = vec![("socket", path(socket))];
    entries.extend(owned(ownership));
    entries.extend([("readers", people(readers)), ("writers", people(writers))]);
    map(entries)
}

fn who(who: &Who) -> Value {
    match who {
        Who::User(uid) => text(&format!("user:{uid}")),
        Who::Group(gid) => text(&format!("group:{gid}")),
    }
}

fn map(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Mapping(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
}

fn text(text: &(impl ToString + ?Sized)) -> Value {
    Value::String(text.to_string())
}

fn path(path: &Path) -> Value {
    text(&path.display())
}

fn number(number: impl Into<serde_yaml::Number>) -> Value {
    Value::Number(number.into())
}

fn mode(bits: u32) -> Value {
    text(&format!("{bits:04o}"))
}
