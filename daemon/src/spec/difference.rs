//! One spec of an app held against another, key by key.

use std::collections::BTreeMap;

use scgi_protocol::control::{Difference, Means};

use super::setting::Setting;
use super::{AppSpec, Sizing};

impl AppSpec {
    /// Every key whose value in `next` is another one; empty exactly if the specs are equal.
    pub fn differences(&self, next: &Self) -> Vec<Difference> {
        if self == next {
            return Vec::new();
        }
        let mut differences = between(self.settings(), next.settings());
        differences.extend(self.sizing.differences(&next.sizing));
        let rolls = |one: &&mut Difference| matches!(one.means, Means::Roll | Means::Rebind);
        if next.kind.is_alone() {
            differences.iter_mut().filter(rolls).for_each(|one| one.means = Means::Replace);
        }
        differences
    }
}

impl Sizing {
    /// Every key of `workers` whose value in `next` is another one.
    pub fn differences(&self, next: &Self) -> Vec<Difference> {
        match (self.count(), next.count()) {
            (Some(old), Some(new)) => between(vec![old], vec![new]),
            _ => between(self.settings(), next.settings()),
        }
    }
}

/// What `old` and `new` do not have in common, in the order of `old`, then of `new`.
fn between(old: Vec<Setting>, new: Vec<Setting>) -> Vec<Difference> {
    let mut values: BTreeMap<String, Setting> =
        new.iter().map(|setting| (setting.key.clone(), setting.clone())).collect();
    let mut differences = Vec::new();
    for Setting { key, value, means, secret } in old {
        let new = values.remove(&key).map(|setting| setting.value);
        if new.as_ref() != Some(&value) {
            differences.push(Difference { key, old: Some(value), new, means, secret });
        }
    }
    for Setting { key, value, means, secret } in new {
        if values.contains_key(&key) {
            differences.push(Difference { key, old: None, new: Some(value), means, secret });
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::spec::Change;

    /// The app that these keys describe, beside a program and a socket.
    fn app(keys: &str) -> AppSpec {
        let listen = if keys.contains("listen") { "" } else { "listen: '127.0.0.1:1', " };
        let run = if keys.contains("run:") { "" } else { "run: [/bin/true], " };
        let text = format!("apps: {{blog: {{{run}{listen}{keys}}}}}");
        let loaded = config::load_text("test.yaml", &text);
        let loaded = loaded.unwrap_or_else(|p| panic!("{}", p.render(config::Paint::Plain)));
        (**loaded.site.apps.values().next().expect("it can be prepared")).clone()
    }

    /// The differences a line each: `key: old -> new, means`.
    fn told(old: &str, new: &str) -> String {
        let (old, new) = (app(old), app(new));
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let line = |d: &Difference| {
            let secret = if d.secret { ", secret" } else { "" };
            format!("{}: {} -> {}, {}{secret}", d.key, word(&d.old), word(&d.new), d.means.as_str())
        };
        old.differences(&new).iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// For every key of an app another value and what it takes to get there. A key of the
    /// schema that is missing here fails the test below.
    const KEYS: [(&str, &str, Change); 26] = [
        ("run", "run: [/bin/false]", Change::Roll),
        ("kind", "kind: cgi", Change::Roll),
        ("cgi", "kind: cgi, cgi: {timeout: 1s}", Change::Roll),
        ("inetd", "kind: inetd, inetd: {timeout: 1s}", Change::Roll),
        ("directory", "directory: /", Change::Roll),
        ("env", "env: {A: b}", Change::Roll),
        ("env_file", "env_file: /etc/os-release", Change::Roll),
        ("clear_env", "clear_env: false", Change::Roll),
        ("mount", "mount: /blog", Change::Roll),
        ("queue_timeout", "queue_timeout: 5s", Change::Roll),
        ("strict", "strict: true", Change::Roll),
        ("listen", "listen: '127.0.0.1:2'", Change::Roll),
        ("workers", "workers: 1000", Change::Retune),
        ("concurrency", "concurrency: 2", Change::Roll),
        ("preload", "preload: true", Change::Roll),
        ("ready", "ready: {after: 1s}", Change::Retune),
        ("start_timeout", "start_timeout: 1s", Change::Retune),
        ("stop_timeout", "stop_timeout: 1s", Change::Retune),
        ("stop_signal", "stop_signal: QUIT", Change::Retune),
        ("restart", "restart: {budget: 7}", Change::Retune),
        ("roll", "roll: {surge: 3}", Change::Retune),
        ("user", "user: '0'", Change::Roll),
        ("group", "group: '0'", Change::Roll),
        ("umask", "umask: '0077'", Change::Roll),
        ("nice", "nice: 19", Change::Roll),
        ("limits", "limits: {nofile: 64}", Change::Roll),
    ];

    #[test]
    fn every_key_of_an_app_is_told_when_it_changes_and_has_its_means() {
        let schema = config::schema();
        let known = schema.pointer("/definitions/App/properties").unwrap();
        let known: Vec<&String> = known.as_object().unwrap().keys().collect();
        let base = app("");

        for (key, said, change) in KEYS {
            let next = app(said);
            let differences = base.differences(&next);
            assert!(differences.iter().any(|d| d.key.starts_with(key)), "{key}: {differences:?}");
            assert_eq!(base.change_to(&next), change, "{key}");
            assert_eq!(next.change_to(&base), change, "{key}, back");
        }
        // `groups` is of no use without `user`.
        let missing = known.iter().filter(|key| KEYS.iter().all(|(tried, ..)| tried != *key));
        assert_eq!(missing.copied().collect::<Vec<_>>(), [&"groups"]);
    }

    #[test]
    fn a_difference_is_told_in_the_words_of_the_configuration() {
        insta::assert_snapshot!(told(
            "workers: 4, env: {DB: one, OLD: x}, listen: {address: 'unix:/s', mode: '0600'}, stop_timeout: 90s",
            "workers: 8, env: {DB: 't w o', NEW: x}, listen: {address: 'unix:/s', mode: '0660'}",
        ), @r#"
        env.DB: one -> "t w o", roll, secret
        env.OLD: x -> -, roll, secret
        listen[0].mode: 0600 -> 0660, retune
        stop_timeout: 1m30s -> 30s, retune
        env.NEW: - -> x, roll, secret
        workers: 4 -> 8, resize
        "#);
        insta::assert_snapshot!(told(
            "workers: 4, listen: ['unix:/a', 'unix:/b'], limits: {nofile: {soft: 1, hard: 2}}",
            "workers: {min: 1, max: 4, idle_timeout: 5s}, listen: ['unix:/c'], run: [/bin/true, '']",
        ), @r#"
        run: [/bin/true] -> [/bin/true, ""], roll
        limits.nofile: 1 (up to 2) -> -, roll
        listen[0].address: unix:/a -> unix:/c, rebind
        listen[1].address: unix:/b -> -, rebind
        listen[1].backlog: 4096 -> -, retune
        workers.min: 4 -> 1, resize
        workers.idle_timeout: 1m -> 5s, retune
        "#);
    }

    #[test]
    fn a_program_with_an_address_to_itself_is_replaced() {
        let own = "kind: standalone, listen: '127.0.0.1:1'";

        insta::assert_snapshot!(told(own, "kind: standalone, listen: '127.0.0.1:2', env: {A: b}"), @r"
        listen: 127.0.0.1:1 -> 127.0.0.1:2, replace
        env.A: - -> b, replace, secret
        ");
        insta::assert_snapshot!(told("kind: cgi", "kind: inetd"), @r"
        kind: cgi -> inetd, roll
        cgi.timeout: 1m -> -, roll
        cgi.output: 1073741824 -> -, roll
        inetd.timeout: - -> 1m, roll
        ");
    }

    #[test]
    fn another_mode_or_queue_of_a_socket_rolls_nobody() {
        let at = |rest: &str| app(&format!("listen: {{address: 'unix:/s', {rest}}}"));

        for rest in ["mode: '0600'", "owner: '7'", "group: '7'", "backlog: 9"] {
            assert_eq!(at("").change_to(&at(rest)), Change::Retune, "{rest}");
        }
    }

    #[test]
    fn a_size_that_is_no_plain_number_is_told_key_by_key() {
        let old = app("workers: {min: 4, max: 4}");
        let new = app("workers: {min: 4, max: 4, idle_timeout: 5s}");

        let differences = old.differences(&new);

        assert_eq!(differences[0].key, "workers.idle_timeout");
        assert_eq!((differences.len(), differences[0].means), (1, Means::Retune));
        assert_eq!(old.differences(&old), []);
    }
}
