//! scgid as a unit of a real systemd, which is the first process of a machine of its own.

mod unit;

use nix::sys::signal::Signal;
use scgi_tests::{Load, ScgiClient, eventually};
use unit::{README, Unit, steps};

/// What `systemd-analyze security` may say, in tenths; deploy/README.md promises it.
const EXPOSURE_MAX: &str = "38";

#[test]
fn systemd_has_nothing_to_say_against_the_units_and_finds_them_hardened() {
    let unit = Unit::installed(unit::SITE);

    let verified = unit.run("systemd-analyze verify scgid.service scgid-shop.socket");
    let scored = unit.run(&format!(
        "systemd-analyze security --offline=true --threshold={EXPOSURE_MAX} scgid.service"
    ));

    assert_eq!((verified.code, verified.out + &verified.err), (Some(0), String::new()));
    assert_eq!(scored.code, Some(0), "{}", scored.out);
    assert!(README.contains("`systemd-analyze security` to at most 3.8"));
}

#[test]
fn the_steps_of_the_readme_install_a_unit_that_serves() {
    let unit = Unit::installed(unit::SITE);
    assert!(steps().len() >= 9, "{:?}", steps());

    assert_eq!(unit.property("ActiveState"), "active");
    assert_eq!(unit.property("Type"), "notify");
    for socket in [unit::BLOG, unit::SHOP] {
        let who = unit.client(socket).get("/who").unwrap().text();
        assert!(who.contains("env USER=www-data"), "apps run as their user: {who}");
    }
    let status = unit.run("systemctl status --no-pager scgid.service").out;
    assert!(status.contains("Status: \"2 apps, 5 of 5 workers serving\""), "{status}");
    assert!(unit.journal().contains("scgid runs"), "its log is in the journal");
    assert_eq!(unit.run("scgictl status").code, Some(0));
    assert!(unit.must("stat -c %U:%G:%a /run/scgid/control.sock").contains("root:scgid:660"));
}

#[test]
fn a_reload_ends_when_it_is_done_and_loses_no_request() {
    let unit = Unit::installed(unit::SITE);
    let loads = [unit::BLOG, unit::SHOP].map(|socket| load(unit.client(socket)));

    for round in 1..=3 {
        let before = unit.workers();
        unit.configure(&unit::SITE.replace("ROUND: 0", &format!("ROUND: {round}")));
        unit.must("systemctl reload scgid.service");

        until_replaced(&unit, &before);
        assert_eq!(unit.property("ActiveState"), "active");
        loads.iter().for_each(|load| load.until_answered(100));
    }

    for outcome in loads.map(Load::stop) {
        assert_eq!(outcome.failed, Vec::<String>::new());
    }
    assert_eq!(unit.property("NRestarts"), "0");
}

#[test]
fn a_reload_that_is_refused_or_undone_fails_and_the_old_workers_serve_on() {
    let unit = Unit::installed(unit::SITE);
    let before = unit.workers();

    for broken in [
        unit::SITE.replace("workers: 3", "workers: many"),
        unit::SITE.replace("[/srv/programs/it-echo]", "[/srv/programs/it-unruly, exit, '1']"),
    ] {
        unit.configure(&broken);
        let said = unit.run("systemctl reload scgid.service");

        assert_eq!(said.code, Some(1), "{said:?}");
        assert_eq!(unit.property("ActiveState"), "active");
        assert_eq!(unit.workers(), before);
        assert_eq!(unit.client(unit::BLOG).get("/hello").unwrap().text(), "hello\n");
    }

    let journal = unit.journal();
    assert!(journal.contains("apps.blog.workers"), "{journal}");
    assert!(unit.status().contains("blog is held"), "{}", unit.status());
}

#[test]
fn a_reload_by_signal_is_seen_as_one_from_its_beginning_to_its_end() {
    let unit = Unit::installed(unit::SITE);
    // Workers that are never ready: the reload goes on until it is given up.
    let silent = "[/srv/programs/it-unruly, silent], start_timeout: 1s";
    unit.configure(&unit::SITE.replace("[/srv/programs/it-echo]", silent));

    unit.must("systemctl kill --kill-who=main --signal=HUP scgid.service");

    eventually("systemd sees a reload", || unit.property("ActiveState") == "reloading");
    eventually("and is told of it", || unit.status().starts_with("reloading: "));
    eventually("and of its end", || unit.property("ActiveState") == "active");
    assert_eq!(unit.client(unit::BLOG).get("/hello").unwrap().text(), "hello\n");
}

