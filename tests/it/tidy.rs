//! The rules of the house, checked over its sources: what ARCHITECTURE.md promises of how the
//! parts depend on each other, and some habits.
//!
//! Reads text, with comments and the insides of strings taken out; knows nothing of Rust beyond
//! that. A rule that is broken is told with file and line.

mod dependencies;
mod source;
mod tree;

use source::{Source, rust_sources};

/// What of a file breaks a rule; empty if nothing does.
fn offences(sources: &[Source], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = sources.iter().flat_map(|source| {
        let lines = source.lines().filter(|(_, line)| breaks(line));
        lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim()))
    });
    lines.collect()
}

/// Fails if any of `sources`, save the files or folders in `allowed`, has one of `words`.
#[track_caller]
fn only_in(allowed: &[&str], words: &[&str], sources: Vec<Source>) {
    let is_allowed = |source: &Source| allowed.iter().any(|place| source.path.starts_with(place));
    let (inside, outside): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_allowed);

    let found = offences(&outside, |line| words.iter().any(|word| has_word(line, word)));

    assert!(found.is_empty(), "{words:?} only in {allowed:?}:\n{}", found.join("\n"));
    for place in allowed {
        let here: Vec<_> =
            inside.iter().filter(|source| source.path.starts_with(place)).cloned().collect();
        let used = offences(&here, |line| words.iter().any(|word| has_word(line, word)));
        assert!(
            !used.is_empty(),
            "{place} has none of {words:?}: the rule has outlived its reason"
        );
    }
}

/// Whether `word` stands in `line` and is not a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let opens = word.chars().next().is_some_and(is_name);
        let ends = word.chars().next_back().is_some_and(is_name);
        !(opens && before.is_some_and(is_name) || ends && after.is_some_and(is_name))
    })
}

fn of_daemon() -> Vec<Source> {
    rust_sources("daemon/src/")
}

#[test]
fn unsafe_stands_in_three_small_files() {
    let allowed =
        ["protocol/src/page/map.rs", "protocol/src/inherit.rs", "daemon/src/shell/sys.rs"];

    only_in(&allowed, &["unsafe", "unsafe_code"], rust_sources(""));
}

#[test]
fn the_core_knows_nothing_but_what_is_pure() {
    let sources = rust_sources("daemon/src/supervisor/");
    assert!(sources.len() > 10, "the core has moved");
    let pure = ["cmp", "collections", "fmt", "iter", "mem", "ops", "sync", "time"];

    let found = offences(&sources, |line| {
        let impure_std = line.match_indices("std::").any(|(at, prefix)| {
            let rest = &line[at + prefix.len()..];
            !pure.iter().any(|module| rest.starts_with(module))
        });
        let foreign = dependencies::of("scgid")
            .iter()
            .map(|name| format!("{}::", name.replace('-', "_")))
            .filter(|path| path != "scgi_protocol::" && path != "serde::")
            .any(|path| has_word(line, &path));
        let other_room = line.match_indices("crate::").any(|(at, prefix)| {
            let rest = &line[at + prefix.len()..];
            !rest.starts_with("spec") && !rest.starts_with("supervisor")
        });
        let acts = ["async", "await", "Instant", "SystemTime", "Mutex", "RwLock", "println"];
        impure_std || foreign || other_room || acts.iter().any(|word| has_word(line, word))
    });

    assert!(found.is_empty(), "the core is pure:\n{}", found.join("\n"));
}

#[test]
fn one_file_waits_for_processes() {
    let waits = ["waitid", "waitpid", "try_wait", "wait_with_output", "wait4"];

    // The second is the one of built-in workers, which are programs of their own.
    let files = ["daemon/src/shell/reap.rs", "daemon/src/builtin/offspring.rs"];
    only_in(&files, &waits, of_daemon());
}

#[test]
fn one_file_performs_actions() {
    let mut sources = of_daemon();
    // Where they are made.
    sources.retain(|source| !source.path.starts_with("daemon/src/supervisor/"));

    only_in(&["daemon/src/shell/perform.rs"], &["Action::"], sources);
}

#[test]
fn one_file_reads_time() {
    let mut sources = of_daemon();
    // Programs of their own, which happen to be in the same file.
    sources.retain(|source| !source.path.starts_with("daemon/src/builtin/"));
    let reads =
        ["Instant::now", "SystemTime::now", "now_ns()", "CLOCK_MONOTONIC", "CLOCK_REALTIME"];

    only_in(&["daemon/src/shell/clock.rs"], &reads, sources);
}

#[test]
fn each_tool_is_known_in_one_place() {
    only_in(&["daemon/src/control/", "daemon/src/metrics/"], &["axum"], of_daemon());
    only_in(&["daemon/src/metrics/"], &["prometheus"], of_daemon());
    only_in(&["daemon/src/config/"], &["serde_saphyr", "serde_yaml"], of_daemon());
    only_in(&["daemon/src/cli.rs"], &["clap"], of_daemon());
    only_in(&["daemon/src/builtin/"], &["scgi_worker"], of_daemon());
    let of_ctl = ["ctl/src/cli.rs", "ctl/src/lib.rs", "ctl/src/commands/completion.rs"];
    only_in(&of_ctl, &["clap", "clap_complete"], rust_sources("ctl/src/"));
}

#[test]
fn what_is_seen_in_order_is_kept_in_order() {
    let found =
        offences(&of_daemon(), |line| has_word(line, "HashMap") || has_word(line, "HashSet"));

    assert!(found.is_empty(), "take a BTreeMap:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    const MOST: usize = 400;

    let long = |source: &Source| source.lines().filter(|(_, line)| !line.trim().is_empty()).count();
    let sources = rust_sources("");
    let found: Vec<_> = sources.iter().filter(|source| long(source) > MOST).collect();

    let told: Vec<_> = found.iter().map(|s| format!("{}: {} lines", s.path, long(s))).collect();
    assert!(told.is_empty(), "at most {MOST} lines of code:\n{}", told.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let found: Vec<_> = tree::files()
        .into_iter()
        .filter(|file| file.path.ends_with(".rs") && !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();

    assert!(found.is_empty(), "begin with `//! `:\n{}", found.join("\n"));
}

#[test]
fn a_word_is_not_found_inside_another() {
    assert!(has_word("let x = unsafe { y };", "unsafe"));
    assert!(!has_word("let unsafe_code = 1;", "unsafe"));
    assert!(has_word("(Action::Exit)", "Action::"));
    assert!(!has_word("Reaction::Exit", "Action::"));
}
