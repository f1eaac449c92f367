//! What to answer to a key that does not exist.

use super::raw::{App, Control, Site};
use super::read::Shape;
use super::slips;

/// Words of other managers, spelled with `_` and in small letters, and what to write here.
const WORDS_OF_HOME: &[(&str, &str)] = &[
    // php-fpm
    ("pm", "the number of workers is `workers: N`, or `workers: {min, max, spare, idle_timeout}`"),
    ("max_children", "the most workers are `workers: N` or `workers: {max: N}`"),
    ("start_servers", "a pool starts with `workers: {min: N}`"),
    ("min_spare_servers", "idle workers at hand are `workers: {spare: N}`"),
    ("max_spare_servers", "surplus workers leave after `workers: {idle_timeout: 60s}`"),
    ("process_idle_timeout", "surplus workers leave after `workers: {idle_timeout: 60s}`"),
    ("listen.owner", "write `listen: {address: …, owner: …}`"),
    ("listen.group", "write `listen: {address: …, group: …}`"),
    ("listen.mode", "write `listen: {address: …, mode: \"0660\"}`"),
    ("listen.backlog", "write `listen: {address: …, backlog: N}`"),
    ("rlimit_files", "write `limits: {nofile: N}`"),
    ("rlimit_core", "write `limits: {core: SIZE}`"),
    // uWSGI
    ("processes", "the number of workers is `workers: N`"),
    ("process", "the number of workers is `workers: N`"),
    ("threads", "requests at once in one worker are `concurrency: N`"),
    ("cheaper", "fewest workers are `workers: {min: N}`"),
    ("cheaper_initial", "a pool starts with `workers: {min: N}`"),
    ("idle", "surplus workers leave after `workers: {idle_timeout: 60s}`"),
    ("socket", "write `listen: ADDRESS`"),
    ("scgi_socket", "write `listen: ADDRESS`"),
    ("chmod_socket", "write `listen: {address: …, mode: \"0660\"}`"),
    ("chown_socket", "write `listen: {address: …, owner: …, group: …}`"),
    ("uid", "write `user: NAME-OR-NUMBER`"),
    ("gid", "write `group: NAME-OR-NUMBER`"),
    ("chdir", "write `directory: PATH`"),
    ("module", "write the whole command: `run: [python3, -m, scgi_worker, \"MODULE:APP\"]`"),
    ("vacuum", "sockets are always tidied up; leave it out"),
    ("master", "there is always one daemon; leave it out"),
    ("preload_app", "write `preload: true`"),
    ("lazy_apps", "each worker loads the app by itself unless there is `preload: true`"),
    // supervisord, circus, pm2
    ("command", "write `run: [PROGRAM, ARGUMENT, …]`"),
    ("cmd", "write `run: [PROGRAM, ARGUMENT, …]`"),
    ("args", "arguments follow the program: `run: [PROGRAM, ARGUMENT, …]`"),
    ("script", "write `run: [PROGRAM, ARGUMENT, …]`"),
    ("numprocs", "the number of workers is `workers: N`"),
    ("numprocesses", "the number of workers is `workers: N`"),
    ("instances", "the number of workers is `workers: N`"),
    ("startsecs", "a program without sd_notify is ready by age: `ready: {after: 1s}`"),
    ("startretries", "deaths are paid from `restart: {budget: N, period: 60s}`"),
    ("autorestart", "the dead are always replaced; see `restart: {budget, give_up}`"),
    ("autostart", "every app is started; `scgictl stop APP` stops one"),
    ("stopsignal", "write `stop_signal: TERM`"),
    ("stopwaitsecs", "write `stop_timeout: 30s`"),
    ("environment", "write `env: {NAME: value}`"),
    ("programs", "apps stand under `apps`"),
    ("program", "write `run: [PROGRAM, ARGUMENT, …]`"),
    ("services", "apps stand under `apps`"),
    ("pools", "apps stand under `apps`"),
    // systemd
    ("service", "apps stand under `apps`"),
    ("exec", "write `run: [PROGRAM, ARGUMENT, …]`"),
    ("execstart", "write `run: [PROGRAM, ARGUMENT, …]`"),
    ("execreload", "`scgictl reload` replaces workers; leave it out"),
    ("execstop", "workers are asked by `stop_signal`; leave it out"),
    ("workingdirectory", "write `directory: PATH`"),
    ("cwd", "write `directory: PATH`"),
    ("environmentfile", "write `env_file: PATH`"),
    ("supplementarygroups", "write `groups: [NAME, …]`"),
    ("listenstream", "write `listen: ADDRESS`"),
    ("socketmode", "write `listen: {address: …, mode: \"0660\"}`"),
    ("restartsec", "write `restart: {backoff: {first: 100ms, max: 30s}}`"),
    ("startlimitburst", "write `restart: {budget: N}`"),
    ("startlimitintervalsec", "write `restart: {period: 60s}`"),
    ("timeoutstartsec", "write `start_timeout: 30s`"),
    ("timeoutstopsec", "write `stop_timeout: 30s`"),
    ("killsignal", "write `stop_signal: TERM`"),
    ("limitnofile", "write `limits: {nofile: N}`"),
    ("limitnproc", "write `limits: {nproc: N}`"),
    ("limitcore", "write `limits: {core: SIZE}`"),
    ("type", "readiness is `ready: notify`, or `ready: {after: 1s}`"),
    // gunicorn
    ("bind", "write `listen: ADDRESS`"),
    ("host", "host and port are one address: `127.0.0.1:4000`"),
    ("port", "host and port are one address: `127.0.0.1:4000`"),
    ("path", "a socket's path is an address: `unix:/run/scgid/APP.sock`"),
    ("graceful_timeout", "write `stop_timeout: 30s`"),
    ("raw_env", "write `env: {NAME: value}`"),
    ("worker_connections", "requests at once in one worker are `concurrency: N`"),
];

