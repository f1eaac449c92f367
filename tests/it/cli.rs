//! `scgictl` against a real daemon: what it exits with and what it shows of real states.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use scgi_protocol::control::{AppState, Status};
use scgi_tests::{Daemon, Request, Said, Site, eventually, program};

fn daemon() -> Daemon {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
  shop:
    run: [$unruly, exit-if, $dir/broken, '3']
    listen: '127.0.0.1:$port_shop'
    workers: 1
    restart: {budget: 2, backoff: {first: 10ms, max: 1h}}
",
    );
    site.serve()
}

/// A daemon whose app `shop` is failing.
fn with_a_failing_app() -> Daemon {
    let daemon = daemon();
    daemon.site().write("broken", "");
    assert_eq!(daemon.scgictl("restart shop").code, Some(1));
    daemon.until("shop", AppState::Failing);
    daemon
}

/// The words of the row that begins with `first`.
fn row(said: &Said, first: &str) -> Vec<String> {
    let row = said.out.lines().find(|line| line.split_whitespace().next() == Some(first));
    row.unwrap_or_else(|| panic!("{said:?}")).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_list_shows_every_app_as_it_is() {
    let daemon = daemon();

    let said = daemon.scgictl("ps");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(row(&said, "APP")[..4], ["APP", "STATE", "WORKERS", "GEN"]);
    assert_eq!(row(&said, "blog")[..4], ["blog", "serving", "2/2", "1"]);
    assert_eq!(row(&said, "shop")[..4], ["shop", "serving", "1/1", "1"]);
}

#[test]
fn an_app_that_is_not_well_has_a_line_with_cause_evidence_and_next_step() {
    let daemon = with_a_failing_app();

    let said = daemon.scgictl("status");

    assert_eq!(said.code, Some(3), "{said:?}");
    assert_eq!(row(&said, "shop")[..2], ["shop", "failing"]);
    let line = said.out.lines().skip_while(|line| !line.starts_with("shop")).nth(1).unwrap();
    for told in ["exit 3", "cannot reach the database", "scgictl retry shop"] {
        assert!(line.contains(told), "{told} in {line}");
    }
    assert_eq!(daemon.scgictl("ps").code, Some(0), "ps only shows");
    assert_eq!(daemon.scgictl("status blog").code, Some(0), "this one is well");
}

#[test]
fn every_word_about_an_app_is_described() {
    let daemon = daemon();
    daemon.app("blog").get("/say?hello").unwrap();

    eventually("its lines are shown too", || {
        daemon.scgictl("describe blog").out.contains("out hello")
    });
    let said = daemon.scgictl("describe blog");

    assert_eq!(said.code, Some(0));
    for told in ["it-echo", "blog.sock", "stop_timeout", "30s"] {
        assert!(said.out.contains(told), "{told} in {}", said.out);
    }
    for pid in daemon.pids("blog") {
        assert!(said.out.contains(&pid.to_string()), "{pid} in {}", said.out);
    }
}

#[test]
fn json_is_what_the_daemon_says() {
    let daemon = daemon();

    let said = daemon.scgictl("status -o json");

    let status: Status = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status.daemon.pid, u32::try_from(daemon.pid()).unwrap());
    let names: Vec<_> = status.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["blog", "shop"]);
    assert_eq!(daemon.scgictl("ps -o name").out, "blog\nshop\n");
}

#[test]
fn an_app_that_is_not_there_is_4_and_changes_nothing() {
    let daemon = daemon();

    let said = daemon.scgictl("stop blog blgo");

    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.err.contains("blog"), "{said:?}");
    assert_eq!(daemon.look("blog").state, AppState::Serving);
}

#[test]
fn wrong_usage_is_2() {
    let daemon = daemon();

    for arguments in ["scale blog four", "explode", "stop", "scale blog min=3,max=1"] {
        assert_eq!(daemon.scgictl(arguments).code, Some(2), "{arguments}");
    }
}

#[test]
fn a_failure_is_1_with_the_reason() {
    let daemon = daemon();
    daemon.site().write("broken", "");

    let said = daemon.scgictl("restart shop");

    assert_eq!(said.code, Some(1), "{said:?}");
    for told in ["shop", "exit 3", "cannot reach the database", "scgictl retry shop"] {
        assert!(said.err.contains(told), "{told} in {}", said.err);
    }
}

#[test]
fn an_operation_in_the_way_is_6_and_named() {
    let daemon = daemon();
    let _held = held(&daemon);
    let under_way = daemon.order_at_once("POST", "/v1/apps/blog/restart", "");

    let said = daemon.scgictl("reload blog");

    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains(&format!("op:{}", under_way.id.0)), "{said:?}");
}

