//! Waiting: for a condition with a deadline, or for the length of a measurement.

use std::io;
use std::time::{Duration, Instant};

/// How long anything may take that is not itself measured.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

const STEP: Duration = Duration::from_micros(200);

/// Tries `attempt` until it yields, for at most [`DEADLINE`].
///
/// # Errors
///
/// The deadline passed; `what` says what was waited for.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        if start.elapsed() > DEADLINE {
            let message = format!("waited {} s in vain for {what}", DEADLINE.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        pause(STEP);
    }
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "the time that passes is what is measured")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
