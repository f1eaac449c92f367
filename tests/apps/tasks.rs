//! The pages of `echo` and `pages` as an axum router, whose requests are tasks; with `one` as its
//! argument, one at a time.
//!
//! Nothing in here waits for a time: what is to be slow waits for a file that the test makes.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, Query, RawQuery};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::unfold;
use http_body_util::BodyExt;
use scgi_worker::{Exit, Server, Variables};

/// Longest body that is sent back.
const ECHO_MAX_BYTES: usize = 16 << 20;

/// An answer that no socket takes at once.
const LARGE_BYTES: usize = 32 << 20;

/// Longest body that the page for small ones takes.
const SMALL_MAX_BYTES: usize = 1000;

fn main() -> Exit {
    let app = Router::new()
        .route("/hello", get(async || "hello\n"))
        .route("/missing", get(async || (StatusCode::NOT_FOUND, "missing\n")))
        .route("/nothing", get(async || StatusCode::NO_CONTENT))
        .route("/same", get(async || (StatusCode::NOT_MODIFIED, [("ETag", "\"1\"")])))
        .route("/moved", get(moved))
        .route("/cookies", get(cookies))
        .route("/long", get(long))
        .route("/large", get(async || vec![b'x'; LARGE_BYTES]))
        .route("/big", get(big))
        .route("/stream", get(stream))
        .route("/variables", get(variables))
        .route("/abandoned", get(async || std::future::pending::<&str>().await))
        .route("/echo", post(async |body: Bytes| body))
        .route("/length", post(length))
        .route("/small", post(small).layer(DefaultBodyLimit::max(SMALL_MAX_BYTES)))
        .route("/busy", post(busy))
        .layer(DefaultBodyLimit::max(ECHO_MAX_BYTES));
    let server = Server::new(app).limits(scgi_tests::limits());
    match std::env::args().any(|argument| argument == "one") {
        true => server.concurrency(1).run(),
        false => server.run(),
    }
}

async fn moved() -> impl IntoResponse {
    (StatusCode::FOUND, [("Location", "http://localhost/elsewhere")])
}

async fn cookies() -> impl IntoResponse {
    (AppendHeaders([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/")]), "two\n")
}

/// A head longer than the page of memory that nginx keeps for it, in lines that Apache takes.
async fn long() -> impl IntoResponse {
    let value = HeaderValue::from_str(&"x".repeat(2500)).expect("letters are a value");
    let names = ["x-long-0", "x-long-1", "x-long-2"].map(HeaderName::from_static);
    (AppendHeaders(names.map(|name| (name, value.clone()))), "long\n")
}

/// As many bytes as the query says.
async fn big(RawQuery(query): RawQuery) -> Result<Vec<u8>, StatusCode> {
    let bytes = query.and_then(|query| query.parse().ok()).ok_or(StatusCode::BAD_REQUEST)?;
    Ok(vec![b'x'; bytes])
}

/// How long the body is, without holding it.
async fn length(body: Body) -> Result<String, StatusCode> {
    let (mut body, mut bytes) = (body, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(format!("{bytes}\n"))
}

async fn small(body: Bytes) -> Bytes {
    body
}

async fn busy() -> impl IntoResponse {
    (StatusCode::SERVICE_UNAVAILABLE, [("Retry-After", "1")], "busy\n")
}

/// Sends two pieces, the second one when the file `until` exists.
async fn stream(Query(query): Query<Vec<(String, String)>>) -> Response {
    let until = query.into_iter().find(|(name, _)| name == "until");
    let until = PathBuf::from(until.map(|(_, value)| value).unwrap_or_default());
    let pieces = unfold(0, move |piece| {
        let until = until.clone();
        async move {
            if piece == 1 {
                wait_for(&until).await;
            }
            (piece < 2).then(|| (Ok::<_, io::Error>(format!("piece {piece}\n")), piece + 1))
        }
    });
    ([("X-Accel-Buffering", "no")], Body::from_stream(pieces)).into_response()
}

/// All that the front end said, as the SDK's own page shows it.
async fn variables(Extension(variables): Extension<Variables>) -> String {
    let mut told = String::new();
    for (name, value) in variables.iter() {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        writeln!(told, "{name} = {}", escaped(&value)).expect("a string takes everything");
    }
    told
}

fn escaped(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_debug().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

async fn wait_for(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
