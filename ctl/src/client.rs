//! Speaks HTTP with the daemon over its control socket: one connection a request, JSON both ways.
//!
//! Knows nothing of apps or tables; streams of server-sent events are read by `stream`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, IF_MATCH};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use scgi_protocol::control::{EVENT_STREAM, PROBLEM_MEDIA_TYPE, Problem, YAML_MEDIA_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Exit;
use crate::socket::{ReachError, Socket};

/// How long the daemon may take to answer what needs no waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; a thousand apps are less than one MiB.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A way to ask the daemon; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: Arc<Socket>,
}

/// The text of a configuration.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What its problems call it.
    pub(crate) name: String,
    /// What it says; whether that is text is for the daemon to tell.
    pub(crate) text: Vec<u8>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("{}", told(.0))]
    Refused(Box<Problem>),
    #[error("the daemon does not answer: no reply to `{path}` within {}s", within.as_secs())]
    Silent { path: String, within: Duration },
    #[error("the connection to the daemon broke while it answered `{path}`")]
    Lost { path: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the answer to `{path}` is not understood")]
    Unintelligible { path: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// The words of a refusal: what was wrong this time, else the kind of it.
fn told(problem: &Problem) -> &str {
    if problem.detail.is_empty() { &problem.title } else { &problem.detail }
}

impl ClientError {
    /// The exit code this ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Reach(error) => error.exit(),
            Self::Refused(problem) => Exit::of_problem(problem),
            Self::Silent { .. } | Self::Lost { .. } => Exit::Unreachable,
            Self::Unintelligible { .. } => Exit::Failed,
        }
    }

    /// What a person can do about it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Reach(error) => Some(error.help()),
            Self::Refused(problem) => problem.hint.clone().or_else(|| {
                let id = problem.operation?;
                Some(format!("`scgictl wait op:{id}` waits for the operation that is in the way"))
            }),
            Self::Unintelligible { .. } => {
                Some("is it the control socket of scgid, and of this version?".to_owned())
            }
            Self::Silent { .. } | Self::Lost { .. } => None,
        }
    }

    /// The daemon cannot be talked to, so it has ended or is being replaced.
    pub(crate) fn is_absence(&self) -> bool {
        let gone =
            |e: &ReachError| matches!(e, ReachError::NoSocket { .. } | ReachError::Stale { .. });
        match self {
            Self::Reach(error) => gone(error),
            Self::Lost { .. } => true,
            Self::Refused(_) | Self::Silent { .. } | Self::Unintelligible { .. } => false,
        }
    }
}

impl Client {
    /// A client of the daemon behind `socket`.
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket: Arc::new(socket) }
    }

    /// Reads `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; nothing has changed.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(request(Method::GET, path, None)?, ANSWER_WITHIN).await
    }

    /// Reads `path`, which the daemon answers when something has changed or `wait` is over.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; nothing has changed.
    pub(crate) async fn get_when_changed<T: DeserializeOwned>(
        &self,
        path: &str,
        wait: Duration,
    ) -> Result<T, ClientError> {
        let path = format!("{path}?wait={}", wait.as_secs());
        self.ask(request(Method::GET, &path, None)?, wait + ANSWER_WITHIN).await
    }

    /// Orders something by `POST`ing to `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] means that nothing has changed.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(request(Method::POST, path, None)?, ANSWER_WITHIN).await
    }

    /// Orders something by `POST`ing `body` to `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] means that nothing has changed.
    pub(crate) async fn post_with<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| unintelligible(path, source))?;
        self.ask(request(Method::POST, path, Some(body))?, ANSWER_WITHIN).await
    }

    /// Posts a configuration to `path`, or leaves it to the daemon which one is meant; if `tag` is
    /// given, only if that is the tag of the one in force.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] means that nothing has changed.
    pub(crate) async fn propose<T: DeserializeOwned>(
        &self,
        path: &str,
        configuration: Option<Configuration>,
        tag: Option<&str>,
    ) -> Result<T, ClientError> {
        let (path, body) = match configuration {
            Some(Configuration { name, text }) => {
                (format!("{path}?name={}", escaped(&name)), Some(text))
            }
            None => (path.to_owned(), None),
        };
        let mut request = request(Method::POST, &path, body)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(YAML_MEDIA_TYPE));
        if let Some(tag) = tag {
            let tag = format!("\"{}\"", tag.trim_matches('"'));
            let tag =
                HeaderValue::from_str(&tag).map_err(|source| unintelligible(&path, source))?;
            headers.insert(IF_MATCH, tag);
        }
        self.ask(request, ANSWER_WITHIN).await
    }

    /// Orders something by `PUT`ting `body` to `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] means that nothing has changed.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| unintelligible(path, source))?;
        self.ask(request(Method::PUT, path, Some(body))?, ANSWER_WITHIN).await
    }

    /// Opens the stream of server-sent events at `path`, after number `after` if one is given.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; nothing has changed.
    pub(crate) async fn open(
        &self,
        path: &str,
        after: Option<u64>,
    ) -> Result<Incoming, ClientError> {
        let mut request = request(Method::GET, path, None)?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        if let Some(id) = after {
            headers.insert("last-event-id", HeaderValue::from(id));
        }
        let response = within(ANSWER_WITHIN, path, self.send(request, path)).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(refusal(path, response.status(), &read(path, response).await?))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let path = request.uri().to_string();
        let (status, body) = within(patience, &path, async {
            let response = self.send(request, &path).await?;
            Ok((response.status(), read(&path, response).await?))
        })
        .await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|source| unintelligible(&path, source));
        }
        Err(refusal(&path, status, &body))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        path: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = self.socket.connect().await?;
        let lost = |source| lost(path, source);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // Ends with the response's body; what goes wrong in it is seen by whoever reads the body.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(lost)
    }
}

/// A text as part of a query.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn request(
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "scgid")
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body.unwrap_or_default()))
        .map_err(|source| unintelligible(path, source))
}

async fn within<T>(
    patience: Duration,
    path: &str,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(patience, answer)
        .await
        .unwrap_or_else(|_| Err(ClientError::Silent { path: path.to_owned(), within: patience }))
}

async fn read(path: &str, response: Response<Incoming>) -> Result<Bytes, ClientError> {
    match Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(source) if source.is::<LengthLimitError>() => {
            Err(ClientError::Unintelligible { path: path.to_owned(), source })
        }
        Err(source) => Err(ClientError::Lost { path: path.to_owned(), source }),
    }
}

/// A refusal as the daemon words it, or as much as can be told of another one.
fn refusal(path: &str, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_) => unintelligible(
            path,
            io::Error::other(format!("status {status} without {PROBLEM_MEDIA_TYPE}")),
        ),
    }
}

pub(crate) fn lost(path: &str, source: hyper::Error) -> ClientError {
    ClientError::Lost { path: path.to_owned(), source: source.into() }
}

pub(crate) fn unintelligible(
    path: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ClientError {
    ClientError::Unintelligible { path: path.to_owned(), source: source.into() }
}
