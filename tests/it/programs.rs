//! What program a worker comes back from when a deploy has put another one at its path.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Site, eventually, process, program};

const SITE: &str = "
apps:
  blog:
    run: [$dir/app, serve]
    listen: 'unix:$dir/blog.sock'
    workers: 2
    restart: {budget: 6, backoff: {first: 10ms, max: 1h}}
";

/// A program that cannot live.
const BROKEN: &str = "#!/bin/sh\nexit 1\n";

/// Puts another program in the place of the one that is there, as a deploy does.
fn deploy(site: &Site, text: &str) {
    put(&site.path("app"), |beside| std::fs::write(beside, text).unwrap());
}

fn put(path: &Path, write: impl Fn(&Path)) {
    let beside = path.with_extension("new");
    write(&beside);
    std::fs::set_permissions(&beside, Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// Serves `site` with a program of the machine's own language.
fn native(site: &str) -> Daemon {
    let site = Site::new(site);
    put(&site.path("app"), |path| {
        std::fs::copy(program("it-unruly"), path).unwrap();
    });
    site.serve()
}

/// Serves `site` with a script.
fn script(site: &str) -> Daemon {
    let site = Site::new(site);
    deploy(&site, &site.fill("#!/bin/sh\nexec $unruly \"$@\"\n"));
    site.serve()
}

/// Deploys a program that cannot live; the one before serves on.
fn deploy_broken(daemon: &Daemon) {
    deploy(daemon.site(), BROKEN);
    let said = daemon.scgictl("reload blog");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(daemon.look("blog").state, AppState::Held);
}

/// Kills every worker of the app, one after the other; each has to come back and to answer as the
/// old program does.
#[track_caller]
fn all_come_back(daemon: &Daemon) {
    let before = daemon.pids("blog");
    assert_eq!(before.len(), 2);
    for pid in before {
        process::signal(pid, Signal::SIGKILL);
        daemon.until_replaced("blog", pid, 2);
    }
    for _ in 0..4 {
        assert_eq!(daemon.app("blog").get("/").unwrap().text(), "unruly\n");
    }
}

/// A worker may be ready before the daemon has read what was written for it on the way.
fn until_told(daemon: &Daemon, what: &str) {
    eventually(what, || daemon.lines("blog").iter().any(|line| line.line.contains(what)));
}

#[test]
fn old_workers_come_back_from_their_own_program_after_a_deploy_that_is_held() {
    let daemon = native(SITE);
    deploy_broken(&daemon);

    all_come_back(&daemon);

    until_told(&daemon, "is another file by now; generation 1 goes on with its own");
}

#[test]
fn old_workers_come_back_from_their_own_script_after_a_deploy_that_is_held() {
    let daemon = script(SITE);
    deploy_broken(&daemon);

    all_come_back(&daemon);
}

#[test]
fn old_workers_come_back_from_their_own_program_while_the_new_one_is_awaited() {
    let daemon = native(SITE);
    deploy(daemon.site(), "#!/bin/sh\nexec sleep 1000\n");
    daemon.order_at_once("POST", "/v1/apps/blog/reload", "");
    eventually("the new one is starting", || daemon.look("blog").workers.starting == 1);
    // One that has served is replaced at once.
    let served = daemon.app("blog").get("/pid").unwrap().text().trim().parse().unwrap();

    process::signal(served, Signal::SIGKILL);

    daemon.until_replaced("blog", served, 2);
    until_told(&daemon, "generation 1 goes on with its own");
    assert_eq!(daemon.look("blog").workers.starting, 1, "the new one is awaited yet");
}

#[test]
fn an_app_that_sleeps_wakes_with_its_own_program_after_a_deploy_that_is_held() {
    let site = SITE.replace("workers: 2", "workers: {min: 0, max: 2, idle_timeout: 50ms}");
    let daemon = script(&site);
    assert_eq!(daemon.app("blog").get("/").unwrap().text(), "unruly\n");
    daemon.until_serving("blog", 0);

    deploy_broken(&daemon);
    daemon.until_serving("blog", 0);

    assert_eq!(daemon.app("blog").get("/").unwrap().text(), "unruly\n");
}

#[test]
fn a_program_is_not_taken_over_before_somebody_asks_for_it() {
    let daemon = native(SITE);

    deploy(daemon.site(), BROKEN);

    all_come_back(&daemon);
}

#[test]
fn after_a_stop_an_app_starts_with_the_program_that_is_there_by_then() {
    let daemon = script(SITE);
    daemon.order("POST", "/v1/apps/blog/stop", "");
    deploy(daemon.site(), &daemon.site().fill("#!/bin/sh\nexec $echo\n"));

    daemon.order("POST", "/v1/apps/blog/start", "");

    assert_eq!(daemon.app("blog").get("/hello").unwrap().text(), "hello\n");
}

#[test]
fn a_program_that_could_not_live_is_tried_again_as_it_was_mended() {
    let daemon = script(SITE);
    deploy_broken(&daemon);
    deploy(daemon.site(), &daemon.site().fill("#!/bin/sh\nexec $echo\n"));

    let said = daemon.scgictl("retry blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    daemon.until("blog", AppState::Serving);
    assert_eq!(daemon.app("blog").get("/hello").unwrap().text(), "hello\n");
}

#[test]
fn an_upgrade_hands_over_the_programs_that_nothing_leads_to_any_more() {
    let daemon = script(SITE);
    deploy_broken(&daemon);

    for _ in 0..2 {
        let said = daemon.scgictl("upgrade");
        assert_eq!(said.code, Some(0), "{said:?}");
        all_come_back(&daemon);
    }
}

#[test]
fn after_a_crash_a_program_is_found_again_where_its_workers_run_it() {
    let mut daemon = native(SITE);
    deploy_broken(&daemon);

    daemon.kill();
    daemon.restart();

    all_come_back(&daemon);
    daemon.until_logged("took over from the daemon before", 1);
    assert!(!daemon.log().contains("not to be had back"), "{}", daemon.log());
}

#[test]
fn after_a_crash_a_script_that_was_replaced_is_lost_and_that_is_told() {
    let mut daemon = script(SITE);
    daemon.kill();
    daemon.restart();
    daemon.until_logged("took over from the daemon before", 1);
    assert!(!daemon.log().contains("not to be had back"), "{}", daemon.log());
    deploy(daemon.site(), BROKEN);

    daemon.kill();
    daemon.restart();

    daemon.until_logged("the program that generation 1 runs is not to be had back", 1);
    assert_eq!(daemon.app("blog").get("/").unwrap().text(), "unruly\n");
}
