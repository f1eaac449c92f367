//! Waiting for a condition: the only place where a test sleeps.

use std::time::{Duration, Instant};

/// How long a condition may take. Nothing takes this long unless it hangs; the machine may be
/// slow and busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
///
/// If it does not come to hold within [`PATIENCE`], with `what` was waited for.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
///
/// If it finds nothing within [`PATIENCE`], with `what` was waited for.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the interval of a wait with a condition")]
pub fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for this: {what}");
        std::thread::sleep(INTERVAL);
    }
}
