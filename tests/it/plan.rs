//! Configurations: planned, applied by every way, remembered, returned to.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use nix::sys::signal::Signal;
use scgi_protocol::control::{
    AppState, Author, Operation, OperationState, Origin, Outcome, Plan, Revisions,
};
use scgi_tests::{Daemon, Said, Site, eventually};

const SITE: &str = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2, env: {VERSION: one}}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock', workers: 2}
";

/// The configuration as the harness would write it, for `scgictl apply -`.
fn whole(daemon: &Daemon, apps: &str) -> String {
    let before = std::fs::read_to_string(daemon.site().config()).unwrap();
    daemon.site().write_config(apps);
    let text = std::fs::read_to_string(daemon.site().config()).unwrap();
    std::fs::write(daemon.site().config(), before).unwrap();
    text
}

/// Runs `scgictl` with `input` on its standard input.
fn piped(daemon: &Daemon, arguments: &str, input: &str) -> Said {
    let path = daemon.site().path("stdin");
    File::create(&path).unwrap().write_all(input.as_bytes()).unwrap();
    let mut command: Command = daemon.scgictl_command(arguments);
    command.stdin(File::open(path).unwrap());
    Said::by(command)
}

fn version(daemon: &Daemon) -> String {
    let text = daemon.app("blog").get("/who").unwrap().text();
    let found = text.lines().find_map(|line| line.strip_prefix("env VERSION="));
    found.unwrap_or_default().to_owned()
}

fn pids(daemon: &Daemon) -> (Vec<i32>, Vec<i32>) {
    (daemon.pids("blog"), daemon.pids("shop"))
}

fn revisions(daemon: &Daemon) -> Revisions {
    daemon.get("/v1/revisions")
}

#[test]
fn a_plan_says_what_an_apply_then_does_and_changes_nothing_itself() {
    let daemon = Site::new(SITE).serve();
    let before = pids(&daemon);
    assert_eq!(daemon.scgictl("plan").code, Some(0));
    let wiki = "  wiki: {run: [$echo], listen: 'unix:$dir/wiki.sock', workers: 1}\n";
    let next = SITE.replace("one", "two") + wiki;
    daemon.site().write_config(&next);

    let planned = daemon.scgictl("plan");

    assert_eq!(planned.code, Some(1), "{planned:?}");
    assert_eq!(planned.out, "~ blog  env.VERSION  (hidden) -> (hidden)  roll\n+ wiki\n");
    assert_eq!(pids(&daemon), before);
    assert!(!daemon.site().path("wiki.sock").exists());
    assert_eq!(revisions(&daemon).revisions.len(), 1);

    let plan: Plan = serde_json::from_str(&daemon.scgictl("plan -o json").out).unwrap();
    let applied = daemon.scgictl(&format!("apply --if-match {}", plan.tag));
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert_eq!(version(&daemon), "two");
    assert_eq!(daemon.look("wiki").state, AppState::Serving);
    assert_eq!((daemon.pids("shop"), daemon.look("shop").generation.0), (before.1, 1));
    assert_eq!(daemon.scgictl("plan").code, Some(0));
}

#[test]
fn what_an_operator_scaled_is_in_the_plan_since_an_apply_ends_it() {
    let daemon = Site::new(SITE).serve();
    let shop = daemon.pids("shop");
    assert_eq!(daemon.scgictl("scale blog 3").code, Some(0));

    let planned = daemon.scgictl("plan");
    assert_eq!(planned.out, "~ blog  workers  3 (scaled) -> 2  resize\n");
    assert_eq!(daemon.scgictl("apply").code, Some(0));

    assert_eq!(daemon.look("blog").workers.wanted, 2);
    assert_eq!(daemon.pids("shop"), shop);
    assert_eq!(daemon.scgictl("plan").code, Some(0));
}

