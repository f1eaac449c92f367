//! Configurations: planned, applied, listed, returned to.

use std::sync::LazyLock;

use scgi_protocol::control::{
    AppFailure, AppPlan, Author, Difference, Means, Operation, Origin, Outcome, Plan, PlanAction,
    Revision, Revisions, Unprepared, Unreadable, Verb,
};
use scgi_protocol::name::OperationId;

use crate::fake::{Fake, Reply, json, problem};
use crate::samples;

fn difference(key: &str, old: Option<&str>, new: Option<&str>, means: Means) -> Difference {
    let [old, new] = [old, new].map(|value| value.map(str::to_owned));
    Difference { key: key.into(), old, new, means, secret: key.starts_with("env.") }
}

fn change(app: &str, action: PlanAction, differences: Vec<Difference>) -> AppPlan {
    AppPlan { app: app.parse().unwrap(), action, differences }
}

fn plan() -> Plan {
    let blog = vec![
        difference(
            "run",
            Some("[/srv/blog/bin/blog]"),
            Some("[/srv/blog/bin/blog, -v]"),
            Means::Roll,
        ),
        difference("env.DB", None, Some("postgres://u:secret@db"), Means::Roll),
        difference("listen[0].mode", Some("0600"), Some("0660"), Means::Retune),
        difference("listen[1].address", Some("unix:/a"), Some("127.0.0.1:4000"), Means::Rebind),
        difference("workers.max", Some("8"), Some("12"), Means::Resize),
        difference("mount", Some(&"/long".repeat(20)), None, Means::Roll),
    ];
    Plan {
        revision: Some(7),
        tag: "\"0123456789abcdef\"".into(),
        changes: vec![
            change("blog", PlanAction::Change, blog),
            change("old", PlanAction::Remove, Vec::new()),
            change("shop", PlanAction::Add, Vec::new()),
        ],
        site: vec![difference("control.readers", Some("[]"), Some("[user:7]"), Means::Retune)],
        unprepared: vec![Unprepared {
            app: "wiki".parse().unwrap(),
            why: "there is no program `/srv/wiki`".into(),
        }],
    }
}

fn revision(number: u64, by: Author, origin: Origin, outcome: Outcome) -> Revision {
    let apps = (0..number).map(|n| format!("app-{n}").parse().unwrap()).collect();
    let digest = format!("{number:016x}");
    Revision {
        number,
        at: samples::ago(3600 * (10 - number)),
        by,
        origin,
        outcome,
        digest,
        apps,
        kept: number > 3,
    }
}

/// The same all the time: ages are taken from one moment.
fn history() -> Revisions {
    static HISTORY: LazyLock<Revisions> = LazyLock::new(some_history);
    HISTORY.clone()
}

fn some_history() -> Revisions {
    let file = || Origin::File("/etc/scgid/scgid.yaml".into());
    Revisions {
        in_force: Some(7),
        revisions: vec![
            revision(3, Author::Start, file(), Outcome::Unknown),
            revision(4, Author::Signal, file(), Outcome::Done),
            revision(
                5,
                Author::Peer { uid: 0, pid: Some(4711) },
                Origin::Text("standard input".into()),
                Outcome::Failed("blog: generation 2 spent its restart budget".into()),
            ),
            revision(7, Author::Peer { uid: 33, pid: None }, Origin::Rollback(4), Outcome::Running),
        ],
        unreadable: vec![Unreadable {
            file: "6.revision".into(),
            why: "it is damaged: its end is missing".into(),
        }],
        directory: Some("/var/lib/scgid/revisions/run-scgid-control.sock".into()),
        trouble: Some("cannot write to `/var/lib`: No space left on device".into()),
    }
}

