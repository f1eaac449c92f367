//! A configuration that changes while it is served.

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Load, Site, eventually};

const SITE: &str = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 3, env: {VERSION: one}}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 2}
";

fn version(daemon: &Daemon) -> Option<String> {
    let text = daemon.app("blog").get("/who").unwrap().text();
    text.lines().find_map(|line| line.strip_prefix("env VERSION=").map(str::to_owned))
}

fn load(daemon: &Daemon, app: &str) -> Load {
    Load::hello(daemon.app(app), 8)
}

#[test]
fn a_changed_app_is_rolled_under_load_with_nothing_lost_and_the_other_keeps_its_workers() {
    let daemon = Site::new(SITE).serve();
    let (blog, shop) = (daemon.pids("blog"), daemon.pids("shop"));
    let (at_blog, at_shop) = (load(&daemon, "blog"), load(&daemon, "shop"));

    for version_now in ["two", "three", "four"] {
        daemon.site().write_config(&SITE.replace("one", version_now));
        at_blog.until_answered(50);
        let said = daemon.scgictl("reload");

        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(version(&daemon).as_deref(), Some(version_now));
        assert_eq!(daemon.look("blog").workers.serving, 3);
    }

    assert_eq!((at_blog.stop().failed, at_shop.stop().failed), (Vec::new(), Vec::new()));
    assert!(daemon.pids("blog").iter().all(|pid| !blog.contains(pid)));
    assert_eq!(daemon.pids("shop"), shop);
    assert_eq!(daemon.look("shop").generation.0, 1);
}

#[test]
fn an_app_is_rolled_by_command_under_load_with_nothing_lost() {
    let daemon = Site::new(SITE).serve();
    let before = daemon.pids("shop");
    let load = load(&daemon, "shop");

    for generation in 2..=6 {
        load.until_answered(50);
        let said = daemon.scgictl("reload shop");

        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(daemon.look("shop").generation.0, generation);
    }

    assert_eq!(load.stop().failed, Vec::<String>::new());
    assert!(daemon.pids("shop").iter().all(|pid| !before.contains(pid)));
}

#[test]
fn sighup_takes_the_changed_configuration_over() {
    let daemon = Site::new(SITE).serve();
    daemon.site().write_config(&SITE.replace("one", "two"));

    daemon.signal(Signal::SIGHUP);

    eventually("the change is there", || version(&daemon).as_deref() == Some("two"));
    daemon.until_serving("blog", 3);
}

#[test]
fn apps_come_and_go_with_the_configuration() {
    let daemon = Site::new(SITE).serve();
    let shop = daemon.pids("shop");
    let wiki = "  wiki: {run: [$echo], listen: 'unix:$dir/wiki.sock', workers: 1}\n";
    let without_blog = SITE.lines().filter(|line| !line.contains("blog:")).collect::<Vec<_>>();
    daemon.site().write_config(&(without_blog.join("\n") + "\n" + wiki));

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(0), "{said:?}");
    let names: Vec<_> = daemon.status().apps.iter().map(|app| app.name.to_string()).collect();
    assert_eq!(names, ["shop", "wiki"]);
    assert_eq!(daemon.app("wiki").get("/hello").unwrap().status, 200);
    assert!(!daemon.site().path("blog.sock").exists());
    assert_eq!(daemon.pids("shop"), shop);
}

#[test]
fn an_app_that_moves_is_reached_at_its_new_place_and_no_more_at_the_old_one() {
    let daemon = Site::new(SITE).serve();
    let old = daemon.app("blog");
    daemon.site().write_config(&SITE.replace("blog.sock", "moved.sock"));

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
    eventually("the old place is closed", || old.get("/hello").is_err());
}

#[test]
fn a_bad_configuration_changes_nothing_and_every_problem_is_told() {
    let daemon = Site::new(SITE).serve();
    let before = (daemon.pids("blog"), daemon.pids("shop"));
    let bad = SITE.replace("workers: 3", "workers: {min: 5, max: 2}");
    let bad = bad.replace("workers: 2", "stop_timeout: soon, wrokers: 2");
    daemon.site().write_config(&bad);

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(2), "{said:?}");
    for told in ["apps.blog.workers", "apps.shop.stop_timeout", "wrokers", "did you mean"] {
        assert!(said.err.contains(told), "{told} in {}", said.err);
    }
    assert_eq!((daemon.pids("blog"), daemon.pids("shop")), before);
    assert_eq!(version(&daemon).as_deref(), Some("one"));
    assert_eq!(daemon.metric("scgid_config_last_reload_successful"), Some(0.0));
}

#[test]
fn a_bad_configuration_taken_by_sighup_is_told_in_the_log() {
    let daemon = Site::new(SITE).serve();
    let before = (daemon.pids("blog"), daemon.pids("shop"));
    daemon.site().write_config(&SITE.replace("workers: 3", "wrokers: 3"));

    daemon.signal(Signal::SIGHUP);

    eventually("the log tells it", || {
        let log = daemon.log();
        log.contains("apps.blog.wrokers") && log.contains("nothing has changed")
    });
    assert_eq!((daemon.pids("blog"), daemon.pids("shop")), before);
}

#[test]
fn a_socket_that_cannot_be_had_changes_nothing() {
    let daemon = Site::new(SITE).serve();
    let before = daemon.pids("blog");
    let _theirs = std::os::unix::net::UnixListener::bind(daemon.site().path("taken.sock")).unwrap();
    let bad = SITE.replace("blog.sock", "taken.sock").replace("one", "two");
    daemon.site().write_config(&bad);

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("belongs to a running process"), "{}", said.err);
    assert_eq!(daemon.pids("blog"), before);
    assert_eq!(version(&daemon).as_deref(), Some("one"));
}

#[test]
fn a_generation_that_cannot_live_is_held_and_the_one_before_serves_on() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$unruly, exit-if, $dir/broken, '3']
    listen: 'unix:$dir/blog.sock'
    workers: 2
    restart: {budget: 2, backoff: {first: 10ms, max: 1h}}
",
    );
    let daemon = site.serve();
    let before = daemon.pids("blog");
    let load = {
        let client = daemon.app("blog");
        Load::start(4, move || match client.get("/") {
            Ok(answer) if answer.text() == "unruly\n" => Ok(()),
            other => Err(format!("{other:?}")),
        })
    };
    daemon.site().write("broken", "");

    let said = daemon.scgictl("reload blog");

    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("cannot reach the database"), "{}", said.err);
    assert_eq!(daemon.look("blog").state, AppState::Held);
    assert_eq!(daemon.pids("blog"), before);
    load.until_answered(100);
    assert_eq!(load.stop().failed, Vec::<String>::new());

    std::fs::remove_file(daemon.site().path("broken")).unwrap();
    let said = daemon.scgictl("retry blog");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(daemon.look("blog").state, AppState::Serving);
    assert!(daemon.pids("blog").iter().all(|pid| !before.contains(pid)));
}
