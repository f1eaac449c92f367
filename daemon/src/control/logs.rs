//! What the workers of an app or of all apps wrote: a list, or a stream of server-sent events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use scgi_protocol::control::{LINES_MAX, LogLine};
use scgi_protocol::name::AppName;

use super::problem::Refused;
use super::{Room, apps, sse};
use crate::journal::{Batch, Start};

/// How many lines are listed if nobody says how many.
const LINES: usize = 100;

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
    let journal = &room.state.journal;
    if sse::is_wanted(&headers) {
        let follower = journal.follow_all_lines(sse::resumes(&headers, which.start(0)));
        let batches =
            stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        return sse::respond(&room, batches, |line| line.stream.as_str());
    }
    Ok(list(&journal.all_lines(which.start(LINES), which.most())))
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
    let journal = &room.state.journal;
    let app = apps::known(&room.state, &name)?;
    if sse::is_wanted(&headers) {
        let follower = journal.follow_lines(sse::resumes(&headers, which.start(0)), app);
        let batches =
            stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        return sse::respond(&room, batches, |line| line.stream.as_str());
    }
    Ok(list(&journal.lines(which.start(LINES), &app, which.most())))
}

impl Which {
    /// Where reading begins; with `default` of the last lines if nothing is said.
    fn start(&self, default: usize) -> Start {
        match self.after {
            Some(id) => Start::After(id),
            None => Start::Last(self.lines.unwrap_or(default)),
        }
    }

    /// How many lines are listed at most.
    fn most(&self) -> usize {
        self.lines.unwrap_or(LINES).min(LINES_MAX)
    }
}

fn list(batch: &Batch<LogLine>) -> Response {
    let lines: Vec<&LogLine> = batch.entries.iter().map(|line| &**line).collect();
    Json(lines).into_response()
}
