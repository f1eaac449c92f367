//! The kernel does not let the next daemon look into the workers of the one before.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use scgi_tests::{Daemon, Site, eventually, needs_root, process};

use super::{SITE, load};

/// Takes from this process, and from what it starts, the right to look into other users' processes.
const WITHOUT_PTRACE: [&str; 4] =
    ["--bounding-set", "-sys_ptrace,-perfmon", "--inh-caps", "-sys_ptrace,-perfmon"];

/// A daemon that may not look into its workers, who are another user's.
fn forbidden() -> Daemon {
    needs_root();
    let site = Site::new(&SITE.replace("run: [$echo]", "run: [$dir/it-echo], user: nobody"));
    site.copy_of("it-echo");
    let command = deprived(&site.scgid(&["run"]));
    let daemon = Daemon::start(site, command);
    daemon.until_up();
    daemon
}

fn deprived(scgid: &Command) -> Command {
    let mut command = Command::new("setpriv");
    command.args(WITHOUT_PTRACE).arg(scgid.get_program()).args(scgid.get_args());
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

#[test]
fn where_nothing_may_be_taken_from_workers_that_is_told_and_nobody_is_turned_away() {
    let mut daemon = forbidden();
    let loads = [load(&daemon, "blog"), load(&daemon, "shop")];
    loads.iter().for_each(|load| load.until_answered(20));
    let (blog, shop) = (daemon.pids("blog"), daemon.pids("shop"));

    daemon.kill();
    loads.iter().for_each(|load| load.until_answered(20));
    daemon.restart_by(|scgid| deprived(&scgid));

    let told = |what: &str| eventually(what, || daemon.log().contains(what));
    told("blog.sock` is not to be had back (the kernel refuses: Operation not permitted");
    told("and was made anew");
    told("the page of worker");
    told("writes is lost, and fills its pipe");
    eventually("others serve at the new socket", || {
        let pids = daemon.pids("blog");
        pids.len() == 2 && pids.iter().all(|pid| !blog.contains(pid))
    });
    eventually("the old ones are gone", || blog.iter().all(|pid| !process::is_alive(*pid)));
    assert_eq!(daemon.pids("shop"), shop, "nobody can take their place");
    loads.iter().for_each(|load| load.until_answered(50));
    for load in loads {
        assert_eq!(load.stop().failed, Vec::<String>::new());
    }
}

#[test]
fn a_tcp_listener_that_cannot_be_had_back_is_opened_anew_by_a_stop_and_a_start() {
    let mut daemon = forbidden();
    let before = daemon.pids("shop");
    daemon.kill();
    daemon.restart_by(|scgid| deprived(&scgid));
    assert_eq!(daemon.pids("shop"), before);

    daemon.order("POST", "/v1/apps/shop/stop", "");
    daemon.order("POST", "/v1/apps/shop/start", "");

    daemon.until_serving("shop", 3);
    assert!(daemon.pids("shop").iter().all(|pid| !before.contains(pid)));
    assert_eq!(daemon.app("shop").get("/hello").unwrap().text(), "hello\n");
    daemon.kill();
    daemon.restart_by(|scgid| deprived(&scgid));
    assert_eq!(daemon.app("shop").get("/hello").unwrap().text(), "hello\n");
}

#[test]
fn a_worker_that_dies_where_its_listener_is_lost_is_missed_and_the_others_serve() {
    let mut daemon = forbidden();
    daemon.kill();
    daemon.restart_by(|scgid| deprived(&scgid));
    let [first, ..] = daemon.pids("shop")[..] else { panic!("three workers") };

    process::signal(first, Signal::SIGKILL);

    eventually("its end is noticed", || daemon.pids("shop").len() == 2);
    assert_eq!(daemon.app("shop").get("/hello").unwrap().text(), "hello\n");
    let said = daemon.scgictl("status");
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.out.contains("it has no listener"), "{said:?}");
}
