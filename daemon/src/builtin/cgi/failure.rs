//! What can go wrong with a CGI program, and what its client is told.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use scgi_protocol::scgi::ResponseDecodeError;
use scgi_worker::Response;

/// Why a request gets no answer from a program.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no program stands there")]
    Nowhere,
    #[error("`{}` may not be run", path.display())]
    Forbidden { path: PathBuf },
    #[error("cannot run `{}`: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("cannot talk to the program: {0}")]
    Pipe(io::Error),
    #[error("the program wrote no header before it ended: {}", how(*.0))]
    NoHead(Option<ExitStatus>),
    #[error("the program wrote something that is no header: {0}")]
    BadHead(ResponseDecodeError),
    #[error("the program wrote a header that says nothing")]
    EmptyHead,
    #[error("the program answers with status {0}, which is no last word")]
    Interim(u16),
    #[error("the program died: {}", how(Some(*.0)))]
    Died(ExitStatus),
    #[error("the program announced {announced} bytes and wrote {written}")]
    Short { announced: u64, written: u64 },
    #[error("the program took longer than {}", humantime::format_duration(*.0))]
    Late(Duration),
    #[error("the program wrote more than {0} bytes")]
    TooMuch(u64),
    #[error("the client went away")]
    Gone,
}

impl Failure {
    /// Whether a person who looks after the app should hear of it.
    pub(super) fn is_the_programs(&self) -> bool {
        !matches!(self, Self::Nowhere | Self::Gone)
    }

    /// What the client is told. It does not see the reason.
    pub(super) fn response(&self) -> Response {
        let status = match self {
            Self::Nowhere => 404,
            Self::Forbidden { .. } => 403,
            Self::Late(_) => 504,
            Self::Start { .. }
            | Self::Pipe(_)
            | Self::NoHead(_)
            | Self::BadHead(_)
            | Self::EmptyHead
            | Self::Interim(_)
            | Self::Died(_)
            | Self::Short { .. }
            | Self::TooMuch(_)
            | Self::Gone => 502,
        };
        let reason = scgi_protocol::scgi::reason_phrase(status);
        Response::text(format!("{status} {reason}\n")).status(status)
    }
}

/// How a program ended, in words.
fn how(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string())
}
