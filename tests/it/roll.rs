//! One generation replaced by the next, with real processes and under load: what is lost, who may
//! leave when, and what a person is told.

use std::time::Duration;

use scgi_protocol::control::{AppState, Operation, OperationState, WorkerState};
use scgi_tests::http::{self, Answer};
use scgi_tests::{
    Daemon, Exchange, Load, Manner, Nginx, Request, Said, ScgiClient, Site, eventually, redact,
};

const SITE: &str = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 4, stop_timeout: 5m}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 4, stop_timeout: 5m}
";

/// An app whose workers serve once `$dir/gate` exists.
const GATED: &str = "
apps:
  blog:
    run: [$unruly, when, $dir/gate]
    listen: 'unix:$dir/blog.sock'
    workers: 2
";

fn judge(answer: std::io::Result<Answer>) -> Result<(), String> {
    match answer {
        Ok(Answer { status: 200, .. }) => Ok(()),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
        Err(error) => Err(error.to_string()),
    }
}

/// Two clients that connect in this manner, at work on `target` of the app.
fn load(client: ScgiClient, manner: Manner, target: &'static str) -> Load {
    let client = client.connecting(manner);
    Load::start(2, move || judge(client.get(target)))
}

/// A request that is being handled, and ends when the file `until` exists.
fn hold(daemon: &Daemon, app: &str, until: &str) -> Exchange {
    let target = format!("/hold?until={}", daemon.site().path(until).display());
    let request = Request { method: "GET", target, body: Vec::new() };
    let held = daemon.app(app).begin(&request).unwrap();
    eventually("it is being handled", || {
        let workers = daemon.describe(app).workers_now;
        workers.iter().flat_map(|worker| &worker.current).any(|one| one.uri.contains(until))
    });
    held
}

/// Serves `SITE` with `workers` in each pool, puts every kind of client on it, with a request in
/// flight that outlasts everything, rolls both apps thrice, and counts.
fn roll_under_every_kind_of_load(workers: u16) {
    let daemon = Site::new(&SITE.replace("workers: 4", &format!("workers: {workers}"))).serve();
    let pass = |app: &str| {
        let address = &daemon.look(app).listen[0];
        format!(
            "location /{app}/ {{ rewrite ^/{app}(/.*)$ $1 break; include scgi_params; \
             scgi_pass {address}; }}\n"
        )
    };
    let nginx = Nginx::start(&(pass("blog") + &pass("shop")));
    let through_nginx = |target: &'static str| {
        let port = nginx.port();
        Load::start(2, move || judge(http::get(port, target)))
    };
    let apps = [("blog", "/blog/hello"), ("shop", "/shop/hello")];
    let held: Vec<_> = apps.map(|(app, _)| hold(&daemon, app, "rolled")).into();
    let loads = apps.map(|(app, target)| {
        [
            load(daemon.app(app), Manner::Blocking, "/hello"),
            load(daemon.app(app), Manner::NonBlocking, "/hello"),
            through_nginx(target),
        ]
    });

    for generation in 2..=4 {
        for (app, _) in apps {
            let said = daemon.scgictl(&format!("reload {app}"));
            assert_eq!(said.code, Some(0), "{said:?}");
            assert_eq!(daemon.look(app).generation.0, generation);
            assert_eq!(daemon.look(app).workers.serving, workers);
        }
        loads.iter().flatten().for_each(|load| load.until_answered(20));
    }
    daemon.site().write("rolled", "");

    for one in held {
        assert_eq!(one.finish().unwrap().text(), "held\n");
    }
    for ((app, _), loads) in apps.into_iter().zip(loads) {
        let outcomes = loads.map(Load::stop);
        let failed: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.failed).collect();
        assert!(failed.is_empty(), "{app}: {failed:?}");
        let asked = outcomes.iter().map(|outcome| outcome.ok).sum::<u64>() + 1;
        eventually(
            &format!("the {asked} requests of {app} are counted, no more and no less"),
            || (daemon.look(app).requests, daemon.requests_counted(app)) == (asked, asked),
        );
        daemon.until_serving(app, workers);
    }
}

#[test]
fn a_roll_of_four_workers_under_every_kind_of_load_loses_nothing_and_every_request_is_counted() {
    roll_under_every_kind_of_load(4);
}

#[test]
fn a_roll_of_the_only_worker_which_is_busy_throughout_loses_nothing() {
    roll_under_every_kind_of_load(1);
}