#[test]
fn another_configuration_is_taken_from_standard_input_and_from_a_file() {
    let daemon = Site::new(SITE).serve();
    let text = whole(&daemon, &SITE.replace("one", "two"));
    let file = daemon.site().write("other.yaml", &text.replace("two", "three"));

    let piped = piped(&daemon, "apply -", &text);
    assert_eq!((piped.code, version(&daemon).as_str()), (Some(0), "two"), "{piped:?}");
    assert!(piped.err.contains("revision 2, from standard input"), "{}", piped.err);
    let said = daemon.scgictl(&format!("apply {}", file.display()));
    assert_eq!((said.code, version(&daemon).as_str()), (Some(0), "three"), "{said:?}");
    let status = daemon.scgictl("status").out;
    assert!(status.contains("in force is revision 3, from"), "{status}");
    assert!(status.contains("SIGHUP or a restart takes that file"), "{status}");

    daemon.signal(Signal::SIGHUP);
    eventually("the file is in force again", || version(&daemon) == "one");
    eventually("nothing is said of it", || !daemon.scgictl("status").out.contains("in force"));
    let authors: Vec<Author> = revisions(&daemon).revisions.iter().map(|one| one.by).collect();
    assert!(matches!(
        authors[..],
        [Author::Start, Author::Peer { uid: 0, .. }, Author::Peer { .. }, Author::Signal]
    ));
}

#[test]
fn the_daemons_own_file_is_its_own_also_when_it_is_sent() {
    let daemon = Site::new(SITE).serve();
    daemon.site().write_config(&SITE.replace("one", "two"));
    let own = daemon.site().config();

    let said = daemon.scgictl(&format!("apply {}", own.display()));

    assert_eq!((said.code, version(&daemon).as_str()), (Some(0), "two"), "{said:?}");
    assert!(!daemon.scgictl("status").out.contains("in force"));
}

#[test]
fn a_bad_configuration_changes_nothing_whichever_way_it_comes() {
    let daemon = Site::new(SITE).serve();
    let before = pids(&daemon);
    let bad = SITE.replace("one", "two").replace("workers: 2", "workers: 0, stop_timeout: soon");
    let bad = whole(&daemon, &bad);
    let file = daemon.site().write("bad.yaml", &bad);
    let good = std::fs::read_to_string(daemon.site().config()).unwrap();

    for verb in ["plan", "apply"] {
        std::fs::write(daemon.site().config(), &bad).unwrap();
        let configured = daemon.scgictl(verb);
        std::fs::write(daemon.site().config(), &good).unwrap();
        let named = daemon.scgictl(&format!("{verb} {}", file.display()));
        let piped = piped(&daemon, &format!("{verb} -"), &bad);
        for (said, name) in
            [(configured, "scgid.yaml:"), (named, "bad.yaml:"), (piped, "standard input:")]
        {
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
            assert!(said.err.starts_with("refused: 4 problems"), "{}", said.err);
            for told in [name, "apps.blog.workers", "apps.shop.stop_timeout"] {
                assert!(said.err.contains(told), "{told} in {}", said.err);
            }
        }
        let empty = self::piped(&daemon, &format!("{verb} -"), "");
        assert_eq!(empty.code, Some(2), "{empty:?}");
    }

    assert_eq!((pids(&daemon), version(&daemon).as_str()), (before, "one"));
    assert_eq!(revisions(&daemon).revisions.len(), 1);
}

#[test]
fn a_plan_is_refused_for_the_socket_that_an_apply_would_be_refused_for() {
    let daemon = Site::new(SITE).serve();
    let before = pids(&daemon);
    let _theirs = std::os::unix::net::UnixListener::bind(daemon.site().path("taken.sock")).unwrap();
    daemon.site().write_config(&SITE.replace("blog.sock", "taken.sock"));

    let (planned, applied) = (daemon.scgictl("plan"), daemon.scgictl("apply"));

    assert_eq!((planned.code, applied.code), (Some(2), Some(2)), "{planned:?} {applied:?}");
    assert_eq!(planned.err, applied.err);
    assert!(planned.err.contains("belongs to a running process"), "{}", planned.err);
    assert_eq!(pids(&daemon), before);
}

#[test]
fn who_planned_against_another_configuration_is_told_so() {
    let daemon = Site::new(SITE).serve();
    let plan: Plan = serde_json::from_str(&daemon.scgictl("plan -o json").out).unwrap();
    daemon.site().write_config(&SITE.replace("one", "two"));
    assert_eq!(daemon.scgictl("apply").code, Some(0));
    let before = pids(&daemon);
    daemon.site().write_config(&SITE.replace("one", "three"));

    for verb in ["plan", "apply", "rollback"] {
        let said = daemon.scgictl(&format!("{verb} --if-match {}", plan.tag));
        assert_eq!((said.code, said.out.as_str()), (Some(6), ""), "{verb}: {said:?}");
        assert!(said.err.contains("the configuration in force is another one"), "{}", said.err);
    }

    assert_eq!((pids(&daemon), version(&daemon).as_str()), (before, "two"));
}

