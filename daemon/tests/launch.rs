//! The launcher as the daemon runs it: a real `scgid launch` that becomes a real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so best by panicking")]

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};
use scgi_protocol::birth::VARIABLES;
use scgid::launch::{self, LaunchOrder};
use scgid::spec::{Identity, Limit, Resource};

/// Descriptors are inherited by whatever is started meanwhile: one launch at a time.
static ONE: Mutex<()> = Mutex::new(());

struct Outcome {
    status: ExitStatus,
    words: String,
    output: String,
}

/// An order to run `script` by the shell.
fn shell(script: &str) -> LaunchOrder {
    program(&["/bin/sh", "-c", script])
}

fn program(arguments: &[&str]) -> LaunchOrder {
    let written = include_str!("fixtures/order.json");
    let mut order: LaunchOrder = serde_json::from_str(written).unwrap();
    order.launch.program = arguments[0].into();
    order.launch.arguments = arguments.iter().map(|&argument| argument.into()).collect();
    order
}

/// Lets the descriptor pass to a program started by this one; its number there is the same.
fn inheritable(fd: impl AsFd) -> RawFd {
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    fd.as_fd().as_raw_fd()
}

fn run(order: &LaunchOrder) -> Outcome {
    run_memory(order.to_memfd().unwrap())
}

fn run_memory(memory: impl Into<OwnedFd>) -> Outcome {
    run_alone(&memory.into(), &[])
}

/// Runs the order in `memory`. What is started inherits it and the `others`.
fn run_alone(memory: &OwnedFd, others: &[&OwnedFd]) -> Outcome {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut heard, status) = std::io::pipe().unwrap();
    let arguments = launch::arguments(inheritable(memory), inheritable(&status));
    for fd in others {
        inheritable(fd);
    }
    let mut launched = Command::new(env!("CARGO_BIN_EXE_scgid"))
        .args(&arguments[1..])
        .env("SCGI_WORKER", "of another daemon")
        .env("SECRET", "of the daemon")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(status);
    for fd in others.iter().chain([&memory]) {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    let mut words = String::new();
    heard.read_to_string(&mut words).unwrap();
    let mut output = String::new();
    launched.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    Outcome { status: launched.wait().unwrap(), words, output }
}

/// A program whose file is kept open.
struct Kept {
    folder: tempfile::TempDir,
    file: OwnedFd,
}

impl Kept {
    /// A script.
    fn script(text: &str) -> Self {
        Self::with(|path| deploy(path, text))
    }

    /// What `deploy` puts at a path.
    fn with(deploy: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app");
        deploy(&path);
        let file = open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        Self { folder, file }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    /// Runs it with one argument, by its path if that still leads to it.
    fn run(&self, argument: &str) -> Outcome {
        let mut order = program(&[self.path().to_str().unwrap(), argument]);
        order.program = Some(self.file.as_raw_fd());
        run_alone(&order.to_memfd().unwrap(), &[&self.file])
    }
}

/// Puts an executable file where another one may be.
fn deploy(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, path).unwrap();
}

fn words_of(order: &LaunchOrder) -> String {
    words_in(&run(order))
}

fn words_in(outcome: &Outcome) -> String {
    assert_eq!(outcome.status.code(), Some(111), "{}", outcome.words);
    outcome.words.clone()
}

#[test]
fn the_app_runs_in_place_of_the_launcher_and_the_status_pipe_stays_silent() {
    let outcome = run(&shell("echo $$ $LISTEN_PID $SCGI_SEAT $SCGI_WORKER; pwd; exit 7"));

    let mut lines = outcome.output.lines();
    let [pid, listen_pid, seat, worker] = lines.next().unwrap().split(' ').collect::<Vec<_>>()[..]
    else {
        panic!("{}", outcome.output)
    };
    assert_eq!((pid, seat, worker), (listen_pid, "2", "77"));
    assert_eq!(lines.next(), Some("/"));
    assert_eq!((outcome.status.code(), outcome.words.as_str()), (Some(7), ""));
}

