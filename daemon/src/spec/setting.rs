//! An app in the words of the configuration: every key, its value, and what changing it takes.
//!
//! The one list that says by which means a key changes; both the supervisor's decision and the
//! plan that a person reads are made of it.

use std::fmt::Display;
use std::time::Duration;

use scgi_protocol::control::Means;

use super::{
    AppSpec, Cgi, Health, Identity, Inetd, Kind, Launch, Limit, ListenSpec, Ownership, Ready,
    Restart, Roll,
};
use super::{Sizing, Standalone, Timing};

/// One key of an app and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The dotted key below the app: `restart.backoff.max`.
    pub key: String,
    /// The value as one would write it.
    pub value: String,
    /// What it takes to change it.
    pub means: Means,
    /// The value may be secret.
    pub secret: bool,
}

/// Settings as they are listed.
#[derive(Debug, Default)]
struct List(Vec<Setting>);

impl List {
    fn put(&mut self, means: Means, key: &str, value: impl Display) {
        let (key, value) = (key.to_owned(), value.to_string());
        self.0.push(Setting { key, value, means, secret: false });
    }

    fn maybe(&mut self, means: Means, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(means, key, value);
        }
    }
}

impl AppSpec {
    /// Every key that has a value, defaults included, save those of `workers`.
    pub fn settings(&self) -> Vec<Setting> {
        // Destructured so that a new key must be given its words and its means here.
        let Self { name: _, kind, launch, listen, sizing: _, concurrency, timing, restart, roll } =
            self;
        let mut list = List::default();
        put_kind(&mut list, kind);
        put_launch(&mut list, launch);
        for (index, listen) in listen.iter().enumerate() {
            put_listen(&mut list, &format!("listen[{index}]"), listen);
        }
        list.put(Means::Roll, "concurrency", concurrency);
        put_timing(&mut list, timing);
        put_restart(&mut list, restart);
        put_roll(&mut list, roll);
        list.0
    }
}

impl Sizing {
    /// The keys of `workers`, each with its value.
    pub fn settings(&self) -> Vec<Setting> {
        let mut list = List::default();
        list.put(Means::Resize, "workers.min", self.min());
        list.put(Means::Resize, "workers.max", self.max());
        list.put(Means::Resize, "workers.spare", self.spare());
        list.put(Means::Retune, "workers.idle_timeout", span(self.idle_timeout()));
        list.0
    }

    /// The number of a pool that `workers: N` describes in full.
    pub fn count(&self) -> Option<Setting> {
        let mut list = List::default();
        list.put(Means::Resize, "workers", self.max());
        (Self::fixed(self.max()).as_ref() == Ok(self)).then(|| list.0.remove(0))
    }
}

fn put_kind(list: &mut List, kind: &Kind) {
    use Means::Roll;
    list.put(Roll, "kind", kind.name().as_str());
    match kind {
        Kind::Worker => {}
        Kind::Cgi(Cgi { serves: _, timeout, output }) => {
            list.put(Roll, "cgi.timeout", span(*timeout));
            match output {
                Some(bytes) => list.put(Roll, "cgi.output", bytes),
                None => list.put(Roll, "cgi.output", "unlimited"),
            }
        }
        Kind::Inetd(Inetd { timeout }) => list.put(Roll, "inetd.timeout", span(*timeout)),
        Kind::Standalone(Standalone { at }) => list.maybe(Roll, "listen", at.as_ref()),
    }
}

