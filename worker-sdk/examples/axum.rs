//! An axum router as a worker: many requests at once, each a task.
//!
//! ```text
//! $ cargo run -p scgi-worker --features async --example axum
//! scgi-worker: listening on 127.0.0.1:4000; end with Ctrl-C
//! $ scgictl request 127.0.0.1:4000 /greet/ada
//! hello ada
//! ```

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::{get, post};
use scgi_worker::{Exit, Server};

fn main() -> Exit {
    let app = Router::new()
        .route("/", get(async || "hello\n"))
        .route("/greet/{name}", get(greet))
        .route("/length", post(length))
        .route("/slow/{ms}", get(slow));
    Server::new(app).run()
}

async fn greet(Path(name): Path<String>) -> String {
    format!("hello {name}\n")
}

async fn length(body: Bytes) -> String {
    format!("{}\n", body.len())
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "at last\n"
}
