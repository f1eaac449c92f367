//! An app's settings in the words of the configuration.

use std::time::Duration;

use crate::spec::{
    AppSpec, Cgi, Health, Identity, Inetd, Kind, Launch, Limit, ListenAt, Ready, Restart, Roll,
    Sizing, Timing,
};

/// Settings as they are listed: `key` and value.
type Settings = Vec<(String, String)>;

/// What an app's configuration says, defaults included; of its environment only the names.
pub(super) fn of(spec: &AppSpec) -> Settings {
    // Destructured so that a new key must be given its words here.
    let AppSpec { name: _, kind, launch, listen: _, sizing, concurrency, timing, restart, roll } =
        spec;
    let mut settings = Settings::new();
    let mut put = |key: &str, value: String| settings.push((key.to_owned(), value));
    let places = spec.places();
    put("listen", places.iter().map(ListenAt::to_string).collect::<Vec<_>>().join(", "));
    put_kind(&mut put, kind);
    put_sizing(&mut put, sizing);
    put("concurrency", concurrency.to_string());
    if *kind == Kind::Worker {
        put("preload", launch.preload.to_string());
    }
    put_launch(&mut put, launch);
    put_timing(&mut put, timing);
    let Restart { budget, period, backoff_first, backoff_max, give_up } = restart;
    put("restart.budget", budget.to_string());
    put("restart.period", span(*period));
    put("restart.backoff.first", span(*backoff_first));
    put("restart.backoff.max", span(*backoff_max));
    put("restart.give_up", give_up.to_string());
    let Roll { surge, soak, health } = roll;
    put("roll.surge", surge.to_string());
    put("roll.soak", span(*soak));
    if let Some(Health { path, timeout }) = health {
        put("roll.health", format!("{path} within {}", span(*timeout)));
    }
    settings
}

fn put_kind(put: &mut impl FnMut(&str, String), kind: &Kind) {
    put("kind", kind.name().as_str().to_owned());
    match kind {
        Kind::Cgi(Cgi { serves: _, timeout, output }) => {
            let bytes = |bytes: &u64| format!("{bytes} bytes");
            put("cgi.timeout", span(*timeout));
            put("cgi.output", output.as_ref().map_or_else(|| "unlimited".to_owned(), bytes));
        }
        Kind::Inetd(Inetd { timeout }) => put("inetd.timeout", span(*timeout)),
        Kind::Worker | Kind::Standalone(_) => {}
    }
}

fn put_sizing(put: &mut impl FnMut(&str, String), sizing: &Sizing) {
    if sizing.is_fixed() {
        return put("workers", sizing.max().to_string());
    }
    put("workers.min", sizing.min().to_string());
    put("workers.max", sizing.max().to_string());
    put("workers.spare", sizing.spare().to_string());
    put("workers.idle_timeout", span(sizing.idle_timeout()));
}

fn put_launch(put: &mut impl FnMut(&str, String), launch: &Launch) {
    let Launch { program: _, arguments: _, directory, env, env_files, clear_env, .. } = launch;
    let Launch { identity, umask, nice, limits, mount, queue_timeout, strict, .. } = launch;
    if let Some(directory) = directory {
        put("directory", directory.display().to_string());
    }
    if !env.is_empty() {
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        put("env", format!("{} (values are not shown)", names.join(", ")));
    }
    for file in env_files {
        put("env_file", file.display().to_string());
    }
    put("clear_env", clear_env.to_string());
    if let Some(mount) = mount {
        put("mount", mount.clone());
    }
    if let Some(timeout) = queue_timeout {
        put("queue_timeout", span(*timeout));
    }
    if *strict {
        put("strict", strict.to_string());
    }
    if let Some(identity) = identity {
        put_identity(put, identity);
    }
    if let Some(umask) = umask {
        put("umask", format!("{umask:04o}"));
    }
    if let Some(nice) = nice {
        put("nice", nice.to_string());
    }
    for (resource, limit) in limits {
        put(&format!("limits.{}", resource.as_str()), bounds(*limit));
    }
}

fn put_identity(put: &mut impl FnMut(&str, String), identity: &Identity) {
    let Identity { uid, gid, groups, login } = identity;
    match login {
        Some((name, _)) => put("user", format!("{name} ({uid})")),
        None => put("user", uid.to_string()),
    }
    put("group", gid.to_string());
    if !groups.is_empty() {
        put("groups", groups.iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
    }
}

fn put_timing(put: &mut impl FnMut(&str, String), timing: &Timing) {
    let Timing { ready, start_timeout, stop_timeout, stop_signal } = timing;
    match ready {
        Ready::Notify => put("ready", "notify".to_owned()),
        Ready::After(pause) => put("ready.after", span(*pause)),
        Ready::Connect => put("ready", "connect".to_owned()),
    }
    put("start_timeout", span(*start_timeout));
    put("stop_timeout", span(*stop_timeout));
    put("stop_signal", stop_signal.as_str().to_owned());
}

fn bounds(limit: Limit) -> String {
    let word = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let Limit { soft, hard } = limit;
    if soft == hard { word(soft) } else { format!("{} (up to {})", word(soft), word(hard)) }
}

fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}
