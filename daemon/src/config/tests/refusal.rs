//! What a person is told: every refusal as it is printed.

use super::super::load;
use super::*;

/// Each name is a sentence about what its text is answered with; the snapshot is the answer.
macro_rules! refusals {
    ($($name:ident: $text:expr;)+) => {
        $(
            #[test]
            fn $name() {
                gallery().bind(|| insta::assert_snapshot!(stringify!($name), refused($text)));
            }
        )+
    };
}

/// All answers stand in one folder, to be read as a whole.
fn gallery() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("refusals");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// A site of one app that says what it must, and `$keys` besides.
macro_rules! app {
    ($keys:literal) => {
        concat!(
            "apps:\n  blog:\n    run: [bin/blog]\n    listen: 127.0.0.1:4000\n    ",
            $keys,
            "\n"
        )
    };
}

/// A site of one app for each of the `values` that somebody may have written for `key`.
fn slips(key: &str, values: &[&str]) -> String {
    let app = |(index, value): (usize, &&str)| {
        format!("  a{index}: {{{key}: {value}, listen: 127.0.0.1:{}}}\n", 4000 + index)
    };
    let apps: String = values.iter().enumerate().map(app).collect();
    format!("defaults: {{run: [bin/blog]}}\napps:\n{apps}")
}