/// Rolls the app `blog` under load with `surge`; returns the fewest workers that served and the
/// most that there were, at all moments looked at.
fn extremes_with_surge(surge: &str) -> (usize, usize) {
    let roll = format!("workers: 4, roll: {{surge: {surge}}}");
    let daemon = Site::new(&SITE.replacen("workers: 4", &roll, 1)).serve();
    let load = load(daemon.app("blog"), Manner::NonBlocking, "/hello");
    load.until_answered(20);
    let roll = daemon.order_at_once("POST", "/v1/apps/blog/reload", "");
    let (mut least, mut most) = (usize::MAX, 0);

    let ended = loop {
        let workers = daemon.describe("blog").workers_now;
        let in_state = |states: &[WorkerState]| {
            workers.iter().filter(|worker| states.contains(&worker.state)).count()
        };
        let serving = in_state(&[WorkerState::Idle, WorkerState::Busy]);
        least = least.min(serving);
        most = most.max(serving + in_state(&[WorkerState::Starting]));
        let now: Operation = daemon.get(&format!("/v1/operations/{}", roll.id));
        if now.state != OperationState::Running {
            break now;
        }
    };

    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    assert_eq!(load.stop().failed, Vec::<String>::new());
    (least, most)
}

#[test]
fn without_surge_a_roll_takes_one_seat_at_a_time_and_no_further_worker() {
    let (least, most) = extremes_with_surge("0");

    assert!(least >= 3, "{least} served");
    assert_eq!(most, 4);
}

#[test]
fn with_a_surge_of_half_a_roll_has_half_as_many_workers_more_and_never_fewer() {
    let (least, most) = extremes_with_surge("50%");

    assert!(least >= 4, "{least} served");
    assert!(most <= 6, "{most} at once");
}

#[test]
fn an_old_worker_stays_until_the_new_one_has_lived_through_its_soak() {
    let site = SITE.replacen("workers: 4", "workers: 1, roll: {soak: 400ms}", 1);
    let daemon = Site::new(&site).serve();
    let load = load(daemon.app("blog"), Manner::Blocking, "/hello");

    let said = daemon.scgictl("reload blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(load.stop().failed, Vec::<String>::new());
    eventually("the old one is gone", || {
        daemon.events().iter().any(|event| event.kind == "worker-gone")
    });
    let events = daemon.events();
    let ready = events.iter().rfind(|event| event.kind == "worker-ready").unwrap();
    let gone = events.iter().find(|event| event.kind == "worker-gone").unwrap();
    let between = ready.at.age(gone.at);
    assert!(between >= Duration::from_millis(400), "{between:?} from {ready:?} to {gone:?}");
}

/// Rolls the app `blog` to workers of whom `/up` answers `status`, with `health` asked for, while
/// others ask the old and the new for something else.
fn roll_with_health(health: &str, status: u16) -> (Daemon, Vec<i32>, Said) {
    let roll = format!("workers: 4, env: {{UP: '200'}}, roll: {{health: {health}}}");
    let roll = format!("{roll}, restart: {{budget: 2, backoff: {{first: 10ms, max: 1h}}}}");
    let site = SITE.replacen("workers: 4", &roll, 1);
    let daemon = Site::new(&site).serve();
    let before = daemon.pids("blog");
    daemon.site().write_config(&site.replace("UP: '200'", &format!("UP: '{status}'")));

    let clients = [(); 2].map(|()| load(daemon.app("blog"), Manner::Blocking, "/hello"));
    clients.iter().for_each(|load| load.until_answered(20));
    let said = daemon.scgictl("reload");

    for load in clients {
        assert_eq!(load.stop().failed, Vec::<String>::new());
    }
    (daemon, before, said)
}

#[test]
fn a_worker_that_says_it_is_well_replaces_another() {
    let (daemon, before, said) = roll_with_health("/up", 204);

    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(daemon.pids("blog").iter().all(|pid| !before.contains(pid)));
}

#[test]
fn a_worker_that_says_it_is_unwell_replaces_nobody() {
    let (daemon, before, said) = roll_with_health("/up", 500);

    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("GET /up: status 500"), "{}", said.err);
    assert_eq!(daemon.look("blog").state, AppState::Held);
    assert_eq!(daemon.pids("blog"), before);
}

#[test]
fn a_worker_that_does_not_say_in_time_how_it_is_replaces_nobody() {
    let health = "{path: '/hold?until=$dir/never', timeout: 100ms}";

    let (daemon, before, said) = roll_with_health(health, 204);

    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("no answer within 100ms"), "{}", said.err);
    assert_eq!(daemon.look("blog").state, AppState::Held);
    assert_eq!(daemon.pids("blog"), before);
}

