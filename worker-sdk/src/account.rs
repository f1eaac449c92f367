//! What is noted and said of a request, whoever serves it: a thread or a task.

use std::any::Any;
use std::time::{Duration, SystemTime};

use scgi_protocol::page::report::Refusal;
use scgi_protocol::scgi::{Head, HeadError};

use crate::clues::Clues;
use crate::stamp;
use crate::tally::Record;

/// Notes that a request begins: since when in nanoseconds of the page's clock, and how long its
/// client took to send it, if that is known. Says how long it waited before anybody could serve it,
/// if the front end tells.
pub(crate) fn begin(
    record: Record<'_>,
    head: &Head<'_>,
    clues: &Clues<'_>,
    (since_ns, slow): (u64, Option<Duration>),
) -> Option<Duration> {
    record.begin(since_ns, clues.method().as_bytes(), clues.uri());
    let leniencies = head.leniencies();
    if !leniencies.is_none() {
        record.lenient();
        if leniencies.repeated > 0 {
            record.repeats();
        }
    }
    let stamp = clues.request_start?;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let waited = stamp::waited(stamp, now)?.saturating_sub(slow.unwrap_or_default());
    record.waited(waited);
    Some(waited)
}

/// How a head that was refused is counted.
pub(crate) fn refusal(error: &HeadError) -> Refusal {
    match error {
        HeadError::TooLong { .. } => Refusal::TooLong,
        _ => Refusal::Malformed,
    }
}

/// What the request was, for a line of the log.
pub(crate) fn described(head: &Head<'_>) -> String {
    let clues = Clues::of(head);
    format!("{} {}", clues.method().escape_default(), clues.uri().escape_ascii())
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
