//! What happened: a list, or a stream of server-sent events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use scgi_protocol::control::{EVENTS_MAX, Event};
use scgi_protocol::name::AppName;

use super::problem::Refused;
use super::{Room, apps, sse};
use crate::journal::Start;

/// How many events are listed if nobody says how many.
const LIMIT: usize = 100;

/// Which events.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Those after this number; without it, the last ones.
    after: Option<u64>,
    /// Those about this app.
    app: Option<String>,
    /// So many at most: 100 if not said, never more than 2048. A stream begins with so many of the
    /// last ones: with none if not said.
    limit: Option<usize>,
}

/// What happened, oldest first; as a stream if `text/event-stream` is accepted.
#[utoipa::path(get, path = "/v1/events",
    params(
        Which,
        ("Last-Event-ID" = Option<u64>, Header, description = "resume a stream after this number"),
    ),
    responses((status = 200, description = "the events", content(
        (Vec<Event> = "application/json"), (String = "text/event-stream"),
    )))
)]
pub(super) async fn events(
    State(room): State<Arc<Room>>,
    Query(Which { after, app, limit }): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let journal = &room.state.journal;
    let app = app.map(|app| subject(&room, &app)).transpose()?;
    let start = |default| match after {
        Some(id) => Start::After(id),
        None => Start::Last(limit.unwrap_or(default)),
    };
    if sse::is_wanted(&headers) {
        let follower = journal.follow_events(sse::resumes(&headers, start(0)), app);
        let batches =
            stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        return sse::respond(&room, batches, |event| &event.kind);
    }
    let most = limit.unwrap_or(LIMIT).min(EVENTS_MAX);
    let batch = journal.events(start(LIMIT), app.as_ref(), most);
    let events: Vec<&Event> = batch.entries.iter().map(|event| &**event).collect();
    Ok(Json(events).into_response())
}

/// The name of an app that exists, or of one that is gone and left events behind.
fn subject(room: &Room, name: &str) -> Result<AppName, Refused> {
    let known = apps::known(&room.state, name);
    let Ok(app) = name.parse() else { return known };
    let left = room.state.journal.events(Start::Last(1), Some(&app), 1);
    if left.entries.is_empty() { known } else { Ok(app) }
}