#[test]
fn a_daemon_that_hangs_is_killed_by_the_watchdog_and_started_again() {
    let unit = Unit::with_drop_in(unit::SITE, "WatchdogSec=4s\nTimeoutAbortSec=1s");
    let (hung, workers) = (unit.main(), unit.workers());

    unit.machine.signal(hung, Signal::SIGSTOP);

    eventually("another one runs", || unit.main_again().is_some_and(|main| main != hung));
    assert_eq!(unit.property("NRestarts"), "1");
    assert!(unit.journal().contains("Watchdog timeout"), "{}", unit.journal());
    let alive = unit.workers();
    assert!(workers.iter().all(|pid| alive.contains(pid)), "no worker was killed: {alive:?}");
}

#[test]
fn a_daemon_that_works_is_left_alone_by_the_watchdog() {
    let unit = Unit::with_drop_in(unit::SITE, "WatchdogSec=5s");
    let main = unit.main();
    let stamp = || unit.property("WatchdogTimestampMonotonic").parse::<u64>().unwrap();
    let began = stamp();

    eventually("signs of life came beyond the deadline", || stamp() > began + 6_000_000);

    assert_eq!((unit.main(), unit.property("NRestarts").as_str()), (main, "0"));
}

#[test]
fn a_stop_ends_all_workers() {
    let unit = Unit::installed(unit::SITE);
    assert_eq!(unit.workers().len(), 5);

    unit.must("systemctl stop scgid-shop.socket scgid.service");

    assert_eq!(unit.property("Result"), "success");
    assert_eq!(unit.workers(), [0; 0]);
    assert!(!unit.machine.path(unit::BLOG).exists(), "its socket is gone");
    assert!(!unit.machine.path(unit::SHOP).exists(), "and the one of systemd");
}

#[test]
fn after_a_stop_amid_the_automatic_restart_workers_serve_until_the_next_start_takes_them_over() {
    let unit = Unit::with_drop_in(unit::SITE, "RestartSec=1h");
    let workers = unit.workers();
    kill_for_good(&unit);

    unit.must("systemctl stop scgid.service");

    assert_eq!(unit.client(unit::BLOG).get("/hello").unwrap().text(), "hello\n");
    unit.must("systemctl start scgid.service");
    assert_eq!(unit.workers(), workers);
    unit.must("systemctl stop scgid-shop.socket scgid.service");
    assert_eq!(unit.workers(), [0; 0]);
    // Systemd has made the socket it opened wait in accept again, as it does at every start.
    assert!(!unit.journal().contains("stop_timeout"), "none had to be killed");
}

#[test]
fn a_stop_amid_the_automatic_restart_leaves_nothing_once_it_is_reaped() {
    let unit = Unit::with_drop_in(unit::SITE, "RestartSec=1h");
    kill_for_good(&unit);
    unit.must("systemctl stop scgid-shop.socket scgid.service");

    unit.must("scgid reap");

    assert_eq!(unit.workers(), [0; 0]);
}

#[test]
fn after_the_start_limit_was_hit_workers_serve_until_a_person_starts_the_unit_again() {
    let unit = Unit::with_drop_in(unit::SITE, "[Unit]\nStartLimitBurst=1");
    let workers = unit.workers();
    unit.machine.signal(unit.main(), Signal::SIGKILL);

    eventually("systemd gives up", || unit.property("ActiveState") == "failed");

    assert_eq!(unit.client(unit::BLOG).get("/hello").unwrap().text(), "hello\n");
    unit.must("systemctl reset-failed scgid.service");
    unit.must("systemctl start scgid.service");
    until_three_are_left_of(&unit, &workers);
}

#[test]
fn a_socket_that_systemd_opened_anew_meanwhile_is_served_and_not_the_one_before() {
    let unit = Unit::with_drop_in(unit::SITE, "RestartSec=1h");
    let workers = unit.workers();
    kill_for_good(&unit);

    unit.must("systemctl stop scgid-shop.socket scgid.service");
    unit.must("systemctl start scgid.service");

    for socket in [unit::BLOG, unit::SHOP] {
        assert_eq!(unit.client(socket).get("/hello").unwrap().text(), "hello\n");
    }
    until_three_are_left_of(&unit, &workers);
}

