//! Other processes, as /proc shows them.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::Child;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::eventually;

/// Sends `signal` to the process `pid`.
pub fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(pid), signal).unwrap();
}

/// Kills the process `pid`, if it is there.
pub fn kill(pid: i32) -> nix::Result<()> {
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL)
}

/// The descriptor `number` of the process `pid`, another one of the same open file.
pub fn descriptor(pid: i32, number: i32) -> OwnedFd {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}

/// Stops the process `pid`, and waits until it stands still.
pub fn hold(pid: i32) {
    signal(pid, Signal::SIGSTOP);
    eventually("it stands still", || stat(pid).is_some_and(|(state, _)| state == 'T'));
}

/// Whether `pid` is a process that has not ended; one that has, and was not yet buried, has ended.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// Every process that `pid` is an ancestor of, itself not included.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((number, (_, parent))) = number.and_then(|pid: i32| Some((pid, stat(pid)?))) {
            children.entry(parent).or_default().push(number);
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let of = children.get(parent).cloned().unwrap_or_default();
        found.extend(of);
        next += 1;
    }
    found.split_off(1)
}

/// Kills `process` and all that came of it, and waits for it; nothing if that was done before.
pub fn end(process: &mut Child) {
    // Its number is its own until it is waited for.
    if matches!(process.try_wait(), Ok(None)) {
        kill_tree(i32::try_from(process.id()).unwrap());
        process.wait().unwrap();
    }
}

fn kill_tree(pid: i32) {
    // Stopped, it can start no more; its children keep their numbers until it buries them.
    let _it_may_have_ended = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGSTOP);
    for descendant in descendants(pid) {
        let _it_may_have_ended = nix::sys::signal::kill(Pid::from_raw(descendant), Signal::SIGKILL);
    }
    let _it_may_have_ended = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Every process that carries `word` in its environment.
pub fn with_environment(word: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        let block = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        block.split(|byte| *byte == 0).any(|entry| entry == word.as_bytes())
    };
    pids.filter(carries).filter(|pid| is_alive(*pid)).collect()
}

/// The resident memory of `pid` in bytes.
pub fn resident_bytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// State and parent.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}
