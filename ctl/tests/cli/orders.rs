//! Orders: what is asked of the daemon, what is said of the end, and the exit code.

use scgi_protocol::control::{App, AppState, Operation, Roll, Verb};
use scgi_protocol::name::{Generation, OperationId};

use crate::fake::{Fake, Reply, events, json, problem};
use crate::run::Ended;
use crate::samples;

/// A daemon with the apps `blog` and `shop` that accepts `verb` for `blog` as operation 12.
fn accepting(verb: Verb) -> Fake {
    let apps = [samples::serving("blog"), samples::held("shop")];
    let accepted = samples::operation(12, verb, Some("blog"));
    Fake::new()
        .on("GET /v1/apps", json(&apps))
        .on("GET /v1/apps/blog", json(&samples::detail(apps[0].clone())))
        .on("GET /v1/apps/shop", json(&samples::detail(apps[1].clone())))
        .on(&format!("POST /v1/apps/blog/{}", verb.as_str()), json(&accepted))
        .on("PUT /v1/apps/blog/workers", json(&accepted))
        .on("GET /v1/operations/12", json(&accepted))
}

fn ending(verb: Verb) -> Fake {
    accepting(verb).on("GET /v1/operations/12", json(&samples::done(12, verb, Some("blog"))))
}

fn silent(out: &str) -> Ended {
    Ended { code: Some(0), out: out.into(), err: String::new() }
}

#[test]
fn every_verb_waits_for_its_end_and_says_it_in_a_line() {
    for (verb, end) in [
        (Verb::Start, "blog: started, 4 of 4 workers serving (3.0s)\n"),
        (Verb::Stop, "blog: stopped, no worker is left (3.0s)\n"),
        (Verb::Restart, "blog: restarted, 4 of 4 workers serving (3.0s)\n"),
        (Verb::Reload, "blog: reloaded, 4 of 4 workers serving (3.0s)\n"),
        (Verb::Retry, "blog: retried, 4 of 4 workers serving (3.0s)\n"),
    ] {
        let fake = ending(verb);

        let ended = fake.scgictl(&format!("{} blog", verb.as_str())).ended();

        assert_eq!(ended, silent(end));
        assert_eq!(fake.ordered(), [format!("POST /v1/apps/blog/{}", verb.as_str())]);
        assert!(fake.asked().contains(&"GET /v1/operations/12?wait=1".to_owned()));
    }
}

#[test]
fn a_roll_is_paused_resumed_and_undone() {
    for (verb, end) in [
        (Verb::Pause, "blog: roll paused, 4 of 4 workers serving (3.0s)\n"),
        (Verb::Resume, "blog: roll resumed, 4 of 4 workers serving (3.0s)\n"),
        (Verb::Undo, "blog: roll undone, 4 of 4 workers serving (3.0s)\n"),
    ] {
        let fake = ending(verb);

        let ended = fake.scgictl(&format!("rollout {} blog", verb.as_str())).ended();

        assert_eq!(ended, silent(end));
        assert_eq!(fake.ordered(), [format!("POST /v1/apps/blog/{}", verb.as_str())]);
    }
}

#[test]
fn a_reload_may_wait_for_the_one_under_way() {
    let fake = ending(Verb::Reload);

    let ended = fake.scgictl("reload --queue blog").ended();

    assert_eq!(ended.code, Some(0));
    assert_eq!(fake.ordered(), ["POST /v1/apps/blog/reload?queue=true"]);
}

