//! The daemon as a whole: its status, its configuration, its end.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use scgi_protocol::control::{Operation, Status, Upgrade, UpgradeRequest, Verb, YAML_MEDIA_TYPE};

use super::body::json;
use super::door::{Peer, Right};
use super::operations::{Asked, accept};
use super::problem::Refused;
use super::{Room, view};
use crate::shell::handle::{Ask, Proposal, Source};
use crate::shell::upgrade::UpgradeOrder;
use crate::supervisor::Order;

/// The daemon and a line for every app.
#[utoipa::path(get, path = "/v1/status", responses(
    (status = 200, description = "how everything is", body = Status),
))]
pub(super) async fn status(State(room): State<Arc<Room>>) -> Json<Status> {
    Json(Status { daemon: view::daemon(&room), apps: view::apps(&room.state) })
}

/// The configuration as it was written, for those who may act: it says what may be secret, such as
/// the values of `env`.
#[utoipa::path(get, path = "/v1/config",
    params(("If-None-Match" = Option<String>, Header, description = "an `ETag` that is known")),
    responses(
        (status = 200, description = "the configuration", body = String,
            content_type = "application/yaml", headers(("ETag" = String))),
        (status = 304, description = "it is the known one"),
    )
)]
pub(super) async fn config(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let facts = room.facts();
    facts.door.admit(&peer, Right::Act)?;
    let tag = facts.tag.clone();
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| facts.is_tagged(known)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let media_type = YAML_MEDIA_TYPE.to_owned();
    Ok(([(ETAG, tag), (CONTENT_TYPE, media_type)], facts.text.clone()).into_response())
}

/// Reads the configuration again and takes it over.
#[utoipa::path(post, path = "/v1/site/reload", responses(
    (status = 202, description = "accepted", body = Operation, headers(("Location" = String))),
    (status = 422, description = "the configuration has problems; nothing has changed",
        body = scgi_protocol::control::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn reload_site(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Refused> {
    let proposal = Proposal { source: Source::Configured, expected: None };
    let asked = Asked::apply(proposal, &peer);
    accept(&room, peer, asked).await
}

/// Becomes another program: same process, same workers, same sockets. Answers before it does, and
/// only after the other program has said that it can go on from here.
#[utoipa::path(post, path = "/v1/upgrade", request_body = UpgradeRequest, responses(
    (status = 200, description = "what it is about to become, or with `check` could", body = Upgrade),
    (status = 422, description = "the other program cannot go on from here; nothing has changed",
        body = scgi_protocol::control::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn upgrade(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Json<Upgrade>, Refused> {
    let asked = match body.is_empty() {
        true => UpgradeRequest::default(),
        false => json(&body, r#"{"binary": "/usr/bin/scgid", "check": true}"#)?,
    };
    let UpgradeRequest { binary, check } = asked;
    let Peer { uid, pid, .. } = peer;
    tracing::info!(uid, pid, binary, check, "upgrade asked for");
    let order = UpgradeOrder { binary: binary.map(Into::into), check };
    Ok(Json(room.state.handle.upgrade(order).await?))
}

/// Ends the daemon and all its workers, in order; asked again, it hurries.
#[utoipa::path(post, path = "/v1/shutdown", responses(
    (status = 202, description = "accepted", body = Operation, headers(("Location" = String))),
))]
pub(super) async fn shutdown(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Refused> {
    let ask = Ask::Order(Order::Shutdown);
    accept(&room, peer, Asked { ask, verb: Verb::Shutdown, app: None }).await
}
