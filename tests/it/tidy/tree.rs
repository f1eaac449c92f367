//! The files of the repository, and rules about all of them.

use std::path::PathBuf;
use std::process::Command;

/// One file of the repository.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// From the workspace's folder on.
    pub(super) path: String,
    pub(super) text: String,
}

/// The workspace's folder.
pub(super) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every text file that is tracked, or would be.
pub(super) fn files() -> Vec<File> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is installed");
    assert!(listed.status.success(), "{listed:?}");
    let paths = String::from_utf8(listed.stdout).unwrap();
    let read = |path: &str| {
        // Deleted ones are still tracked; what is no text has no rules.
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        Some(File { path: path.to_owned(), text })
    };
    let files: Vec<_> = paths.lines().filter_map(read).collect();
    assert!(files.len() > 100, "only {} files", files.len());
    files
}

/// Lines of `files` that break a rule, with their places.
fn offences(files: &[File], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = files.iter().flat_map(|file| {
        let lines = (1..).zip(file.text.lines()).filter(|(_, line)| breaks(line));
        lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim()))
    });
    lines.collect()
}

#[test]
fn nothing_refers_to_the_place_where_it_was_written() {
    // Not written out, or this file would be the first to break the rule.
    let outside = [["/wo", "rk/"].concat(), ["../sha", "red"].concat()];

    let found = offences(&files(), |line| outside.iter().any(|place| line.contains(place)));

    assert!(found.is_empty(), "the project stands alone:\n{}", found.join("\n"));
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let bare = ["#[ign", "ore]"].concat();

    let found = offences(&files(), |line| line.contains(&bare));

    assert!(found.is_empty(), "say why:\n{}", found.join("\n"));
}

#[test]
fn no_mutation_was_left_behind() {
    let mutations =
        [["|| tr", "ue"].concat(), ["&& fal", "se"].concat(), ["if fal", "se"].concat()];
    let mut files = files();
    files.retain(|file| file.path.ends_with(".rs"));

    let found = offences(&files, |line| {
        mutations.iter().any(|mutation| {
            line.match_indices(mutation).any(|(at, _)| {
                // A closure without arguments looks the same, and follows something that opens.
                let before = line[..at].trim_end().chars().next_back();
                !before.is_none_or(|before| "(,=".contains(before))
            })
        })
    });

    assert!(found.is_empty(), "left over from trying a test:\n{}", found.join("\n"));
}

#[test]
fn every_example_of_a_site_is_one() {
    let is_site = |file: &File| {
        file.path.starts_with("deploy/")
            && file.path.ends_with(".yaml")
            && file.text.lines().any(|line| line.starts_with("apps:"))
    };
    let sites: Vec<_> = files().into_iter().filter(is_site).collect();
    assert!(!sites.is_empty());

    for site in sites {
        // Programs and users of the examples are not on this machine; that is no refusal.
        let loaded = scgid::config::load(&root().join(&site.path));
        let refused = loaded.err().map(|problems| problems.list());
        assert!(refused.is_none(), "{}: {refused:#?}", site.path);
    }
}
