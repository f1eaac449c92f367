//! What became of an order.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use scgi_protocol::control::{Author, Operation, OperationState, Verb};
use scgi_protocol::name::{AppName, OperationId};

use super::door::Peer;
use super::problem::Refused;
use super::{Room, closed, view};
use crate::shell::handle::{Ask, Proposal};
use crate::supervisor::OperationView;

/// The longest that an answer is held back.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The operations under way and the last that ended.
#[utoipa::path(get, path = "/v1/operations", responses(
    (status = 200, description = "the operations, oldest first", body = Vec<Operation>),
))]
pub(super) async fn list_operations(State(room): State<Arc<Room>>) -> Json<Vec<Operation>> {
    let operations = room.state.board.operations();
    Json(operations.iter().map(|one| view::operation(&room.state, one)).collect())
}

/// How long to wait for a change.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// Hold the answer back until the operation has changed or ended, at most so many seconds;
    /// more than 60 are 60.
    wait: Option<u64>,
}

/// One operation.
#[utoipa::path(get, path = "/v1/operations/{id}",
    params(("id" = OperationId, Path, description = "its number"), Wait),
    responses((status = 200, description = "the operation", body = Operation))
)]
pub(super) async fn show_operation(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    Query(Wait { wait }): Query<Wait>,
) -> Result<Json<Operation>, Refused> {
    let unknown = || Refused::no_such_operation(&id);
    let number: OperationId = id.parse().map_err(|_| unknown())?;
    let mut changes = room.state.board.changes();
    let first = room.state.board.operation(number).ok_or_else(unknown)?;
    if let Some(seconds) = wait {
        let changed =
            async { while !has_changed(&room, &first) && changes.changed().await.is_ok() {} };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(Duration::from_secs(seconds).min(WAIT_MAX)) => {}
            () = closed(room.closing.clone()) => {}
        }
    }
    let last = room.state.board.operation(number).ok_or_else(unknown)?;
    Ok(Json(view::operation(&room.state, &last)))
}

/// The operation is no longer as it was, has ended, or is forgotten.
fn has_changed(room: &Room, first: &OperationView) -> bool {
    first.state != OperationState::Running
        || room.state.board.operation(first.id).is_none_or(|now| *now != *first)
}

/// What somebody asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) verb: Verb,
    pub(super) app: Option<AppName>,
}

impl Asked {
    /// A configuration is to be taken over.
    pub(super) fn apply(proposal: Proposal, peer: &Peer) -> Self {
        let by = Author::Peer { uid: peer.uid, pid: peer.pid };
        Self { ask: Ask::Apply { proposal, by }, verb: Verb::Apply, app: None }
    }
}

/// Passes an order on to the loop, and answers with the operation it has become.
pub(super) async fn accept(room: &Room, peer: Peer, asked: Asked) -> Result<Response, Refused> {
    let Asked { ask, verb, app } = asked;
    if room.state.board.is_stopping() && verb != Verb::Shutdown {
        return Err(Refused::stopping());
    }
    let id = room.state.handle.ask(ask).await?;
    let (verb_word, app_name) = (verb.as_str(), app.as_ref().map(AppName::as_str));
    let Peer { uid, gid: _, groups: _, pid } = peer;
    tracing::info!(uid, pid, verb = verb_word, app = app_name, operation = id.0, "order accepted");
    let operation = match room.state.board.operation(id) {
        Some(posted) => view::operation(&room.state, &posted),
        // Accepted and not posted yet: the loop does so at the end of its turn.
        None => Operation {
            id,
            verb,
            app,
            state: OperationState::Running,
            progress: "accepted".to_owned(),
            since: room.state.clock.wall(room.state.clock.now()),
            ended: None,
            reason: None,
            evidence: Vec::new(),
            failures: Vec::new(),
            next: None,
        },
    };
    let location = format!("/v1/operations/{id}");
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(operation)).into_response())
}
