//! Another scgid takes the daemon's place: same process, same workers, same sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use scgi_protocol::control::{AppState, Wish};
use scgi_tests::{Daemon, Load, Site, eventually, process, program};

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
    Load::hello(daemon.app(name), 2)
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
    let verdict = b"#!/bin/sh\necho '{\"version\": \"9.9\", \"refusal\": \"no\"}'\n";
    let old = executable(daemon.site().path("old"), verdict);

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
    daemon.until_replaced("blog", before[0], 2);
}

/// A scgid that says it can go on where another one is, and then cannot: it looks for something in
/// what is handed over that is called otherwise there.
fn deceived(site: &Site) -> PathBuf {
    let mut bytes = std::fs::read(program("it-scgid")).unwrap();
    let (theirs, ours) = (b"begun_lines", b"begun-lines");
    let places: Vec<_> =
        (0..bytes.len() - theirs.len()).filter(|at| bytes[*at..].starts_with(theirs)).collect();
    assert!(!places.is_empty(), "the name stands in the program");
    for at in places {
        bytes[at..at + ours.len()].copy_from_slice(ours);
    }
    let of_another_form = executable(site.path("other"), &bytes);
    let (other, this) = (of_another_form.display(), program("it-scgid"));
    let this = this.display();
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = take-over-check ]; then exec {this} \"$@\"; fi\nexec {other} \"$@\"\n"
    );
    executable(site.path("deceived"), text.as_bytes())
}

fn executable(path: PathBuf, bytes: &[u8]) -> PathBuf {
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_program_that_cannot_go_on_after_all_gives_everything_back_and_no_request_is_lost() {
    let daemon = site();
    let other = deceived(daemon.site()).display().to_string();
    let loads = ["blog", "shop", "wiki"].map(|name| load(&daemon, name));
    loads.iter().for_each(|load| load.until_answered(20));
    let before = [daemon.pids("blog"), daemon.pids("shop")];
    let runs = || std::fs::read_link(format!("/proc/{}/exe", daemon.pid())).unwrap();
    let own = runs();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let mut open = Vec::new();

    for _ in 0..3 {
        let said = daemon.scgictl(&format!("upgrade --binary {other}"));

        assert_eq!(said.code, Some(1), "{said:?}");
        let why = "could not go on after all: what was handed over makes no sense";
        assert!(said.err.contains(why), "{said:?}");
        assert!(said.err.contains("the daemon before serves on"), "{said:?}");
        assert_eq!([daemon.pids("blog"), daemon.pids("shop")], before);
        assert_eq!(runs(), own);
        loads.iter().for_each(|load| load.until_answered(20));
        open.push(descriptors());
    }
    assert!(open[2] <= open[0] + 4, "descriptors are lost: {open:?}");
    let shown = daemon.scgictl("status").out;
    assert!(shown.contains("the last upgrade failed: scgid"), "{shown}");
    // It is none the worse for it.
    let said = daemon.scgictl(&format!("upgrade --binary {}", program("it-scgid").display()));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(daemon.status().daemon.not_upgraded, None);

    for load in loads {
        assert_eq!(load.stop().failed, Vec::<String>::new());
    }
    assert!(daemon.stop().is_in_order());
}

#[test]
fn a_program_that_is_gone_when_it_is_to_be_run_is_no_loss() {
    let daemon = site();
    let before = (daemon.pids("blog"), daemon.status().daemon.since);
    let this = program("it-scgid");
    let fleeting = daemon.site().path("fleeting");
    let text = format!("#!/bin/sh\nrm {}\nexec {} \"$@\"\n", fleeting.display(), this.display());
    let fleeting = executable(fleeting, text.as_bytes());

    let said = daemon.scgictl(&format!("upgrade --binary {}", fleeting.display()));

    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("No such file or directory"), "{said:?}");
    assert_eq!((daemon.pids("blog"), daemon.status().daemon.since), before);
}
