//! What the apps are doing, and orders to one of them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::{Extension, Json};
use scgi_protocol::control::{App, AppDetail, Operation, Scale};
use scgi_protocol::name::AppName;

use super::body::json;
use super::door::Peer;
use super::operations::{Asked, accept};
use super::problem::Refused;
use super::{ControlState, Room, view};
use crate::shell::handle::Ask;
use crate::spec::Sizing;
use crate::supervisor::{AppOrder, Order};

/// Bodies that scale, for those who sent another.
const SCALES: &str = r#"{"to": 4}, {"by": -1} or {"range": {"min": 1, "max": 8}}"#;

/// A line for every app.
#[utoipa::path(get, path = "/v1/apps", responses(
    (status = 200, description = "the apps, by name", body = Vec<App>),
))]
pub(super) async fn list_apps(State(room): State<Arc<Room>>) -> Json<Vec<App>> {
    Json(view::apps(&room.state))
}

/// One app with its workers, its last events and its last lines.
#[utoipa::path(get, path = "/v1/apps/{app}",
    params(("app" = AppName, Path, description = "its name")),
    responses((status = 200, description = "the app", body = AppDetail))
)]
pub(super) async fn show_app(
    State(room): State<Arc<Room>>,
    Path(name): Path<String>,
) -> Result<Json<AppDetail>, Refused> {
    let name = known(&room.state, &name)?;
    let pool = room.state.board.pool(&name);
    // It may have been removed between two looks.
    let pool = pool.ok_or_else(|| Refused::no_such_app(name.as_str(), std::iter::empty()))?;
    Ok(Json(view::detail(&room.state, &name, &pool)))
}

/// What an app can be told to do without saying more.
#[derive(Clone, Copy, Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum AppVerb {
    /// Bring a stopped app back.
    Start,
    /// Drain its workers and close its listeners.
    Stop,
    /// Stop all its workers, then start them.
    Restart,
    /// Replace its workers, new before old.
    Reload,
    /// Try a failing or held app at once.
    Retry,
    /// Leave the roll under way as it is.
    Pause,
    /// Go on with a paused roll.
    Resume,
    /// Return to the workers before the roll.
    Undo,
}

/// Tells an app what to do.
#[utoipa::path(post, path = "/v1/apps/{app}/{verb}",
    params(
        ("app" = AppName, Path, description = "its name"),
        ("verb" = inline(AppVerb), Path, description = "what it shall do"),
        Turn,
    ),
    responses(
        (status = 202, description = "accepted", body = Operation, headers(("Location" = String))),
    )
)]
pub(super) async fn order_app(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    Path((name, verb)): Path<(String, String)>,
    Query(Turn { queue }): Query<Turn>,
) -> Result<Response, Refused> {
    let app = known(&room.state, &name)?;
    let Some(what) = order(&verb) else {
        let path = format!("/v1/apps/{app}/{verb}");
        let hint = "an app can be told to `start`, `stop`, `restart`, `reload`, `retry`, \
                    `pause`, `resume` or `undo`; \
                    it is scaled by `PUT /v1/apps/{app}/workers`";
        return Err(Refused::not_found(&path, hint));
    };
    let mut asked = asked(app, what);
    if let (true, Ask::Order(order)) = (queue, &asked.ask) {
        asked.ask = Ask::Queue(order.clone());
    }
    accept(&room, peer, asked).await
}

/// What happens while another operation stands in the way.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Turn {
    /// Begin when the other one has ended, rather than be refused (default `false`).
    #[serde(default)]
    queue: bool,
}

/// Gives an app another number of workers, until the next change of its configuration.
#[utoipa::path(put, path = "/v1/apps/{app}/workers",
    params(("app" = AppName, Path, description = "its name")),
    request_body = Scale,
    responses(
        (status = 202, description = "accepted", body = Operation, headers(("Location" = String))),
    )
)]
pub(super) async fn scale_app(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let app = known(&room.state, &name)?;
    let scale = bounded(json(&body, SCALES)?)?;
    accept(&room, peer, asked(app, AppOrder::Scale(scale))).await
}

fn order(verb: &str) -> Option<AppOrder> {
    let verb = serde_json::from_value::<AppVerb>(verb.into()).ok()?;
    Some(match verb {
        AppVerb::Start => AppOrder::Start,
        AppVerb::Stop => AppOrder::Stop,
        AppVerb::Restart => AppOrder::Restart,
        AppVerb::Reload => AppOrder::Reload,
        AppVerb::Retry => AppOrder::Retry,
        AppVerb::Pause => AppOrder::Pause,
        AppVerb::Resume => AppOrder::Resume,
        AppVerb::Undo => AppOrder::Undo,
    })
}

fn asked(app: AppName, what: AppOrder) -> Asked {
    let order = Order::App { app: app.clone(), what };
    Asked { ask: Ask::Order(order), verb: what.verb(), app: Some(app) }
}

/// The name of an app that exists.
pub(super) fn known(state: &ControlState, name: &str) -> Result<AppName, Refused> {
    let app = name.parse().ok().filter(|app| state.board.pool(app).is_some());
    app.ok_or_else(|| Refused::no_such_app(name, state.board.pools().into_keys()))
}

/// A scale whose numbers can be meant.
fn bounded(scale: Scale) -> Result<Scale, Refused> {
    const MOST: u16 = Sizing::MOST;
    let refuse = |detail: String| Err(Refused::bad_request(&detail, &format!("send {SCALES}")));
    match scale {
        Scale::To(MOST..) if scale != Scale::To(MOST) => {
            refuse(format!("an app has at most {MOST} workers"))
        }
        Scale::By(by) if by == 0 || by.unsigned_abs() > u32::from(MOST) => {
            refuse(format!("`by` is 1 to {MOST}, or -1 to -{MOST}, not {by}"))
        }
        Scale::Range { min: None, max: None } => {
            refuse("`range` needs `min`, `max` or both".to_owned())
        }
        Scale::Range { max: Some(0), .. } => {
            refuse("`max` must be 1 or more; `stop` makes an app have no workers".to_owned())
        }
        Scale::Range { min, max } if min.max(max) > Some(MOST) => {
            refuse(format!("an app has at most {MOST} workers"))
        }
        Scale::Range { min: Some(min), max: Some(max) } if min > max => {
            refuse(format!("`min` ({min}) is more than `max` ({max})"))
        }
        Scale::To(_) | Scale::By(_) | Scale::Range { .. } => Ok(scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_refused_if_its_numbers_cannot_be_meant() {
        let range = |min, max| Scale::Range { min, max };
        let good = [
            Scale::To(0),
            Scale::To(1024),
            Scale::By(-1024),
            range(Some(0), None),
            range(None, Some(1024)),
            range(Some(4), Some(4)),
        ];
        let bad = [
            Scale::To(1025),
            Scale::By(0),
            Scale::By(i32::MIN),
            range(None, None),
            range(Some(2), Some(1)),
            range(None, Some(0)),
            range(Some(1025), None),
        ];

        assert!(good.into_iter().all(|scale| bounded(scale).is_ok()));
        assert!(bad.into_iter().all(|scale| bounded(scale).is_err()));
    }
}
