//! `check` and `schema`, which the daemon's own program does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::run::Run;

/// Our program in a directory of its own.
fn installed() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("scgictl");
    fs::copy(env!("CARGO_BIN_EXE_scgictl"), &program).unwrap();
    (dir, program)
}

#[test]
fn the_daemon_beside_us_is_asked_and_its_exit_code_passed_on() {
    let (dir, program) = installed();
    let daemon = dir.path().join("scgid");
    fs::write(&daemon, "#!/bin/sh\necho scgid \"$@\"\nexit 2\n").unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();

    let check = Run::of(&program, "check site.yaml").ended();
    let schema = Run::of(&program, "schema").ended();

    assert_eq!((check.code, check.out.as_str()), (Some(2), "scgid check site.yaml\n"));
    assert_eq!((schema.code, schema.out.as_str()), (Some(2), "scgid schema\n"));
}

#[test]
fn a_daemon_that_is_not_installed_is_told() {
    let (dir, program) = installed();

    let ended = Run::of(&program, "schema").env("PATH", dir.path()).ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ended.err, @r"
    error: cannot run `scgid`: No such file or directory (os error 2)
      help: `scgid` is looked for beside this program and on the PATH; is it installed?
    ");
}