#[test]
fn one_returns_to_the_last_good_configuration_and_the_file_stays() {
    let daemon = Site::new(SITE).serve();
    let shop = daemon.pids("shop");
    for version in ["two", "three"] {
        daemon.site().write_config(&SITE.replace("one", version));
        assert_eq!(daemon.scgictl("apply").code, Some(0));
    }
    let file = std::fs::read_to_string(daemon.site().config()).unwrap();

    let said = daemon.scgictl("rollback");
    assert_eq!((said.code, version(&daemon).as_str()), (Some(0), "two"), "{said:?}");
    assert!(said.err.contains("in force is revision 4, from revision 2, and not"), "{}", said.err);
    let said = daemon.scgictl("rollback --to 1");
    assert_eq!((said.code, version(&daemon).as_str()), (Some(0), "one"), "{said:?}");

    assert_eq!(std::fs::read_to_string(daemon.site().config()).unwrap(), file);
    assert_eq!(daemon.pids("shop"), shop);
    let origins: Vec<Origin> =
        revisions(&daemon).revisions.into_iter().skip(3).map(|one| one.origin).collect();
    assert_eq!(origins, [Origin::Rollback(2), Origin::Rollback(1)]);
    let missing = daemon.scgictl("rollback --to 99");
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.err.contains("scgictl rollout history"), "{}", missing.err);
}

#[test]
fn one_returns_to_the_files_that_were_included_too() {
    let app = |text: &str| {
        format!(
            "apps: {{blog: {{run: [$echo], listen: 'unix:$dir/blog.sock', env: {{VERSION: {text}}}}}}}"
        )
    };
    let site = Site::new("include: ['apps.d/*.yaml']");
    std::fs::create_dir(site.path("apps.d")).unwrap();
    site.write("apps.d/blog.yaml", &site.fill(&app("one")));
    let daemon = site.serve();
    daemon.site().write("apps.d/blog.yaml", &daemon.site().fill(&app("two")));
    assert_eq!(daemon.scgictl("apply").code, Some(0));
    assert_eq!(version(&daemon), "two");
    std::fs::remove_file(daemon.site().path("apps.d/blog.yaml")).unwrap();

    let said = daemon.scgictl("rollback");

    assert_eq!((said.code, version(&daemon).as_str()), (Some(0), "one"), "{said:?}");
}

#[test]
fn revisions_outlive_the_daemon() {
    let daemon = Site::new(SITE).serve();
    daemon.site().write_config(&SITE.replace("one", "two"));
    assert_eq!(daemon.scgictl("apply").code, Some(0));
    let ended = daemon.stop();
    assert!(ended.is_in_order());
    let site = std::rc::Rc::into_inner(ended.site).unwrap();

    let daemon = site.serve();
    let listed = revisions(&daemon);
    let said = daemon.scgictl("rollback");

    assert_eq!((listed.in_force, listed.revisions.len()), (Some(2), 2), "{listed:?}");
    assert!(listed.revisions.iter().all(|one| one.outcome == Outcome::Done), "{listed:?}");
    assert_eq!((said.code, version(&daemon).as_str()), (Some(0), "one"), "{said:?}");
}

#[test]
fn a_folder_that_cannot_be_written_to_stops_nothing_but_the_return() {
    let site = Site::new(SITE);
    site.write("revisions", "in the way");
    let daemon = site.serve();
    daemon.site().write_config(&SITE.replace("one", "two"));

    let applied = daemon.scgictl("apply");
    let refused = daemon.scgictl("rollback");

    assert_eq!((applied.code, version(&daemon).as_str()), (Some(0), "two"), "{applied:?}");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("revision 1 was not kept; cannot use"), "{}", refused.err);
    daemon.until_logged("revisions are not kept", 1);
    let history = daemon.scgictl("rollout history");
    assert!(history.err.contains("revisions are not kept: cannot use"), "{history:?}");
}