#[test]
fn plan_prints_a_line_for_each_key_and_no_secret() {
    let ended = Fake::new().on("POST /v1/plan", json(&plan())).scgictl("plan").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ended.out, @r"
    ~ (site)  control.readers     [] -> [user:7]                                                     retune
    ~ blog    run                 [/srv/blog/bin/blog] -> [/srv/blog/bin/blog, -v]                   roll
    ~ blog    env.DB              - -> (hidden)                                                      roll
    ~ blog    listen[0].mode      0600 -> 0660                                                       retune
    ~ blog    listen[1].address   unix:/a -> 127.0.0.1:4000                                          rebind
    ~ blog    workers.max         8 -> 12                                                            resize
    ~ blog    mount               /long/long/long/long/long/long/long/long/long/long/long/lon… -> -  roll
    - old
    + shop
    ! wiki    cannot be prepared  there is no program `/srv/wiki`
    ");
}

#[test]
fn a_wide_plan_holds_nothing_back() {
    let ended = Fake::new().on("POST /v1/plan", json(&plan())).scgictl("plan -o wide").ended();

    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("- -> postgres://u:secret@db"), "{}", ended.out);
    assert!(ended.out.contains(&"/long".repeat(20)), "{}", ended.out);
}

#[test]
fn a_plan_is_printed_for_programs_and_by_name() {
    let run = |format: &str| {
        let fake = Fake::new().on("POST /v1/plan", json(&plan()));
        fake.scgictl(&format!("plan -o {format}")).ended()
    };

    assert_eq!(serde_json::from_str::<Plan>(&run("json").out).unwrap(), plan());
    assert_eq!(serde_yaml::from_str::<Plan>(&run("yaml").out).unwrap(), plan());
    assert_eq!(run("name").out, "blog\nold\nshop\n");
    assert!(["json", "yaml", "name"].iter().all(|format| run(format).code == Some(1)));
}

#[test]
fn a_plan_that_changes_nothing_succeeds() {
    let fake = Fake::new().on("POST /v1/plan", json(&Plan::default()));

    let ended = fake.scgictl("plan").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""));
    assert_eq!(ended.err, "nothing would change\n");
}

#[test]
fn a_plan_that_cannot_be_made_never_looks_like_one_with_changes() {
    for (status, kind, code) in [
        (422, "invalid-config", 2),
        (409, "senseless", 2),
        (412, "changed", 6),
        (403, "forbidden", 5),
    ] {
        let fake = Fake::new().on("POST /v1/plan", problem(status, kind, |_| {}));
        assert_eq!(fake.scgictl("plan").ended().code, Some(code), "{kind}");
    }
    assert_eq!(crate::run::Run::new("plan").socket("/nowhere").ended().code, Some(7));
}

