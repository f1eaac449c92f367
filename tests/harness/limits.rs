//! The limits of the apps in `tests/apps`: the usual ones, save what the environment says.
//!
//! ```text
//! HEAD_TIMEOUT_MS, BODY_TIMEOUT_MS  how long a head, and silence in a body, are waited for
//! ```

use std::time::Duration;

use scgi_worker::Limits;

/// What this process puts up with.
pub fn limits() -> Limits {
    let usual = Limits::default();
    let ms = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let time = |name, usual| ms(name).map_or(usual, Duration::from_millis);
    Limits {
        head_timeout: time("HEAD_TIMEOUT_MS", usual.head_timeout),
        body_timeout: time("BODY_TIMEOUT_MS", usual.body_timeout),
        ..usual
    }
}
