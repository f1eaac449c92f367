//! The daemon is killed, and another one takes over: nobody who asks an app notices.

mod forbidden;
mod memory;

use std::io::{Read, Write};
use std::process::Command;

use nix::sys::signal::Signal;
use scgi_protocol::control::{AppState, Operation, OperationState, Wish};
use scgi_protocol::scgi::RequestHead;
use scgi_tests::{Daemon, Load, Site, eventually, needs_root, process};

const SITE: &str = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 3}
";

fn site() -> Daemon {
    Site::new(SITE).serve()
}

/// Load on the app `name`: a failure for everything that is not the answer.
fn load(daemon: &Daemon, name: &str) -> Load {
    Load::hello(daemon.app(name), 2)
}

fn requests(daemon: &Daemon, name: &str) -> f64 {
    let series = format!("scgid_requests_total{{app=\"{name}\",code=\"2xx\"}}");
    daemon.metric(&series).unwrap_or_else(|| panic!("{}", daemon.metrics()))
}

#[test]
fn a_daemon_killed_under_load_costs_no_request_and_the_next_has_the_same_workers() {
    let mut daemon = site();
    let loads = [load(&daemon, "blog"), load(&daemon, "shop")];
    let before = [daemon.pids("blog"), daemon.pids("shop")];

    for _ in 0..5 {
        loads.iter().for_each(|load| load.until_answered(50));
        let told = [requests(&daemon, "blog"), requests(&daemon, "shop")];
        daemon.kill();
        loads.iter().for_each(|load| load.until_answered(50));
        daemon.restart();

        assert_eq!([daemon.pids("blog"), daemon.pids("shop")], before);
        assert!(requests(&daemon, "blog") >= told[0] + 50.0);
        assert!(requests(&daemon, "shop") >= told[1] + 50.0);
    }

    let sums: Vec<_> = loads.into_iter().map(Load::stop).collect();
    for (sum, name) in sums.iter().zip(["blog", "shop"]) {
        assert_eq!(sum.failed, Vec::<String>::new(), "{name}");
        #[expect(clippy::cast_precision_loss, reason = "few requests")]
        let asked = sum.ok as f64;
        eventually("every request is counted once", || requests(&daemon, name) == asked);
    }
}

/// As systemd does it to the sockets of a service that it starts again.
#[test]
fn a_worker_that_was_made_to_wait_in_accept_gets_back_to_its_slow_client() {
    let one = "apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 1}}";
    let mut daemon = Site::new(one).serve();
    let client = daemon.app("blog");
    let [worker] = daemon.pids("blog")[..] else { panic!("one worker") };
    daemon.kill();

    rustix::io::ioctl_fionbio(process::descriptor(worker, 0), false).unwrap();
    let head = RequestHead::new(0).variable("PATH_INFO", "/hello").encode().unwrap();
    let (first, rest) = head.split_at(10);
    let mut slow = client.connect().unwrap();
    slow.write_all(first).unwrap();
    eventually("it waits in accept", || {
        let file = format!("/proc/{worker}/syscall");
        let accept4 = format!("{} ", nix::libc::SYS_accept4);
        std::fs::read_to_string(file).is_ok_and(|call| call.starts_with(&accept4))
    });
    slow.write_all(rest).unwrap();
    daemon.restart();

    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("hello\n"), "{answer}");
    assert_eq!(daemon.pids("blog"), [worker]);
}

#[test]
fn what_was_taken_over_can_be_rolled_and_stopped_and_nothing_is_left_over() {
    let mut daemon = site();
    daemon.kill();
    daemon.restart();
    let before = daemon.pids("blog");
    assert_eq!(before.len(), 2);

    let rolled = daemon.order("POST", "/v1/apps/blog/reload", "");
    assert_eq!(rolled.reason, None);
    let after = daemon.pids("blog");
    assert!(after.len() == 2 && after.iter().all(|pid| !before.contains(pid)), "{after:?}");
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);

    let notify = daemon.site().path("control.sock.notify").display().to_string();
    let state = daemon.site().path("control.sock.state");
    let ended = daemon.stop();
    assert!(ended.is_in_order(), "{}", ended.err);
    assert_eq!(process::with_environment(&format!("NOTIFY_SOCKET={notify}")), Vec::<i32>::new());
    assert!(!state.exists(), "nothing is left to take over");
    assert!(!ended.site.path("blog.sock").exists());
}

#[test]
fn wishes_of_the_operator_outlive_the_daemon() {
    let mut daemon = site();
    daemon.order("POST", "/v1/apps/blog/stop", "");
    daemon.order("PUT", "/v1/apps/shop/workers", "{\"to\": 1}");

    daemon.kill();
    daemon.restart();

    let blog = daemon.look("blog");
    assert_eq!((blog.state, blog.wish), (AppState::Stopped, Wish::Stop));
    let shop = daemon.look("shop").workers;
    assert_eq!((shop.wanted, shop.scaled, shop.serving), (1, true, 1));
    daemon.order("POST", "/v1/apps/blog/start", "");
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
}

