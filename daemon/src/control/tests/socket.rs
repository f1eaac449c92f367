//! Over a real unix socket: peers, connections, and what goes wrong with them.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use scgi_protocol::control::{Problem, ProblemKind};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::super::serve;
use super::world::{PATIENCE, World};
use crate::spec::Who;

struct Served {
    world: World,
    path: PathBuf,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _directory: TempDir,
}

impl Served {
    fn new() -> Self {
        let world = World::new();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (stop, stopped) = oneshot::channel();
        let state = world.state.clone();
        let served = tokio::spawn(serve(listener, state, async move {
            let _the_test_says_so_or_ends = stopped.await;
        }));
        Self { world, path, stop, served, _directory: directory }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends bytes and reads until the daemon closes.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may have been answered and closed before all is written.
        let _whether_all_was_taken = stream.write_all(bytes).await;
        heard(stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.say(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
    }
}

/// All that comes until the connection ends.
async fn heard(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    let reading = async { while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn the_kernel_says_who_asks() {
    let served = Served::new();
    let somebody_else = nix::unistd::geteuid().as_raw() + 1;
    served.world.admit(&[Who::User(somebody_else)], &[]);

    let answer = served.get("/v1/status").await;

    let is_root = nix::unistd::geteuid().is_root();
    let expected = if is_root { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
    assert!(answer.starts_with(expected), "{answer}");
}

/// A process of another user, neither root nor the daemon's own, asks with curl: the status, and
/// what it is told.
async fn somebody_asks(served: &Served, method: &str, path: &str) -> (u16, String) {
    for (path, mode) in [(served.path.parent().unwrap(), 0o755), (&*served.path, 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"]);
    curl.arg("--unix-socket");
    curl.arg(&served.path).args(["--request", method]).arg(format!("http://scgid{path}"));
    if nix::unistd::geteuid().is_root() {
        curl.uid(SOMEBODY).gid(SOMEBODY);
    }
    let said = spawn_blocking(move || curl.output()).await.unwrap().expect("curl is installed");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8(said.stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Nobody; a test that may not become somebody else is somebody else than root already.
const SOMEBODY: u32 = 65534;

fn somebody() -> Who {
    let me = nix::unistd::geteuid();
    Who::User(if me.is_root() { SOMEBODY } else { me.as_raw() })
}

#[tokio::test]
async fn a_process_of_another_user_may_do_what_it_is_named_for_and_no_more() {
    let served = Served::new();
    let stop = "/v1/apps/blog/stop";

    served.world.admit(&[Who::User(1)], &[]);
    let (look, told) = somebody_asks(&served, "GET", "/v1/status").await;
    assert_eq!(look, 403);
    let Who::User(uid) = somebody() else { unreachable!() };
    assert!(told.contains(&format!("user {uid} with group")), "{told}");

    served.world.admit(&[somebody()], &[]);
    assert_eq!(somebody_asks(&served, "GET", "/v1/status").await.0, 200);
    assert_eq!(somebody_asks(&served, "GET", "/v1/config").await.0, 403);
    assert_eq!(somebody_asks(&served, "POST", stop).await.0, 403);
    assert!(served.world.asked().is_empty());

    served.world.admit(&[], &[somebody()]);
    assert_eq!(somebody_asks(&served, "GET", "/v1/config").await.0, 200);
    assert_eq!(somebody_asks(&served, "POST", stop).await.0, 202);
    assert_eq!(served.world.asked().len(), 1);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_nothing_else() {
    let served = Served::new();
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let endless_head = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(1_000_000));

    for bytes in [&noise[..], b"\0\0\0", b"GET\r\n\r\n", endless_head.as_bytes()] {
        let answer = served.say(bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    assert!(served.get("/v1/status").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_announces_gigabytes_is_refused_before_it_is_read() {
    let served = Served::new();

    let answer = served
        .say(
            b"PUT /v1/apps/blog/workers HTTP/1.1\r\nhost: x\r\ncontent-length: 2147483648\r\n\r\n{",
        )
        .await;

    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("urn:scgid:problem:too-large"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_request_disturbs_nobody() {
    let served = Served::new();
    let mut stream = served.connect().await;
    stream
        .write_all(b"PUT /v1/apps/blog/workers HTTP/1.1\r\ncontent-length: 99\r\n\r\n{")
        .await
        .unwrap();

    drop(stream);

    assert!(served.get("/v1/status").await.starts_with("HTTP/1.1 200"));
    assert!(served.world.asked().is_empty());
}

#[tokio::test]
async fn more_connections_than_there_may_be_are_turned_away_with_a_word() {
    let served = Served::new();
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = served.connect().await;
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }

    let turned_away = served.get("/v1/status").await;
    drop(held);
    let admitted = async {
        while !served.get("/v1/status").await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };

    assert!(turned_away.starts_with("HTTP/1.1 503"), "{turned_away}");
    let (_, body) = turned_away.split_once("\r\n\r\n").unwrap();
    let problem: Problem = serde_json::from_str(body).unwrap();
    let busy = Problem::new(ProblemKind::Busy, problem.detail.clone());
    assert_eq!(problem, Problem { hint: problem.hint.clone(), ..busy });
    tokio::time::timeout(PATIENCE, admitted).await.unwrap();
}

#[tokio::test]
async fn followers_hear_of_what_happens_and_are_let_go_at_the_end() {
    let served = Served::new();
    served.world.write("blog", 1, "hello");
    let mut stream = served.connect().await;
    let request =
        "GET /v1/apps/blog/logs?lines=5 HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    served.world.write("blog", 1, "world");

    let mut text = String::new();
    while !text.contains("world") {
        let mut bytes = [0; 4096];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    served.stop.send(()).unwrap();

    assert!(text.contains("hello"));
    assert_eq!(heard(stream).await, "0\r\n\r\n", "the stream ends, it is not cut off");
    tokio::time::timeout(PATIENCE, served.served).await.unwrap().unwrap();
    assert!(UnixStream::connect(&served.path).await.is_err(), "nobody listens any more");
}
