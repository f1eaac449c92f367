//! `/metrics`, `/healthz` and `/readyz` on a listener of their own, which grants no control.
//!
//! Connections are bounded in number and in time, and no answer asks the loop. Text is made on a
//! helper thread, one scrape at a time, so that the loop is never held up by a scrape.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use scgi_protocol::control::Wish;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::samples::CONTENT_TYPE;
use super::{Metrics, traffic};
use crate::shell::clock::Clock;

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 32;

/// How long a client may take for the head of its request, and pause between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection lives at most, whatever its client does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);

/// Pause after the kernel refused to hand over a connection, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the loop may be silent before it is taken for stuck.
const PULSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the metrics are asked for. The daemon binds it; here it is only accepted on.
#[derive(Debug)]
pub enum Door {
    /// TCP, of either version.
    Tcp(TcpListener),
    /// A unix socket, for whoever can read one; Prometheus itself cannot.
    Unix(UnixListener),
}

/// The loop's sign of life. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    last_ns: Arc<AtomicU64>,
}

impl Pulse {
    /// The loop turned, at `now_ns` of `CLOCK_MONOTONIC`.
    ///
    /// It has to do so at least every few seconds, also if nothing happens: after ten without, the
    /// daemon is no longer healthy.
    pub fn beat(&self, now_ns: u64) {
        self.last_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Whether the loop turns, at `now_ns` of the same clock: it began, and was not silent for long
    /// enough to be taken for stuck.
    pub fn beats(&self, now_ns: u64) -> bool {
        ail(self.silence(now_ns)).is_none()
    }

    /// For how long the loop has been silent; `None` if it never turned.
    fn silence(&self, now_ns: u64) -> Option<Duration> {
        let last = self.last_ns.load(Ordering::Relaxed);
        (last > 0).then(|| Duration::from_nanos(now_ns.saturating_sub(last)))
    }
}

/// What an answer is made from.
#[derive(Clone, Debug)]
struct Seen {
    metrics: Metrics,
    pulse: Pulse,
    /// One scrape at a time.
    scrape: Arc<Semaphore>,
}

/// Answers at `door` until dropped, and with it every connection.
pub async fn serve(door: Door, metrics: Metrics, pulse: Pulse) -> Infallible {
    let seen = Seen { metrics, pulse, scrape: Arc::new(Semaphore::new(1)) };
    let app = router(seen);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let permit =
            Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        while connections.try_join_next().is_some() {}
        let Ok(connection) = accept(&door).await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let app = app.clone();
        connections.spawn(async move {
            // How a client leaves is its own affair.
            let _ended = tokio::time::timeout(CONNECTION_TIMEOUT, answer(connection, app)).await;
            drop(permit);
        });
    }
}

/// A byte stream to a client, of whatever kind.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

async fn accept(door: &Door) -> io::Result<Box<dyn Connection>> {
    Ok(match door {
        Door::Tcp(listener) => Box::new(listener.accept().await?.0),
        Door::Unix(listener) => Box::new(listener.accept().await?.0),
    })
}

async fn answer(connection: Box<dyn Connection>, app: Router) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(app))
        .await
}

fn router(seen: Seen) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(elsewhere)
        .with_state(seen)
}

async fn scrape(State(seen): State<Seen>) -> Response {
    let permit = seen.scrape.acquire_owned().await.expect("the semaphore is never closed");
    let metrics = seen.metrics;
    let rendered = spawn_blocking(move || (metrics.render(), permit)).await;
    let Ok((text, _permit)) = rendered else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be made\n")
            .into_response();
    };
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn healthz(State(seen): State<Seen>) -> Response {
    match ail(seen.pulse.silence(Clock::monotonic_ns())) {
        None => "ok\n".into_response(),
        Some(ail) => (StatusCode::SERVICE_UNAVAILABLE, ail).into_response(),
    }
}

/// What is wrong with a loop that has been silent for so long; `None` if nothing.
fn ail(silence: Option<Duration>) -> Option<String> {
    let Some(silence) = silence else { return Some("the loop has not begun\n".into()) };
    let stuck = silence >= PULSE_TIMEOUT;
    stuck.then(|| format!("the loop has not turned for {} s\n", silence.as_secs()))
}

/// What is asked of `/readyz`.
#[derive(Debug, Deserialize)]
struct Readiness {
    /// One app; all of them if it is not named.
    app: Option<String>,
}

async fn readyz(State(seen): State<Seen>, Query(asked): Query<Readiness>) -> Response {
    let board = &seen.metrics.sources.board;
    let unavailable =
        |told: &str| (StatusCode::SERVICE_UNAVAILABLE, told.to_owned()).into_response();
    if board.is_stopping() {
        return unavailable("the daemon is stopping\n");
    }
    if seen.pulse.silence(Clock::monotonic_ns()).is_none() {
        return unavailable("the loop has not begun\n");
    }
    let mut pools = board.pools();
    if let Some(name) = asked.app {
        pools.retain(|app, _| app.as_str() == name);
        if pools.is_empty() {
            return (StatusCode::NOT_FOUND, "no app has this name\n").into_response();
        }
    }
    let mut told = String::new();
    for (app, pool) in &pools {
        if pool.wish == Wish::Run && !traffic::is_up(pool) {
            let _infallible = writeln!(told, "{app} is {}", pool.state.as_str());
        }
    }
    if told.is_empty() { "ok\n".into_response() } else { unavailable(&told) }
}

async fn elsewhere() -> Response {
    let told = "nothing here; there are /metrics, /healthz and /readyz\n";
    (StatusCode::NOT_FOUND, told).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stopped_turning_ails_after_ten_seconds() {
        let pulse = Pulse::default();
        pulse.beat(1_000_000_000);

        let ail_at = |seconds: u64| ail(pulse.silence(seconds * 1_000_000_000));

        assert_eq!(ail_at(10), None);
        assert_eq!(ail_at(11).as_deref(), Some("the loop has not turned for 10 s\n"));
        assert_eq!(ail_at(0), None);
        assert!(ail(Pulse::default().silence(1)).is_some());
    }
}
