//! Who a process is: what tells it from another that has the same number later.

use std::fs;

use scgi_protocol::birth;
use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::page::leaf_at;

use crate::proc::{Environment, stat_fields};
use crate::supervisor::{Exit, Pid};

/// What /proc says of a process (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shell) struct Stat {
    /// It has ended; only its parent has not taken notice.
    pub(super) is_dead: bool,
    /// When it began, in clock ticks since the machine did.
    pub(super) began: u64,
    /// How it ended, if it has and the kernel lets us know.
    pub(super) exit: Option<Exit>,
}

impl Stat {
    /// Looks at `pid`; `None` if there is no such process.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = stat_fields(text)?;
        let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
        let began = fields.nth(18)?.parse().ok()?;
        // 0 is also what is shown to those who may not know.
        let status: i32 = fields.nth(29).and_then(|field| field.parse().ok()).unwrap_or(0);
        let exit = (is_dead && status != 0).then(|| exit(status));
        Some(Self { is_dead, began, exit })
    }
}

/// What a status as of wait(2) means.
pub(in crate::shell) fn exit(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    }
}

/// When `pid` began; `None` if there is no such process.
pub(in crate::shell) fn began(pid: Pid) -> Option<u64> {
    Stat::of(pid).map(|stat| stat.began)
}

/// What the environment of a process says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is a worker of this site, or was left behind by one.
    Worker(AppName, WorkerId),
    /// It is another site's, or nobody's.
    Other,
    /// Nothing: it has overwritten its environment, or we may not see it.
    Silent,
    /// Nothing yet: it is becoming another program in this very moment.
    Changing,
}

impl Claim {
    /// Looks at the environment of `pid`. A site is known by its `notify_socket`.
    pub(super) fn of(pid: Pid, notify_socket: &str) -> Self {
        match Environment::of(pid) {
            Environment::Seen(block) => Self::read(&block, notify_socket),
            Environment::Hidden => Self::Silent,
            Environment::Changing => Self::Changing,
        }
    }

    fn read(block: &[u8], notify_socket: &str) -> Self {
        match (birth::worker_of(block), birth::notify_socket_of(block)) {
            (Some((app, worker)), Some(to)) if to == notify_socket => Self::Worker(app, worker),
            (None, None) => Self::Silent,
            (Some(_) | None, Some(_) | None) => Self::Other,
        }
    }
}

/// The leaf of its app's book that was given to a process, as its environment says.
pub(super) fn leaf(pid: Pid) -> Option<u16> {
    let Environment::Seen(block) = Environment::of(pid) else { return None };
    leaf_at(birth::page_offset_of(&block)?)
}

/// A process leads a group of its own, as workers do.
pub(super) fn leads_group(pid: Pid) -> bool {
    let number = nix::unistd::Pid::from_raw(pid);
    nix::unistd::getpgid(Some(number)) == Ok(number)
}

/// All processes of the machine.
pub(super) fn everybody() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.flatten().filter_map(pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read() {
        let text = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0 0 0 0 0 0 0 0 0 0 0 0 0 \
                    0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

        let stat = Stat::parse(text).unwrap();

        assert_eq!(stat, Stat { is_dead: false, began: 4711, exit: None });
    }

    #[test]
    fn the_status_of_the_dead_is_read_as_far_as_it_is_shown() {
        let text = |status: i32| {
            let fields = "0 ".repeat(18);
            format!("7 (x) Z {fields}9 {}{status}\n", "0 ".repeat(29))
        };
        let exit = |status| Stat::parse(&text(status)).unwrap().exit;

        assert_eq!(exit(256), Some(Exit::Code(1)));
        assert_eq!(exit(11), Some(Exit::Signal(11)));
        assert_eq!(exit(128 + 6), Some(Exit::Signal(6)));
        assert_eq!(exit(0), None);
    }

    #[test]
    fn this_process_is_there_and_began() {
        let me = Pid::try_from(std::process::id()).unwrap();

        assert!(began(me).unwrap() > 0);
        assert_eq!(Stat::of(Pid::MAX), None);
        assert!(everybody().contains(&me));
    }

    #[test]
    fn a_worker_is_known_by_its_site() {
        let block = b"SCGI_APP=blog\0SCGI_WORKER=7\0NOTIFY_SOCKET=/run/n\0";

        let ours = Claim::Worker("blog".parse().unwrap(), WorkerId(7));
        assert_eq!(Claim::read(block, "/run/n"), ours);
        assert_eq!(Claim::read(block, "/run/other"), Claim::Other);
        assert_eq!(Claim::read(b"NOTIFY_SOCKET=/run/n\0", "/run/n"), Claim::Other);
        assert_eq!(Claim::read(b"", "/run/n"), Claim::Silent);
    }
}
