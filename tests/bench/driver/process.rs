//! What the kernel says of processes and of the machine. Only reads `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// Memory of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Its own pages and its share of those it shares.
    pub(crate) proportional_kib: u64,
    /// Every page it has, shared or not.
    pub(crate) resident_kib: u64,
}

/// `root` and everything descended from it.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in everybody() {
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

fn everybody() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// CPU time `pids` have used, and the children they have waited for.
///
/// The scheduler's own account in nanoseconds; of the dead only what the clock tick saw.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    pids.iter().map(|&pid| of_threads(pid) + of_the_dead(pid)).sum()
}

fn of_threads(pid: u32) -> Duration {
    let nanoseconds = threads(pid).filter_map(|thread| {
        let text = fs::read_to_string(thread.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn of_the_dead(pid: u32) -> Duration {
    // Fields 16 and 17 of proc_pid_stat(5), where the state, field 3, is ours number 0.
    let fields = stat(pid).unwrap_or_default();
    ticks(fields.iter().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// How often `pid` has gone to sleep of its own accord: each such sleep ended in a wake-up.
pub(crate) fn sleeps(pid: u32) -> u64 {
    let of_thread = |thread: PathBuf| {
        let status = fs::read_to_string(thread.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    threads(pid).filter_map(of_thread).sum()
}

/// Memory of `pid`.
///
/// # Errors
///
/// The process is gone, or is somebody else's.
pub(crate) fn memory(pid: u32) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    };
    Ok(Memory { proportional_kib: kib("Pss:"), resident_kib: kib("Rss:") })
}

/// The program `pid` runs.
pub(crate) fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Time the processors of the machine have spent on anything at all.
pub(crate) fn machine_busy() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> =
        text.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq, steal.
    ticks(fields.iter().take(3).chain(fields.iter().skip(5)).sum())
}

/// How many processors there are.
pub(crate) fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

/// One line about the machine.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} processors ({model}), Linux {}", processors(), kernel.trim())
}

fn threads(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// The fields of `/proc/PID/stat` behind the program's name, which may itself hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(count: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let per_second = per_second.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(100);
    Duration::from_micros(count * 1_000_000 / per_second)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_holds_the_root_and_its_descendants_alone() {
        let own = std::process::id();
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();

        let tree = tree(own);
        let leaf = super::tree(other.id());

        assert!(tree.contains(&own) && tree.contains(&other.id()), "{tree:?}");
        assert_eq!(leaf, [other.id()]);
        drop(other.stdin.take());
        other.wait().unwrap();
    }

    #[test]
    fn work_is_seen_as_cpu_time_of_the_process_and_of_the_machine() {
        let own = [std::process::id()];
        let (before, machine) = (cpu(&own), machine_busy());

        crate::wait::until("a tenth of a second of work", || {
            std::hint::black_box((0..100_000u64).map(std::hint::black_box).sum::<u64>());
            (cpu(&own) > before + Duration::from_millis(100)).then_some(())
        })
        .unwrap();

        assert!(machine_busy() > machine);
    }
}
