//! The connections of the control socket: few, short, and nobody's who does not hurry.
//!
//! A task for each. What a client does wrong ends its own connection and nothing else. What is no
//! HTTP, or a head that is too long or too late, is answered by hyper itself with a status and no
//! words, and never reaches a handler: it offers no place to say more.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::door::Peer;
use super::patient::Patient;
use super::{ControlState, Room, closed, router};

/// Connections that may be open at once.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to send a head, or to begin the next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long a client may take to read anything of an answer.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// How long connections may take to end when the daemon does.
const FAREWELL: Duration = Duration::from_secs(1);

/// The pause after a connection could not be accepted, which is so when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What a client hears when there are too many.
const TOO_MANY: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/problem+json\r\n",
    "retry-after: 1\r\nconnection: close\r\n\r\n",
    r#"{"type":"urn:scgid:problem:busy","title":"too many at once","status":503,"#,
    r#""detail":"as many control connections are open as may be","#,
    r#""hint":"end some of those who follow or wait, then try again"}"#,
);

/// Serves the control API until `shutdown`, then closes the listener, ends all streams and gives
/// what is being answered a moment.
pub async fn serve(
    listener: UnixListener,
    state: ControlState,
    shutdown: impl Future<Output = ()>,
) {
    let (close, closing) = watch::channel(false);
    let router = router(Room::new(state, closing.clone()));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            stream = accept(&listener) => match connections.len() {
                ..CONNECTIONS_MAX => {
                    drop(connections.spawn(converse(stream, router.clone(), closing.clone())));
                }
                _ => turn_away(&stream),
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    close.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, ended).await.is_err() {
        debug!("control connections are cut off");
    }
}

async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                warn!(error = &error as &dyn Error, "control connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn turn_away(stream: &UnixStream) {
    warn!("control connection turned away, there are too many");
    // It fits into the buffer of a socket nobody has written to; if it does not, so be it.
    let _whether_it_is_read_or_not = stream.try_write(TOO_MANY.as_bytes());
}

/// Answers one client until it leaves, does something wrong, or the daemon ends.
async fn converse(stream: UnixStream, router: Router, closing: watch::Receiver<bool>) {
    let Ok(peer) = Peer::of(&stream) else { return };
    let (uid, pid) = (peer.uid, peer.pid);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(Patient::new(stream, READ_PATIENCE)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closed(closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        let error = &error as &dyn Error;
        debug!(error, uid, pid, "control connection failed");
    }
}
