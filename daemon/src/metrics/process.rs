//! What the daemon's own process uses, as the kernel says; what it does not say is left out.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_gettime};

use super::names;
use super::samples::Samples;

/// What the daemon's own process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time.
    pub(super) cpu: Option<Duration>,
    /// Bytes in memory.
    pub(super) resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub(super) virtual_bytes: Option<u64>,
    /// Descriptors that are open.
    pub(super) open_fds: Option<u64>,
    /// Descriptors that may be open.
    pub(super) max_fds: Option<u64>,
}

impl Usage {
    /// Asks the kernel.
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu: clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        }
    }
}

impl Usage {
    /// Writes it to the end of `text`.
    pub(super) fn write(&self, text: &mut String) {
        let Self { cpu, resident_bytes, virtual_bytes, open_fds, max_fds } = *self;
        let mut whole = |family, number: Option<u64>| {
            number.into_iter().for_each(|number| Samples::of(family, text).count(&[], number));
        };
        whole(&names::PROCESS_RESIDENT, resident_bytes);
        whole(&names::PROCESS_VIRTUAL, virtual_bytes);
        whole(&names::PROCESS_OPEN_FDS, open_fds);
        whole(&names::PROCESS_MAX_FDS, max_fds);
        if let Some(cpu) = cpu {
            Samples::of(&names::PROCESS_CPU, text).put(&[], cpu.as_secs_f64());
        }
    }
}

/// The bytes a line such as `VmRSS:    1234 kB` speaks of.
fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

fn open_fds() -> Option<u64> {
    // Linux 6.2 and later say it as the folder's size; before that it has to be counted.
    let said = fs::metadata("/proc/self/fd").ok()?.len();
    if said > 0 {
        return Some(said);
    }
    let listed = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(listed.saturating_sub(1)) // one of them is the listing itself
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_this_process_uses() {
        let kept: Vec<_> = (0..10).map(|_| fs::File::open("/dev/null").unwrap()).collect();

        let usage = Usage::now();

        assert!(usage.cpu.unwrap() > Duration::ZERO);
        assert!(usage.resident_bytes.unwrap() > 100 * 1024);
        assert!(usage.virtual_bytes >= usage.resident_bytes);
        assert!(usage.open_fds.unwrap() >= kept.len() as u64);
        assert!(usage.max_fds.unwrap() >= usage.open_fds.unwrap());
    }

    #[test]
    fn what_the_kernel_does_not_say_is_left_out() {
        assert_eq!(kibibytes("VmRSS:\t    12 kB\n", "VmRSS:"), Some(12 * 1024));
        assert_eq!(kibibytes("VmRSS:\t    12 pages\n", "VmRSS:"), None);
        assert_eq!(kibibytes("", "VmRSS:"), None);
    }
}