#[test]
fn a_configuration_is_sent_with_its_name_and_the_tag_that_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a site.yaml");
    std::fs::write(&file, "apps: {}\n").unwrap();
    let fake = Fake::new()
        .on("POST /v1/plan", json(&Plan::default()))
        .on("POST /v1/apply", json(&samples::done(3, Verb::Apply, None)))
        .on("GET /v1/operations/3", json(&samples::done(3, Verb::Apply, None)));

    let planned = fake.scgictl("plan").arg(&file).ended();
    let applied = fake.scgictl("apply - --if-match abc").input("apps: {b: {}}").ended();
    let empty = fake.scgictl("apply -").input("").ended();

    assert_eq!((planned.code, applied.code, empty.code), (Some(0), Some(0), Some(0)));
    let name = file.display().to_string().replace(' ', "%20");
    assert_eq!(
        fake.ordered(),
        [
            format!("POST /v1/plan?name={name} apps: {{}}\n"),
            "POST /v1/apply?name=standard%20input if-match \"abc\" apps: {b: {}}".into(),
            "POST /v1/apply?name=standard%20input".into(),
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_told_before_anybody_is_asked() {
    let fake = Fake::new();

    let ended = fake.scgictl("apply /nowhere/site.yaml").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    assert_eq!(
        ended.err,
        "error: cannot read `/nowhere/site.yaml`: No such file or directory (os error 2)\n"
    );
    assert!(fake.asked().is_empty());
}

/// A daemon that takes a configuration over, for which it waits for `blog`, and serves another one
/// than its file says in the end.
fn applying(path: &str) -> Fake {
    let mut rolling = samples::serving("blog");
    rolling.operation = Some(OperationId(3));
    rolling.workers.serving = 3;
    let mut status = samples::status(vec![samples::serving("blog")]);
    status.daemon.origin = Some(Origin::Rollback(4));
    let under_way = |progress: &str| {
        let mut operation = samples::operation(3, Verb::Apply, None);
        operation.progress = progress.into();
        json(&operation)
    };
    Fake::new()
        .on(path, under_way("accepted"))
        .on("GET /v1/operations/3", under_way("0 of 1 apps done"))
        .on("GET /v1/operations/3", json(&samples::done(3, Verb::Apply, None)))
        .on("GET /v1/apps", json(&[rolling]))
        .on("GET /v1/status", json(&status))
}

#[test]
fn rollback_says_that_the_file_is_another_one() {
    let fake = applying("POST /v1/rollback");

    let ended = fake.scgictl("rollback --to 4").ended();

    assert_eq!(fake.ordered(), ["POST /v1/rollback?to=4"]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "configuration: taken over, 2 apps changed (3.0s)\n")
    );
    assert_eq!(
        ended.err,
        "in force is revision 7, from revision 4, and not `/etc/scgid/scgid.yaml`; `scgictl \
         reload`, SIGHUP or a restart takes that file\n"
    );
}

#[test]
fn status_says_when_another_configuration_is_in_force_than_the_files() {
    let ended = applying("POST /v1/rollback").scgictl("status").ended();

    insta::assert_snapshot!(ended.out.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    scgid 0.1.0, pid 4711, up 4d 4h, serves `/etc/scgid/scgid.yaml`, metrics at 127.0.0.1:9464
    in force is revision 7, from revision 4, and not `/etc/scgid/scgid.yaml`; `scgictl reload`, SIGHUP or a restart takes that file
    1 app: 1 well
    ");
}

#[test]
fn an_apply_is_told_step_by_step_to_programs() {
    let ended = applying("POST /v1/apply").scgictl("apply -o json").ended();

    let steps: Vec<Operation> =
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&str> = steps.iter().map(|step| step.progress.as_str()).collect();
    assert_eq!(told, ["accepted", "0 of 1 apps done", "2 apps changed"]);
    assert_eq!(steps.last(), Some(&samples::done(3, Verb::Apply, None)));
}

/// An apply that does not end before it is left.
fn endless() -> Fake {
    let mut under_way = samples::operation(4, Verb::Apply, None);
    under_way.progress = "0 of 1 apps done".into();
    let mut rolling = samples::serving("blog");
    rolling.operation = Some(OperationId(4));
    rolling.workers.serving = 3;
    Fake::new()
        .on("POST /v1/apply", json(&under_way))
        .on("GET /v1/operations/4", Reply::Silence)
        .on("GET /v1/apps", json(&[rolling]))
}

#[test]
fn an_apply_shows_each_app_it_waits_for_on_a_terminal() {
    let (code, screen) = endless().scgictl("apply --timeout 3s").on_terminal(80);

    assert_eq!(code, Some(124));
    assert!(screen.contains("configuration: apply: 0 of 1 apps done"), "{screen}");
    assert!(screen.contains("  blog: serving, 3 of 4 workers serving, generation 7"), "{screen}");
}

#[test]
fn an_apply_that_is_left_goes_on_and_can_be_found_again() {
    let fake = endless();
    let is_waited_for = || fake.asked().iter().any(|asked| asked.contains("operations/4"));

    let ended = fake.scgictl("apply --timeout 1h").interrupted(is_waited_for);

    assert_eq!((ended.code, ended.out.as_str()), (Some(130), ""));
    assert!(ended.err.contains("`scgictl wait op:4` waits for it again"), "{}", ended.err);
    let unwaited = endless().scgictl("apply --no-wait").ended();
    assert_eq!((unwaited.code, unwaited.out.as_str()), (Some(0), "op:4\n"));
}

#[test]
fn history_is_a_table_with_the_one_in_force_marked() {
    let ended =
        Fake::new().on("GET /v1/revisions", json(&history())).scgictl("rollout history").ended();

    assert_eq!(ended.code, Some(0));
    insta::assert_snapshot!(ended.out, @r"
    REVISION  AGE    BY                FROM                   OUTCOME    APPS
           3  7h 0m  start             /etc/scgid/scgid.yaml  unknown    app-0, app-1, app-2
           4  6h 0m  SIGHUP            /etc/scgid/scgid.yaml  done       app-0, app-1, app-2, app-3
           5  5h 0m  user 0, pid 4711  standard input         failed     app-0, app-1, app-2, app-3, app-4
              blog: generation 2 spent its restart budget
          *7  3h 0m  user 33           revision 4             under way  app-0, app-1, app-2, app-3, app-4 and 2 more
    ");
    insta::assert_snapshot!(ended.err, @r"
    revisions are not kept: cannot write to `/var/lib`: No space left on device
    `/var/lib/scgid/revisions/run-scgid-control.sock/6.revision`: it is damaged: its end is missing
    ");
}

#[test]
fn history_is_printed_for_programs_by_name_and_in_full() {
    let run = |format: &str| {
        let fake = Fake::new().on("GET /v1/revisions", json(&history()));
        fake.scgictl(&format!("rollout history -q -o {format}")).ended().out
    };

    let (json, yaml): (Revisions, Revisions) =
        (serde_json::from_str(&run("json")).unwrap(), serde_yaml::from_str(&run("yaml")).unwrap());
    for printed in [json, yaml] {
        assert_eq!(printed.revisions[2].outcome, history().revisions[2].outcome);
        assert_eq!(Revisions { revisions: history().revisions, ..printed }, history());
    }
    assert_eq!(run("name"), "3\n4\n5\n7\n");
    assert!(run("wide").contains("app-0, app-1, app-2, app-3, app-4, app-5, app-6"));
}

/// An apply that failed because of so many apps.
fn failed_apply(apps: usize) -> Operation {
    let failure = |n: usize| AppFailure {
        app: format!("a{n}").parse().unwrap(),
        reason: format!("generation 2 spent its restart budget; its last worker: exit {n}"),
        evidence: vec!["Traceback (most recent call last):".into(), "KeyError: 'DATABASE'".into()],
    };
    let failures: Vec<_> = (1..=apps).map(failure).collect();
    Operation {
        reason: Some(format!("a1: {}", failures[0].reason)),
        evidence: Vec::new(),
        failures,
        next: Some("mend it and apply it again".into()),
        ..samples::failed(12, Verb::Apply, None)
    }
}

fn told(apps: usize, format: &str) -> String {
    let fake = Fake::new()
        .on("POST /v1/site/reload", json(&samples::operation(12, Verb::Apply, None)))
        .on("GET /v1/operations/12", json(&failed_apply(apps)));
    let ended = fake.scgictl(&format!("reload {format}")).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    if format.is_empty() { ended.err } else { ended.out }
}

#[test]
fn a_configuration_that_one_app_fails_says_why_and_what_its_worker_wrote() {
    insta::assert_snapshot!(told(1, ""), @r"
    error: configuration: apply failed after 3.0s: a1: generation 2 spent its restart budget; its last worker: exit 1
      | Traceback (most recent call last):
      | KeyError: 'DATABASE'
      next: mend it and apply it again
    ");
}

#[test]
fn a_configuration_that_many_apps_fail_says_it_app_by_app_and_names_the_rest() {
    insta::assert_snapshot!(told(6, ""), @r"
    error: configuration: apply failed after 3.0s: 6 apps
      a1: generation 2 spent its restart budget; its last worker: exit 1
        | Traceback (most recent call last):
        | KeyError: 'DATABASE'
      a2: generation 2 spent its restart budget; its last worker: exit 2
        | Traceback (most recent call last):
        | KeyError: 'DATABASE'
      a3: generation 2 spent its restart budget; its last worker: exit 3
        | Traceback (most recent call last):
        | KeyError: 'DATABASE'
      and 3 more: a4, a5, a6
      next: mend it and apply it again
    ");
}

#[test]
fn a_program_is_told_of_every_app_that_failed() {
    let out = told(6, "-o json");

    let last: Operation = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(last.failures, failed_apply(6).failures);
}
