//! Asks another program whether it could go on where this one is, before this one becomes it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::baggage::Baggage;

/// The subcommand by which a program is asked; it finds the baggage as its standard input.
pub const NAME: &str = "take-over-check";

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer, in bytes.
const ANSWER_MAX_BYTES: u64 = 64 << 10;

/// What a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its version.
    pub version: String,
    /// Why it cannot go on where the other one is; `None` if it can.
    pub refusal: Option<String>,
}

impl Verdict {
    /// What this program says of the baggage behind `file`.
    pub fn on(file: &File) -> Self {
        let refusal = Baggage::read(file).err().map(|error| crate::words::in_words(&error));
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), refusal }
    }
}

/// Why a program did not say whether it could. It is not going to be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("cannot run `{}`", path.display())]
    Run { path: PathBuf, source: io::Error },
    #[error("`{}` does not answer within {} s", .0.display(), PATIENCE.as_secs())]
    Silent(PathBuf),
    #[error("`{}` is no scgid that can go on where this one is; it does not know how", .0.display())]
    Stranger(PathBuf),
    #[error("scgid {version} cannot go on where this one is: {why}")]
    Refused { version: String, why: String },
}

/// Asks the program at `path`, and returns its version if it can. It is buried by the loop, as all
/// children are.
pub(super) async fn ask(path: &Path, baggage: OwnedFd) -> Result<String, ProbeError> {
    let run = |source| ProbeError::Run { path: path.to_owned(), source };
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(|e| run(e.into()))?;
    let process = Command::new(path)
        .arg(NAME)
        .stdin(Stdio::from(baggage))
        .stdout(Stdio::from(write))
        .stderr(Stdio::null())
        .spawn()
        .map_err(run)?;
    let number = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    let pidfd = number.and_then(|number| pidfd_open(number, PidfdFlags::empty()).ok());
    let receiver = Receiver::from_owned_fd(read).map_err(run)?;
    let mut text = Vec::new();
    let mut answer = receiver.take(ANSWER_MAX_BYTES);
    let heard = tokio::time::timeout(PATIENCE, answer.read_to_end(&mut text)).await;
    if heard.is_err() {
        if let Some(pidfd) = pidfd {
            // It may have ended in this very moment.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
        return Err(ProbeError::Silent(path.to_owned()));
    }
    let verdict: Verdict =
        serde_json::from_slice(&text).map_err(|_| ProbeError::Stranger(path.to_owned()))?;
    match verdict.refusal {
        None => Ok(verdict.version),
        Some(why) => Err(ProbeError::Refused { version: verdict.version, why }),
    }
}
