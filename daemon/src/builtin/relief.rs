//! `relief`: answers in the place of an app that cannot, so that nobody waits for nothing.
//!
//! Run on the listeners of an app that is held back, failing, stopped or overloaded. Answers every
//! request with 503 and `Retry-After`. Never reads a body further than a front end needs to take
//! the answer, which is the SDK's business.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use scgi_worker::{App, Limits, Response};

/// When a client should come back if the arguments do not say, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Requests served at once: enough that a few slow clients do not keep the others waiting.
const THREADS: u16 = 4;

/// Why the arguments are not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `scgid builtin relief [--retry-after SECONDS]`, not `{0}`")]
struct UsageError(String);

/// Serves until told to leave.
pub(super) fn main(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let retry_after = retry_after(arguments)?;
    let name = std::env::var("SCGI_APP").ok();
    Ok(super::left(relief(name.as_deref(), retry_after).threads(THREADS).run()))
}

/// The app that answers for `name`.
fn relief(name: Option<&str>, retry_after_seconds: u32) -> App {
    let text = match name {
        Some(name) => format!("The app `{name}` cannot answer at the moment. Please try again.\n"),
        None => "This app cannot answer at the moment. Please try again.\n".to_owned(),
    };
    let limits = Limits { head_timeout: Duration::from_secs(3), ..Limits::default() };
    App::new().limits(limits).fallback(move |_| {
        Response::text(text.clone())
            .status(503)
            .header("Retry-After", retry_after_seconds.to_string())
            .header("Cache-Control", "no-store")
    })
}

fn retry_after(arguments: &[String]) -> Result<u32, UsageError> {
    let wrong = || UsageError(arguments.join(" "));
    match arguments {
        [] => Ok(RETRY_AFTER_SECONDS),
        [option, seconds] if option == "--retry-after" => seconds.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_is_answered_503_with_the_time_to_come_back() {
        let app = relief(Some("shop"), 7).test();

        for answer in [app.get("/cart?x=1").send(), app.post("/", vec![b'x'; 100_000]).send()] {
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.header("Retry-After"), Some("7"));
            assert_eq!(answer.header("Cache-Control"), Some("no-store"));
            assert_eq!(
                answer.text(),
                "The app `shop` cannot answer at the moment. Please try again.\n"
            );
        }
    }

    #[test]
    fn it_says_when_to_come_back_as_it_was_told() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();

        assert_eq!(retry_after(&[]), Ok(5));
        assert_eq!(retry_after(&words("--retry-after 30")), Ok(30));
        assert_eq!(
            retry_after(&words("--retry-after soon")).unwrap_err().to_string(),
            "write `scgid builtin relief [--retry-after SECONDS]`, not `--retry-after soon`"
        );
    }
}