#[test]
fn a_stuck_worker_has_its_own_time_to_stop_whatever_systemd_would_wait() {
    let site = "
apps:
  blog: {run: [/srv/programs/it-unruly, stubborn], listen: 'unix:/run/scgid/blog.sock', workers: 1,
    stop_timeout: 4s}
";
    let unit = Unit::with_drop_in(site, "TimeoutStopSec=1s");
    let worker = unit.workers()[0];

    unit.must("systemctl stop scgid.service");

    assert_eq!(unit.property("Result"), "success", "the daemon was not killed before its time");
    assert_eq!(unit.workers(), [0; 0]);
    let journal = unit.journal();
    assert!(journal.contains(&format!("pid={worker}")), "{journal}");
}

#[test]
fn killing_the_daemon_under_load_costs_no_request_and_no_worker() {
    const KILLS: usize = 5;
    let unit = Unit::installed(unit::SITE);
    let loads = [unit::BLOG, unit::SHOP].map(|socket| load(unit.client(socket)));
    let workers = unit.workers();

    for kill in 1..=KILLS {
        let main = unit.main();
        unit.machine.signal(main, Signal::SIGKILL);
        eventually("another one runs", || unit.main_again().is_some_and(|again| again != main));
        assert_eq!(unit.property("NRestarts"), kill.to_string());
        loads.iter().for_each(|load| load.until_answered(100));
    }

    let failed = loads.map(|load| load.stop().failed);
    assert_eq!(failed, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(unit.workers(), workers, "the very same processes");
    eventually("all of them are known to serve", || {
        unit.status() == "2 apps, 5 of 5 workers serving"
    });
    // They are not only alive: they can be replaced, and ended.
    unit.configure(&unit::SITE.replace("ROUND: 0", "ROUND: 1"));
    unit.must("systemctl reload scgid.service");
    until_replaced(&unit, &workers);
    unit.must("systemctl stop scgid-shop.socket scgid.service");
    assert_eq!(unit.workers(), [0; 0]);
}

#[test]
fn upgrades_under_load_keep_process_and_workers_and_what_systemd_stores_is_good_after_them() {
    let unit = Unit::installed(unit::SITE);
    let loads = [unit::BLOG, unit::SHOP].map(|socket| load(unit.client(socket)));
    let (main, workers) = (unit.main(), unit.workers());

    for _ in 0..3 {
        let said = unit.must("scgictl upgrade");
        assert!(said.contains("goes on where"), "{said}");
        loads.iter().for_each(|load| load.until_answered(100));
    }

    assert_eq!((unit.main(), unit.workers()), (main, workers.clone()));
    unit.machine.signal(main, Signal::SIGKILL);
    eventually("another one runs", || unit.main_again().is_some_and(|again| again != main));
    loads.iter().for_each(|load| load.until_answered(100));
    assert_eq!((unit.property("NRestarts").as_str(), unit.workers()), ("1", workers.clone()));
    unit.configure(&unit::SITE.replace("ROUND: 0", "ROUND: 1"));
    unit.must("systemctl reload scgid.service");
    until_replaced(&unit, &workers);
    for outcome in loads.map(Load::stop) {
        assert_eq!(outcome.failed, Vec::<String>::new());
    }
}

/// Kills the daemon of a unit that is not started again for an hour.
fn kill_for_good(unit: &Unit) {
    unit.machine.signal(unit.main(), Signal::SIGKILL);
    eventually("systemd is about to start it again", || {
        unit.property("SubState") == "auto-restart"
    });
}

/// Waits until the workers of the app with a listener of the daemon's are the same, and those of
/// the other one are new: systemd has closed their socket, and opened it again.
fn until_three_are_left_of(unit: &Unit, workers: &[i32]) {
    eventually("three workers are the same and two are new", || {
        let now = unit.workers();
        now.len() == 5 && workers.iter().filter(|pid| now.contains(pid)).count() == 3
    });
}

/// A reload is done when new workers serve in every seat; the last of `old` may be leaving yet.
fn until_replaced(unit: &Unit, old: &[i32]) {
    eventually("all others are gone", || {
        let now = unit.workers();
        now.len() == old.len() && old.iter().all(|pid| !now.contains(pid))
    });
}

/// Asks for the same page over and over.
fn load(client: ScgiClient) -> Load {
    Load::hello(client, 4)
}