#[test]
fn the_environment_is_what_was_said_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    fs::write(&file, "MODE=slow\nKEY='a b'\n").unwrap();
    let mut order = program(&["/usr/bin/env"]);
    order.launch.env.insert("MODE".into(), "fast".into());
    order.launch.env_files.push(file);

    let output = run(&order).output;

    let names: Vec<_> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(output.contains("MODE=fast\n") && output.contains("KEY=a b\n"), "{output}");
    let ours = |name: &&str| ["PATH", "LANG", "MODE", "KEY"].contains(name);
    let birth = |name: &&str| VARIABLES.contains(name);
    assert!(names.iter().all(|name| ours(name) || birth(name)), "{output}");
}

#[test]
fn with_the_daemons_environment_comes_no_birth_but_its_own() {
    let mut order = program(&["/usr/bin/env"]);
    order.launch.clear_env = false;

    let output = run(&order).output;

    assert!(output.contains("SECRET=of the daemon\n"), "{output}");
    assert!(output.contains("SCGI_WORKER=77\n"), "{output}");
    assert!(!output.contains("another daemon"), "{output}");
}

#[test]
fn limits_umask_nice_and_directory_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut order = shell("ulimit -n; ulimit -Hn; umask; nice; pwd");
    order.launch.directory = Some(folder.path().canonicalize().unwrap());
    order.launch.umask = Some(0o027);
    order.launch.nice = Some(5);
    let limit = Limit { soft: Some(64), hard: Some(80) };
    order.launch.limits.insert(Resource::Nofile, limit);

    let output = run(&order).output;

    let folder = folder.path().canonicalize().unwrap();
    assert_eq!(output, format!("64\n80\n0027\n5\n{}\n", folder.display()));
}

#[test]
fn the_app_has_default_signals_and_none_blocked() {
    let outcome = run(&shell("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; kill -PIPE $$"));

    let sigpipe_ignored = |line: &str| {
        let mask = line.strip_prefix("SigIgn:").map(str::trim);
        mask.is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() & (1 << 12) != 0)
    };
    assert!(!outcome.output.lines().any(sigpipe_ignored), "{}", outcome.output);
    assert!(outcome.output.contains("SigBlk:\t0000000000000000"), "{}", outcome.output);
    assert_eq!(outcome.status.signal(), Some(nix::libc::SIGPIPE));
}

#[test]
fn no_descriptor_from_the_orders_number_on_reaches_the_app() {
    let order = shell("ls -l /proc/self/fd").to_memfd().unwrap();
    let stray = File::open("/dev/zero").unwrap().into();

    let output = run_alone(&order, &[&stray]).output;

    assert!(output.contains("/dev/null"), "{output}");
    assert!(!output.contains("/dev/zero"), "{output}");
    assert!(!output.contains("memfd"), "{output}");
}

#[test]
fn a_step_that_fails_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let shown = missing.display();

    let mut order = shell("true");
    order.launch.directory = Some(missing.clone());
    assert_eq!(
        words_of(&order),
        format!("cannot change to directory `{shown}`: No such file or directory\n")
    );

    let mut order = shell("true");
    order.launch.env_files.push(missing.clone());
    assert_eq!(
        words_of(&order),
        format!("cannot read environment file `{shown}`: No such file or directory\n")
    );

    let mut order = shell("true");
    let limit = Limit { soft: Some(2), hard: Some(1) };
    order.launch.limits.insert(Resource::Core, limit);
    assert_eq!(words_of(&order), "cannot set limit `core` to 2 (at most 1): Invalid argument\n");
}

#[test]
fn a_program_that_cannot_run_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let why = |path: &Path| {
        let words = words_of(&program(&[path.to_str().unwrap()]));
        let start = format!("cannot run `{}`: ", path.display());
        words.strip_prefix(&start).unwrap_or(&words).trim_end().to_owned()
    };

    assert_eq!(why(&folder.path().join("none")), "there is no such file");
    assert_eq!(why(folder.path()), "it is a directory");
    assert_eq!(
        why(&file("plain", 0o644, "#!/bin/sh\n")),
        "it is not executable (mode 0644); `chmod +x` makes it so"
    );
    assert_eq!(
        why(&file("lost", 0o755, "#!/no/such/python\n")),
        "its interpreter `/no/such/python` does not exist"
    );
    assert_eq!(
        why(&file("bare", 0o755, "echo hello\n")),
        "it is neither a program for this machine nor a script that begins with `#!`"
    );
}

