//! Another scgid takes the daemon's place: same process, same workers, same sockets.

use nix::sys::signal::Signal;
use scgi_protocol::control::{AppState, Wish};
use scgi_tests::{Daemon, Load, ScgiClient, Site, eventually, process};

const SITE: &str = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 3}
  wiki: {run: [$echo], listen: '127.0.0.1:$port_wiki', workers: {min: 0, max: 2}}
";

fn site() -> Daemon {
    Site::new(SITE).serve()
}

fn load(daemon: &Daemon, name: &str) -> Load {
    let client = ScgiClient::new(daemon.app(name).address().to_string().as_str());
    Load::start(2, move || match client.get("/hello") {
        Ok(answer) if answer.text() == "hello\n" => Ok(()),
        Ok(answer) => Err(format!("status {}", answer.status)),
        Err(error) => Err(error.to_string()),
    })
}

#[test]
fn an_upgrade_under_load_costs_no_request_and_no_worker() {
    let daemon = site();
    let loads = ["blog", "shop", "wiki"].map(|name| load(&daemon, name));
    loads.iter().for_each(|load| load.until_answered(20));
    let before = [daemon.pids("blog"), daemon.pids("shop")];
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let mut open = Vec::new();

    for _ in 0..5 {
        let said = daemon.scgictl("upgrade");
        assert_eq!(said.code, Some(0), "{said:?}");
        loads.iter().for_each(|load| load.until_answered(20));
        assert_eq!([daemon.pids("blog"), daemon.pids("shop")], before);
        open.push(descriptors());
    }

    for load in loads {
        assert_eq!(load.stop().failed, Vec::<String>::new());
    }
    assert!(open[4] <= open[0] + 4, "descriptors are lost: {open:?}");
    let notify = daemon.site().path("control.sock.notify").display().to_string();
    let ended = daemon.stop();
    assert!(ended.is_in_order(), "{}", ended.err);
    assert_eq!(process::with_environment(&format!("NOTIFY_SOCKET={notify}")), Vec::<i32>::new());
}

#[test]
fn children_stay_children_and_wishes_stay_wishes() {
    let daemon = site();
    daemon.order("POST", "/v1/apps/blog/stop", "");
    let before = daemon.pids("shop");
    let since = daemon.status().daemon.since;

    daemon.signal(Signal::SIGUSR2);
    eventually("another one answers", || {
        let answer = daemon.ask("GET", "/v1/status", "");
        answer.is_ok_and(|a| a.json::<scgi_protocol::control::Status>().daemon.since != since)
    });

    assert_eq!(daemon.look("blog").wish, Wish::Stop);
    process::signal(before[0], Signal::SIGKILL);
    eventually("it is replaced", || {
        let pids = daemon.pids("shop");
        pids.len() == 3 && !pids.contains(&before[0])
    });
    let gone = daemon.events().iter().any(|event| format!("{event:?}").contains("signal 9"));
    assert!(gone, "a child's end is known: {:?}", daemon.events());
    assert_eq!(daemon.look("shop").state, AppState::Serving);
}

#[test]
fn a_line_that_was_begun_before_the_upgrade_is_ended_after_it() {
    let site = "apps: {blog: {run: [$unruly, serve], listen: 'unix:$dir/blog.sock', workers: 1}}";
    let daemon = Site::new(site).serve();
    daemon.app("blog").get("/torn").unwrap();
    eventually("the rest of it is read", || {
        daemon.lines("blog").iter().any(|line| line.line == "second line")
    });

    assert_eq!(daemon.scgictl("upgrade").code, Some(0));
    daemon.order("POST", "/v1/apps/blog/stop", "");

    eventually("it is one line", || daemon.lines("blog").iter().any(|line| line.line == "no end"));
}

#[test]
fn a_program_that_cannot_go_on_is_refused_and_nothing_has_changed() {
    let daemon = site();
    let before = (daemon.pids("blog"), daemon.status().daemon.since);
    let old = daemon
        .site()
        .write("old", "#!/bin/sh\necho '{\"version\": \"9.9\", \"refusal\": \"no\"}'\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&old, mode).unwrap();

    for (binary, why) in [
        ("/bin/true".to_owned(), "it does not know how"),
        ("/no/such/scgid".to_owned(), "cannot run"),
        (old.display().to_string(), "scgid 9.9 cannot go on where this one is: no"),
    ] {
        let said = daemon.scgictl(&format!("upgrade --binary {binary}"));
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains(why), "{said:?}");
    }
    let said = daemon.scgictl("upgrade --check");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("can go on where"), "{said:?}");

    assert_eq!((daemon.pids("blog"), daemon.status().daemon.since), before);
}

#[test]
fn a_daemon_that_was_upgraded_can_be_killed_and_upgraded_again() {
    let mut daemon = site();
    let before = daemon.pids("blog");

    assert_eq!(daemon.scgictl("upgrade").code, Some(0));
    daemon.kill();
    daemon.restart();
    assert_eq!(daemon.scgictl("upgrade").code, Some(0));

    assert_eq!(daemon.pids("blog"), before);
    process::signal(before[0], Signal::SIGKILL);
    daemon.until_serving("blog", 2);
}
