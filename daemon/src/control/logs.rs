//! What the workers of an app or of all apps wrote: a list, or a stream of server-sent events.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream::{self, Stream};
use scgi_protocol::control::{LINES_MAX, LogLine};
use scgi_protocol::name::AppName;

use super::problem::Refused;
use super::reading::{self, Extent, Passage};
use super::{Room, apps};
use crate::journal::{Batch, Journal, Start};

/// Which lines.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Those after this number; without it, the last ones.
    after: Option<u64>,
    /// So many at most: 100 if not said, never more than 1000. A stream begins with so many of the
    /// last ones: with none if not said.
    lines: Option<usize>,
}

/// What the workers of all apps wrote, oldest first; as a stream if `text/event-stream` is
/// accepted.
#[utoipa::path(get, path = "/v1/logs",
    params(
        Which,
        ("Last-Event-ID" = Option<u64>, Header, description = "resume a stream after this number"),
    ),
    responses((status = 200, description = "the lines", content(
        (Vec<LogLine> = "application/json"), (String = "text/event-stream"),
    )))
)]
pub(super) async fn all_logs(
    State(room): State<Arc<Room>>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    reading::answer(&room, &headers, which.extent(), AllLines)
}

/// What the workers of an app wrote, oldest first; as a stream if `text/event-stream` is accepted.
#[utoipa::path(get, path = "/v1/apps/{app}/logs",
    params(
        ("app" = AppName, Path, description = "its name"),
        Which,
        ("Last-Event-ID" = Option<u64>, Header, description = "resume a stream after this number"),
    ),
    responses((status = 200, description = "the lines", content(
        (Vec<LogLine> = "application/json"), (String = "text/event-stream"),
    )))
)]
pub(super) async fn logs(
    State(room): State<Arc<Room>>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let of = apps::known(&room.state, &name)?;
    reading::answer(&room, &headers, which.extent(), Lines { of })
}

impl Which {
    fn extent(&self) -> Extent {
        Extent { after: self.after, most: self.lines }
    }
}

/// The lines of all apps.
struct AllLines;

impl Passage for AllLines {
    type Entry = LogLine;

    const MOST: usize = LINES_MAX;

    fn list(&self, journal: &Journal, start: Start, most: usize) -> Batch<LogLine> {
        journal.all_lines(start, most)
    }

    fn follow(
        self,
        journal: &Journal,
        start: Start,
    ) -> impl Stream<Item = Batch<LogLine>> + Send + 'static {
        let follower = journal.follow_all_lines(start);
        stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)))
    }

    fn kind(line: &LogLine) -> &str {
        line.stream.as_str()
    }
}

/// The lines of one app.
struct Lines {
    of: AppName,
}

impl Passage for Lines {
    type Entry = LogLine;

    const MOST: usize = LINES_MAX;

    fn list(&self, journal: &Journal, start: Start, most: usize) -> Batch<LogLine> {
        journal.lines(start, &self.of, most)
    }

    fn follow(
        self,
        journal: &Journal,
        start: Start,
    ) -> impl Stream<Item = Batch<LogLine>> + Send + 'static {
        let follower = journal.follow_lines(start, self.of);
        stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)))
    }

    fn kind(line: &LogLine) -> &str {
        line.stream.as_str()
    }
}
