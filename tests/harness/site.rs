//! A folder with a configuration in it, from which a daemon can be started.
//!
//! ```text
//! $dir                          the folder
//! $echo, $pages, $tasks, $unruly, $blocking  the apps of `tests/apps`
//! $scgid                        the daemon's own program
//! $python                       a Python with scgi_worker and some apps, made by `tests/python`
//! $port_NAME                    a port kept free for NAME, the same one each time
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::daemon::{Daemon, Said};
use crate::eventually::eventually_some;
use crate::port::Port;

/// A folder of one test: configuration, sockets, files. Gone when the test ends.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    metrics: Port,
    ports: RefCell<BTreeMap<String, Port>>,
}

/// The program `name` of this crate, as it was just built beside the test or the program that asks.
///
/// # Panics
///
/// If it is not there.
pub fn program(name: &str) -> PathBuf {
    let asks = std::env::current_exe().unwrap();
    // Tests are in a folder below that of the programs.
    let mut places = asks.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    places.find(|program| program.exists()).unwrap_or_else(|| {
        panic!("`{name}` is missing near `{}`; cargo builds it with the tests", asks.display())
    })
}

/// The Python that has scgi_worker as it is in the sources, and apps from PyPI.
///
/// # Panics
///
/// If it is not there: a test that was skipped would look like one that passed.
pub fn python() -> PathBuf {
    let asks = std::env::current_exe().unwrap();
    let mut places = asks.ancestors().map(|folder| folder.join("python-env/bin/python3"));
    places.find(|python| python.exists()).expect("`tests/python` has made it")
}

/// To be called first by a test that changes owners or identities.
///
/// # Panics
///
/// If this is not root: a test that was skipped would look like one that passed.
#[track_caller]
pub fn needs_root() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root; run the tests as root");
}

impl Site {
    /// A folder with `apps` as configuration. Control socket, metrics and revisions are this folder's
    /// unless the configuration says something about them.
    pub fn new(apps: &str) -> Self {
        // Short, since the path of a unix socket is; open, since some apps run as other users.
        let dir = tempfile::Builder::new().prefix("scgid-").tempdir_in("/tmp").unwrap();
        open_to_all(dir.path());
        let site = Self { dir, metrics: Port::reserve(), ports: RefCell::default() };
        site.write_config(apps);
        site
    }

    /// Replaces the configuration.
    pub fn write_config(&self, apps: &str) {
        let (dir, port) = (self.dir.path().display(), self.metrics.number());
        let mut text = self.fill(apps);
        if !text.contains("control:") {
            text = format!("control: {{socket: {dir}/control.sock}}\n{text}");
        }
        if !text.contains("metrics:") {
            text = format!("metrics: {{listen: \"127.0.0.1:{port}\"}}\n{text}");
        }
        if !text.contains("revisions:") {
            text = format!("revisions: {{directory: {dir}/revisions}}\n{text}");
        }
        self.write("scgid.yaml", &text);
    }

    /// Starts a daemon that serves all of it.
    pub fn serve(self) -> Daemon {
        let daemon = self.start();
        daemon.until_up();
        daemon
    }

    /// Starts a daemon; it answers, its apps may not be up yet.
    pub fn start(self) -> Daemon {
        let command = self.scgid(&["run"]);
        Daemon::start(self, command)
    }

    /// The daemon's program, about to be run with `arguments` and this configuration.
    pub fn scgid(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("it-scgid"));
        command.args(arguments).arg(self.config());
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        command
    }

    /// Runs the daemon's program with `arguments` and this configuration to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::by(self.scgid(arguments))
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.path("scgid.yaml")
    }

    /// A copy of the program `name` in the folder, where everybody may run it.
    pub fn copy_of(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::copy(program(name), &path).unwrap();
        path
    }

    /// Something in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The process number that a program writes to the file `name`, once it has.
    pub fn pid_in(&self, name: &str) -> i32 {
        eventually_some(&format!("a process number is in {name}"), || {
            std::fs::read_to_string(self.path(name)).ok()?.trim().parse().ok()
        })
    }

    /// The number of the port kept for `name`.
    pub fn port(&self, name: &str) -> u16 {
        let mut ports = self.ports.borrow_mut();
        ports.entry(name.to_owned()).or_insert_with(Port::reserve).number()
    }

    /// The ports kept so far, by the name they are kept for.
    pub fn ports(&self) -> BTreeMap<String, u16> {
        self.ports.borrow().iter().map(|(name, port)| (name.clone(), port.number())).collect()
    }

    /// The daemon's port for metrics and health.
    pub fn metrics_port(&self) -> u16 {
        self.metrics.number()
    }

    /// `text` with what stands for something replaced by it.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.replace("$dir", &self.dir.path().display().to_string());
        for name in ["echo", "pages", "tasks", "unruly", "blocking", "scgid"] {
            let mark = format!("${name}");
            if filled.contains(&mark) {
                let path = program(&format!("it-{name}"));
                filled = filled.replace(&mark, &path.display().to_string());
            }
        }
        if filled.contains("$python") {
            filled = filled.replace("$python", &python().display().to_string());
        }
        while let Some((before, after)) = filled.split_once("$port_") {
            let end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
            let number = self.port(&after[..end]);
            filled = format!("{before}{number}{}", &after[end..]);
        }
        filled
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
