//! Another configuration: what it would change, to be taken over, or an earlier one to return to.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::response::Response;
use axum::{Extension, Json};
use scgi_protocol::control::{Operation, Plan, Problem};

use super::Room;
use super::door::Peer;
use super::operations::{Asked, accept};
use super::problem::Refused;
use crate::shell::handle::{Proposal, Source};

/// What a text is called that comes without a name.
const NAMELESS: &str = "the text that was sent";

/// What the configuration that is sent is called.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Sent {
    /// What problems call the text, such as the path of its file. Without a name and a body, the
    /// daemon's own file is read.
    name: Option<String>,
}

/// Which revision.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Chosen {
    /// Its number; without one, the last before the one in force that ended well.
    to: Option<u64>,
}

/// What a configuration would change; all that can fail is tried, and nothing is changed.
#[utoipa::path(post, path = "/v1/plan",
    params(Sent, ("If-Match" = Option<String>, Header, description = "the configuration in force")),
    request_body(content = Option<String>, content_type = "application/yaml"),
    responses(
        (status = 200, description = "what would change", body = Plan),
        (status = 412, description = "another configuration is in force",
            body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the configuration has problems",
            body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn plan(
    State(room): State<Arc<Room>>,
    Query(sent): Query<Sent>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Plan>, Refused> {
    let proposal = Proposal { source: source(sent, &body)?, expected: expected(&headers)? };
    Ok(Json(room.state.handle.plan(proposal).await?))
}

/// Takes a configuration over.
#[utoipa::path(post, path = "/v1/apply",
    params(Sent, ("If-Match" = Option<String>, Header, description = "the configuration in force")),
    request_body(content = Option<String>, content_type = "application/yaml"),
    responses(
        (status = 202, description = "accepted", body = Operation, headers(("Location" = String))),
        (status = 412, description = "another configuration is in force; nothing has changed",
            body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the configuration has problems; nothing has changed",
            body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn apply(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    Query(sent): Query<Sent>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let proposal = Proposal { source: source(sent, &body)?, expected: expected(&headers)? };
    let asked = Asked::apply(proposal, &peer);
    accept(&room, peer, asked).await
}

/// Takes an earlier configuration over again. The daemon's own file stays as it is.
#[utoipa::path(post, path = "/v1/rollback",
    params(Chosen, ("If-Match" = Option<String>, Header, description = "the configuration in force")),
    responses(
        (status = 202, description = "accepted", body = Operation, headers(("Location" = String))),
        (status = 404, description = "no revision has this number",
            body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the configuration has problems; nothing has changed",
            body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn rollback(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    Query(Chosen { to }): Query<Chosen>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let proposal = Proposal { source: Source::Revision(to), expected: expected(&headers)? };
    let asked = Asked::apply(proposal, &peer);
    accept(&room, peer, asked).await
}

/// The configuration that is meant.
fn source(sent: Sent, body: &Bytes) -> Result<Source, Refused> {
    if sent.name.is_none() && body.is_empty() {
        return Ok(Source::Configured);
    }
    let name = sent.name.unwrap_or_else(|| NAMELESS.to_owned());
    let text = String::from_utf8(body.to_vec()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let detail = format!("byte {at} of `{}` is not UTF-8", name.escape_debug());
        Refused::bad_request(&detail, "send the configuration as UTF-8")
    })?;
    Ok(Source::Text { name, text })
}

fn expected(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let value = headers.get(IF_MATCH).map(|value| value.to_str());
    value.transpose().map(|value| value.map(str::to_owned)).map_err(|_| {
        Refused::bad_request("`If-Match` has letters that no tag has", "send an `ETag` as it was")
    })
}
