//! Server-sent events: batches of the journal as a stream that ends when the daemon does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use scgi_protocol::control::EVENT_STREAM;
use serde::Serialize;

use super::problem::Refused;
use super::{Room, closed};
use crate::journal::{Batch, Entry, Start};

/// How often something is said when there is nothing to say, so that a dead peer is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The client asked for a stream.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|one| {
        let media_type = one.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(EVENT_STREAM)
    })
}

/// Where a stream begins: after the last entry the client remembers, or as the query says.
pub(super) fn resumes(headers: &HeaderMap, asked: Start) -> Start {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    last.and_then(|id| id.trim().parse().ok()).map_or(asked, Start::After)
}

/// A stream of what `batches` bring, each entry as a message of kind `name`; what was missed is
/// told in a message of kind `missed`.
pub(super) fn respond<T: Entry + Serialize + Send + Sync + 'static>(
    room: &Room,
    batches: impl Stream<Item = Batch<T>> + Send + 'static,
    name: fn(&T) -> &str,
) -> Result<Response, Refused> {
    let permit = Arc::clone(&room.streams).try_acquire_owned().map_err(|_| Refused::busy())?;
    let messages = until(batches, closed(room.closing.clone()))
        .flat_map(move |batch| {
            let _held_as_long_as_the_stream = &permit;
            let missed = (batch.missed > 0).then(|| {
                let missed = serde_json::json!({ "missed": batch.missed });
                Message::default().event("missed").data(missed.to_string())
            });
            let entries = batch.entries.into_iter().filter_map(move |entry| {
                let text = serde_json::to_string(&*entry).ok()?;
                let id = entry.id().to_string();
                Some(Message::default().id(id).event(name(&entry)).data(text))
            });
            stream::iter(missed.into_iter().chain(entries))
        })
        .map(Ok::<_, Infallible>);
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// What `batches` bring until `end`, what has happened right before it included.
fn until<T: Send + 'static>(
    batches: impl Stream<Item = T> + Send + 'static,
    end: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    let both = (Box::pin(batches), Box::pin(end));
    stream::unfold(both, async |(mut batches, mut end)| {
        let batch = tokio::select! {
            biased;
            batch = batches.next() => batch,
            () = &mut end => None,
        };
        Some((batch?, (batches, end)))
    })
}
