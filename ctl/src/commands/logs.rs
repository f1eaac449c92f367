//! `logs`: what workers write.

use scgi_protocol::control::{LogLine, Stream};

use super::Context;
use super::tail::{self, Source};
use crate::cli::{Logs, StreamName};
use crate::exit::Exit;
use crate::failure::Failure;

/// The most lines that the daemon lists: of them, some may be on the stream that is wanted.
const LINES_MAX: usize = 1000;

/// Prints the last lines of the selected apps in the order they were read, then what follows.
pub(super) async fn run(context: Context<'_>, logs: Logs) -> Result<Exit, Failure> {
    let Logs { apps, tail, stream } = logs;
    let names = context.named(&apps).await?;
    let path = |name| format!("/v1/apps/{name}/logs");
    let wanted = stream.map(|stream| match stream {
        StreamName::Stdout => Stream::Stdout,
        StreamName::Stderr => Stream::Stderr,
    });
    let ask = if wanted.is_some() { LINES_MAX } else { tail.lines };
    let source = |name| Source { path: path(name), count: "lines", ask };
    let keep = move |line: &LogLine| wanted.is_none_or(|stream| line.stream == stream);
    tail::run(context, names.iter().map(source).collect(), tail, keep).await
}
