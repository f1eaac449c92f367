//! A machine of its own with a real systemd as its first process: namespaces over an overlay of the
//! root, so that it starts within a second and leaves nothing behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::daemon::Said;
use crate::eventually::{eventually, eventually_some};
use crate::process;
use crate::scgi::ScgiClient;
use crate::site::{needs_root, program};

/// How the name of a machine's control group begins; the number of the test's process follows.
const GROUP: &str = "scgid-test-";

/// What programs inside find.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running machine. Dropping it ends all of its processes; if the test fails, what its journal
/// has is printed.
#[derive(Debug)]
pub struct Machine {
    scratch: TempDir,
    group: PathBuf,
    /// Made the namespaces, and ends with them.
    outside: Child,
    /// Its first process, as it is numbered outside.
    init: i32,
}

impl Machine {
    /// Starts one, and waits until its systemd is up. The workspace is its `/srv/scgid`, the
    /// programs that were just built are in its `/srv/programs`.
    ///
    /// # Panics
    ///
    /// If this is not root, or namespaces or control groups cannot be had: a test that was skipped
    /// would look like one that passed.
    pub fn boot() -> Self {
        needs_root();
        let scratch = tempfile::Builder::new().prefix("scgid-machine-").tempdir_in("/tmp").unwrap();
        let group = make_group();
        let log = File::create(scratch.path().join("console.log")).unwrap();
        let inside = scratch.path().join("machine");
        fs::create_dir(&inside).unwrap();
        let outside = Command::new("sh")
            // If the test is killed, so are they, one after the other.
            .args(["-c", "echo 0 >\"$0/cgroup.procs\" && exec setpriv --pdeathsig KILL \"$@\""])
            .arg(&group)
            .args(["unshare", "--pid", "--mount", "--cgroup", "--net", "--uts", "--ipc"])
            .args(["--fork", "--kill-child=KILL", "sh", "-c", include_str!("machine.sh"), "sh"])
            .args([&inside, &workspace(), program("it-scgid").parent().unwrap()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut machine = Self { scratch, group, outside, init: 0 };
        machine.init = eventually_some("the machine has a first process", || {
            machine.must_live();
            process::descendants(machine.outside_pid()).first().copied()
        });
        eventually("systemd is up", || {
            machine.must_live();
            machine.run("systemctl is-system-running").out == "running\n"
        });
        machine
    }

    fn outside_pid(&self) -> i32 {
        i32::try_from(self.outside.id()).unwrap()
    }

    fn must_live(&mut self) {
        let ended = self.outside.try_wait().unwrap();
        assert!(ended.is_none(), "no machine could be made: {ended:?}\n{}", self.console());
    }

    fn console(&self) -> String {
        fs::read_to_string(self.scratch.path().join("console.log")).unwrap_or_default()
    }

    /// Where something inside is to be found from outside; sockets can be connected to.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.init.to_string())
            .join("root")
            .join(inside.trim_start_matches('/'))
    }

    /// Writes a file inside, and the folders that lead to it.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A command line of its shell, about to be run; works in `/srv/scgid`.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.init))
            .args([
                "--all",
                "--root",
                "--wd",
                "--",
                "sh",
                "-c",
                "cd /srv/scgid && eval \"$0\"",
                line,
            ])
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("COLUMNS", "200")])
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, line: &str) -> Said {
        Said::by(self.command(line))
    }

    /// Runs a command line that has to succeed, and returns what it said.
    pub fn must(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        said.out
    }

    /// One property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.must(&format!("systemctl show --value --property={name} {unit}")).trim().to_owned()
    }

    /// Sends a signal to a process, by its number inside.
    pub fn signal(&self, pid: i32, signal: Signal) {
        self.must(&format!("kill -{} {pid}", signal.as_str().trim_start_matches("SIG")));
    }

    /// A client of whoever listens at the path `socket` inside.
    pub fn client(&self, socket: &str) -> ScgiClient {
        ScgiClient::new(&format!("unix:{}", self.path(socket).display()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = self.run("journalctl --no-pager --lines=80 2>&1").out;
            eprintln!("---- console ----\n{}---- journal ----\n{journal}----", self.console());
        }
        // With its first process go all others, their mounts and their network; who made the
        // namespaces buries it, and ends.
        if self.init > 0 {
            let first = nix::unistd::Pid::from_raw(self.init);
            let _it_may_have_ended = nix::sys::signal::kill(first, Signal::SIGKILL);
            let _ended = self.outside.wait();
        }
        process::end(&mut self.outside);
        if let Err(error) = remove_group(&self.group) {
            eprintln!("`{}` is left behind: {error}", self.group.display());
        }
    }
}

/// The workspace's folder.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A control group for one machine, below the root of version 2.
fn make_group() -> PathBuf {
    let root = groups();
    sweep(&root);
    let prefix = format!("{GROUP}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(root).unwrap().keep()
}

/// Where version 2 of control groups is mounted.
fn groups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let found = mounts.find_map(|mut words| {
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    });
    found.expect("control groups of version 2 are mounted; systemd cannot run without")
}

/// Removes groups of tests that were killed; those of living ones are in use.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).unwrap().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(GROUP)?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _another_test_may_have = remove_group(&entry.path());
        }
    }
}

/// Removes a group and all below it; none may have a process.
fn remove_group(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
