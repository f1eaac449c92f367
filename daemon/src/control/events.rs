//! What happened: a list, or a stream of server-sent events.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream::{self, Stream};
use scgi_protocol::control::{EVENTS_MAX, Event};
use scgi_protocol::name::AppName;

use super::problem::Refused;
use super::reading::{self, Extent, Passage};
use super::{Room, apps};
use crate::journal::{Batch, Journal, Start};

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
    let about = app.map(|app| subject(&room, &app)).transpose()?;
    reading::answer(&room, &headers, Extent { after, most: limit }, Events { about })
}

/// The events, of one app or of everything.
struct Events {
    about: Option<AppName>,
}

impl Passage for Events {
    type Entry = Event;

    const MOST: usize = EVENTS_MAX;

    fn list(&self, journal: &Journal, start: Start, most: usize) -> Batch<Event> {
        journal.events(start, self.about.as_ref(), most)
    }

    fn follow(
        self,
        journal: &Journal,
        start: Start,
    ) -> impl Stream<Item = Batch<Event>> + Send + 'static {
        let follower = journal.follow_events(start, self.about);
        stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)))
    }

    fn kind(event: &Event) -> &str {
        &event.kind
    }
}

/// The name of an app that exists, or of one that is gone and left events behind.
fn subject(room: &Room, name: &str) -> Result<AppName, Refused> {
    let known = apps::known(&room.state, name);
    let Ok(app) = name.parse() else { return known };
    let left = room.state.journal.events(Start::Last(1), Some(&app), 1);
    if left.entries.is_empty() { known } else { Ok(app) }
}