#[test]
fn no_daemon_is_7_with_what_to_do() {
    let ended = daemon().stop();
    let mut command = Command::new(program("it-scgictl"));
    command.arg("ps").arg("--socket").arg(ended.site.path("control.sock"));

    let said = Said::by(command);

    assert_eq!(said.code, Some(7));
    assert!(said.err.contains("not running") && said.err.contains("scgid run"), "{said:?}");
}

/// A request in flight at `blog`, to be answered when the file `goes-on` exists.
fn held(daemon: &Daemon) -> scgi_tests::Exchange {
    let target = format!("/hold?until={}", daemon.site().path("goes-on").display());
    let request = Request { method: "GET", target, body: Vec::new() };
    let held = daemon.app("blog").begin(&request).unwrap();
    eventually("it is being served", || daemon.look("blog").busy == 1);
    held
}

#[test]
fn waiting_that_takes_too_long_is_124_and_the_operation_goes_on() {
    let daemon = daemon();
    let held = held(&daemon);

    let said = daemon.scgictl("restart blog --timeout 50ms");
    assert_eq!(said.code, Some(124), "{said:?}");
    let (_, rest) = said.err.split_once("scgictl wait op:").unwrap();
    let operation: String = rest.chars().take_while(char::is_ascii_digit).collect();

    daemon.site().write("goes-on", "");
    let waited = daemon.scgictl(&format!("wait op:{operation}"));
    assert_eq!(waited.code, Some(0), "{waited:?}");
    assert_eq!(held.finish().unwrap().text(), "held\n");
}

#[test]
fn an_order_without_waiting_gives_the_number_to_wait_for() {
    let daemon = daemon();

    let ordered = daemon.scgictl("reload blog --no-wait");
    let waited = daemon.scgictl(&format!("wait {}", ordered.out.trim()));

    assert!(ordered.out.starts_with("op:"), "{ordered:?}");
    assert_eq!((ordered.code, waited.code), (Some(0), Some(0)), "{waited:?}");
    assert_eq!(daemon.look("blog").generation.0, 2);
    assert_eq!(daemon.scgictl("wait blog --for gen=2").code, Some(0));
}

#[test]
fn waiting_for_an_app_ends_when_it_is_so() {
    let daemon = daemon();
    let mut waiting =
        daemon.scgictl_command("wait blog --for stopped").stdout(Stdio::null()).spawn().unwrap();

    daemon.order("POST", "/v1/apps/blog/stop", "");

    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    assert_eq!(daemon.scgictl("wait blog --for serving --timeout 50ms").code, Some(124));
}

#[test]
fn scaling_takes_every_way_to_say_a_number() {
    let daemon = daemon();

    for (count, serving, min, max) in
        [("4", 4, 4, 4), ("+2", 6, 6, 6), ("-3", 3, 3, 3), ("min=1,max=5", 3, 1, 5)]
    {
        let said = daemon.scgictl(&format!("scale blog {count}"));

        assert_eq!(said.code, Some(0), "{count}: {said:?}");
        let seats = daemon.look("blog").workers;
        assert_eq!((seats.serving, seats.min, seats.max), (serving, min, max), "{count}");
        assert!(seats.scaled, "{count}");
    }
}

#[test]
fn events_can_be_followed_as_they_happen() {
    let daemon = daemon();
    let mut follower =
        daemon.scgictl_command("events -f blog").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("is ready")), "what was comes first");

    daemon.order("PUT", "/v1/apps/blog/workers", "{\"to\": 5}");

    assert!(lines.any(|line| line.contains("5 workers wanted")));
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn one_request_is_sent_as_a_front_end_would() {
    let daemon = daemon();
    let address = daemon.look("blog").listen[0].clone();

    let by_name = daemon.scgictl("request blog /query?a=1 -i");
    let by_address = daemon.scgictl(&format!("request {address} /length -d 12345"));
    let missing = daemon.scgictl("request blog /nowhere");

    assert_eq!(by_name.code, Some(0), "{by_name:?}");
    assert!(by_name.out.starts_with("Status: 200 OK"), "{by_name:?}");
    assert!(by_name.out.ends_with("a=1\n"), "{by_name:?}");
    assert_eq!((by_address.code, by_address.out.as_str()), (Some(0), "5\n"), "{by_address:?}");
    assert_eq!(missing.code, Some(1), "{missing:?}");
}

#[test]
fn versions_of_both_programs_are_told() {
    let daemon = daemon();

    let said = daemon.scgictl("version");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.matches(env!("CARGO_PKG_VERSION")).count() >= 2, "{said:?}");
}

#[test]
fn the_status_names_the_configuration_by_its_whole_path() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock'}}");
    let mut command = Command::new(program("it-scgid"));
    command.args(["run", "./scgid.yaml"]).current_dir(site.path("")).stdin(Stdio::null());
    let config = site.config().display().to_string();

    let daemon = Daemon::start(site, command);

    let status: Status = serde_json::from_str(&daemon.scgictl("status -o json").out).unwrap();
    assert_eq!(status.daemon.config, Some(config));
}
