//! The HTTP side: connections, and what each request becomes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::exchange::{Answer, Patience, Upload, exchange};
use super::failure::Failure;
use super::head::{self, Ends, Place};
use super::pages;
use super::routes::{Route, Routes};
use super::tally::{Content, Counted, Tally};

/// Connections that may be open at once.
const CONNECTIONS_MAX: usize = 512;

/// Longest head of a request, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// How long a client may take to send a head, or to begin the next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// Longest body whose length is not announced, in bytes: SCGI wants to know it first.
const UNANNOUNCED_MAX_BYTES: usize = 8 << 20;

/// The pause after a connection could not be accepted, which is so when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

type Reply = Response<Content>;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Gateway {
    /// The apps behind it.
    pub(super) routes: Routes,
    /// How long it waits for them.
    pub(super) patience: Patience,
    /// Where it counts.
    pub(super) tally: Arc<Tally>,
    /// The daemon's control socket, if it is known, for the index.
    pub(super) socket: Option<String>,
}

/// Serves until `leave`, then what is in flight to its end.
pub(super) async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    leave: impl Future<Output = ()>,
) {
    let gateway = Arc::new(gateway);
    gateway.tally.accepting();
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut leave = pin!(leave);
    loop {
        tokio::select! {
            () = &mut leave => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, remote)) => {
                    let gateway = Arc::clone(&gateway);
                    drop(connections.spawn(converse(stream, remote, gateway, closing.clone())));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    gateway.tally.draining();
    close.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// Answers one client until it leaves or the gateway does.
async fn converse(
    stream: TcpStream,
    remote: SocketAddr,
    gateway: Arc<Gateway>,
    mut closing: watch::Receiver<bool>,
) {
    let Ok(local) = stream.local_addr() else { return };
    // Only makes small answers slower if it fails.
    let _ = stream.set_nodelay(true);
    let ends = Ends { remote, local };
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.counted(request, ends).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let closed = async move { drop(closing.wait_for(|closing| *closing).await) };
    let mut connection = pin!(connection);
    tokio::select! {
        // What a client does wrong ends its own connection and nothing else.
        _ = &mut connection => {}
        () = closed => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

impl Gateway {
    async fn counted(&self, request: Request<Incoming>, ends: Ends) -> Response<Counted> {
        let target = request.uri().path_and_query().map_or("*", |target| target.as_str());
        let turn = self.tally.begin(request.method().as_str(), target);
        let is_head = request.method() == Method::HEAD;
        let reply = self.answer(request, ends).await;
        let announced = reply.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let length = if is_head { Some(0) } else { announced };
        let status = reply.status().as_u16();
        reply.map(|content| Counted::new(content, turn, status, length))
    }

    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Reply {
        let wants_html = request
            .headers()
            .get(header::ACCEPT)
            .is_some_and(|accept| accept.as_bytes().windows(9).any(|part| part == b"text/html"));
        let path: Vec<u8> = percent_decode_str(request.uri().path()).collect();
        let Some((route, path_info)) = self.routes.find(&path) else {
            return self.own(request.method(), &path);
        };
        let answered = self.pass_on(request, route, path_info, ends).await;
        answered.unwrap_or_else(|failure| refuse(&failure, Some(route), wants_html))
    }

    /// What the gateway shows where no app is.
    fn own(&self, method: &Method, path: &[u8]) -> Reply {
        match (path, method.as_str()) {
            (b"/", "GET" | "HEAD") => html(200, pages::index(&self.routes, self.socket.as_deref())),
            _ => html(404, pages::nowhere(&String::from_utf8_lossy(path))),
        }
    }

    async fn pass_on(
        &self,
        request: Request<Incoming>,
        route: &Route,
        path_info: &[u8],
        ends: Ends,
    ) -> Result<Reply, Failure> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(Failure::Method);
        }
        if path_info.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")) {
            return Err(Failure::Path);
        }
        let place = Place { script_name: &route.prefix, path_info };
        let (length, body) = announced(body).await?;
        let head = encode(&parts, place, ends, length)?;
        let answer = exchange(&route.address, head, body, self.patience).await?;
        Ok(reply(answer))
    }
}

fn encode(parts: &Parts, place: Place<'_>, ends: Ends, length: u64) -> Result<Vec<u8>, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    head::encode(parts, place, ends, length, now).map_err(Failure::Unsendable)
}

/// A body and its length; one that comes in chunks is read first.
async fn announced(body: Incoming) -> Result<(u64, Upload), Failure> {
    if let Some(length) = body.size_hint().exact() {
        return Ok((length, body.boxed()));
    }
    let read = Limited::new(body, UNANNOUNCED_MAX_BYTES).collect().await;
    let bytes = read.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => Failure::TooLong { most: UNANNOUNCED_MAX_BYTES },
        false => Failure::ClientGone,
    })?;
    let bytes = bytes.to_bytes();
    let body = Full::new(bytes.clone()).map_err(|never| match never {});
    Ok((bytes.len() as u64, body.boxed()))
}

/// An app's answer as one of HTTP. Headers that speak of a connection are this gateway's to send.
fn reply(answer: Answer) -> Reply {
    const OURS: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "upgrade"];
    let Answer { head, body } = answer;
    let mut reply = Response::new(body.boxed_unsync());
    // An interim answer as the last word is none; the body says what there is to say.
    let status = StatusCode::from_u16(head.status()).ok().filter(|s| !s.is_informational());
    *reply.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in head.headers() {
        let name = HeaderName::try_from(name);
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) else { continue };
        if !OURS.contains(&name.as_str()) {
            reply.headers_mut().append(name, value);
        }
    }
    reply
}

fn refuse(failure: &Failure, route: Option<&Route>, wants_html: bool) -> Reply {
    let status = failure.status();
    let mut reply = match wants_html {
        true => html(status, pages::failed(failure, route)),
        false => page(status, "text/plain; charset=utf-8", pages::failed_text(failure, route)),
    };
    if status == 503 {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

fn html(status: u16, text: String) -> Reply {
    page(status, "text/html; charset=utf-8", text)
}

fn page(status: u16, content_type: &'static str, text: String) -> Reply {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut reply = Response::new(body.boxed_unsync());
    *reply.status_mut() =
        StatusCode::from_u16(status).expect("the gateway's own statuses are some");
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