#[test]
fn a_configuration_whose_apps_cannot_live_is_remembered_as_failed_and_passed_over() {
    let site = "
apps:
  blog:
    run: [$unruly, exit-if, $dir/broken, '3']
    listen: 'unix:$dir/blog.sock'
    workers: 1
    env: {VERSION: one}
    restart: {budget: 2, backoff: {first: 10ms, max: 1h}}
";
    let daemon = Site::new(site).serve();
    let before = daemon.pids("blog");
    daemon.site().write("broken", "");
    daemon.site().write_config(&site.replace("one", "two"));

    let said = daemon.scgictl("apply");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(daemon.pids("blog"), before);
    std::fs::remove_file(daemon.site().path("broken")).unwrap();
    daemon.site().write_config(&site.replace("one", "three"));
    assert_eq!(daemon.scgictl("apply").code, Some(0));

    let outcomes: Vec<_> =
        revisions(&daemon).revisions.into_iter().map(|one| one.outcome).collect();
    assert!(
        matches!(&outcomes[..], [Outcome::Done, Outcome::Failed(why), Outcome::Done]
            if why.contains("spent its restart budget")),
        "{outcomes:?}"
    );
    assert!(daemon.scgictl("rollback").code == Some(0));
    assert_eq!(revisions(&daemon).revisions[3].origin, Origin::Rollback(1));
}

#[test]
fn what_a_running_daemon_cannot_change_is_refused_by_plan_and_apply() {
    let daemon = Site::new(SITE).serve();
    let text = whole(&daemon, &SITE.replace("one", "two"));
    let moved = text.replace("/revisions}", "/elsewhere}").replace("control.sock", "other.sock");

    for verb in ["plan", "apply"] {
        let said = piped(&daemon, &format!("{verb} -"), &moved);
        assert_eq!(said.code, Some(2), "{said:?}");
        for told in ["revisions.directory", "control.socket", "restart scgid to change it"] {
            assert!(said.err.contains(told), "{told} in {}", said.err);
        }
    }
    let keep = text.replace("two", "one").replace("/revisions}", "/revisions, keep: 3}");
    let said = piped(&daemon, "plan -", &keep);
    assert_eq!(said.out, "~ (site)  revisions.keep  20 -> 3  retune\n", "{said:?}");
}

#[test]
fn of_a_thousand_apps_one_that_changes_is_one_line_and_nobody_else_is_touched() {
    let app = |number: usize| {
        format!(
            "  app-{number}: {{run: [$echo], listen: 'unix:$dir/{number}', workers: {{min: 0, max: 2}}}}\n"
        )
    };
    let site: String = "apps:\n"
        .chars()
        .chain((0..1000).flat_map(|n| app(n).into_bytes()).map(char::from))
        .collect();
    let daemon = Site::new(&site).serve();
    daemon.site().write_config(&site.replacen("max: 2", "max: 3", 1));

    let planned = daemon.scgictl("plan");
    let applied = daemon.scgictl("apply");

    assert_eq!(planned.out, "~ app-0  workers.max  2 -> 3  resize\n", "{planned:?}");
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert_eq!(revisions(&daemon).revisions[1].apps, ["app-0".parse().unwrap()]);
}

#[test]
fn an_apply_meanwhile_is_a_conflict_that_names_the_other() {
    let slow = SITE.replace(
        "env: {VERSION: one}",
        "env: {VERSION: one}, ready: {after: 1h}, start_timeout: 1h",
    );
    let daemon = Site::new(SITE).serve();
    daemon.site().write_config(&slow.replace("one", "two"));
    let operation: Operation = daemon.order_at_once("POST", "/v1/apply", "");

    let said = daemon.scgictl("apply");
    let planned = daemon.scgictl("plan");

    assert_eq!(operation.state, OperationState::Running);
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains(&format!("operation {} is under way", operation.id)), "{}", said.err);
    assert_eq!((planned.code, planned.out.as_str()), (Some(0), ""));
}

#[test]
fn what_an_operator_put_in_force_outlives_a_killed_daemon() {
    let mut daemon = Site::new(SITE).serve();
    daemon.site().write_config(&SITE.replace("one", "two"));
    assert_eq!(daemon.scgictl("apply").code, Some(0));
    assert_eq!(daemon.scgictl("rollback").code, Some(0));
    let before = pids(&daemon);

    daemon.kill();
    daemon.restart();

    assert_eq!((version(&daemon).as_str(), pids(&daemon)), ("one", before));
    let listed = revisions(&daemon);
    assert_eq!(listed.in_force, Some(3), "{listed:?}");
    assert!(daemon.scgictl("status").out.contains("revision 3, from revision 1"));
    assert_eq!(daemon.scgictl("reload").code, Some(0));
    assert_eq!(version(&daemon), "two");
}