/// Keys that other versions of scgid may know, and words of other managers for them.
const NOT_HERE: &[&str] = &[
    "cgroup",
    "chroot",
    "harakiri",
    "health",
    "log",
    "logs",
    "logfile",
    "max_requests",
    "max_requests_jitter",
    "memory",
    "oom_score",
    "oomscoreadjust",
    "recycle",
    "request_terminate_timeout",
    "request_timeout",
    "runtimemaxsec",
    "sandbox",
    "slowlog",
    "soak",
    "stderr_logfile",
    "stdout_logfile",
    "timeout",
    "watchdog",
    "watchdogsec",
];

/// What to do about `key`, which is none of `known`.
pub(super) fn on_key(key: &str, known: &[&str]) -> String {
    let plain = key.trim_end_matches('=').to_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("pm.").unwrap_or(&plain);
    if known.contains(&plain) {
        return format!("keys are in small letters with `_`: `{plain}`");
    }
    if let Some(bare) = slips::bare_key(key, known) {
        return format!("write `{bare}`");
    }
    if let Some((_, remedy)) = WORDS_OF_HOME.iter().find(|(word, _)| *word == plain) {
        return (*remedy).to_owned();
    }
    if NOT_HERE.contains(&plain) {
        return "this version of scgid has nothing like it; leave it out".to_owned();
    }
    if let Some(near) = nearest(plain, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    if App::KEYS.contains(&plain) {
        return format!(
            "`{plain}` is a key of an app: write it in `apps.NAME`, or in `defaults` for all apps"
        );
    }
    if Site::KEYS.contains(&plain) {
        return format!("`{plain}` stands at the top of the site's first file, beside `apps`");
    }
    if Control::KEYS.contains(&plain) {
        return format!("`{plain}` is a key of `control`");
    }
    format!("known here: {}", known.join(", "))
}

/// The one of `known` that a person who wrote `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| {
        let begins = word.len() >= 3 && (name.starts_with(word) || word.starts_with(name));
        if begins { 1 } else { strsim::damerau_levenshtein(word, name) }
    };
    let near = 1 + word.chars().count() / 4;
    known.into_iter().filter(|name| distance(name) <= near).min_by_key(|name| distance(name))
}
