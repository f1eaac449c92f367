//! What valid texts mean.

use std::time::Duration;

use super::super::{find, load};
use super::*;
use crate::spec::{
    Health, Identity, Limit, ListenAt, Ownership, Ready, Resource, Restart, Roll, Sizing,
    StopSignal, Surge, Timing, Who,
};

#[test]
fn an_app_that_says_only_what_it_must_has_the_usual_rest() {
    let spec = blog("");

    assert_eq!(spec.launch.program, Path::new("/srv/site/bin/blog"));
    assert_eq!(spec.launch.arguments, ["/srv/site/bin/blog"]);
    assert!(spec.launch.clear_env);
    assert_eq!(spec.sizing, Sizing::fixed(2).unwrap(), "one for each core");
    assert_eq!(spec.timing, Timing::default());
    assert_eq!(spec.restart, Restart::default());
    assert_eq!(spec.concurrency, 1);
    assert_eq!(spec.launch.identity, None);
}

#[test]
fn a_bare_name_is_looked_up_on_the_path_and_keeps_its_name() {
    let text = "apps: {shop: {run: [python3, -m, 8], listen: 127.0.0.1:1}}";
    let spec = loaded(text).site.apps.into_values().next().unwrap();

    assert_eq!(spec.launch.program, Path::new("/usr/bin/python3"));
    assert_eq!(spec.launch.arguments, ["python3", "-m", "8"]);
}

#[test]
fn a_path_that_the_app_sets_is_the_one_searched() {
    let text = "apps: {a: {run: [blog], env: {PATH: /srv/blog/bin}, listen: 127.0.0.1:1}}";

    let spec = loaded(text).site.apps.into_values().next().unwrap();

    assert_eq!(spec.launch.program, Path::new("/srv/blog/bin/blog"));
}

#[test]
fn paths_start_from_the_files_folder() {
    let spec = blog("directory: ./../blog, env_file: /srv/blog/blog.env");

    assert_eq!(spec.launch.directory.as_deref(), Some(Path::new("/srv/site/../blog")));
}

#[test]
fn a_variable_keeps_the_letters_it_was_written_with() {
    let spec = blog("env: {PORT: 0080, DEBUG: true, RATE: 1.50, EMPTY: \"\", TEXT: \"a\\nb\"}");

    let said: Vec<_> = spec.launch.env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let expected =
        [("DEBUG", "true"), ("EMPTY", ""), ("PORT", "0080"), ("RATE", "1.50"), ("TEXT", "a\nb")];
    assert_eq!(said, expected);
}

