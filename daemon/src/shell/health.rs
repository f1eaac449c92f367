//! Asks new workers whether they are healthy: a GET through the app's own socket.
//!
//! All workers of an app accept at one socket, so that nobody can choose who answers. A worker's
//! page tells whether it has finished a request since; until it has, more are asked at once. What
//! comes back is read up to the end of its head, and no further.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{SockaddrStorage, getsockname};
use scgi_protocol::address::Address;
use scgi_protocol::name::WorkerId;
use scgi_protocol::scgi::{RequestHead, ResponseHead};
use std::os::fd::{AsRawFd, BorrowedFd};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::scoreboard::Scoreboard;
use crate::spec::{AppSpec, Health, ListenAt};
use crate::words::in_words;

/// Most requests at once.
const AT_ONCE: u32 = 32;

/// How long to wait before more are asked.
const PAUSE: Duration = Duration::from_millis(5);

/// Longest head of an answer, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// What became of asking a worker.
pub(super) type Outcome = (WorkerId, Result<(), String>);

/// Those that are being asked.
#[derive(Debug)]
pub(super) struct Checkups {
    scoreboard: Scoreboard,
    tell: mpsc::UnboundedSender<Outcome>,
    told: mpsc::UnboundedReceiver<Outcome>,
}

impl Checkups {
    /// Nobody is asked yet.
    pub(super) fn new(scoreboard: Scoreboard) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { scoreboard, tell, told }
    }

    /// Asks `worker` of `app`, whose first listener is `listener`. Must be called within the runtime.
    pub(super) fn ask(
        &self,
        worker: WorkerId,
        app: &AppSpec,
        listener: Option<BorrowedFd<'_>>,
        health: Health,
    ) {
        let tell = self.tell.clone();
        let scoreboard = self.scoreboard.clone();
        let address = app.listen.first().and_then(|at| address(&at.at, listener?));
        let head = head(app, &health.path);
        tokio::spawn(async move {
            let served = move || scoreboard.served(worker);
            let outcome = match address {
                Some(address) => examine(&address, &head, &health, served).await,
                None => Err("its listener has no address to ask at".to_owned()),
            };
            // The loop is gone only if the daemon is.
            let _ = tell.send((worker, outcome));
        });
    }

    /// Waits until a worker has been asked.
    pub(super) async fn next(&mut self) -> Outcome {
        match self.told.recv().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }
}

/// Where to ask. A listener on all addresses is asked at that of this machine itself.
fn address(at: &ListenAt, listener: BorrowedFd<'_>) -> Option<Address> {
    let bound = match at {
        ListenAt::Address(address) => address.clone(),
        ListenAt::Systemd(_) => {
            let name: SockaddrStorage = getsockname(listener.as_raw_fd()).ok()?;
            let v4 = || name.as_sockaddr_in().map(|v4| SocketAddr::from(*v4));
            let v6 = || name.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6));
            match name.as_unix_addr().and_then(|unix| unix.path()) {
                Some(path) => Address::Unix(path.to_owned()),
                None => Address::Tcp(v4().or_else(v6)?),
            }
        }
    };
    Some(match bound {
        Address::Tcp(mut at) if at.ip().is_unspecified() => {
            at.set_ip(match at.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
            Address::Tcp(at)
        }
        other => other,
    })
}

/// The request, as a front end would send it.
fn head(app: &AppSpec, uri: &str) -> Vec<u8> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mount = app.launch.mount.as_deref().unwrap_or_default();
    let below = path.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let (script, info) = below.map_or(("", path), |rest| (mount, rest));
    let variables = [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", uri),
        ("SCRIPT_NAME", script),
        ("PATH_INFO", info),
        ("QUERY_STRING", query),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_USER_AGENT", "scgid (health)"),
    ];
    let head =
        variables.into_iter().fold(RequestHead::new(0), |h, (name, value)| h.variable(name, value));
    head.encode().expect("the path was checked to be printable when it was read")
}

/// Asks until the worker has finished a request, more at once each time. `served` tells how many it
/// has; `None` if it does not say, and then every answer counts as its own.
async fn examine(
    address: &Address,
    head: &[u8],
    health: &Health,
    served: impl Fn() -> Option<u64>,
) -> Result<(), String> {
    let until = Instant::now() + health.timeout;
    let before = served();
    let mut at_once = 1;
    loop {
        let mut asking = JoinSet::new();
        for _ in 0..at_once {
            asking.spawn(ask(address.clone(), head.to_vec(), until));
        }
        let answers = asking.join_all().await;
        let good = answers.iter().any(Result::is_ok);
        sleep(PAUSE).await;
        let reached = before.is_none() || served() > before;
        let bad = answers.into_iter().find_map(Result::err);
        match bad {
            Some(why) if reached || !good => {
                return Err(format!("GET {}: {why}", health.path));
            }
            None if reached || Instant::now() >= until => return Ok(()),
            Some(_) | None => at_once = (at_once * 2).min(AT_ONCE),
        }
    }
}

/// One request; an error says what is wrong with the answer.
async fn ask(address: Address, head: Vec<u8>, until: Instant) -> Result<(), String> {
    let exchange = async {
        match address {
            Address::Unix(path) => exchange(UnixStream::connect(path).await?, &head).await,
            Address::Tcp(at) => exchange(TcpStream::connect(at).await?, &head).await,
        }
    };
    match timeout_at(until, exchange).await {
        Err(_) => Err("no answer in time".to_owned()),
        Ok(Err(error)) => Err(format!("no answer: {}", in_words(&error))),
        Ok(Ok(answer)) => judge(&answer),
    }
}

async fn exchange(
    mut app: impl AsyncRead + AsyncWrite + Unpin,
    head: &[u8],
) -> std::io::Result<Vec<u8>> {
    app.write_all(head).await?;
    let mut answer = Vec::new();
    while answer.len() <= HEAD_MAX_BYTES
        && matches!(ResponseHead::decode(&answer, HEAD_MAX_BYTES), Ok(None))
    {
        if app.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(answer)
}

fn judge(answer: &[u8]) -> Result<(), String> {
    match ResponseHead::decode(answer, HEAD_MAX_BYTES) {
        Ok(Some((head, _))) if head.status() < 400 => Ok(()),
        Ok(Some((head, _))) => Err(format!("status {}", head.status())),
        Ok(None) if answer.is_empty() => Err("closed without an answer".to_owned()),
        Ok(None) => Err("its answer was cut".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