/// A daemon in the middle of a roll: the new worker is starting and waits for the gate.
fn rolling() -> (Daemon, Vec<i32>, Load, Operation) {
    let site = Site::new(GATED);
    let gate = site.write("gate", "");
    let daemon = site.serve();
    let before = daemon.pids("blog");
    let load = load(daemon.app("blog"), Manner::NonBlocking, "/");
    load.until_answered(20);
    std::fs::remove_file(gate).unwrap();
    let roll = daemon.order_at_once("POST", "/v1/apps/blog/reload", "");
    eventually("a new worker is starting", || daemon.look("blog").workers.starting == 1);
    (daemon, before, load, roll)
}

#[test]
fn a_paused_roll_lets_both_generations_serve_until_it_is_resumed() {
    let (daemon, before, load, roll) = rolling();

    let paused = daemon.scgictl("rollout pause blog");
    daemon.site().write("gate", "");
    eventually("three workers serve", || daemon.pids("blog").len() == 3);
    load.until_answered(100);
    let shown = daemon.scgictl("rollout status blog");

    assert_eq!(paused.code, Some(0), "{paused:?}");
    assert!(before.iter().all(|pid| daemon.pids("blog").contains(pid)));
    assert_eq!(shown.out, "blog: generation 2; replaces 1, paused; seats: 1 new, 2 old\n");
    assert_eq!(daemon.get::<Operation>(&format!("/v1/operations/{}", roll.id)).ended, None);

    let resumed = daemon.scgictl("rollout resume blog");

    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(daemon.until_ended(roll.id.0).state, OperationState::Done);
    assert!(before.iter().all(|pid| !daemon.pids("blog").contains(pid)));
    assert_eq!(load.stop().failed, Vec::<String>::new());
}

#[test]
fn an_undone_roll_leaves_the_workers_that_were_there() {
    let (daemon, before, load, roll) = rolling();

    let undone = daemon.scgictl("rollout undo blog");

    assert_eq!(undone.code, Some(0), "{undone:?}");
    let ended = daemon.until_ended(roll.id.0);
    assert_eq!(ended.state, OperationState::Failed, "{ended:?}");
    let why = ended.reason.unwrap();
    assert!(why.contains("an operator undid generation 2; generation 1 serves on"), "{why}");
    daemon.until_serving("blog", 2);
    assert_eq!(daemon.pids("blog"), before);
    assert_eq!(daemon.look("blog").state, AppState::Serving);
    load.until_answered(100);
    assert_eq!(load.stop().failed, Vec::<String>::new());
}

#[test]
fn a_second_roll_is_refused_with_the_number_of_the_first() {
    let (daemon, _, load, roll) = rolling();

    let refused = daemon.scgictl("reload blog");

    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.err.contains(&format!("op:{}", roll.id)), "{}", refused.err);
    daemon.site().write("gate", "");
    assert_eq!(daemon.until_ended(roll.id.0).state, OperationState::Done);
    assert_eq!(daemon.look("blog").generation.0, 2, "it was not rolled twice");
    assert_eq!(load.stop().failed, Vec::<String>::new());
}

#[test]
fn a_second_roll_that_may_wait_follows_the_first() {
    let (daemon, _, load, roll) = rolling();

    let queued = daemon.scgictl("reload blog --queue --no-wait");
    assert_eq!(queued.code, Some(0), "{queued:?}");
    daemon.site().write("gate", "");
    let id: u64 = queued.out.trim().trim_start_matches("op:").parse().unwrap();

    assert_eq!(daemon.until_ended(roll.id.0).state, OperationState::Done);
    assert_eq!(daemon.until_ended(id).state, OperationState::Done);
    assert_eq!(daemon.look("blog").generation.0, 3);
    assert_eq!(load.stop().failed, Vec::<String>::new());
}

/// A daemon with an app whose second generation is held, and what was said when that was rolled.
fn held() -> (Daemon, Said) {
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
    daemon.site().write("broken", "");
    let said = daemon.scgictl("reload blog");
    (daemon, said)
}

#[test]
fn who_rolled_to_a_program_that_cannot_live_is_told_why_and_who_serves_and_what_to_do() {
    let (daemon, said) = held();

    insta::with_settings!({ omit_expression => true, snapshot_path => "words", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("a_held_roll", said.redacted(daemon.site()));
    });
}

#[test]
fn the_status_of_a_held_app_is_exit_3_with_a_line_that_says_why() {
    let (daemon, _) = held();

    let said = daemon.scgictl("status");

    assert_eq!(said.code, Some(3), "{said:?}");
    let lines: Vec<_> = said.out.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("blog")).unwrap();
    let below = redact(lines[at + 1].trim(), daemon.site());
    insta::with_settings!({ omit_expression => true, snapshot_path => "words", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("a_held_app_in_status", below);
    });
}
