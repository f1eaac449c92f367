//! The command line as it is typed: the real program, its output and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so best by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn scgid(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scgid")).args(arguments).current_dir(folder).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn folder_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scgid.yaml"), text).unwrap();
    folder
}

const GOOD: &str = "apps:\n  a: {run: [/bin/true], listen: unix:run/a.sock}\n  \
                    b: {run: [/bin/true], listen: unix:run/b.sock}\n";
const BAD: &str = "apps:\n  a: {run: [/bin/true], listen: unix:run/a.sock, wrokers: 2}\n";

#[test]
fn a_good_configuration_is_told_in_one_line() {
    let folder = folder_with(GOOD);

    for arguments in [&["check"][..], &["check", "./scgid.yaml"]] {
        let checked = scgid(folder.path(), arguments);

        assert_eq!(out(&checked), "./scgid.yaml: 2 apps, no problems\n");
        assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    }
}

#[test]
fn a_bad_configuration_is_refused_with_a_place_and_exit_code_2() {
    let folder = folder_with(BAD);

    for arguments in [&["check"][..], &["run"]] {
        let refused = scgid(folder.path(), arguments);

        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(
            err(&refused).starts_with("refused: 1 problem in ./scgid.yaml; nothing has changed")
        );
        assert!(err(&refused).contains("workers"), "{}", err(&refused));
        assert_eq!(out(&refused), "");
    }
}

#[test]
fn programs_read_the_verdict_as_json() {
    let verdict = |text: &str| {
        let folder = folder_with(text);
        let checked = scgid(folder.path(), &["check", "-o", "json"]);
        let verdict: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        (checked.status.code(), verdict)
    };

    let (good_code, good) = verdict(GOOD);
    let (bad_code, bad) = verdict(BAD);

    assert_eq!((good_code, &good["apps"]), (Some(0), &2.into()));
    assert_eq!(good["problems"], serde_json::json!([]));
    assert_eq!(bad_code, Some(2));
    assert_eq!(bad["problems"][0]["path"], "apps.a.wrokers");
    assert_eq!(bad["problems"][0]["place"]["line"], 2);
}

#[test]
fn without_a_configuration_the_next_command_is_said() {
    let folder = tempfile::tempdir().unwrap();

    let checked = scgid(folder.path(), &["check", "none.yaml"]);

    assert_eq!(checked.status.code(), Some(2));
    assert!(err(&checked).contains("scgid init"), "{}", err(&checked));
}

#[test]
fn init_writes_what_check_understands_and_never_over_a_file() {
    let folder = tempfile::tempdir().unwrap();

    let first = scgid(folder.path(), &["init"]);
    let written = fs::read_to_string(folder.path().join("scgid.yaml")).unwrap();
    let again = scgid(folder.path(), &["init", "scgid.yaml"]);
    let checked = scgid(folder.path(), &["check"]);

    assert_eq!(first.status.code(), Some(0));
    assert!(out(&first).starts_with("wrote scgid.yaml: one app,"), "{}", out(&first));
    assert!(written.starts_with("# yaml-language-server: $schema="));
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(err(&again), "scgid: `scgid.yaml` exists already; nothing has changed\n");
    assert_eq!(fs::read_to_string(folder.path().join("scgid.yaml")).unwrap(), written);
    assert_eq!(out(&checked), "./scgid.yaml: 1 app, no problems\n", "{}", err(&checked));
}

#[test]
fn init_writes_into_a_directory_and_says_why_if_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    fs::create_dir(&site).unwrap();

    let made = scgid(folder.path(), &["init", "site"]);
    let failed = scgid(folder.path(), &["init", "none/site.yaml"]);

    assert_eq!(made.status.code(), Some(0));
    assert!(site.join("scgid.yaml").is_file());
    assert_eq!(failed.status.code(), Some(1));
    assert!(err(&failed).starts_with("scgid: cannot write `none/site.yaml`: "), "{}", err(&failed));
}

#[test]
fn the_schema_is_json_that_knows_the_keys() {
    let printed = scgid(Path::new("/"), &["schema"]);

    let schema: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(schema["properties"]["apps"].is_object(), "{schema}");
}

#[test]
fn wrong_usage_ends_with_2_and_a_wrong_filter_too() {
    let folder = folder_with(GOOD);

    for arguments in [&[][..], &["srve"], &["run", "--log", "scgid=loud"], &["builtin", "nobody"]] {
        let wrong = scgid(folder.path(), arguments);
        assert_eq!(wrong.status.code(), Some(2), "{arguments:?}: {}", err(&wrong));
    }
    let relief = scgid(folder.path(), &["builtin", "relief", "--retry-after", "soon"]);
    assert_eq!(relief.status.code(), Some(100), "{}", err(&relief));
}

#[test]
fn the_version_is_the_same_both_ways() {
    let [one, other] = [["version"], ["--version"]].map(|word| scgid(Path::new("/"), &word));

    assert_eq!(out(&one), format!("scgid {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(out(&one), out(&other));
}
