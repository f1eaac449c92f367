//! The unit as it is shipped, installed in a machine as deploy/README.md says.

use scgi_tests::{Machine, Said, ScgiClient};

/// What a person reads who installs it.
pub(super) const README: &str = include_str!("../../../deploy/README.md");

/// Two apps, of which the latter listens by a socket unit.
pub(super) const SITE: &str = "
control: {group: scgid}
defaults: {user: www-data, env: {ROUND: 0}}
apps:
  blog: {run: [/srv/programs/it-echo], workers: 3,
    listen: {address: 'unix:/run/scgid/blog.sock', group: www-data, mode: '0660'}}
  shop: {run: [/srv/programs/it-echo], listen: 'systemd:shop', workers: 2}
";

/// Where the apps of [`SITE`] are asked.
pub(super) const BLOG: &str = "/run/scgid/blog.sock";
pub(super) const SHOP: &str = "/run/scgid-shop.sock";

/// A machine in which scgid.service runs.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) machine: Machine,
}

/// The command lines by which the README installs it, in order.
pub(super) fn steps() -> Vec<&'static str> {
    let (_, rest) = README.split_once("\n### Install\n").unwrap();
    let (section, _) = rest.split_once("\n### ").unwrap();
    section.lines().filter_map(|line| line.strip_prefix("# ")).collect()
}

impl Unit {
    /// Installs and starts it with `site` as its configuration.
    pub(super) fn installed(site: &str) -> Self {
        Self::with_drop_in(site, "")
    }

    /// The same, with `lines` added to its `[Service]`.
    pub(super) fn with_drop_in(site: &str, lines: &str) -> Self {
        let unit = Self { machine: Machine::boot() };
        // A clone in which the programs were built.
        unit.must("mkdir -p /root/clone/target/release && ln -s /srv/scgid/deploy /root/clone/");
        for name in ["scgid", "scgictl"] {
            unit.must(&format!("ln -s /srv/programs/it-{name} /root/clone/target/release/{name}"));
        }
        unit.configure(site);
        let drop_in = "/etc/systemd/system/scgid.service.d/test.conf";
        unit.machine.write(drop_in, &format!("[Service]\n{lines}\n"));
        for step in steps() {
            unit.must(&format!("cd /root/clone && {step}"));
        }
        unit
    }

    /// Writes its configuration.
    pub(super) fn configure(&self, site: &str) {
        self.machine.write("/etc/scgid/scgid.yaml", site);
    }

    pub(super) fn run(&self, line: &str) -> Said {
        self.machine.run(line)
    }

    pub(super) fn must(&self, line: &str) -> String {
        self.machine.must(line)
    }

    pub(super) fn property(&self, name: &str) -> String {
        self.machine.property("scgid.service", name)
    }

    /// What it says of itself.
    pub(super) fn status(&self) -> String {
        self.property("StatusText")
    }

    /// The daemon's process, by its number inside.
    pub(super) fn main(&self) -> i32 {
        self.main_again().expect("it runs")
    }

    /// The same; `None` while there is none.
    pub(super) fn main_again(&self) -> Option<i32> {
        let is_up = self.property("ActiveState") == "active";
        let pid = self.property("MainPID").parse().unwrap();
        (is_up && pid > 0).then_some(pid)
    }

    /// All processes of the unit save the daemon, by their numbers inside, in order.
    pub(super) fn workers(&self) -> Vec<i32> {
        let group = "/sys/fs/cgroup/system.slice/scgid.service/cgroup.procs";
        let text = self.run(&format!("cat {group} 2>/dev/null")).out;
        let main: i32 = self.property("MainPID").parse().unwrap();
        let pids = text.lines().map(|line| line.parse::<i32>().unwrap());
        let mut pids: Vec<_> = pids.filter(|pid| *pid != main).collect();
        pids.sort_unstable();
        pids
    }

    /// What the journal has of it, once it has all that was said so far.
    pub(super) fn journal(&self) -> String {
        self.must("journalctl --sync && journalctl --no-pager --unit=scgid.service")
    }

    /// A client of whoever listens at the path `socket` inside.
    pub(super) fn client(&self, socket: &str) -> ScgiClient {
        self.machine.client(socket)
    }
}
