//! What the kernel says of other processes (proc(5)).

use std::fs::{self, File};
use std::io::{self, Read};
use std::str::SplitAsciiWhitespace;

/// The processes whose parent this process is, ended ones included; empty if the kernel does not
/// say.
pub(crate) fn children() -> Vec<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|one| fs::read_to_string(one.path().join("children")).ok());
    let pids = |list: String| -> Vec<i32> {
        list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    lists.flat_map(pids).collect()
}

/// The fields of /proc/PID/stat, from the third on (proc_pid_stat(5)).
pub(crate) fn stat_fields(stat: &str) -> Option<SplitAsciiWhitespace<'_>> {
    // The second, the name, is in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split_ascii_whitespace())
}

/// The environment that a process was started with, as far as it has not written over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// `NAME=value` each, and a zero byte behind it.
    Seen(Vec<u8>),
    /// The process has ended, or its environment is not for us to see.
    Hidden,
    /// It is becoming another program in this very moment (execve(2)), and can be seen in the next.
    Changing,
}

impl Environment {
    /// Looks at the environment of `pid`.
    pub(crate) fn of(pid: i32) -> Self {
        let Ok(block) = read_at_once(&format!("/proc/{pid}/environ")) else { return Self::Hidden };
        if !block.is_empty() {
            return Self::Seen(block);
        }
        // None was given, or the process has no memory any more, or not all of it yet.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        match stat.ok().and_then(|stat| Memory::parse(&stat)) {
            None | Some(Memory { size: 0, .. }) => Self::Hidden,
            Some(memory) if memory.code != 0 && memory.environment == 0 => Self::Seen(block),
            Some(_) => Self::Changing,
        }
    }
}

/// Reads a file of /proc in one call: between two the process may have become another program, and
/// the second finds an end where there is none.
fn read_at_once(path: &str) -> io::Result<Vec<u8>> {
    let mut block = vec![0; 64 << 10];
    loop {
        let length = File::open(path)?.read(&mut block)?;
        if length < block.len() {
            block.truncate(length);
            return Ok(block);
        }
        block.resize(2 * length, 0);
    }
}

/// What memory a process has. While it becomes another program, execve(2) gives it new memory, then
/// an environment in it, and notes last where its code ends.
#[derive(Debug, PartialEq, Eq)]
struct Memory {
    /// In bytes; 0 from the process's end on.
    size: u64,
    /// The address at which its code ends.
    code: u64,
    /// The size of its environment, in bytes.
    environment: u64,
}

impl Memory {
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<_> = stat_fields(stat)?.collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let environment = field(51)?.saturating_sub(field(50)?);
        Some(Self { size: field(23)?, code: field(27)?, environment })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::builtin::children_of_tests;

    fn started(command: &mut Command) -> (Child, i32) {
        let child = command.spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        (child, pid)
    }

    /// What is seen once the process has become what it was started for.
    fn settled(pid: i32) -> Environment {
        loop {
            match Environment::of(pid) {
                Environment::Changing => std::thread::yield_now(),
                settled => return settled,
            }
        }
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn an_environment_is_seen_as_it_was_given_and_not_after_the_end() {
        let _beside_others = children_of_tests::beside_others();
        let (child, pid) = started(Command::new("/bin/sleep").arg("60").env_clear().env("A", "b"));
        assert_eq!(settled(pid), Environment::Seen(b"A=b\0".to_vec()));
        assert!(children().contains(&pid));
        end(child);
        assert_eq!(Environment::of(pid), Environment::Hidden);

        let long = "b".repeat(100 << 10);
        let (child, pid) =
            started(Command::new("/bin/sleep").arg("60").env_clear().env("A", &long));
        assert_eq!(settled(pid), Environment::Seen(format!("A={long}\0").into_bytes()));
        end(child);

        let (child, pid) = started(Command::new("/bin/sleep").arg("60").env_clear());
        assert_eq!(settled(pid), Environment::Seen(Vec::new()));
        end(child);
    }

    #[test]
    fn who_becomes_another_program_is_never_taken_for_one_without_environment() {
        let _beside_others = children_of_tests::beside_others();
        let folder = tempfile::tempdir().unwrap();
        let restless = folder.path().join("restless");
        fs::write(&restless, "exec /bin/sh \"$0\"").unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg(&restless).env_clear().env("A", "a".repeat(100)).env("Z", "z");
        let (child, pid) = started(&mut command);

        let mut was_changing = 0;
        while was_changing < 100 {
            match Environment::of(pid) {
                Environment::Seen(block) => {
                    assert!(block.split(|byte| *byte == 0).any(|it| it == b"Z=z"));
                }
                Environment::Changing => was_changing += 1,
                Environment::Hidden => panic!("it runs until it is killed"),
            }
        }
        end(child);
    }

    #[test]
    fn a_process_with_a_strange_name_is_read() {
        let (front, between) = ("0 ".repeat(19), "0 ".repeat(22));
        let stat = format!("7 (a) b) S {front}4096 1 2 3 99 {between}17 29 0\n");

        let memory = Memory { size: 4096, code: 99, environment: 12 };
        assert_eq!(Memory::parse(&stat), Some(memory));
        assert_eq!(Memory::parse("7 (a) S 1"), None);
    }
}
