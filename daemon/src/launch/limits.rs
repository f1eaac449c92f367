//! Nice value, file mode creation mask and resource limits of the process that becomes the app.

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource as Kernel, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::spec::{Launch, Limit, Resource};

/// Why a limit could not be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum LimitsError {
    #[error("cannot set nice value {nice}")]
    Nice { nice: i32, source: Errno },
    #[error("cannot set limit `{name}` to {soft} (at most {hard})")]
    Limit { name: &'static str, soft: String, hard: String, source: Errno },
}

/// Sets what `launch` says.
pub(super) fn apply(launch: &Launch) -> Result<(), LimitsError> {
    if let Some(mask) = launch.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    if let Some(nice) = launch.nice {
        rustix::process::setpriority_process(None, nice).map_err(|source| LimitsError::Nice {
            nice,
            source: Errno::from_raw(source.raw_os_error()),
        })?;
    }
    launch.limits.iter().try_for_each(|(resource, limit)| set(*resource, *limit))
}

fn set(resource: Resource, limit: Limit) -> Result<(), LimitsError> {
    let (kernel, name) = (kernel(resource), resource.as_str());
    let Limit { soft, hard } = limit;
    let number = |limit: Option<u64>| limit.unwrap_or(RLIM_INFINITY);
    setrlimit(kernel, number(soft), number(hard)).map_err(|source| LimitsError::Limit {
        name,
        soft: shown(soft),
        hard: shown(hard),
        source,
    })
}

/// The hard limit of this process; `None`: there is none.
pub(crate) fn hard(resource: Resource) -> Option<u64> {
    let (_, hard) = getrlimit(kernel(resource)).ok()?;
    Some(hard).filter(|hard| *hard != RLIM_INFINITY)
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |number| number.to_string())
}

fn kernel(resource: Resource) -> Kernel {
    match resource {
        Resource::Nofile => Kernel::RLIMIT_NOFILE,
        Resource::Nproc => Kernel::RLIMIT_NPROC,
        Resource::As => Kernel::RLIMIT_AS,
        Resource::Core => Kernel::RLIMIT_CORE,
        Resource::Cpu => Kernel::RLIMIT_CPU,
        Resource::Data => Kernel::RLIMIT_DATA,
        Resource::Fsize => Kernel::RLIMIT_FSIZE,
        Resource::Memlock => Kernel::RLIMIT_MEMLOCK,
        Resource::Stack => Kernel::RLIMIT_STACK,
    }
}
