//! `logs`: what workers write.

use scgi_protocol::control::{LINES_MAX, LogLine, Stream};

use super::Context;
use super::tail::{self, Source};
use crate::cli::{Logs, StreamName};
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints the last lines of the selected apps in the order they were read, then what follows.
pub(super) async fn run(context: Context<'_>, logs: Logs) -> Result<Exit, Failure> {
    let Logs { apps, tail, stream } = logs;
    let wanted = stream.map(|stream| match stream {
        StreamName::Stdout => Stream::Stdout,
        StreamName::Stderr => Stream::Stderr,
    });
    // Of all that the daemon lists, some may be on the stream that is wanted.
    let ask = if wanted.is_some() { LINES_MAX } else { tail.lines };
    let source = |path| Source { path, count: "lines", ask };
    let sources = match apps.as_slice() {
        [] => vec![source("/v1/logs".to_owned())],
        names => {
            let names = context.named(names).await?;
            names.iter().map(|name| source(format!("/v1/apps/{name}/logs"))).collect()
        }
    };
    let keep = move |line: &LogLine| wanted.is_none_or(|stream| line.stream == stream);
    tail::run(context, sources, tail, keep).await
}
