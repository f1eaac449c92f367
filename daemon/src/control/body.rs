//! What may be sent: a body is taken in whole, within its limits, before anybody looks at it.

use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::LengthLimitError;
use scgi_protocol::control::{BODY_MAX_BYTES, CONFIG_MAX_BYTES};
use serde::de::DeserializeOwned;

use super::problem::Refused;

/// How long a client may take to send a body; it comes from this machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the body in and passes the request on.
pub(super) async fn take(request: Request, next: Next) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let most_bytes = match head.uri.path() {
        "/v1/plan" | "/v1/apply" => CONFIG_MAX_BYTES,
        _ => BODY_MAX_BYTES,
    };
    if body.size_hint().lower() > most_bytes as u64 {
        return Err(Refused::too_large(most_bytes));
    }
    let taken = tokio::time::timeout(PATIENCE, to_bytes(body, most_bytes)).await;
    let bytes = taken.map_err(|_| Refused::too_slow(PATIENCE))?.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
            return Refused::too_large(most_bytes);
        }
        Refused::bad_request("the body ended before it was complete", "send it again")
    })?;
    Ok(next.run(Request::from_parts(head, Body::from(bytes))).await)
}

/// Reads a body as JSON, whatever media type it is said to be; `example` shows a good one.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8], example: &str) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("the body is not what is wanted here: {error}");
        Refused::bad_request(&detail, &format!("a body that is: {example}"))
    })
}