#[test]
fn a_worker_that_died_while_no_daemon_lived_is_replaced_and_what_it_served_is_counted() {
    let mut daemon = site();
    let [first, second] = daemon.pids("blog")[..] else { panic!("two workers") };
    let (told, blog) = (daemon.requests_counted("blog"), daemon.app("blog"));
    daemon.kill();
    // The one is asked while the other is held, so that both have served unseen.
    for held in [first, second] {
        process::hold(held);
        for _ in 0..7 {
            assert_eq!(blog.get("/hello").unwrap().status, 200);
        }
        process::signal(held, Signal::SIGCONT);
    }
    process::signal(first, Signal::SIGKILL);
    eventually("it has ended", || !process::is_alive(first));

    daemon.restart();

    daemon.until_serving("blog", 2);
    let pids = daemon.pids("blog");
    assert!(pids.contains(&second) && !pids.contains(&first), "{pids:?}");
    assert_eq!(daemon.look("blog").state, AppState::Serving);
    assert_eq!(daemon.requests_counted("blog"), told + 14);
}

#[test]
fn the_death_of_a_worker_that_was_taken_over_is_noticed() {
    let mut daemon = site();
    daemon.kill();
    daemon.restart();
    let [first, _] = daemon.pids("blog")[..] else { panic!("two workers") };

    process::signal(first, Signal::SIGKILL);

    eventually("it is replaced", || {
        let pids = daemon.pids("blog");
        pids.len() == 2 && !pids.contains(&first)
    });
}

#[test]
fn lines_written_while_no_daemon_lives_arrive() {
    let mut daemon = site();
    let client = daemon.app("blog");
    daemon.kill();
    client.get("/say?unheard").unwrap();

    daemon.restart();

    eventually("the line is there", || {
        daemon.lines("blog").iter().any(|line| line.line == "out unheard")
    });
    client.get("/say?heard").unwrap();
    eventually("and the next", || daemon.lines("blog").iter().any(|line| line.line == "err heard"));
}

#[test]
fn much_that_is_written_while_no_daemon_lives_waits_and_arrives() {
    needs_root();
    let mut daemon = Site::new(&SITE.replace("workers: 2", "workers: 1")).serve();
    let client = daemon.app("blog");
    let padding = "x".repeat(1000);
    let lines = 1000;
    daemon.kill();

    // A worker that fills a pipe would wait, and so would this.
    for line in 0..lines {
        client.get(&format!("/say?{line}-{padding}")).unwrap();
    }
    daemon.restart();

    for output in ["out", "err"] {
        let begins = format!("line=\"{output} ");
        let arrived = || daemon.log().matches(&begins).count();
        eventually("every line arrives", || arrived() == lines);
    }
}

#[test]
fn a_roll_in_which_the_daemon_is_killed_is_finished_by_the_next() {
    let mut daemon = site();
    let load = load(&daemon, "shop");

    for round in 0..6 {
        let before = daemon.pids("shop");
        let roll = daemon.order_at_once("POST", "/v1/apps/shop/reload", "");
        load.until_answered(5 * round);
        daemon.kill();
        daemon.restart();

        eventually("the roll is finished", || {
            let pids = daemon.pids("shop");
            let state = daemon.look("shop").state;
            state == AppState::Serving
                && pids.len() == 3
                && pids.iter().all(|p| !before.contains(p))
        });
        let rolled: Operation = daemon.get(&format!("/v1/operations/{}", roll.id));
        assert_eq!(rolled.state, OperationState::Done, "{rolled:?}");
        eventually("nobody else is there", || daemon.staff().len() == 2 + 3);
    }

    assert_eq!(load.stop().failed, Vec::<String>::new());
}

#[test]
fn workers_whose_daemon_will_not_come_back_are_ended_by_a_command() {
    let mut daemon = site();
    let socket = daemon.site().path("control.sock");
    let reap = || {
        let mut command = Command::new(scgi_tests::program("it-scgid"));
        command.args(["reap", "--socket"]).arg(&socket);
        scgi_tests::Said::by(command)
    };
    let refused = reap();
    assert_eq!(refused.code, Some(1), "a daemon lives: {refused:?}");
    assert_eq!(daemon.pids("shop").len(), 3);

    daemon.kill();
    let said = reap();

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err.matches(" left").count(), 5, "{said:?}");
    assert_eq!(daemon.staff(), Vec::<i32>::new());
    daemon.restart();
    daemon.until_serving("blog", 2);
}

