//! `scgi-bench-app`: the benchmark's jobs as an app of the SDK, written as a user would write it.
//!
//! Nothing in it is tuned; what it costs is what the SDK costs.

use std::time::Duration;

use scgi_tests::bench::job::{BIG, ECHO_BYTES, HELLO, Job};
use scgi_worker::{App, Exit};

/// Longer than any measurement that needs a busy worker.
const HOLD: Duration = Duration::from_secs(120);

fn main() -> Exit {
    App::new()
        .get(Job::Hello.path(), |_| HELLO)
        .post(Job::Echo.path(), |request| request.body_to_vec(ECHO_BYTES))
        .get(Job::Big.path(), |_| BIG.as_slice())
        .get("/mark", |_| std::env::var("BENCH_MARK").unwrap_or_default())
        .get("/hold", |_| hold())
        .run()
}

/// Keeps the worker busy.
#[expect(clippy::disallowed_methods, reason = "a handler that takes its time is the job")]
fn hold() {
    std::thread::sleep(HOLD);
}
