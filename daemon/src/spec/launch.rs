//! How a worker is started: program, surroundings, identity, limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a worker is started. Another value means another generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program's file, looked up on the path if the configuration says a bare name.
    pub program: PathBuf,
    /// All arguments, the name it is called by first; never empty.
    pub arguments: Vec<String>,
    /// Where it runs; `None`: in `/`.
    pub directory: Option<PathBuf>,
    /// Variables the configuration sets.
    pub env: BTreeMap<String, String>,
    /// Files of `NAME=value` lines, read at every start; what `env` says wins.
    pub env_files: Vec<PathBuf>,
    /// Whether the daemon's own variables are kept out, save `PATH` and `LANG`.
    pub clear_env: bool,
    /// Who it is.
    pub identity: Option<Identity>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Nice value, -20 to 19.
    pub nice: Option<i32>,
    /// Resource limits.
    pub limits: BTreeMap<Resource, Limit>,
    /// The URL prefix the app is mounted at.
    pub mount: Option<String>,
    /// A request that waited longer is answered 503 by the worker instead of served.
    pub queue_timeout: Option<Duration>,
    /// The program is loaded once, by a template, and workers are forked from that.
    #[serde(default)]
    pub preload: bool,
    /// The worker refuses requests that break the rules of SCGI harmlessly.
    #[serde(default)]
    pub strict: bool,
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its user's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
    /// Its user's name and home, for `USER`, `LOGNAME` and `HOME`; `None` if only a group is set.
    pub login: Option<(String, PathBuf)>,
}

/// A resource that can be limited (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Address space, in bytes.
    As,
    /// Core file, in bytes.
    Core,
    /// CPU time, in seconds.
    Cpu,
    /// Data segment, in bytes.
    Data,
    /// Size of files written, in bytes.
    Fsize,
    /// Locked memory, in bytes.
    Memlock,
    /// Stack, in bytes.
    Stack,
}

impl Resource {
    /// Its key in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::As => "as",
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::Fsize => "fsize",
            Self::Memlock => "memlock",
            Self::Stack => "stack",
        }
    }
}

/// A soft and a hard limit; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// How far the worker may raise it.
    pub hard: Option<u64>,
}
