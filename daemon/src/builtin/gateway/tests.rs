//! The gateway in front of backends that are well, and broken in every way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use scgi_protocol::page::Page;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::exchange::Patience;
use super::routes;
use super::serve::{Gateway, serve};
use super::tally::Tally;

/// Short enough for a test, long enough for a busy machine.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    answer: Duration::from_millis(300),
    piece: Duration::from_secs(5),
};

/// A backend on a free port that reads one request's head and some, then does what it is told.
fn backend(act: impl FnOnce(std::net::TcpStream, Vec<u8>) + Send + 'static) -> SocketAddr {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = vec![0; 4096];
        let length = stream.read(&mut read).unwrap();
        read.truncate(length);
        act(stream, read);
    });
    address
}

/// A gateway with one app, and the door to end it.
struct Front {
    address: SocketAddr,
    leave: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<()>,
}

impl Front {
    async fn of(backend: impl std::fmt::Display) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (routes, _) = routes::parse(&[format!("/app={backend}")]).unwrap();
        let (leave, left) = oneshot::channel::<()>();
        let tally = Arc::new(Tally::new(Page::create().unwrap().0, 1));
        let gateway = Gateway { routes, patience: PATIENCE, tally, socket: None };
        let ended = tokio::spawn(serve(listener, gateway, async {
            drop(left.await);
        }));
        Self { address, leave: Some(leave), ended }
    }

    /// Sends bytes and reads the answer to its end.
    async fn talk(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks for something and reads until `first` has come.
    async fn begin(&self) -> (TcpStream, Vec<u8>) {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(5).any(|part| part == b"first") {
            assert_ne!(client.read_buf(&mut seen).await.unwrap(), 0);
        }
        (client, seen)
    }

    async fn get(&self, path: &str) -> String {
        self.talk(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

fn answering(answer: &'static [u8]) -> SocketAddr {
    backend(move |mut stream, _| stream.write_all(answer).unwrap())
}

#[tokio::test]
async fn an_answer_is_passed_on_with_its_status_and_headers() {
    let app = answering(
        b"Status: 201 Created\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: x\r\n\r\nhello",
    );

    let answer = Front::of(app).await.get("/app/new").await;

    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.contains("set-cookie: a=1\r\n") && answer.contains("set-cookie: b=2\r\n"));
    assert!(!answer.contains("connection: x"), "{answer}");
    assert!(answer.contains("hello"), "{answer}");
}

#[tokio::test]
async fn a_body_reaches_the_app_with_its_length_first_even_if_it_comes_in_chunks() {
    let echo = || {
        backend(|mut stream, mut read| {
            while !read.ends_with(b"hello world") {
                let mut more = [0; 64];
                let length = stream.read(&mut more).unwrap();
                read.extend_from_slice(&more[..length]);
            }
            stream.write_all(b"Content-Type: text/plain\r\n\r\n").unwrap();
            stream.write_all(&read[..40]).unwrap();
        })
    };

    let announced = b"POST /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                      Content-Length: 11\r\n\r\nhello world";
    let chunked = b"POST /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                    Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";

    for request in [&announced[..], &chunked[..]] {
        let answer = Front::of(echo()).await.talk(request).await;
        assert!(answer.contains("CONTENT_LENGTH\x0011\0"), "{answer:?}");
    }
}

#[tokio::test]
async fn pieces_arrive_when_they_are_sent_not_when_the_answer_is_complete() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let app = backend(move |mut stream, _| {
        stream.write_all(b"Content-Type: text/plain\r\n\r\nfirst").unwrap();
        wait.recv().unwrap();
        stream.write_all(b"second").unwrap();
    });
    let front = Front::of(app).await;
    let (mut client, mut seen) = front.begin().await;

    go_on.send(()).unwrap();
    while !seen.windows(6).any(|part| part == b"second") {
        assert_ne!(client.read_buf(&mut seen).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_app_that_answers_early_is_heard_although_it_reads_no_further() {
    let app = backend(|mut stream, _| {
        stream.write_all(b"Status: 413 Content Too Large\r\n\r\nno").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Held open until the gateway has had enough.
        let mut rest = Vec::new();
        drop(stream.take(64 * 1024).read_to_end(&mut rest));
    });
    let mut request =
        b"POST /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n"
            .to_vec();
    request.resize(request.len() + 60_000, b'x');

    let answer = Front::of(app).await.talk(&request).await;

    assert_eq!(status(&answer), "413", "{answer}");
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_a_502_that_names_it() {
    let gone = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let answer = Front::of(gone).await.get("/app/").await;

    assert_eq!(status(&answer), "502");
    assert!(answer.contains(&format!("nobody listens at {gone}")), "{answer}");
    assert!(answer.contains("try: scgictl describe app"), "{answer}");

    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("none.sock").display());
    let answer = Front::of(&socket).await.get("/app/").await;
    assert!(answer.contains(&format!("nobody listens at {socket}")), "{answer}");
}

#[tokio::test]
async fn a_backend_that_talks_nonsense_or_hangs_up_is_a_502_in_words() {
    let said = async |answer: &'static [u8]| Front::of(answering(answer)).await.get("/app/").await;

    let garbage = said(b"\x16\x03\x01 nonsense\n").await;
    let nothing = said(b"").await;
    let half = said(b"Status: 200 OK\r\nContent-").await;

    assert_eq!([status(&garbage), status(&nothing), status(&half)], ["502"; 3]);
    assert!(garbage.contains("something that is no response"), "{garbage}");
    assert!(nothing.contains("closed the connection without an answer"), "{nothing}");
    assert!(half.contains("in the middle of its answer's head"), "{half}");
    assert!(half.contains("try: scgictl logs app"), "{half}");
}

#[tokio::test]
async fn a_backend_that_says_nothing_is_a_504() {
    let (_hold, wait) = std::sync::mpsc::channel::<()>();
    let app = backend(move |stream, _| {
        let _end_of_the_test = wait.recv();
        drop(stream);
    });

    let answer = Front::of(app).await.get("/app/").await;

    assert_eq!(status(&answer), "504", "{answer}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let (break_off, wait) = std::sync::mpsc::channel::<()>();
    let app = backend(move |mut stream, _| {
        stream.write_all(b"Content-Length: 100\r\n\r\nfirst").unwrap();
        wait.recv().unwrap();
    });
    let front = Front::of(app).await;
    let (mut client, mut seen) = front.begin().await;

    break_off.send(()).unwrap();
    client.read_to_end(&mut seen).await.unwrap();

    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("content-length: 100"), "{seen}");
    assert!(seen.ends_with("first"), "{seen}");
}

#[tokio::test]
async fn a_browser_gets_a_page_and_paths_outside_are_refused() {
    let gone = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let front = Front::of(gone).await;
    let browse = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
    };

    let index = front.talk(browse("/").as_bytes()).await;
    let broken = front.talk(browse("/app/x").as_bytes()).await;
    let nowhere = front.talk(browse("/other/%3Cb%3E").as_bytes()).await;
    let outside = front.talk(browse("/app/%2e%2e/etc").as_bytes()).await;
    let nul = front.talk(browse("/app/%00").as_bytes()).await;

    assert_eq!(status(&index), "200");
    assert!(index.contains("href=\"/app/\""), "{index}");
    assert_eq!(status(&broken), "502");
    assert!(broken.contains("<h2>Try</h2>"), "{broken}");
    assert_eq!(status(&nowhere), "404");
    assert!(nowhere.contains("/other/&lt;b&gt;"), "{nowhere}");
    assert_eq!([status(&outside), status(&nul)], ["400"; 2]);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let gone = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let long = format!(
        "GET /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
        "x".repeat(300_000)
    );

    let answer = Front::of(gone).await.talk(long.as_bytes()).await;

    assert_eq!(status(&answer), "431", "{answer}");
}

#[tokio::test]
async fn leaving_waits_for_what_is_in_flight() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let app = backend(move |mut stream, _| {
        stream.write_all(b"Content-Type: text/plain\r\n\r\nfirst").unwrap();
        wait.recv().unwrap();
        stream.write_all(b"second").unwrap();
    });
    let mut front = Front::of(app).await;
    let (mut client, mut seen) = front.begin().await;

    drop(front.leave.take());
    while TcpStream::connect(front.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!front.ended.is_finished());
    go_on.send(()).unwrap();
    client.read_to_end(&mut seen).await.unwrap();

    assert!(String::from_utf8_lossy(&seen).contains("second"));
    front.ended.await.unwrap();
}