fn put_launch(list: &mut List, launch: &Launch) {
    use Means::Roll;
    let Launch { program, arguments, directory, env, env_files, clear_env, .. } = launch;
    let Launch { identity, umask, nice, limits, mount, queue_timeout, .. } = launch;
    let Launch { strict, preload, .. } = launch;
    let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
    let file = program.display().to_string();
    match arguments.first() == Some(&file) {
        true => list.put(Roll, "run", format!("[{}]", words.join(", "))),
        false => list.put(Roll, "run", format!("[{}] ({file})", words.join(", "))),
    }
    list.maybe(Roll, "directory", directory.as_ref().map(|path| path.display()));
    for (name, value) in env {
        let (key, value) = (format!("env.{name}"), quoted(value));
        list.0.push(Setting { key, value, means: Roll, secret: true });
    }
    for (index, file) in env_files.iter().enumerate() {
        list.put(Roll, &format!("env_file[{index}]"), file.display());
    }
    list.put(Roll, "clear_env", clear_env);
    list.maybe(Roll, "mount", mount.as_ref());
    list.maybe(Roll, "queue_timeout", queue_timeout.map(span));
    list.put(Roll, "preload", preload);
    list.maybe(Roll, "strict", strict.then_some(true).as_ref());
    if let Some(identity) = identity {
        put_identity(list, identity);
    }
    list.maybe(Roll, "umask", umask.map(mode));
    list.maybe(Roll, "nice", nice.as_ref());
    for (resource, limit) in limits {
        list.put(Roll, &format!("limits.{}", resource.as_str()), bounds(*limit));
    }
}

fn put_identity(list: &mut List, identity: &Identity) {
    let Identity { uid, gid, groups, login } = identity;
    match login {
        Some((name, home)) => {
            list.put(Means::Roll, "user", format!("{name} ({uid}, {})", home.display()));
        }
        None => list.put(Means::Roll, "user", uid),
    }
    list.put(Means::Roll, "group", gid);
    let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
    list.put(Means::Roll, "groups", format!("[{}]", groups.join(", ")));
}

/// Another address means other workers, which must be born with it; all else is changed in place.
fn put_listen(list: &mut List, key: &str, listen: &ListenSpec) {
    let ListenSpec { at, ownership, backlog } = listen;
    let Ownership { owner, group, mode: bits } = ownership;
    list.put(Means::Rebind, &format!("{key}.address"), at);
    list.maybe(Means::Retune, &format!("{key}.owner"), owner.as_ref());
    list.maybe(Means::Retune, &format!("{key}.group"), group.as_ref());
    list.maybe(Means::Retune, &format!("{key}.mode"), bits.map(mode));
    list.put(Means::Retune, &format!("{key}.backlog"), backlog);
}

fn put_timing(list: &mut List, timing: &Timing) {
    let Timing { ready, start_timeout, stop_timeout, stop_signal } = timing;
    match ready {
        Ready::Notify => list.put(Means::Retune, "ready", "notify"),
        Ready::After(pause) => list.put(Means::Retune, "ready.after", span(*pause)),
        Ready::Connect => list.put(Means::Retune, "ready", "connect"),
    }
    list.put(Means::Retune, "start_timeout", span(*start_timeout));
    list.put(Means::Retune, "stop_timeout", span(*stop_timeout));
    list.put(Means::Retune, "stop_signal", stop_signal.as_str());
}

fn put_restart(list: &mut List, restart: &Restart) {
    let Restart { budget, period, backoff_first, backoff_max, give_up } = restart;
    list.put(Means::Retune, "restart.budget", budget);
    list.put(Means::Retune, "restart.period", span(*period));
    list.put(Means::Retune, "restart.backoff.first", span(*backoff_first));
    list.put(Means::Retune, "restart.backoff.max", span(*backoff_max));
    list.put(Means::Retune, "restart.give_up", give_up);
}

fn put_roll(list: &mut List, roll: &Roll) {
    let Roll { surge, soak, health } = roll;
    list.put(Means::Retune, "roll.surge", surge);
    list.put(Means::Retune, "roll.soak", span(*soak));
    if let Some(Health { path, timeout }) = health {
        list.put(Means::Retune, "roll.health.path", path);
        list.put(Means::Retune, "roll.health.timeout", span(*timeout));
    }
}

/// A word as it stands in a list: in quotes if it would not be one word otherwise.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=@%+~^".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => serde_json::Value::from(word).to_string(),
    }
}

fn bounds(limit: Limit) -> String {
    let word = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let Limit { soft, hard } = limit;
    if soft == hard { word(soft) } else { format!("{} (up to {})", word(soft), word(hard)) }
}

fn mode(bits: u32) -> String {
    format!("{bits:04o}")
}

fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}
