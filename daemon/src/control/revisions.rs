//! The configurations that were in force.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use scgi_protocol::control::{Revisions, YAML_MEDIA_TYPE};

use super::Room;
use super::door::{Peer, Right};
use super::problem::Refused;
use crate::digest::Digest;
use crate::shell::revisions::joined;

/// The configurations that were in force, as far as they are remembered.
#[utoipa::path(get, path = "/v1/revisions", responses(
    (status = 200, description = "the revisions, oldest first", body = Revisions),
))]
pub(super) async fn list_revisions(State(room): State<Arc<Room>>) -> Json<Revisions> {
    Json(room.state.archive.list())
}

/// The text of one, for those who may act: it says what may be secret.
#[utoipa::path(get, path = "/v1/revisions/{number}",
    params(("number" = u64, Path, description = "its number")),
    responses(
        (status = 200, description = "the configuration", body = String,
            content_type = "application/yaml", headers(("ETag" = String))),
    )
)]
pub(super) async fn show_revision(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    Path(number): Path<String>,
) -> Result<Response, Refused> {
    room.facts().door.admit(&peer, Right::Act)?;
    let number = number.parse().map_err(|_| Refused::no_such_revision(&number))?;
    let archive = room.state.archive.clone();
    let texts = tokio::task::spawn_blocking(move || archive.texts(number)).await;
    let text = joined(&texts.map_err(|_| Refused::stopping())??);
    let tag = format!("\"{}\"", Digest::of(&text));
    Ok(([(ETAG, tag), (CONTENT_TYPE, YAML_MEDIA_TYPE.to_owned())], text).into_response())
}