refusals! {
    // Keys.
    a_misspelt_key_gets_the_likely_one: app!("worker: 4");
    every_problem_is_told_at_once_in_the_order_of_the_text: "\
metrics: {listen: 9464}
defaults: {stop_timeout: 5, evn: {LANG: C}}
apps:
  blog:
    run: [bin/blogg]
    listen: unix:/run/scgid/blog.sock
    workers: {min: 9, max: 8}
  shop:
    run: [python3, -m, scgi_worker, \"shop:app\"]
    workers: 0
    user: www-dat
";
    an_app_with_a_wrong_name_is_told_what_else_is_wrong: "\
apps:
  Bad_Name:
    run: []
    workers: {min: 4, max: 1}
";
    php_fpm_is_told_our_words: app!("pm: dynamic\n    pm.max_children: 5\n    max_children: 5\n    listen.mode: 0660");
    uwsgi_is_told_our_words: app!("processes: 4\n    chdir: /srv\n    uid: www-data\n    master: true");
    supervisord_is_told_our_words: app!("command: /bin/x\n    numprocs: 4\n    stopwaitsecs: 10\n    autorestart: true");
    systemd_is_told_our_words: app!("ExecStart: /bin/x\n    WorkingDirectory: /srv\n    LimitNOFILE: 4096\n    User=: x");
    gunicorn_is_told_our_words: app!("bind: 127.0.0.1:80\n    graceful_timeout: 30");
    a_key_of_another_version_is_unknown: app!("watchdog: 10s\n    recycle: 5\n    harakiri: 30");
    a_key_in_the_wrong_place_is_told_where_it_belongs: "user: www-data\napps: {blog: {run: [bin/blog], listen: 127.0.0.1:1, include: x}}\n";
    a_key_like_nothing_here_gets_the_list: "apps: {}\nzzzzz: 1\n";
    a_key_without_value_is_told_so: app!("workers:");

    // Apps.
    an_app_that_stands_twice_is_shown_twice: "\
apps:
  blog: {run: [bin/blog], listen: 127.0.0.1:4000}
  blog: {run: [bin/blog], listen: 127.0.0.1:4001}
";
    an_app_that_stands_twice_is_told_what_else_is_wrong_with_both: "\
apps:
  blog: {run: [bin/blog], listen: 127.0.0.1:4000, workers: 0}
  blog: {run: [bin/none], listen: 127.0.0.1:4000, worker: 1, nice: 1, nice: 99}
  blog: {env: {A: 1, A: [2]}, limits: {core: {soft: 1, hard: 2, hard: x}}}
";
    an_app_with_an_illegal_name_is_offered_a_legal_one: "apps:\n  My_Blog: {run: [bin/blog], listen: 127.0.0.1:4000}\n";
    an_app_must_say_what_runs_and_where_it_listens: "apps:\n  blog:\n    workers: 2\n";
    no_apps_point_to_init: "apps: {}\n";
    apps_without_value_point_to_init: "apps:\n";

    // Sockets.
    two_apps_on_one_unix_socket_are_both_shown: "\
apps:
  blog: {run: [bin/blog], listen: unix:run/app.sock}
  shop: {run: [bin/blog], listen: {address: unix:/srv/site/./run/app.sock}}
";
    two_apps_on_one_port_are_both_shown: "\
apps:
  blog: {run: [bin/blog], listen: 127.0.0.1:4000}
  shop: {run: [bin/blog], listen: [\"[::1]:4000\", 0.0.0.0:4000]}
";
    a_socket_in_the_defaults_is_no_socket_for_two: "\
defaults: {run: [bin/blog], listen: 127.0.0.1:4000}
apps: {blog: {workers: 1}, shop: {workers: 2}}
";
    an_app_on_the_control_socket_is_refused: "\
control: {socket: /run/scgid/blog.sock}
apps: {blog: {run: [bin/blog], listen: unix:/run/scgid/blog.sock}}
";
    an_app_on_the_usual_control_socket_is_refused: "apps: {blog: {run: [bin/blog], listen: unix:/run/scgid/control.sock}}\n";
    an_app_on_the_usual_metrics_port_is_refused: "apps: {blog: {run: [bin/blog], listen: 127.0.0.1:9464}}\n";
    an_address_is_told_how_to_be_written: "\
apps:
  a: {run: [bin/blog], listen: 4000}
  b: {run: [bin/blog], listen: \":4000\"}
  c: {run: [bin/blog], listen: /run/c.sock}
  d: {run: [bin/blog], listen: example.org:80}
  e: {run: [bin/blog], listen: \"systemd:\"}
  f: {run: [bin/blog], listen: []}
  g: {run: [bin/blog], listen: tcp://127.0.0.1:80}
  h: {run: [bin/blog], listen: \"unix:\"}
  i: {run: [bin/blog], listen: {mode: \"0660\"}}
  j: {run: [bin/blog], listen: 127.0.0.1:0}
  k: {run: [bin/blog], listen: 0}
  l: {run: [bin/blog], listen: unix:@blog}
  m: {run: [bin/blog], listen: unix:/run/scgid/}
";
    there_must_be_room_for_a_socket: "\
control: {socket: /srv/blog/README}
apps:
  a: {run: [bin/blog], listen: unix:/srv/blog}
  b: {run: [bin/blog], listen: unix:/srv/blog/README/app.sock}
";
    only_a_unix_socket_has_a_mode: "apps: {blog: {run: [bin/blog], listen: {address: 127.0.0.1:4000, mode: \"0660\"}}}\n";

    // Programs.
    a_missing_program_says_where_it_was_looked_for: "apps: {a: {run: [ruby], listen: 127.0.0.1:1}, b: {run: [bin/nothing], listen: 127.0.0.1:2}}\n";
    a_program_relative_to_its_directory_is_told_the_whole_path: "apps: {a: {run: [bin/tool], directory: /srv/blog, listen: 127.0.0.1:1}}\n";
    a_file_that_is_no_program_is_told_so: "\
apps:
  a: {run: [/srv/blog/README], listen: 127.0.0.1:1}
  b: {run: [/srv/blog], listen: 127.0.0.1:2}
  c: {run: [/root/blog], listen: 127.0.0.1:3}
  d: {run: [/dev/log], listen: 127.0.0.1:4}
";
    a_program_that_would_not_run_is_told_why: "\
apps:
  a: {run: [/srv/blog/bin/unrunnable], listen: 127.0.0.1:1}
  b: {run: [dos], env: {PATH: /srv/blog/bin}, listen: 127.0.0.1:2}
";
    an_environment_file_is_read_as_the_launcher_reads_it: app!("env_file: [/srv/blog/broken.env, /dev/log]");
    not_even_root_may_have_more_files_than_the_kernel_allows: app!("limits: {nofile: unlimited, nproc: unlimited}");
    a_command_line_is_shown_as_a_list: "apps: {blog: {run: \"python3 -m scgi_worker 'a b' shop:app\", listen: 127.0.0.1:1}}\n";
    missing_directories_and_files_are_told: app!("directory: /srv/blog/README\n    env_file: [/srv/blog/none.env, /srv/blog]");

    // People.
    an_unknown_user_or_group_gets_the_likely_one: app!("user: wwwdata\n    group: wheel\n    groups: [deploy]");
    a_number_without_entry_needs_a_group: app!("user: 4711");
    unknown_people_at_the_control_socket_refuse_the_site: "\
control: {group: scgidd, readers: [alice, \"user:bob\"], writers: \"@www-data\"}
apps: {blog: {run: [bin/blog], listen: 127.0.0.1:1}}
";

    // Values.
    numbers_out_of_bounds_are_told_the_bounds: app!("workers: 0\n    concurrency: 5000\n    nice: -21\n    roll: {surge: 1.5}");
    a_number_in_quotes_is_told_so: app!("workers: \"4\"");
    a_pool_whose_least_is_more_than_its_most_is_refused: app!("workers: {min: 9, max: 8}");
    more_spare_workers_than_workers_are_refused: app!("workers: {spare: 9}");
    durations_are_told_how_to_be_written: app!("start_timeout: 30\n    stop_timeout: \"30\"\n    ready: {after: 1M}\n    restart: {period: soon, backoff: {first: 2h, max: 0s}}");
    ready_by_age_is_told_how_to_be_written: app!("ready: 5s");
    a_first_pause_longer_than_the_longest_is_refused: app!("restart: {backoff: {first: 1m}}");
    sizes_are_told_how_to_be_written: app!("limits: {as: 1GB, core: big, data: -1, stack: 99999999999T, nofile: 64K, cpu: 60}");
    limits_in_two_parts_need_both_in_order: app!("limits: {nofile: {soft: 5}, core: {soft: 2, hard: 1}, as: {soft: 1, hard: 2, medium: 3}}");
    modes_are_told_to_be_quoted: "\
defaults: {umask: 022}
control: {mode: \"0668\"}
apps: {blog: {run: [bin/blog], listen: {address: unix:x, mode: 432}}}
";
    a_count_of_workers_is_told_how_to_be_written: slips("workers", &["four", "auto", "4.0", "2-8", "[1, 4]", "1..4", "1e3", "-3", "{minimum: 1}"]);
    readiness_is_told_how_to_be_written: slips("ready", &["5", "\"5\"", "after 5s", "Notify", "true", "soon", "{}", "{after: 5}"]);
    a_umask_is_told_how_to_be_written: slips("umask", &["0999", "\"0999\"", "\"22\"", "22", "0o022", "u=rwx"]);
    a_span_is_told_how_to_be_written: slips("start_timeout", &["0", "\"1,5s\"", "30S", "never", "-5s", "2d"]);
    variables_are_told_how_to_be_written: slips("env", &["A=1", "[A=1, B=2]", "{A: }"]);
    a_path_is_not_read_by_a_shell: slips("directory", &["~/blog", "$HOME/blog", "\"${HOME}\"", "/nowhere"]);
    names_are_one_word_each: slips("user", &["www-data:www-data"]);
    groups_are_a_list: slips("groups", &["www-data deploy", "\"www-data, deploy\""]);
    limits_are_told_how_to_be_written: slips("limits", &["4096", "{nofile: 64k}", "{nofile: -1}", "{nofile: 1:2}", "{nofile: [1, 2]}", "{nofile: unlimitd}", "{as: 1.5G}", "{as: 512m}", "{core: none}", "{RLIMIT_CORE: 0}"]);
    a_flag_is_told_how_to_be_written: slips("clear_env", &["yes", "\"true\"", "0", "maybe"]);
    a_mount_is_told_how_to_be_written: slips("mount", &["https://example.org/blog/", "http://example.org"]);
    restarts_are_told_how_to_be_written: slips("restart", &["always", "never", "5", "{backoff: 1s}", "{period: 60}"]);
    a_signal_is_told_how_to_be_written: slips("stop_signal", &["sigterm", "Hup", "KILL"]);
    an_address_is_mended: "\
defaults: {run: [bin/blog]}
apps:
  a: {listen: localhost}
  b: {listen: \"[::1]\"}
  c: {listen: 127.0.0.1:70000}
  d: {listen: tcp:127.0.0.1:4000}
  e: {listen: \"::1:4000\"}
  f: {listen: 127.0.0.1 4000}
  g: {listen: systemd}
  h: {listen: Unix:/run/app.sock}
  i: {listen: {host: 127.0.0.1, port: 4000}}
  j: {listen: \"unix:~/app.sock\"}
  k: {run: [bin/blog --verbose], listen: 127.0.0.1:4001}
";
    metrics_and_control_are_mended: "\
metrics: localhost:9464
control: /run/scgid/control.sock
apps: {blog: {run: [bin/blog], listen: 127.0.0.1:1}}
";
    a_signal_is_one_of_a_few: app!("stop_signal: KILL");
    variables_of_the_birth_are_not_to_be_set: app!("env: {SCGI_APP: x, LISTEN_FDS: 1, \"A=B\": 1, \"\": 2}");
    a_mount_is_a_path: app!("mount: blog/");
    a_yes_is_no_boolean: app!("clear_env: yes");
    a_mount_has_no_spaces: app!("mount: /a b");
    the_top_is_no_mount: app!("mount: /");
    a_nul_is_refused: app!("env: {A: \"x\\0y\"}");
    metrics_are_an_address_or_off: "metrics: 9464\napps: {blog: {run: [bin/blog], listen: 127.0.0.1:1}}\n";

    // Texts that are no YAML, or too much of it.
    tabs_are_told_to_be_spaces: "apps:\n\tblog: {}\n";
    an_unclosed_quote_is_shown_where_it_opens: "apps:\n  blog:\n    run: [\"bin/blog]\n";
    an_unclosed_bracket_is_shown_where_it_opens: "apps:\n  blog:\n    run: [bin/blog\n    listen: x\n";
    a_line_indented_like_no_other_is_shown: "apps:\n    blog: {}\n  shop: {}\n";
    a_colon_too_many_is_shown: "apps:\n  blog: run: x\n";
    a_tag_is_refused: "apps: !include apps.yaml\n";
    an_alias_bomb_is_refused: BOMB;
    a_deep_nest_is_refused: "apps: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n";
    an_alias_to_nothing_is_refused: "apps: *nothing\n";
    two_documents_are_refused: "apps: {}\n---\napps: {}\n";
    an_empty_file_is_refused: "";
    a_file_of_comments_is_refused: "# nothing yet\n";
    a_text_that_is_no_mapping_is_refused: "hello\n";
    an_ini_file_is_refused: "[program:blog]\ncommand = /srv/blog/bin/blog\nnumprocs = 4\n";
    a_control_character_is_refused: "apps: {blog: \u{1}}\n";
}

const BOMB: &str = "\
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
";

#[test]
fn only_root_may_start_workers_as_somebody_else() {
    let machine = Paper::of(1000, 1000);
    let text = "apps: {a: {run: [bin/blog], listen: 127.0.0.1:4001, user: www-data}, \
                b: {run: [bin/blog], listen: 127.0.0.1:4002, user: deploy}}\n";

    let problems = read(&machine, text).and_then(Loaded::strict).unwrap_err();

    insta::assert_snapshot!(problems.render(Paint::Plain));
}

#[test]
fn what_only_root_may_have_is_told_to_others() {
    let machine = Paper::of(1000, 1000);
    let text = "\
defaults: {run: [bin/blog]}
apps:
  a: {listen: 127.0.0.1:80, nice: -5}
  b: {listen: unix:/run/scgid/b.sock, limits: {nofile: {soft: 1, hard: 5000}}}
  c: {listen: 127.0.0.1:4000, nice: 5, limits: {nofile: 4096}}
";

    let loaded = read(&machine, text).unwrap();

    let names: Vec<_> = loaded.site.apps.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["c"], "the others are left out, and in nobody's way");
    insta::assert_snapshot!(loaded.strict().unwrap_err().render(Paint::Plain));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let text = app!("worker: 4");
    let problems = read(&Paper::new(), text).unwrap_err();

    let painted = problems.render(Paint::Colour);

    assert!(painted.contains("\u{1b}["), "{painted}");
    let mut plain = String::new();
    for (index, part) in painted.split("\u{1b}[").enumerate() {
        plain.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, problems.render(Paint::Plain));
}

#[test]
fn a_problem_carries_its_place_path_hint_and_lines() {
    let problems = read(&Paper::new(), app!("worker: 4")).unwrap_err();

    let told = problems.list();

    insta::assert_json_snapshot!(told);
}

#[test]
fn of_very_many_problems_only_the_first_are_told_in_full() {
    let keys: String = (0..200).map(|n| format!("unknown{n}: 1\n")).collect();

    let problems = read(&Paper::new(), &keys).unwrap_err();

    assert_eq!(problems.count(), 200);
    assert_eq!(problems.list().len(), Problems::TOLD_MAX);
    assert!(problems.render(Paint::Plain).ends_with("\nand 150 more\n"));
}

/// What loading a path on the real machine is answered with; `folder` stands for the folder.
fn refused_in(folder: &Path, path: &Path) -> String {
    let problems = load(path).and_then(Loaded::strict).unwrap_err();
    problems.render(Paint::Plain).replace(folder.to_str().unwrap(), "FOLDER")
}

#[test]
fn a_path_that_is_no_readable_file_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"apps:\n  caf\xe9: {}\n").unwrap();
    let big = folder.path().join("big.yaml");
    std::fs::write(&big, vec![b'#'; 5 * 1024 * 1024]).unwrap();

    let unreadable = PathBuf::from("/proc/self/mem");
    let device = PathBuf::from("/dev/null");

    let none = folder.path().join("none.yaml");
    let paths = [folder.path().to_owned(), none, latin, big, unreadable, device];
    let told: Vec<String> = paths.iter().map(|path| refused_in(folder.path(), path)).collect();

    insta::assert_snapshot!(told.join("----\n"));
}

#[test]
fn an_included_file_is_shown_by_its_own_name_and_includes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("apps.d")).unwrap();
    let site = folder.path().join("site.yaml");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "site.yaml",
        "include: [apps.d/*.yaml, none.yaml, none.d/*.yaml, '*/x.yaml', 's*.yaml', apps.d]\n\
         apps: {blog: {run: [sh], listen: 127.0.0.1:1}}\n",
    );
    write("apps.d/a.yaml", "apps: {blog: {run: [sh], listen: 127.0.0.1:2}}\n");
    write("apps.d/b.yaml", "apps: {shop: {run: [sh], listen: 127.0.0.1:1, worker: 2}}\n");
    write("apps.d/c.yaml", "include: [x.yaml]\ncontrol: {}\napps: {}\n");
    write("apps.d/d.yaml", "");
    write("apps.d/.hidden.yaml", "\t");

    insta::assert_snapshot!(refused_in(folder.path(), &site));
}

#[test]
fn a_problem_found_later_shows_where_the_key_stands() {
    let text = "defaults: {listen: 127.0.0.1:4000}\napps: {blog: {run: [bin/blog]}}\n";
    let sources = loaded(text).sources;

    let told = sources.problem("apps.blog.listen", "cannot bind: in use", Some("x".to_owned()));
    let nearest = sources.problem("apps.blog.workers.max", "too many", None);
    let nowhere = sources.problem("metrics.listen", "in use", None);

    insta::assert_json_snapshot!([told, nearest, nowhere]);
}