#[test]
fn a_stolen_descriptor_that_is_another_socket_is_refused_and_told() {
    let mut daemon = site();
    daemon.kill();
    let state = daemon.site().path("control.sock.state/apps/shop.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cookie = record["listeners"][0]["socket"]["cookie"].as_u64().unwrap();
    record["listeners"][0]["socket"]["cookie"] = (cookie + 1).into();
    std::fs::write(&state, record.to_string()).unwrap();

    daemon.restart();

    eventually("it is told", || daemon.log().contains("it is another socket"));
    let status = daemon.scgictl("status shop");
    assert_eq!(status.code, Some(0), "it serves: {status:?}");
    assert!(status.out.contains("lost with the scgid before this one"), "{status:?}");
    assert!(status.out.contains("`scgictl start shop`"), "{status:?}");
    assert_eq!(daemon.pids("shop").len(), 3, "its workers serve on");
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);

    daemon.kill();
    daemon.restart();
    assert!(daemon.look("shop").trouble.is_some(), "it is as lost as before");
    daemon.order("POST", "/v1/apps/shop/stop", "");
    daemon.order("POST", "/v1/apps/shop/start", "");
    assert_eq!(daemon.look("shop").trouble, None);
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);
}

#[test]
fn a_unix_socket_that_cannot_be_had_back_is_made_anew_and_nobody_is_turned_away() {
    let mut daemon = site();
    let load = load(&daemon, "blog");
    load.until_answered(20);
    let before = daemon.pids("blog");
    daemon.kill();
    let state = daemon.site().path("control.sock.state/apps/blog.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["listeners"][0]["socket"]["cookie"] = 1.into();
    std::fs::write(&state, record.to_string()).unwrap();

    daemon.restart();

    eventually("others serve at the new socket", || {
        let pids = daemon.pids("blog");
        pids.len() == 2 && pids.iter().all(|pid| !before.contains(pid))
    });
    load.until_answered(50);
    assert_eq!(load.stop().failed, Vec::<String>::new());
    eventually("nothing is lost any more", || daemon.look("blog").trouble.is_none());
}

#[test]
fn a_process_that_only_has_the_number_of_a_worker_is_left_alone() {
    let mut daemon = site();
    daemon.kill();
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let state = daemon.site().path("control.sock.state/apps/blog.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let pid = daemon.staff()[0];
    let text = text.replace(&pid.to_string(), &stranger.id().to_string());
    std::fs::write(&state, text).unwrap();

    daemon.restart();
    daemon.until_serving("blog", 2);
    let ended = daemon.stop();

    let lives = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(lives, "it was taken for a worker: {}", ended.err);
}

#[test]
fn a_changed_configuration_is_taken_over_after_what_was_in_force() {
    let mut daemon = site();
    let before = daemon.pids("shop");
    daemon.kill();
    daemon.site().write_config(&SITE.replace("workers: 2", "workers: 4"));

    daemon.restart();

    daemon.until_serving("blog", 4);
    assert_eq!(daemon.pids("shop"), before);
}

#[test]
fn a_site_goes_on_when_its_configuration_cannot_be_read_any_more() {
    for broken in ["apps: {blog: [", "apps: {blog: {rum: [$echo]}}", "apps:\n\tblog: 1"] {
        let mut daemon = site();
        let before = [daemon.pids("blog"), daemon.pids("shop")];
        daemon.kill();
        daemon.site().write_config(broken);

        daemon.restart();

        assert_eq!([daemon.pids("blog"), daemon.pids("shop")], before, "{}", daemon.log());
        eventually("it is told", || daemon.log().contains("configuration not taken over"));
        assert_eq!(daemon.scgictl("reload").code, Some(2));
        daemon.site().write_config(&SITE.replace("workers: 2", "workers: 3"));
        let mended = daemon.scgictl("reload");
        assert_eq!((mended.code, daemon.pids("blog").len()), (Some(0), 3), "{mended:?}");
    }
}

#[test]
fn a_broken_configuration_takes_nobody_elses_site_over() {
    let mut daemon = site();
    daemon.kill();
    let other = daemon.site().write("other.yaml", "apps: [");
    let socket = daemon.site().path("control.sock");
    std::fs::write(&other, format!("control: {{socket: {}}}\napps: [", socket.display())).unwrap();

    let mut command = Command::new(scgi_tests::program("it-scgid"));
    command.arg("run").arg(&other);
    let said = scgi_tests::Said::by(command);

    assert_eq!(said.code, Some(2), "{said:?}");
    daemon.restart();
    assert_eq!(daemon.pids("shop").len(), 3);
}

#[test]
fn a_site_goes_on_when_its_configuration_has_become_wrong_after_a_problem_of_one_app_only() {
    let mut daemon = site();
    let before = daemon.pids("shop");
    daemon.kill();
    daemon.site().write_config(&SITE.replace("run: [$echo]", "run: [/no/such/program]"));

    daemon.restart();

    assert_eq!(daemon.pids("shop"), before, "{}", daemon.log());
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);
}
