//! How a refusal looks: `application/problem+json`, one kind for each thing that can be wrong,
//! with a hint that a person can act on.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use scgi_protocol::control::{PROBLEM_MEDIA_TYPE, Problem, ProblemKind};
use scgi_protocol::name::{AppName, OperationId};

use super::door::Peer;
use crate::shell::handle::Refusal;

/// How much of what the HTTP library says about a refusal is passed on, in bytes.
const SAID_MAX_BYTES: usize = 4096;

/// How many apps are named to somebody who asked for one that does not exist.
const APPS_NAMED: usize = 8;

/// How alike a name must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.7;

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refused(Box<Problem>);

impl Refused {
    fn new(kind: ProblemKind, detail: String) -> Self {
        Self(Box::new(Problem::new(kind, detail)))
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// There is no app of that name among `known`.
    pub(super) fn no_such_app(name: &str, known: impl Iterator<Item = AppName>) -> Self {
        let known: Vec<AppName> = known.collect();
        let detail = format!("no app is called `{}`", name.escape_debug());
        Self::new(ProblemKind::NoSuchApp, detail).hint(suggestion(name, &known))
    }

    /// There is no operation of that number.
    pub(super) fn no_such_operation(id: &str) -> Self {
        let detail = format!("no operation is known by the number `{}`", id.escape_debug());
        Self::new(ProblemKind::NoSuchOperation, detail).hint(
            "only the last are remembered; `scgictl events` tells what became of earlier ones",
        )
    }

    /// There is no revision of that number.
    pub(super) fn no_such_revision(number: &str) -> Self {
        let detail = format!("no revision is known by the number `{}`", number.escape_debug());
        Self::new(ProblemKind::NoSuchRevision, detail)
            .hint("only the last are kept; `scgictl rollout history` lists them")
    }

    /// There is nothing at this path.
    pub(super) fn not_found(path: &str, hint: &str) -> Self {
        let detail = format!("there is nothing at `{}`", path.escape_debug());
        Self::new(ProblemKind::NotFound, detail).hint(hint)
    }

    /// The sender is not in the list of those who may.
    pub(super) fn forbidden(peer: &Peer, list: &str) -> Self {
        let groups: Vec<String> = peer.all_groups().iter().map(u32::to_string).collect();
        let plural = if groups.len() == 1 { "group" } else { "groups" };
        let detail =
            format!("user {} with {plural} {} may not do this", peer.uid, groups.join(", "));
        Self::new(ProblemKind::Forbidden, detail)
            .hint(format!("whoever runs scgid can name the user or a group of its in `{list}`"))
    }

    /// What was sent makes no sense.
    pub(super) fn bad_request(detail: &str, hint: &str) -> Self {
        Self::new(ProblemKind::BadRequest, detail.to_owned()).hint(hint)
    }

    /// The body is longer than a body may be here.
    pub(super) fn too_large(most_bytes: usize) -> Self {
        let detail = format!("this request may have a body of at most {most_bytes} bytes");
        Self::new(ProblemKind::TooLarge, detail).hint(
            "of a configuration that is longer, put the apps into files of their own and \
             `include` them",
        )
    }

    /// The body did not come in time.
    pub(super) fn too_slow(patience: Duration) -> Self {
        let detail = format!("the body was not complete after {} s", patience.as_secs());
        Self::new(ProblemKind::TooSlow, detail)
            .hint("send as many bytes as `Content-Length` announces")
    }

    /// All streams that may be open are.
    pub(super) fn busy() -> Self {
        let detail = "as many streams of events and lines are open as may be".to_owned();
        Self::new(ProblemKind::Busy, detail)
            .hint("end some of the followers, or ask without `Accept: text/event-stream`")
    }

    /// The daemon is on its way out.
    pub(super) fn stopping() -> Self {
        Self::from(Refusal::Stopping)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoSuchApp(app) => Self::no_such_app(app.as_str(), std::iter::empty()),
            Refusal::Conflict(id) => Self::conflict(id, detail),
            Refusal::Senseless(_) => Self::new(ProblemKind::Senseless, detail)
                .hint("`scgictl status` shows how things are"),
            Refusal::Unprepared(_) => Self::new(ProblemKind::Unprepared, detail)
                .hint("nothing has changed; remove the cause and try again"),
            Refusal::InvalidConfig(problems) => {
                let mut refused = Self::new(ProblemKind::InvalidConfig, detail)
                    .hint("nothing has changed; correct the file and try again");
                refused.0.problems = problems;
                refused
            }
            Refusal::NoSuchRevision(number) => Self::no_such_revision(&number.to_string()),
            Refusal::Changed(_) => Self::new(ProblemKind::Changed, detail)
                .hint("nothing has changed; look at what is in force, plan again, then apply"),
            Refusal::Stopping => Self::new(ProblemKind::Stopping, detail)
                .hint("it takes no more orders; wait until it is back"),
        }
    }
}

impl Refused {
    fn conflict(id: OperationId, detail: String) -> Self {
        let mut refused = Self::new(ProblemKind::Conflict, detail)
            .hint(format!("`scgictl wait op:{id}` waits for its end; try again then"));
        refused.0.operation = Some(id);
        refused
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("every kind has a status of HTTP");
        let body = serde_json::to_vec(&self.0).expect("a problem has no map with odd keys");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        (status, headers, body).into_response()
    }
}

/// Answers for every path that is not in the table of routes.
pub(super) async fn nowhere(uri: Uri) -> Refused {
    Refused::not_found(uri.path(), "`GET /v1/openapi.json` lists everything that is there")
}

/// Makes a problem of every refusal that the HTTP library made by itself.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    let is_problem =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_MEDIA_TYPE);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (head, body) = response.into_parts();
    let said = to_bytes(body, SAID_MAX_BYTES).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => not_allowed(&asked, head.headers.get(ALLOW)),
        status if status.is_server_error() => {
            Refused::new(ProblemKind::Internal, format!("`{asked}` failed: {said}"))
                .hint("this is a fault of scgid; its log may say more")
                .into_response()
        }
        _ => Refused::bad_request(&said, "`GET /v1/openapi.json` says what is wanted here")
            .into_response(),
    }
}

fn not_allowed(asked: &str, allow: Option<&HeaderValue>) -> Response {
    let allowed = allow.and_then(|value| value.to_str().ok()).unwrap_or("nothing").to_owned();
    let detail = format!("`{}` cannot be done", asked.escape_debug());
    let refused = Refused::new(ProblemKind::MethodNotAllowed, detail);
    let mut response = refused.hint(format!("allowed here: {allowed}")).into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    response
}

/// What somebody may have meant by `name`.
fn suggestion(name: &str, known: &[AppName]) -> String {
    let alike = |app: &&AppName| strsim::jaro_winkler(name, app.as_str());
    let closest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match closest {
        None => "`GET /v1/apps` lists the apps of this site".to_owned(),
        Some(app) if alike(&app) >= ALIKE => format!("did you mean `{app}`?"),
        Some(_) => {
            let named: Vec<&str> = known.iter().take(APPS_NAMED).map(AppName::as_str).collect();
            let more = if known.len() > APPS_NAMED { ", …" } else { "" };
            format!("the apps of this site: {}{more}", named.join(", "))
        }
    }
}
