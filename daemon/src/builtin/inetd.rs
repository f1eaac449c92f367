//! `inetd`: runs a program for every connection, which is its standard input and output.
//!
//! ```text
//! connection ─▶ program ─▶ ended: closed ─▶ whatever it left behind is killed
//!                  └─ too long, killed, or not to be run: the connection is cut
//! ```
//!
//! A worker runs as many programs at once as it has threads (`concurrency`). What is said on a
//! connection is between its two ends: not a byte of it is read or written here. When the worker is
//! told to leave, the programs under way go on to their ends.

use std::error::Error;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use scgi_worker::{Parting, serve_connections};

use super::offspring::{Nursery, Offspring};

/// Why the arguments are not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `scgid builtin inetd [--timeout 60s] -- PROGRAM [ARGUMENT …]`, not `{0}`")]
struct UsageError(String);

/// What is run for each connection, and how long it may take.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    timeout: Duration,
    program: String,
    arguments: Vec<String>,
}

/// Why a connection was cut.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot run `{program}`: {source}")]
    Start { program: String, source: io::Error },
    #[error("`{program}` took longer than {}", humantime::format_duration(*.timeout))]
    Late { program: String, timeout: Duration },
    #[error("`{program}` died: {how}")]
    Died { program: String, how: String },
}

/// Serves until told to leave.
pub(super) fn main(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let usage = usage(arguments)?;
    let nursery = Nursery::open()?;
    Ok(super::left(serve_connections(|connection| {
        let served = usage.command(&connection).and_then(|mut command| {
            let program = nursery.start(&mut command);
            // The program alone holds it from here on, besides us.
            drop(command);
            program
        });
        match usage.judge(served) {
            Ok(()) => Parting::Done,
            Err(failure) => {
                // A standard error nobody reads is not worth dying for.
                let _ = writeln!(io::stderr().lock(), "scgid inetd: {failure}");
                cut(&connection);
                Parting::Cut
            }
        }
    })))
}

impl Usage {
    fn command(&self, connection: &OwnedFd) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.stdin(connection.try_clone()?).stdout(connection.try_clone()?);
        Ok(command)
    }

    /// Waits for a program's end, and tells what was wrong with it.
    fn judge(&self, started: io::Result<Offspring>) -> Result<(), Failure> {
        let named = || self.program.clone();
        let program = started.map_err(|source| Failure::Start { program: named(), source })?;
        if !ends_within(&program, self.timeout) {
            // It is ended when it is dropped.
            return Err(Failure::Late { program: named(), timeout: self.timeout });
        }
        match program.end().filter(|status| status.signal().is_some()) {
            Some(status) => Err(Failure::Died { program: named(), how: status.to_string() }),
            None => Ok(()),
        }
    }
}

/// Waits until a program has ended; whether it did in time.
fn ends_within(program: &Offspring, timeout: Duration) -> bool {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that it is not asked over and over in the last millisecond.
        let longest = left.checked_add(Duration::from_millis(1)).unwrap_or(left);
        let longest = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(program.ended(), PollFlags::POLLIN)];
        match poll(&mut polled, longest) {
            Ok(0) | Err(Errno::EINTR) if Instant::now() < until => {}
            answer => return answer.is_ok_and(|ended| ended > 0),
        }
    }
}

/// Makes the close one that the client takes for a failure, where the kernel can (TCP).
fn cut(connection: &OwnedFd) {
    // Fails only if the connection is broken already.
    let _ = rustix::net::sockopt::set_socket_linger(connection.as_fd(), Some(Duration::ZERO));
}

fn usage(arguments: &[String]) -> Result<Usage, UsageError> {
    let wrong = || UsageError(arguments.join(" "));
    let (timeout, rest) = match arguments {
        [option, timeout, rest @ ..] if option == "--timeout" => {
            (humantime::parse_duration(timeout).map_err(|_| wrong())?, rest)
        }
        rest => (Duration::from_secs(60), rest),
    };
    match rest {
        [dashes, program, arguments @ ..] if dashes == "--" => {
            Ok(Usage { timeout, program: program.clone(), arguments: arguments.to_vec() })
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_after_the_dashes_are_the_programs_own() {
        let expected = Usage {
            timeout: Duration::from_secs(300),
            program: "/bin/fossil".to_owned(),
            arguments: words("http --scgi -- x"),
        };

        assert_eq!(usage(&words("--timeout 5m -- /bin/fossil http --scgi -- x")), Ok(expected));
        assert_eq!(usage(&words("-- cat")).unwrap().timeout, Duration::from_secs(60));
        for text in ["", "cat", "--", "--timeout", "--timeout x -- cat", "--timeout 1s cat"] {
            assert!(usage(&words(text)).is_err(), "{text}");
        }
    }
}
