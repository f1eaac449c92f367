//! What a worker finds itself to be: identity, limits, directory, environment.

use scgi_tests::{Site, needs_root};

/// What the app says of itself, line by line.
struct Who(Vec<String>);

impl Who {
    /// Serves an app with the further `keys`, and asks it.
    fn with(keys: &str) -> Self {
        let apps = format!(
            "apps: {{blog: {{run: [$dir/it-echo], listen: 'unix:$dir/b.sock', workers: 1, {keys}}}}}"
        );
        let site = Site::new(&apps);
        site.copy_of("it-echo");
        site.write("one.env", "FROM=one\nSAID=in the file\n");
        site.write("two.env", "FROM='two'\n# a remark\nQUOTED=\"a b\"\n");
        let daemon = site.serve();
        let text = daemon.app("blog").get("/who").unwrap().text();
        Self(text.lines().map(str::to_owned).collect())
    }

    fn line(&self, start: &str) -> Option<&str> {
        self.0.iter().find_map(|line| line.strip_prefix(start))
    }

    /// A limit, soft and hard.
    fn limit(&self, name: &str) -> (&str, &str) {
        let mut words = self.line(name).unwrap().split_whitespace();
        (words.next().unwrap(), words.next().unwrap())
    }
}

#[test]
fn a_worker_is_the_user_and_has_the_groups_it_was_given() {
    needs_root();

    let who = Who::with("user: nobody, group: '33', groups: ['34', '35']");

    assert_eq!(who.line("Uid: "), Some("65534 65534 65534 65534"));
    assert_eq!(who.line("Gid: "), Some("33 33 33 33"));
    assert_eq!(who.line("Groups: "), Some("34 35"));
}

#[test]
fn a_user_brings_its_own_group_and_none_of_the_daemons() {
    needs_root();

    let who = Who::with("user: nobody");

    assert_eq!(who.line("Uid: "), Some("65534 65534 65534 65534"));
    assert_eq!(who.line("Gid: "), Some("65534 65534 65534 65534"));
    assert!(who.line("Groups:").is_some_and(|groups| !groups.contains(" 0")), "{:?}", who.0);
}

#[test]
fn umask_nice_and_directory_are_as_said() {
    let who = Who::with("umask: '0027', nice: 5, directory: $dir");

    assert_eq!(who.line("Umask: "), Some("0027"));
    assert_eq!(who.line("Nice: "), Some("5"));
    assert!(who.line("Directory: ").unwrap().starts_with("/tmp/scgid-"), "{:?}", who.0);
}

#[test]
fn the_root_is_the_directory_if_none_is_said() {
    assert_eq!(Who::with("nice: 0").line("Directory: "), Some("/"));
}

#[test]
fn limits_are_as_said() {
    let who = Who::with(
        "limits: {nofile: {soft: 100, hard: 200}, core: 0, fsize: 1MiB, stack: {soft: 4MiB, hard: unlimited}}",
    );

    assert_eq!(who.limit("Max open files"), ("100", "200"));
    assert_eq!(who.limit("Max core file size"), ("0", "0"));
    assert_eq!(who.limit("Max file size"), ("1048576", "1048576"));
    assert_eq!(who.limit("Max stack size").0, "4194304");
}

#[test]
fn the_descriptor_limit_of_a_worker_is_not_the_daemons_raised_one() {
    let own = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();

    let who = Who::with("nice: 0");

    assert_eq!(who.limit("Max open files").0, own.0.to_string());
}

#[test]
fn the_environment_holds_what_was_said_and_nothing_of_the_daemons() {
    let who = Who::with("env: {SAID: in the configuration, NUMBER: 8080}, env_file: $dir/one.env");

    assert_eq!(who.line("env SAID="), Some("in the configuration"), "what env says wins");
    assert_eq!(who.line("env FROM="), Some("one"));
    assert_eq!(who.line("env NUMBER="), Some("8080"));
    assert_eq!(who.line("env SCGI_APP="), Some("blog"));
    assert!(who.line("env PATH=").is_some());
    // Cargo sets it for tests, and so for the daemon.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    assert_eq!(who.line("env CARGO_MANIFEST_DIR="), None);
}

#[test]
fn the_daemons_environment_is_passed_on_if_asked_for() {
    let who = Who::with("clear_env: false");

    let own = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    assert_eq!(who.line("env CARGO_MANIFEST_DIR="), Some(own.as_str()));
}

#[test]
fn of_several_environment_files_the_last_one_wins() {
    let who = Who::with("env_file: [$dir/one.env, $dir/two.env]");

    assert_eq!(who.line("env FROM="), Some("two"));
    assert_eq!(who.line("env QUOTED="), Some("a b"));
    assert_eq!(who.line("env SAID="), Some("in the file"));
}

#[test]
fn an_environment_file_is_read_again_for_every_worker() {
    let site = Site::new(
        "apps: {blog: {run: [$echo], listen: 'unix:$dir/b.sock', env_file: $dir/one.env}}",
    );
    site.write("one.env", "FROM=before\n");
    let daemon = site.serve();
    daemon.site().write("one.env", "FROM=after\n");

    let said = daemon.scgictl("reload blog");

    assert_eq!(said.code, Some(0), "{said:?}");
    let text = daemon.app("blog").get("/who").unwrap().text();
    assert!(text.contains("env FROM=after\n"), "{text}");
}

#[test]
fn a_step_that_fails_at_launch_is_told_in_words() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$echo]
    listen: 'unix:$dir/b.sock'
    env_file: $dir/one.env
    workers: 1
    restart: {budget: 2, backoff: {first: 10ms, max: 1h}}
",
    );
    site.write("one.env", "FROM=before\n");
    let daemon = site.serve();
    std::fs::remove_file(daemon.site().path("one.env")).unwrap();

    let said = daemon.scgictl("reload blog");

    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("one.env"), "{}", said.err);
    assert!(said.err.contains("No such file or directory"), "{}", said.err);
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
}