#[test]
fn the_status_of_a_roll_is_one_line_for_every_app() {
    let roll = Roll {
        from: Generation(3),
        to: Generation(4),
        old: 3,
        new: 1,
        under_way: true,
        paused: false,
    };
    let [mut blog, mut shop, mut wiki, desk] =
        ["blog", "shop", "wiki", "desk"].map(samples::serving);
    blog.roll = Some(roll);
    shop.roll = Some(Roll { paused: true, ..roll });
    wiki.roll = Some(Roll { under_way: false, old: 0, new: 4, ..roll });
    let fake = Fake::new().on("GET /v1/apps", json(&[blog, shop, wiki, desk]));

    insta::assert_snapshot!(fake.scgictl("rollout status").ended().out, @r"
    blog: generation 4; replaces 3; seats: 1 new, 3 old
    shop: generation 4; replaces 3, paused; seats: 1 new, 3 old
    wiki: generation 4; an undo returns to 3 until 4 has proven itself
    desk: generation 7
    ");
}

#[test]
fn scale_takes_a_number_a_difference_or_bounds() {
    for (count, body) in [
        ("4", r#"{"to":4}"#),
        ("+2", r#"{"by":2}"#),
        ("-1", r#"{"by":-1}"#),
        ("min=1,max=8", r#"{"range":{"min":1,"max":8}}"#),
        ("max=8", r#"{"range":{"min":null,"max":8}}"#),
    ] {
        let fake = ending(Verb::Scale);

        let ended = fake.scgictl(&format!("scale blog {count} --timeout 1m")).ended();

        assert_eq!(ended, silent("blog: scaled, 4 of 4 workers serving (3.0s)\n"));
        assert_eq!(fake.ordered(), [format!("PUT /v1/apps/blog/workers {body}")]);
    }
}

#[test]
fn reload_without_an_app_takes_over_the_configuration() {
    let fake = Fake::new()
        .on("POST /v1/site/reload", json(&samples::operation(3, Verb::Apply, None)))
        .on("GET /v1/operations/3", json(&samples::done(3, Verb::Apply, None)));

    let ended = fake.scgictl("reload").ended();

    assert_eq!(ended, silent("configuration: taken over, 2 apps changed (3.0s)\n"));
}

#[test]
fn an_order_for_all_apps_names_each_of_them() {
    let fake = ending(Verb::Reload)
        .on("POST /v1/apps/shop/reload", json(&samples::operation(13, Verb::Reload, Some("shop"))))
        .on("GET /v1/operations/13", json(&samples::done(13, Verb::Reload, Some("shop"))));

    let ended = fake.scgictl("reload --all").ended();

    assert_eq!(ended.code, Some(0));
    assert_eq!(fake.ordered(), ["POST /v1/apps/blog/reload", "POST /v1/apps/shop/reload"]);
    insta::assert_snapshot!(ended.out, @r"
    blog: reloaded, 4 of 4 workers serving (3.0s)
    shop: reloaded, 4 of 4 workers serving (3.0s)
    ");
}

#[test]
fn a_failed_order_says_why_what_shows_it_and_what_next() {
    let fake = accepting(Verb::Restart)
        .on(
            "POST /v1/apps/shop/restart",
            json(&samples::operation(13, Verb::Restart, Some("shop"))),
        )
        .on("GET /v1/operations/13", json(&samples::failed(13, Verb::Restart, Some("shop"))));

    let ended = fake.scgictl("restart shop").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ended.err, @r"
    error: shop: restart failed after 3.0s: generation 10 died 4 times in 10s: exit 1
      | ImportError: no module named shop
      next: mend the program, then `scgictl retry shop`
    ");
}

#[test]
fn a_wrong_name_among_right_ones_changes_nothing() {
    let fake = ending(Verb::Stop);

    let ended = fake.scgictl("stop blog blgo").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""));
    assert_eq!(fake.ordered(), [""; 0]);
    insta::assert_snapshot!(ended.err, @r"
    error: no app is called `blgo`; nothing has changed
      help: did you mean `blog`?
    ");
}

#[test]
fn an_app_held_by_another_operation_is_a_conflict_that_names_it() {
    let fake = accepting(Verb::Scale).on(
        "POST /v1/apps/blog/stop",
        problem(409, "conflict", |problem| {
            problem.detail = "`blog` is being scaled".into();
            problem.operation = Some(OperationId(12));
        }),
    );

    let ended = fake.scgictl("stop blog").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(6), ""));
    insta::assert_snapshot!(ended.err, @r"
    error: `blog` is being scaled
      help: `scgictl wait op:12` waits for the operation that is in the way
    ");
}

#[test]
fn a_refusal_for_one_app_keeps_no_other_from_its_order() {
    let fake = ending(Verb::Stop).on(
        "POST /v1/apps/shop/stop",
        problem(409, "conflict", |problem| problem.detail = "`shop` is being reloaded".into()),
    );

    let ended = fake.scgictl("stop shop blog").ended();

    assert_eq!(ended.code, Some(6));
    assert_eq!(ended.out, "blog: stopped, no worker is left (3.0s)\n");
    insta::assert_snapshot!(ended.err, @"error: shop: `shop` is being reloaded");
}

#[test]
fn no_wait_prints_the_number_of_the_operation_and_leaves() {
    let fake = accepting(Verb::Reload);

    let ended = fake.scgictl("reload blog --no-wait").ended();

    assert_eq!(ended, silent("op:12\n"));
}

#[test]
fn when_the_time_is_over_the_operation_goes_on_and_can_be_found_again() {
    let fake = accepting(Verb::Reload).on("GET /v1/operations/12", Reply::Silence);

    let ended = fake.scgictl("reload blog --timeout 50ms").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(124), ""));
    insta::assert_snapshot!(ended.err, @r"
    timed out after 50ms: blog: reload: 1 of 4 workers serving
      the operation goes on; `scgictl wait op:12` waits for it again
    ");
}

#[test]
fn ctrl_c_detaches_and_says_how_to_come_back() {
    let fake = accepting(Verb::Reload).on("GET /v1/operations/12", Reply::Silence);
    let is_waited_for = || fake.asked().iter().filter(|asked| asked.contains("wait=1")).count() > 1;

    let ended = fake.scgictl("reload blog").interrupted(is_waited_for);

    assert_eq!((ended.code, ended.out.as_str()), (Some(130), ""));
    insta::assert_snapshot!(ended.err, @r"
    interrupted: blog: reload: 1 of 4 workers serving
      the operation goes on; `scgictl wait op:12` waits for it again
    ");
}

#[test]
fn verbose_tells_every_step_and_quiet_none() {
    let loud = ending(Verb::Start).scgictl("start blog -v").ended();
    let quiet = ending(Verb::Start).scgictl("start blog -q").ended();

    assert_eq!(quiet, silent(""));
    assert_eq!(loud.out, "blog: started, 4 of 4 workers serving (3.0s)\n");
    insta::assert_snapshot!(loud.err, @r"
    blog: start: 1 of 4 workers serving
    blog: started, 4 of 4 workers serving (3.0s)
    ");
}

#[test]
fn json_is_the_operation_as_it_ended() {
    let fake = ending(Verb::Start);

    let ended = fake.scgictl("start blog -o json").ended();

    let printed: Operation = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(printed, samples::done(12, Verb::Start, Some("blog")));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn a_refused_configuration_is_told_problem_by_problem_and_changes_nothing() {
    let problems = serde_json::json!([
        {
            "place": { "file": "/etc/scgid/scgid.yaml", "line": 4, "column": 14 },
            "path": "apps.shop.workers",
            "message": "must be 1 to 1024, not 0",
            "hint": null,
            "snippet": " --> /etc/scgid/scgid.yaml:4:14\n  |\n4 |     workers: 0\n  |              ^ not 0\n",
        },
        {
            "place": null,
            "path": "apps.wiki.listen",
            "message": "same socket as apps.blog.listen",
            "hint": "give each app a socket of its own",
            "snippet": null,
        },
    ]);
    let refusal = problem(422, "invalid-config", |problem| {
        problem.problems = serde_json::from_value(problems).unwrap();
    });

    let ended = Fake::new().on("POST /v1/site/reload", refusal).scgictl("reload").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(ended.err, @r"
    refused: 2 problems in the configuration; nothing has changed

    apps.shop.workers: must be 1 to 1024, not 0
     --> /etc/scgid/scgid.yaml:4:14
      |
    4 |     workers: 0
      |              ^ not 0

    apps.wiki.listen: same socket as apps.blog.listen
      help: give each app a socket of its own
    ");
}

#[test]
fn shutdown_is_done_when_nobody_listens_any_more() {
    let ending = samples::operation(5, Verb::Shutdown, None);
    let farewell = Reply::Farewell(serde_json::to_string(&ending).unwrap());
    let fake = Fake::new()
        .on("POST /v1/shutdown", json(&ending))
        .on("GET /v1/operations/5", Reply::Break)
        .on("GET /v1/operations/5", farewell);

    let ended = fake.scgictl("shutdown").ended();

    assert_eq!(ended, silent("scgid: ended, nobody listens on its socket\n"));
}

#[test]
fn wait_for_an_operation_ends_as_it_ends() {
    let fake = Fake::new()
        .on("GET /v1/operations/12", json(&samples::operation(12, Verb::Scale, Some("blog"))))
        .on("GET /v1/operations/12", json(&samples::done(12, Verb::Scale, Some("blog"))));

    let ended = fake.scgictl("wait op:12").ended();

    assert_eq!(ended, silent("blog: scaled, 4 of 4 workers serving (3.0s)\n"));
}

#[test]
fn wait_for_an_app_looks_again_when_something_happens() {
    let mut rolling = samples::serving("blog");
    rolling.state = AppState::Rolling;
    let event = events(&[(17, samples::event(17))]);
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[&rolling]))
        .on("GET /v1/apps", json(&[&rolling]))
        .on("GET /v1/apps", json(&[samples::serving("blog")]))
        .on("GET /v1/events", Reply::Endless(event));

    let ended = fake.scgictl("wait blog --for gen=7").ended();

    assert_eq!(ended, silent("blog: serving for 3d 4h, 4/4 workers, generation 7\n"));
}

#[test]
fn wait_that_times_out_says_how_the_app_is_and_why() {
    let fake = Fake::new()
        .on("GET /v1/apps", json(&[samples::held("shop")]))
        .on("GET /v1/events", Reply::Endless(String::new()));

    let ended = fake.scgictl("wait shop --for stopped --timeout 50ms").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(124), ""));
    insta::assert_snapshot!(ended.err, @r#"
    timed out after 50ms: shop: held for 12m, 4/4 workers, generation 9
      generation 10 died 4 times in 10s: exit 1; "ImportError: no module named shop"; mend the program, then `scgictl retry shop`
    "#);
}

#[test]
fn the_goal_of_wait_is_met_only_by_its_state() {
    let code = |app: &App, goal: &str, timeout: &str| {
        let fake = Fake::new()
            .on("GET /v1/apps", json(&[app]))
            .on("GET /v1/events", Reply::Endless(String::new()));
        fake.scgictl(&format!("wait blog --for {goal} --timeout {timeout} -q")).ended().code
    };

    for (app, met, unmet) in [
        (samples::serving("blog"), vec!["well", "serving", "gen=7"], vec!["stopped", "gen=8"]),
        (samples::idle("blog"), vec!["well", "gen=7"], vec!["serving", "stopped"]),
        (samples::stopped("blog"), vec!["stopped"], vec!["well", "serving", "gen=7"]),
    ] {
        for goal in met {
            assert_eq!(code(&app, goal, "50s"), Some(0), "{goal} by {:?}", app.state);
        }
        for goal in unmet {
            assert_eq!(code(&app, goal, "1ms"), Some(124), "{goal} by {:?}", app.state);
        }
    }
}

#[test]
fn a_daemon_that_leaves_while_it_is_waited_for_is_unreachable() {
    let fake = accepting(Verb::Reload).on("GET /v1/operations/12", Reply::Break);

    let ended = fake.scgictl("reload blog").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(7), ""));
    assert!(ended.err.starts_with("error: the connection to the daemon broke"), "{}", ended.err);
}

#[test]
fn an_operation_that_is_not_known_is_no_success() {
    let fake = Fake::new().on(
        "GET /v1/operations/9",
        problem(404, "no-such-operation", |p| {
            p.detail = "there is no operation 9".into();
        }),
    );

    let ended = fake.scgictl("wait op:9").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(1), "error: there is no operation 9\n"));
}
