//! What `scgid check` says of a configuration that is wrong: the real program, read as a person
//! reads it. Refusals name a place, a path and a way out, and change nothing.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use scgi_protocol::control::AppState;
use scgi_tests::{Said, Site, needs_root, program};

/// What is printed about a configuration, with the folder's name taken out of it.
fn refusal(text: &str) -> String {
    let site = Site::new("");
    // As it is, without the lines that other tests need.
    site.write("scgid.yaml", text);

    let checked = site.run(&["check"]);

    assert_eq!((checked.code, checked.out.as_str()), (Some(2), ""), "{checked:?}");
    nameless(&site, &checked.err)
}

fn nameless(site: &Site, text: &str) -> String {
    let folder = site.path("").display().to_string();
    text.replace(folder.trim_end_matches('/'), "$dir")
}

/// Each name says what is wrong; the snapshot is what is told.
macro_rules! refusals {
    ($($name:ident: $text:expr;)+) => {
        $(
            #[test]
            fn $name() {
                insta::with_settings!({ omit_expression => true, snapshot_path => "refusals" }, {
                    insta::assert_snapshot!(stringify!($name), refusal($text));
                });
            }
        )+
    };
}

refusals! {
    an_unknown_key_is_told_the_likely_one: "\
apps:
  blog:
    run: [/bin/true]
    listen: unix:/run/blog.sock
    wrokers: 4
";
    an_app_that_stands_twice: "\
apps:
  blog: {run: [/bin/true], listen: 'unix:/run/one.sock'}
  blog: {run: [/bin/true], listen: 'unix:/run/two.sock'}
";
    two_apps_on_one_socket: "\
apps:
  blog: {run: [/bin/true], listen: 'unix:/run/app.sock'}
  shop: {run: [/bin/true], listen: 'unix:/run/./app.sock'}
";
    a_missing_program: "\
apps:
  blog: {run: [/srv/no/such/program], listen: 'unix:/run/blog.sock'}
";
    an_unknown_user: "\
apps:
  blog: {run: [/bin/true], listen: 'unix:/run/blog.sock', user: no-such-user}
";
    a_least_above_the_most: "\
apps:
  blog: {run: [/bin/true], listen: 'unix:/run/blog.sock', workers: {min: 9, max: 8}}
";
    sizes_and_durations_that_are_none: "\
apps:
  blog:
    run: [/bin/true]
    listen: unix:/run/blog.sock
    stop_timeout: soon
    start_timeout: 5
    limits: {as: 1 gigabyte}
";
    a_tab_for_indentation: "apps:\n\tblog: {}\n";
    nothing_at_all: "";
    every_problem_at_once: "\
metrics: {listen: 9464}
apps:
  Blog: {run: [/bin/true], listen: 'unix:/run/blog.sock'}
  shop: {run: [/srv/no/such/program], listen: 4000, user: no-such-user}
  wiki: {workers: {min: 9, max: 8}, lisen: 'unix:/run/wiki.sock'}
";
}

#[test]
fn an_alias_bomb_is_refused_in_words_and_not_by_running_out_of_memory() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{inner}]").unwrap();
    }

    let told = refusal(&text);

    assert!(told.contains("alias"), "{told}");
    assert!(told.lines().count() < 20, "{told}");
}

#[test]
fn a_directory_in_place_of_a_file_is_told_so() {
    let site = Site::new("");
    let folder = site.path("sites");
    std::fs::create_dir(&folder).unwrap();
    let mut command = std::process::Command::new(program("it-scgid"));
    command.arg("check").arg(folder);

    let said = Said::by(command);

    assert_eq!(said.code, Some(2));
    insta::with_settings!({ omit_expression => true, snapshot_path => "refusals" }, {
        insta::assert_snapshot!("a_directory_in_place_of_a_file", nameless(&site, &said.err));
    });
}

#[test]
fn a_daemon_does_not_start_with_what_check_refuses_and_says_the_same() {
    let site =
        Site::new("apps: {blog: {run: [/bin/true], listen: 'unix:$dir/b.sock', wrokers: 4}}");

    let (checked, run) = (site.run(&["check"]), site.run(&["run"]));

    assert_eq!((run.code, run.err), (Some(2), checked.err));
    assert!(!site.path("control.sock").exists());
}

/// What `check -o json` says is wrong with the apps of `site`.
fn messages(site: &Site) -> Vec<String> {
    let said = site.run(&["check", "-o", "json"]);
    let verdict: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let problems = verdict["problems"].as_array().unwrap().clone();
    problems.iter().map(|problem| problem["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_the_launcher_would_fail_at_is_told_by_check_and_start_alike() {
    let site = Site::new(
        "
apps:
  broken: {run: [$echo], listen: 'unix:$dir/1.sock', env_file: $dir/broken.env}
  script: {run: [$dir/script], listen: 'unix:$dir/2.sock'}
  folder: {run: [$dir], listen: 'unix:$dir/3.sock'}
  taken: {run: [$echo], listen: 'unix:$dir/script'}
  many: {run: [$echo], listen: 'unix:$dir/4.sock', limits: {nofile: unlimited}}
  well: {run: [$echo], listen: 'unix:$dir/5.sock', workers: 1}
",
    );
    site.write("broken.env", "# keys\nTOKEN=1\nPASSWORD\n");
    let script = site.write("script", "#!/nonexistent -u\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();

    let told = messages(&site);
    let daemon = site.start();

    daemon.until("well", AppState::Serving);
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(told[0].ends_with("broken.env`, line 3: no `=` in it; write `NAME=value`, a value of several lines in quotes"), "{told:#?}");
    assert!(
        told[1].ends_with("script`: its interpreter `/nonexistent` does not exist"),
        "{told:#?}"
    );
    for (app, message) in ["broken", "script", "folder", "taken", "many"].iter().zip(&told) {
        daemon.until(app, AppState::Unprepared);
        let cause = daemon.look(app).trouble.unwrap().cause;
        assert!(cause.contains(message.as_str()), "{app}: {cause} is not {message}");
    }
}

#[test]
fn what_a_user_may_not_have_is_told_beforehand() {
    needs_root();
    let site = Site::new(
        "
control: {socket: $dir/open/control.sock}
apps:
  nice: {run: [/bin/true], listen: 'unix:$dir/open/1.sock', nice: -20}
  limit: {run: [/bin/true], listen: 'unix:$dir/open/2.sock', limits: {nofile: 1000000000}}
  closed: {run: [/bin/true], listen: 'unix:/etc/app.sock'}
  well: {run: [/bin/true], listen: 'unix:$dir/open/3.sock', nice: 19, limits: {core: 0}}
",
    );
    let open = site.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let scgid = site.copy_of("it-scgid");
    let mut command = std::process::Command::new(scgid);
    command.arg("check").arg(site.config()).uid(65534).gid(65534);

    let said = Said::by(command);

    assert_eq!(said.code, Some(2), "{said:?}");
    for words in [
        "refused: 3 problems",
        "apps.nice.nice: this user may not go below nice value",
        "apps.limit.limits.nofile: 1000000000 is more than this user's hard limit",
        "apps.closed.listen: this user may make nothing in `/etc`",
    ] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
}

#[test]
fn a_good_file_is_told_so() {
    let site = Site::new("apps: {blog: {run: [/bin/true], listen: 'unix:$dir/blog.sock'}}");

    let said = site.run(&["check"]);

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(nameless(&site, &said.out), "$dir/scgid.yaml: 1 app, no problems\n");
}