#[test]
fn root_becomes_the_apps_user_and_others_say_that_they_cannot() {
    let identity = Identity {
        uid: 65_534,
        gid: 65_534,
        groups: vec![65_533],
        login: Some(("nobody".into(), "/nonexistent".into())),
    };
    let mut order = shell("id -u; id -g; id -G; echo $USER $HOME; grep ^Uid: /proc/self/status");
    order.launch.identity = Some(identity);

    let outcome = run(&order);

    if Uid::effective().is_root() {
        let lines: Vec<_> = outcome.output.lines().collect();
        assert_eq!(lines[..2], ["65534", "65534"], "{}", outcome.words);
        assert_eq!(lines[2], "65534 65533");
        assert_eq!(lines[3], "nobody /nonexistent");
        assert_eq!(lines[4], "Uid:\t65534\t65534\t65534\t65534");
    } else {
        assert_eq!(outcome.status.code(), Some(111));
        assert!(outcome.words.starts_with("cannot take the groups of user `nobody`;"));
    }
}

#[test]
fn naming_the_user_that_runs_the_daemon_needs_no_rights() {
    let mut order = shell("id -u");
    let groups = nix::unistd::getgroups().unwrap().into_iter().map(Gid::as_raw).collect();
    let (uid, gid) = (Uid::current().as_raw(), Gid::current().as_raw());
    order.launch.identity = Some(Identity { uid, gid, groups, login: None });

    let outcome = run(&order);

    assert_eq!(outcome.output, format!("{uid}\n"), "{}", outcome.words);
}

#[test]
fn a_broken_order_is_an_error_in_words() {
    let mut order = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut order, b"{\"launch\":").unwrap();
    order.rewind().unwrap();

    let outcome = run_memory(order);

    assert_eq!(outcome.status.code(), Some(111));
    assert!(outcome.words.starts_with("cannot read the launch order: it does not make sense: "));
}

#[test]
fn called_by_hand_it_explains_itself() {
    for arguments in [&["launch"][..], &["launch", "x", "y"], &["launch", "3", "1"]] {
        let called = Command::new(env!("CARGO_BIN_EXE_scgid")).args(arguments).output().unwrap();

        assert_eq!(called.status.code(), Some(111));
        assert!(called.stderr.starts_with(b"scgid: "), "{called:?}");
    }
}

#[test]
fn a_script_that_was_replaced_or_removed_is_run_all_the_same_if_its_file_was_kept() {
    let replace = |path: &Path| deploy(path, "#!/bin/sh\necho new $1\n");

    for then in [&replace as &dyn Fn(&Path), &|path| fs::remove_file(path).unwrap()] {
        let kept = Kept::script("#!/bin/sh\necho old $1\n");
        then(&kept.path());

        let outcome = kept.run("argument");

        assert_eq!(outcome.output, "old argument\n", "{}", outcome.words);
    }
}

#[test]
fn a_script_that_is_where_it_was_is_run_by_its_name_and_finds_no_descriptor() {
    // No pipe: its ends would be the shell's, for a while.
    let kept = Kept::script("#!/bin/sh\necho $0; ls /proc/$$/fd\n");

    let outcome = kept.run("");

    let mut lines = outcome.output.lines();
    assert_eq!(lines.next(), kept.path().to_str(), "{}", outcome.words);
    // Standard input, output and error, and the script as the shell opened it.
    assert_eq!(lines.count(), 4, "{}", outcome.output);
}

#[test]
fn a_program_that_was_replaced_is_run_by_the_file_that_was_kept_and_finds_no_descriptor() {
    let kept = Kept::with(|path| {
        fs::copy("/bin/ls", path).unwrap();
    });
    deploy(&kept.path(), "#!/bin/sh\necho new\n");

    let outcome = kept.run("/proc/self/fd");

    // The last is the folder being listed.
    assert_eq!(outcome.output, "0\n1\n2\n3\n", "{}", outcome.words);
}

#[test]
fn of_a_kept_file_that_cannot_be_run_the_reason_is_told() {
    let kept = Kept::script("#!/no/such/interpreter\n");
    deploy(&kept.path(), "#!/bin/sh\n");

    let words = words_in(&kept.run(""));

    let path = kept.path().display().to_string();
    let reason = "its interpreter `/no/such/interpreter` does not exist";
    assert_eq!(words, format!("cannot run `{path}`: {reason}\n"));
}
