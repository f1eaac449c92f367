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
        config: Some("/etc/scgid/scgid.yaml".into()),
        text: text.to_owned(),
        origin: None,
        revision: Some(1),
        revisions: site.revisions.clone(),
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

fn ended(id: u64) -> OperationView {
    let moment = crate::supervisor::Moment::START;
    OperationView {
        id: OperationId(id),
        verb: scgi_protocol::control::Verb::Reload,
        app: None,
        state: scgi_protocol::control::OperationState::Done,
        progress: "1 app changed".to_owned(),
        since: moment,
        ended: Some(moment),
        reason: None,
        failures: Vec::new(),
    }
}

fn ids(found: &Found) -> Vec<u64> {
    found.left.as_ref().unwrap().ended.iter().map(|operation| operation.id.0).collect()
}

#[test]
fn the_last_operations_that_ended_are_kept_whatever_daemon_wrote_them() {
    let (_folder, path) = left(&record());
    let most = OPERATIONS_KEPT as u64;
    let mut state = State::open(&path).unwrap();
    (1..=most).for_each(|id| state.write_ended(&ended(id)));
    drop(state);

    let mut state = State::open(&path).unwrap();
    (most + 1..=most + 3).for_each(|id| state.write_ended(&ended(id)));

    assert_eq!(ids(&state.find()), (4..=most + 3).collect::<Vec<_>>());
    assert_eq!(state.find().left.unwrap().ended[0], ended(4));
    state.forget_ended(0);
    assert_eq!(ids(&state.find()), [0; 0]);
}

#[test]
fn an_operation_that_cannot_have_ended_so_is_told_and_the_others_are_believed() {
    let (_folder, path) = left(&record());
    let mut state = State::open(&path).unwrap();
    (1..=4).for_each(|id| state.write_ended(&ended(id)));
    let file = |id: u64| path.join(ENDED).join(format!("{id}.json"));
    std::fs::copy(file(3), file(2)).unwrap();
    std::fs::write(file(4), "{\"id\": 4, ").unwrap();

    let found = state.find();

    assert_eq!(ids(&found), [1, 3]);
    assert_eq!(found.refused.len(), 2, "{found:?}");
}

#[test]
fn a_file_that_is_replaced_says_what_was_written_last_and_leaves_nothing_beside_it() {
    let (_folder, path) = left(&record());
    let mut state = State::open(&path).unwrap();

    for clock_ns in 6..9 {
        state.write_site(&SiteRecord { clock_ns, ..record() });
    }

    drop(state);
    assert_eq!(State::open(&path).unwrap().find().left.unwrap().site.clock_ns, 8);
    let entries = std::fs::read_dir(&path).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["apps", "ended", "lock", "now.json", "site.json"]);
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
fn an_app_has_a_file_as_long_as_there_is_something_to_be_known_of_it() {
    let (_folder, path) = left(&record());
    let blog: AppName = "blog".parse().unwrap();
    let file = path.join(app_name(&blog));
    let mut state = State::open(&path).unwrap();

    for _ in 0..2 {
        state.write_app(&blog, Some(&1));
        assert!(file.exists());
        state.write_app(&blog, None::<&u8>);
        assert!(!file.exists());
    }
    state.write_app(&blog, Some(&1));
    drop(state);

    let mut next = State::open(&path).unwrap();
    next.forget_apps();
    assert!(!file.exists(), "whoever wrote it");
}

#[test]
fn a_state_that_was_cleared_is_gone() {
    let (_folder, path) = left(&record());
    let mut state = State::open(&path).unwrap();

    state.clear();

    assert!(!path.exists());
}

/// A state with a pool of two workers in it, as text.
fn app_text() -> String {
    let spec = serde_json::to_value(&record().apps["blog".parse::<AppName>().as_ref().unwrap()]);
    let moment = serde_json::json!({"secs": 5, "nanos": 0});
    let worker = |id: u64, pid: i32| {
        serde_json::json!({
            "id": id, "seat": id, "generation": 1, "role": "App", "since": moment,
            "life": {"Serving": {"pid": pid, "since": moment}}, "leaving": null, "status": null,
            "ready_since": moment, "answered": true, "health": "Unasked",
        })
    };
    let trail = serde_json::json!({
        "recent": [moment], "streak": 1, "not_before": moment, "spent": false,
        "never_again": false, "how": "exit 1",
    });
    let launch = serde_json::json!({
        "generation": 1, "spec": spec.unwrap(), "trail": trail, "proven": true, "passed": true,
        "trusted": true, "undone": false,
    });
    let pool = serde_json::json!({
        "latest": launch, "fallback": launch, "rolling": false, "paused": false,
        "last_generation": 1, "workers": {"0": worker(0, 70_000), "1": worker(1, 70_001)},
        "wish": "run", "restarting": false, "removed": false, "shutdown": false, "hurried": false,
        "scaled": [1, 2], "demand": {"target": 2, "step": 1}, "told_target": 2,
        "relief_not_before": moment, "restarts": 3, "open": [], "state": "serving",
        "since": moment, "told": null,
    });
    pool.to_string()
}

mod hostile {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::supervisor::{Event, Memory, Moment, Pool, Supervisor};

    /// All numbers, strings and lists in a value, by their places.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found));
            }
            Value::Array(list) => {
                let items = list.iter().enumerate();
                items.for_each(|(n, value)| places(value, &format!("{at}/{n}"), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<u64>().prop_map(Value::from),
            Just(Value::from(u64::MAX)),
            (0..20_u64).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            Just(Value::Null),
            Just(Value::Array(Vec::new())),
        ]
    }

    #[test]
    fn the_state_these_tests_begin_with_is_one() {
        let pool: Pool = serde_json::from_str(&app_text()).unwrap();
        assert_eq!(pool.check(&"blog".parse().unwrap()), Ok(()));
    }

    proptest! {
        #[test]
        fn a_core_that_is_read_back_never_panics_whatever_was_written(
            changes in proptest::collection::vec((any::<usize>(), anything()), 1..6),
            ticks in 1..40_u64,
        ) {
            let mut text: Value = serde_json::from_str(&app_text()).unwrap();
            for (which, value) in changes {
                let mut all = Vec::new();
                places(&text, "", &mut all);
                *text.pointer_mut(&all[which % all.len()]).unwrap() = value;
            }
            let Ok(pool) = serde_json::from_value::<Pool>(text) else { return Ok(()) };
            let app: AppName = "blog".parse().unwrap();
            let now = Moment(Duration::from_secs(10));
            let pools = BTreeMap::from([(app.clone(), pool)]);
            let Ok(mut core) = Supervisor::resume(Memory::default(), pools, [], now) else {
                return Ok(());
            };
            core.handle(Event::TookOver { facts: Vec::new() }, now);
            for tick in 1..ticks {
                let now = now + Duration::from_secs(tick);
                core.handle(Event::Tick, now);
                let _seen = core.view(&app, now);
            }
        }

        #[test]
        fn bytes_that_are_no_state_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (_folder, path) = left(&record());
            std::fs::write(path.join("site.json"), &bytes).unwrap();

            prop_assert!(State::open(&path).unwrap().find().left.is_none());
        }
    }
}
