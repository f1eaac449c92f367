//! Asks new workers whether they are healthy: a GET through the app's own socket.
//!
//! All workers of an app accept at one socket, so that nobody can choose who answers. So they are asked
//! until the page of the worker that is meant says that it has answered, and how. Programs whose page
//! does not tell are asked so often that they are probably among those who answer. What comes back is
//! read up to the end of its head, and no further.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::{SockaddrStorage, getsockname};
use scgi_protocol::address::Address;
use scgi_protocol::name::WorkerId;
use scgi_protocol::page::CHECKUP;
use scgi_protocol::scgi::{RequestHead, ResponseHead};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::scoreboard::{Ends, Scoreboard};
use crate::spec::{AppSpec, Health, Kind, ListenAt, Standalone};
use crate::words::in_words;

/// How many rounds of requests there are for a worker that does not tell whether it has answered: 1,
/// 2, 4 … at once, 63 in all. For one that does there may be more, none of them larger.
const ROUNDS: u32 = 6;

/// How long to wait before the next round, the first time; then twice as long each of so many times.
const PAUSE: Duration = Duration::from_millis(2);

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
        let address = match &app.kind {
            Kind::Standalone(Standalone { at }) => at.clone().map(reachable),
            Kind::Worker | Kind::Cgi(_) | Kind::Inetd(_) => {
                app.listen.first().and_then(|at| address(&at.at, listener?))
            }
        };
        let head = head(app, &health.path);
        tokio::spawn(async move {
            let look = move || scoreboard.ends(worker);
            let outcome = match address {
                Some(address) => examine(&address, &head, &health, look).await,
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
    Some(reachable(bound))
}

/// Where this machine itself reaches who listens at an address.
pub(super) fn reachable(bound: Address) -> Address {
    match bound {
        Address::Tcp(mut at) if at.ip().is_unspecified() => {
            at.set_ip(match at.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
            Address::Tcp(at)
        }
        other => other,
    }
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
        (CHECKUP, "1"),
    ];
    let head =
        variables.into_iter().fold(RequestHead::new(0), |h, (name, value)| h.variable(name, value));
    head.encode().expect("the path was checked to be printable when it was read")
}

/// Asks in rounds, twice as many at once each time. `look` tells how the worker has ended its
/// requests; `None` if it does not say, and then every answer counts as its own.
///
/// Others may answer in its place, and others may ask it. So one answer proves nothing: it is unwell
/// if it says that it answered badly, or, where it does not tell that, if a bad answer came while it
/// ended a request badly; and if every answer was bad. A worker that is never reached, for as long as
/// an answer may take, is taken to be as healthy as those who answered.
async fn examine(
    address: &Address,
    head: &[u8],
    health: &Health,
    look: impl Fn() -> Option<Ends>,
) -> Result<(), String> {
    let before = look();
    let longest_pause = PAUSE * (1 << (ROUNDS - 1));
    let more = health.timeout.as_nanos() / longest_pause.as_nanos();
    for round in 0.. {
        let size = round.min(ROUNDS - 1);
        let asking = ask_at_once(1 << size, address, head);
        let answers = timeout(health.timeout, asking).await;
        let answers = answers.unwrap_or_else(|_| vec![Err(late(health))]);
        // The worker counts its request after its last byte.
        sleep(PAUSE * (1 << size)).await;
        let good = answers.iter().any(Result::is_ok);
        let bad = answers.into_iter().find_map(Result::err);
        let seen = seen(before.zip(look()), bad.is_some());
        if seen == Seen::Badly || !good {
            let why = bad.unwrap_or_else(|| "answered badly".to_owned());
            return Err(format!("GET {}: {why}", health.path));
        }
        match seen {
            Seen::Untold if round + 1 < ROUNDS => {}
            Seen::Nothing if u128::from(round + 1) < u128::from(ROUNDS) + more => {}
            Seen::Badly | Seen::Well | Seen::Untold | Seen::Nothing => break,
        }
    }
    Ok(())
}

/// What is known of a worker's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Well,
    Badly,
    /// It has not answered, or it did so well.
    Untold,
    /// It has not answered.
    Nothing,
}

/// What can be seen by how a worker has ended its requests, before and after some answers, of which one
/// `was_bad`.
fn seen(ends: Option<(Ends, Ends)>, was_bad: bool) -> Seen {
    let Some((before, after)) = ends else {
        return if was_bad { Seen::Badly } else { Seen::Well };
    };
    match before.checkups.zip(after.checkups) {
        Some((before, after)) if after.badly > before.badly => Seen::Badly,
        Some((before, after)) if after.answered > before.answered => Seen::Well,
        Some(_) => Seen::Nothing,
        None if was_bad && after.badly > before.badly => Seen::Badly,
        None => Seen::Untold,
    }
}

fn late(health: &Health) -> String {
    format!("no answer within {}", humantime::format_duration(health.timeout))
}

async fn ask_at_once(count: usize, address: &Address, head: &[u8]) -> Vec<Result<(), String>> {
    let mut asking = JoinSet::new();
    for _ in 0..count {
        asking.spawn(ask(address.clone(), head.to_vec()));
    }
    asking.join_all().await
}

/// One request; an error says what is wrong with the answer.
async fn ask(address: Address, head: Vec<u8>) -> Result<(), String> {
    let answer = match address {
        Address::Unix(path) => exchange(UnixStream::connect(path).await, &head).await,
        Address::Tcp(at) => exchange(TcpStream::connect(at).await, &head).await,
    };
    judge(&answer.map_err(|error| format!("no answer: {}", in_words(&error)))?)
}

async fn exchange(
    connection: io::Result<impl AsyncRead + AsyncWrite + Unpin>,
    head: &[u8],
) -> io::Result<Vec<u8>> {
    let mut app = connection?;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use scgi_protocol::page::report::Checkups;
    use tokio::net::UnixListener;

    use super::*;

    const GOOD: &[u8] = b"Status: 204 No Content\r\n\r\n";

    /// For who is waited for in vain.
    const SHORT: Duration = Duration::from_millis(300);

    /// What one who listens at a socket answers to each who asks, and what is made of it within a
    /// minute.
    async fn examined(
        answers: impl Fn(u64) -> &'static [u8],
        look: impl Fn(u64) -> Option<Ends>,
    ) -> Result<(), String> {
        examined_within(Duration::from_secs(60), answers, look).await
    }

    async fn examined_within(
        longest: Duration,
        answers: impl Fn(u64) -> &'static [u8],
        look: impl Fn(u64) -> Option<Ends>,
    ) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = AtomicU64::new(0);
        let health = Health { path: "/up".to_owned(), timeout: longest };
        let serve = async {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let answer = answers(asked.fetch_add(1, Ordering::Relaxed));
                let mut head = [0; 256];
                let _ = client.read(&mut head).await;
                if answer == b"silence" {
                    std::mem::forget(client);
                    continue;
                }
                client.write_all(answer).await.unwrap();
            }
        };
        let address = Address::Unix(path);
        tokio::select! {
            never = serve => never,
            outcome = examine(&address, b"x", &health, || look(asked.load(Ordering::Relaxed))) => {
                outcome
            }
        }
    }

    /// Of one that does not tell checkups from other requests.
    fn ended(badly: u64) -> Option<Ends> {
        Some(Ends { badly, checkups: None })
    }

    /// Of one that does, and ends other requests badly all the time.
    fn answered(answered: u64, badly: u64) -> Option<Ends> {
        Some(Ends { badly: 1000 * answered, checkups: Some(Checkups { answered, badly }) })
    }

    #[tokio::test]
    async fn a_worker_that_tells_its_checkups_is_asked_until_it_has_answered() {
        let reached_after = |most: u64| move |asked: u64| answered(u64::from(asked > most), 0);
        for most in [0, 3, 63, 200] {
            assert_eq!(examined(|_| GOOD, reached_after(most)).await, Ok(()), "{most}");
        }
        let late_and_bad = |asked: u64| answered(u64::from(asked > 200), u64::from(asked > 200));
        let one_is_bad = |n| if n == 200 { &b"Status: 500\r\n\r\n"[..] } else { GOOD };

        let outcome = examined(one_is_bad, late_and_bad).await;

        assert_eq!(outcome, Err("GET /up: status 500".to_owned()));
    }

    #[tokio::test]
    async fn what_a_worker_answered_badly_to_who_asked_another_one_counts_too() {
        let outcome = examined(|_| GOOD, |asked| answered(asked, asked)).await;

        assert_eq!(outcome, Err("GET /up: answered badly".to_owned()));
    }

    #[tokio::test]
    async fn a_worker_that_answers_well_is_healthy() {
        assert_eq!(examined(|_| GOOD, |_| ended(0)).await, Ok(()));
        assert_eq!(examined(|_| b"Location: /in\r\n\r\n", |_| None).await, Ok(()));
    }

    #[tokio::test]
    async fn a_bad_answer_is_told() {
        for (answer, why) in [
            (&b"Status: 503 no\r\n\r\n"[..], "GET /up: status 503"),
            (b"", "GET /up: closed without an answer"),
            (b"Status: 200", "GET /up: its answer was cut"),
        ] {
            assert_eq!(examined(|_| answer, ended).await, Err(why.to_owned()));
        }
        let silent = examined_within(SHORT, |_| b"silence", ended).await;
        assert_eq!(silent, Err("GET /up: no answer within 300ms".to_owned()));
        let refused = examined(|_| b"what?\r\n\r\n", |_| None).await.unwrap_err();
        assert!(refused.contains("the line `what?`"), "{refused}");
    }

    #[tokio::test]
    async fn a_bad_answer_of_another_one_is_not_the_workers_own() {
        let one_is_bad = |n| if n == 4 { &b"Status: 500\r\n\r\n"[..] } else { GOOD };

        assert_eq!(examined(one_is_bad, |_| ended(0)).await, Ok(()));
        let well = |asked| answered(u64::from(asked > 30), 0);
        assert_eq!(examined(one_is_bad, well).await, Ok(()));
    }

    #[tokio::test]
    async fn a_worker_that_ends_a_request_badly_is_found_out_among_many_that_do_well() {
        let one_in_twenty = |n| if n % 20 == 19 { &b"Status: 500\r\n\r\n"[..] } else { GOOD };

        let outcome = examined(one_in_twenty, |asked| ended(asked / 20)).await;

        assert_eq!(outcome, Err("GET /up: status 500".to_owned()));
    }

    #[tokio::test]
    async fn a_worker_that_is_never_reached_is_as_healthy_as_the_app() {
        let bad = |_| &b"Status: 500\r\n\r\n"[..];

        for never in [ended(0), answered(0, 0)] {
            assert_eq!(examined_within(SHORT, |_| GOOD, |_| never).await, Ok(()));
            assert!(examined_within(SHORT, bad, |_| never).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_socket_nobody_listens_at_is_told() {
        let health = Health { path: "/up".to_owned(), timeout: Duration::from_secs(5) };
        let address = Address::Unix("/nonexistent/s".into());

        let why = examine(&address, b"x", &health, || None).await.unwrap_err();

        assert!(why.starts_with("GET /up: no answer: No such file"), "{why}");
    }
}
