//! What is written down can be read again; what is not believed does no harm.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn record() -> SiteRecord {
    let text =
        "control: {socket: /run/c.sock}\napps: {blog: {run: [/bin/true], listen: 'unix:/x'}}";
    let site = crate::config::load_text("test.yaml", text).unwrap().site;
    SiteRecord {
        format: record::FORMAT,
        version: "1.2.3".to_owned(),
        boot: record::boot_id(),
        clock_ns: 5,
        daemon: 4711,
        notify_socket: "/run/c.sock.notify".into(),
        text: text.to_owned(),
        control: site.control.clone(),
        metrics: site.metrics.clone(),
        apps: site.apps.iter().map(|(app, spec)| (app.clone(), (**spec).clone())).collect(),
    }
}

/// A directory with a state in it, written by a daemon that is gone.
fn left(record: &SiteRecord) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sock.state");
    let mut state = State::open(&path).unwrap();
    state.write_now(&NowRecord::default());
    state.write_site(record);
    (folder, path)
}

fn refused(path: &Path) -> String {
    let found = State::open(path).unwrap().find();
    assert!(found.left.is_none(), "{found:?}");
    found.refused.join("; ")
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let (_folder, path) = left(&record());

    let found = State::open(&path).unwrap().find();

    assert_eq!(found.refused, Vec::<String>::new());
    let left = found.left.unwrap();
    assert_eq!(left.site.text, record().text);
    assert_eq!(left.site.apps, record().apps);
    assert_eq!(left.site.control, record().control);
}

#[test]
fn two_daemons_cannot_have_one_state() {
    let (_folder, path) = left(&record());
    let _first = State::open(&path).unwrap();

    let second = State::open(&path).unwrap_err();

    assert!(matches!(second, StateError::Taken(_)), "{second}");
}

#[test]
fn a_state_from_before_the_machine_was_started_is_refused() {
    let (_folder, path) = left(&SiteRecord { boot: "another".to_owned(), ..record() });

    assert_eq!(refused(&path), "the state is from before the machine was started");
}

#[test]
fn a_state_in_another_form_is_refused_with_who_wrote_it() {
    let (_folder, path) = left(&SiteRecord { format: 99, ..record() });

    let why = refused(&path);

    assert_eq!(why, "the state was written by scgid 1.2.3 in form 99; this one reads 1");
}

#[test]
fn a_torn_state_is_refused() {
    let (_folder, path) = left(&record());
    let file = path.join("site.json");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();

    assert!(refused(&path).contains("makes no sense: EOF while parsing"));
}

#[test]
fn what_others_may_write_to_is_not_believed() {
    let (_folder, path) = left(&record());
    let writable = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(path.join("site.json"), writable).unwrap();
    assert!(refused(&path).contains("others may write to it"));

    let writable = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&path, writable).unwrap();
    assert!(State::open(&path).unwrap_err().to_string().contains("cannot use"));
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let (folder, path) = left(&record());
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(path.join("site.json"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path.join("site.json")).unwrap();

    assert!(refused(&path).contains("cannot read"));
}

#[test]
fn a_disk_that_cannot_be_written_to_is_told_once_and_stops_nobody() {
    let (_folder, path) = left(&record());
    let mut state = State::open(&path).unwrap();
    std::fs::remove_dir_all(&path).unwrap();

    state.write_site(&SiteRecord { clock_ns: 6, ..record() });
    assert!(state.failing().is_some());

    std::fs::create_dir(&path).unwrap();
    state.write_site(&SiteRecord { clock_ns: 7, ..record() });
    assert_eq!(state.failing(), None);
}

#[test]
fn a_state_that_was_cleared_is_gone() {
    let (_folder, path) = left(&record());
    let mut state = State::open(&path).unwrap();

    state.clear();

    assert!(!path.exists());
}
