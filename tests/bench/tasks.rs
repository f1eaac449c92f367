//! `scgi-bench-tasks`: the benchmark's jobs as tasks, written as a user would write them: as plain
//! async functions, or with `axum` as its argument as a router of axum's.
//!
//! Nothing in it is tuned; what it costs is what the SDK and axum cost.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use scgi_tests::bench::job::{BIG, ECHO_BYTES, HELLO, Job};
use scgi_worker::{Exit, Incoming, Server};

fn main() -> Exit {
    if std::env::args().any(|argument| argument == "axum") {
        let app = Router::new()
            .route(Job::Hello.path(), get(async || HELLO))
            .route(Job::Echo.path(), post(async |body: Bytes| body))
            .route(Job::Big.path(), get(async || BIG.as_slice()))
            .layer(DefaultBodyLimit::max(ECHO_BYTES));
        return Server::new(app).run();
    }
    Server::new(tower::service_fn(answer)).run()
}

async fn answer(
    request: http::Request<Incoming>,
) -> Result<http::Response<http_body_util::Full<Bytes>>, std::io::Error> {
    let bytes = match request.uri().path() {
        path if path == Job::Echo.path() => request.into_body().collect().await?.to_bytes(),
        path if path == Job::Big.path() => Bytes::from_static(BIG.as_slice()),
        _ => Bytes::from_static(HELLO),
    };
    Ok(http::Response::new(bytes.into()))
}