#[test]
fn an_app_may_listen_in_several_places() {
    let text = "
apps:
  blog:
    run: [bin/blog]
    listen:
      - unix:run/blog.sock
      - localhost:80
      - systemd:blog
      - {address: unix:/run/b.sock, owner: www-data, group: 7, mode: \"0660\", backlog: 16}
";

    let spec = loaded(text).site.apps.into_values().next().unwrap();

    let said: Vec<String> = spec.listen.iter().map(|one| one.at.to_string()).collect();
    let expected =
        ["unix:/srv/site/run/blog.sock", "127.0.0.1:80", "systemd:blog", "unix:/run/b.sock"];
    assert_eq!(said, expected);
    let owned = Ownership { owner: Some(33), group: Some(7), mode: Some(0o660) };
    assert_eq!(spec.listen[3].ownership, owned);
    assert_eq!((spec.listen[0].backlog, spec.listen[3].backlog), (4096, 16));
    assert!(matches!(&spec.listen[2].at, ListenAt::Systemd(name) if name == "blog"));
}

#[test]
fn both_versions_of_ip_may_use_one_port() {
    let text = "apps: {a: {run: [bin/blog], listen: [\"0.0.0.0:80\", \"[::]:80\"]}}";

    assert_eq!(loaded(text).site.apps.len(), 1);
}

#[test]
fn two_interfaces_may_have_the_same_port() {
    let text = "apps: {a: {run: [bin/blog], listen: 127.0.0.1:80}, \
                b: {run: [bin/blog], listen: 127.0.0.2:80}}";

    assert_eq!(loaded(text).site.apps.len(), 2);
}

#[test]
fn the_pool_is_a_number_or_a_range() {
    let minute = Duration::from_secs(60);
    let range = |min, max, spare| Sizing::dynamic(min, max, spare, minute).unwrap();

    assert_eq!(blog("workers: 7").sizing, Sizing::fixed(7).unwrap());
    assert_eq!(blog("workers: {min: 0, max: 8, spare: 1}").sizing, range(0, 8, 1));
    assert_eq!(blog("workers: {max: 8}").sizing, range(1, 8, 0));
    assert_eq!(blog("workers: {min: 5}").sizing, range(5, 5, 0), "more than there are cores");
    assert_eq!(blog("workers: {min: 0}").sizing, range(0, 2, 0));
}

#[test]
fn times_restarts_and_signals_are_taken_over() {
    let spec = blog(
        "ready: {after: 250ms}, start_timeout: 1m30s, stop_timeout: 0s, stop_signal: SIGQUIT, \
         restart: {budget: 3, period: 10s, backoff: {first: 1s, max: 2s}, give_up: true}, \
         roll: {surge: 2, soak: 3s, health: /up}, concurrency: 16",
    );

    let Timing { ready, start_timeout, stop_timeout, stop_signal } = spec.timing;
    assert_eq!(ready, Ready::After(Duration::from_millis(250)));
    assert_eq!((start_timeout, stop_timeout), (Duration::from_secs(90), Duration::ZERO));
    assert_eq!(stop_signal, StopSignal::Quit);
    let restart = Restart {
        budget: 3,
        period: Duration::from_secs(10),
        backoff_first: Duration::from_secs(1),
        backoff_max: Duration::from_secs(2),
        give_up: true,
    };
    assert_eq!(spec.restart, restart);
    let health = Health { path: "/up".to_owned(), timeout: Duration::from_secs(5) };
    let roll = Roll { surge: Surge::Count(2), soak: Duration::from_secs(3), health: Some(health) };
    assert_eq!((spec.roll, spec.concurrency), (roll, 16));
}

#[test]
fn a_limit_is_one_value_none_or_two() {
    let spec = blog(
        "limits: {nofile: 64, as: 1GiB, core: unlimited, stack: {soft: 8M, hard: unlimited}, \
         cpu: 1m}, nice: -5, umask: \"0027\"",
    );

    let limit = |soft, hard| Limit { soft, hard };
    let expected = [
        (Resource::Nofile, limit(Some(64), Some(64))),
        (Resource::As, limit(Some(1 << 30), Some(1 << 30))),
        (Resource::Core, limit(None, None)),
        (Resource::Cpu, limit(Some(60), Some(60))),
        (Resource::Stack, limit(Some(8 << 20), None)),
    ];
    assert_eq!(spec.launch.limits, expected.into_iter().collect());
    assert_eq!((spec.launch.nice, spec.launch.umask), (Some(-5), Some(0o027)));
}

#[test]
fn a_user_brings_its_group_and_groups_unless_others_are_said() {
    let who = |keys: &str| {
        let Identity { uid, gid, groups, login } = blog(keys).launch.identity.unwrap();
        (uid, gid, groups, login.map(|(name, _)| name))
    };
    let deploy = Some("deploy".to_owned());

    assert_eq!(who("user: deploy"), (1000, 1000, vec![1000, 33], deploy.clone()));
    assert_eq!(who("user: 1000"), (1000, 1000, vec![1000, 33], deploy.clone()));
    assert_eq!(who("user: deploy, group: www-data"), (1000, 33, vec![33, 33], deploy.clone()));
    assert_eq!(who("user: deploy, groups: []"), (1000, 1000, vec![], deploy));
    assert_eq!(who("user: 4711, group: 4712"), (4711, 4712, vec![], None));
    assert_eq!(who("group: www-data"), (0, 33, vec![], None));
}

#[test]
fn what_an_app_does_not_say_the_defaults_say_key_by_key() {
    let text = "
defaults:
  run: [bin/blog]
  stop_timeout: 5s
  workers: 3
  env: {LANG: C, A: 1}
  restart: {budget: 9, period: 9s}
apps:
  a: {listen: 127.0.0.1:1, env: {A: 2, B: 3}, restart: {period: 7s}}
  b: {listen: 127.0.0.1:2, workers: {max: 5}, stop_timeout: 6s}
";

    let apps: Vec<_> = loaded(text).site.apps.into_values().collect();

    let env: Vec<_> = apps[0].launch.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(env, ["A=2", "B=3", "LANG=C"]);
    assert_eq!((apps[0].restart.budget, apps[0].restart.period), (9, Duration::from_secs(7)));
    assert_eq!((apps[0].sizing.max(), apps[1].sizing.max()), (3, 5));
    assert_eq!(apps[1].timing.stop_timeout, Duration::from_secs(6));
}

#[test]
fn anchors_and_merges_mean_what_yaml_says() {
    let text = "
apps:
  a: &a {run: [bin/blog], listen: 127.0.0.1:1, workers: 3}
  b: {<<: *a, listen: 127.0.0.1:2}
";

    let apps: Vec<_> = loaded(text).site.apps.into_values().collect();

    assert_eq!((apps[0].sizing.max(), apps[1].sizing.max()), (3, 3));
}

#[test]
fn who_may_talk_to_the_daemon_is_said_by_name_or_number() {
    let text = "
control: {socket: c.sock, owner: deploy, mode: \"0600\", readers: \"group:33\", writers: [\"user:deploy\"]}
metrics: off
apps: {blog: {run: [bin/blog], listen: 127.0.0.1:1}}
";

    let site = loaded(text).site;

    assert_eq!(site.control.socket, Path::new("/srv/site/c.sock"));
    assert_eq!(site.control.ownership.owner, Some(1000));
    assert_eq!(
        (site.control.readers, site.control.writers),
        (vec![Who::Group(33)], vec![Who::User(1000)])
    );
    assert_eq!(site.metrics, None);
}

#[test]
fn control_and_metrics_have_their_usual_places() {
    let text = "apps: {blog: {run: [bin/blog], listen: 127.0.0.1:1}}";

    let root = loaded(text).site;
    let user = read(&Paper::of(1000, 1000), text).unwrap().site;

    assert_eq!(root.control.socket, Path::new("/run/scgid/control.sock"));
    assert_eq!(user.control.socket, Path::new("/tmp/scgid-1000/control.sock"));
    assert_eq!(root.metrics.unwrap().listen.to_string(), "127.0.0.1:9464");
}

#[test]
fn an_app_that_cannot_be_prepared_leaves_the_others_untouched() {
    let text = "
apps:
  good: {run: [bin/blog], listen: 127.0.0.1:1}
  lost: {run: [bin/none], listen: 127.0.0.1:2, user: nobody-here}
";

    let loaded = loaded(text);

    let names: Vec<_> = loaded.site.apps.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["good"]);
    let lost: Vec<_> = loaded.unprepared.values().next().unwrap().iter().map(|p| &p.path).collect();
    assert_eq!(lost, ["apps.lost.run[0]", "apps.lost.user"]);
    assert_eq!(loaded.strict().unwrap_err().count(), 2);
}

#[test]
fn what_the_control_socket_lacks_concerns_the_site() {
    let text = "control: {group: nobody-here}\napps: {a: {run: [bin/blog], listen: 127.0.0.1:1}}";

    assert_eq!(read(&Paper::new(), text).unwrap_err().count(), 1);
}

#[test]
fn what_the_defaults_lack_concerns_every_app_that_has_it_from_them() {
    let text = "
defaults: {user: nobody-here}
apps:
  a: {run: [bin/blog], listen: 127.0.0.1:1}
  b: {run: [bin/blog], listen: 127.0.0.1:2}
  c: {run: [bin/blog], listen: 127.0.0.1:3, user: root}
";

    let loaded = loaded(text);

    assert_eq!(loaded.unprepared.len(), 2);
    assert_eq!(loaded.site.apps.len(), 1);
    assert_eq!(loaded.strict().unwrap_err().count(), 1, "it is one problem, in one place");
}

#[test]
fn a_wrong_text_refuses_everything_and_tells_what_apps_lack_too() {
    let text = "
apps:
  good: {run: [bin/blog], listen: 127.0.0.1:1}
  lost: {run: [bin/none], listen: 127.0.0.1:2}
  odd: {run: [bin/blog], listen: 127.0.0.1:3, workers: 0}
";

    assert_eq!(read(&Paper::new(), text).unwrap_err().count(), 2);
}

#[test]
fn included_files_hold_apps_with_paths_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let apps = folder.path().join("apps.d");
    std::fs::create_dir(&apps).unwrap();
    let site = folder.path().join("site.yaml");
    std::fs::write(&site, "include: apps.d/*.yaml\ndefaults: {run: [sh], workers: 3}\n").unwrap();
    std::fs::write(apps.join("a.yaml"), "apps: {a: {listen: unix:a.sock}}\n").unwrap();
    std::fs::write(apps.join("b.yaml"), "apps: {b: {listen: unix:b.sock, workers: 1}}\n").unwrap();
    std::fs::write(apps.join("b.yaml~"), "\t").unwrap();

    let loaded = load(&site).unwrap();

    let said: Vec<_> = loaded.site.apps.values().map(|app| app.listen[0].at.to_string()).collect();
    let expected = ["a", "b"].map(|app| format!("unix:{}/{app}.sock", apps.display()));
    assert_eq!(said, expected);
    assert_eq!(loaded.sources.texts().count(), 3);
}

#[test]
fn the_named_file_is_the_one_read() {
    assert_eq!(find(Some(Path::new("x.yaml"))).unwrap(), Path::new("x.yaml"));
}
