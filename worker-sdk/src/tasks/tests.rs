//! Requests through the whole way, over a pair of sockets.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{any, get, post};
use scgi_protocol::page::{Page, Report};
use scgi_protocol::scgi::RequestHead;
use tower::service_fn;

use super::reply::Whole;

use super::*;

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(20);

fn floor(mount: Option<&str>) -> Arc<Floor> {
    floor_of(None, mount)
}

fn floor_of(concurrency: Option<NonZeroU16>, mount: Option<&str>) -> Arc<Floor> {
    let limits = Limits { head_timeout: LONG, ..Limits::default() };
    let floor = Floor::of(
        Found {
            listeners: Vec::new(),
            page: Page::create().unwrap().0,
            page_fd: None,
            voice: None,
            watchdog: None,
            mount: mount.map(str::to_owned),
            concurrency: Some(1),
            queue_timeout: Some(Duration::from_secs(5)),
            is_strict: false,
            on_trial: false,
            is_managed: true,
            made: None,
        },
        limits,
        concurrency,
    );
    Arc::new(floor.unwrap())
}

/// Serves one connection while `client` speaks at its other end; returns what the client has to say
/// and what was counted.
fn served<R: Send>(
    floor: &Arc<Floor>,
    service: impl HttpService,
    client: impl FnOnce(UnixStream) -> R + Send,
) -> (R, Report) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(LONG)).unwrap();
    theirs.set_write_timeout(Some(LONG)).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let said = thread::scope(|scope| {
        let client = scope.spawn(move || client(theirs));
        runtime.block_on(async {
            let place = floor.place().await;
            let arrival = Arrival::Fresh(ours.into());
            accept::begin(Arc::clone(floor), service.clone(), arrival, place);
            floor.let_go(service).await;
        });
        client.join().unwrap()
    });
    (said, floor.terms.tally.report())
}

fn head(method: &str, uri: &str, length: usize) -> RequestHead {
    RequestHead::new(length as u64).variable("REQUEST_METHOD", method).variable("REQUEST_URI", uri)
}

/// Says `bytes` and hears everything up to the close.
fn say(bytes: &[u8]) -> impl FnOnce(UnixStream) -> String + Send {
    move |mut peer| {
        peer.write_all(bytes).unwrap();
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).unwrap();
        String::from_utf8(heard).unwrap()
    }
}

/// What is answered to one request.
fn answered(service: impl HttpService, head: RequestHead, body: &[u8]) -> String {
    let bytes = [head.encode().unwrap(), body.to_vec()].concat();
    served(&floor(None), service, say(&bytes)).0
}

#[test]
fn a_response_has_its_status_first_and_its_length() {
    let app = Router::new().route("/", get(async || "hello\n"));

    assert_eq!(
        answered(app, head("GET", "/", 0), b""),
        "Status: 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n\r\n\
         hello\n"
    );
}

#[test]
fn a_head_is_answered_with_the_length_of_what_is_not_sent() {
    let app = Router::new().route("/", get(async || "hello\n"));

    let answer = answered(app, head("HEAD", "/", 0), b"");

    assert!(answer.contains("Content-Length: 6\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn more_than_was_announced_is_not_read_and_costs_nobody_the_answer() {
    let app = Router::new().route("/", post(async |body: Bytes| body.len().to_string()));

    let answer = answered(app, head("POST", "/", 4), b"body and more than was announced");

    assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
}

#[test]
fn a_short_body_is_one_piece() {
    async fn pieces(request: http::Request<Incoming>) -> Result<http::Response<String>, BoxError> {
        let mut body = request.into_body();
        let mut lengths = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            lengths.push(frame?.into_data().map_or(0, |data| data.len()));
        }
        Ok(http::Response::new(format!("{lengths:?}")))
    }

    let answer = answered(service_fn(pieces), head("POST", "/", 64 << 10), &[7; 64 << 10]);

    assert!(answer.ends_with("\r\n\r\n[65536]"), "{answer}");
}

#[test]
fn who_has_to_wait_keeps_nobody_from_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = Listener::bind(&Address::Unix(path.clone())).unwrap();
    let floor = floor_of(NonZeroU16::new(2), None);
    let came = Arc::new(tokio::sync::Notify::new());
    let both = Arc::clone(&came);
    let app = Router::new()
        .route("/first", get(async move || both.notified().await))
        .route("/second", get(async move || came.notify_one()));
    let request = |to| head("GET", to, 0).encode().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();

    let answers = thread::scope(|scope| {
        let (tell, asked) = watch::channel(false);
        let clients = scope.spawn(move || {
            let mut first = UnixStream::connect(&path).unwrap();
            first.write_all(&request("/first")).unwrap();
            let second = UnixStream::connect(&path).unwrap();
            for client in [&first, &second] {
                client.set_read_timeout(Some(LONG)).unwrap();
            }
            let answers = [say(&request("/second"))(second), say(b"")(first)];
            tell.send(true).unwrap();
            answers
        });
        runtime.block_on(async {
            let (closed, mut is_closed) = tokio::sync::mpsc::channel(1);
            let entrance = Entrance::of(vec![listener], &floor.shield, asked, closed).unwrap();
            tokio::spawn(accept::stand(Arc::clone(&floor), app, entrance));
            is_closed.recv().await
        });
        clients.join().unwrap()
    });

    assert!(answers.iter().all(|answer| answer.starts_with("Status: 200 ")), "{answers:?}");
}

#[test]
fn a_body_is_read_as_it_comes() {
    let app = Router::new().route("/", post(async |body: Bytes| body.len().to_string()));
    let (answer, report) = served(&floor(None), app, |mut peer| {
        peer.write_all(&head("POST", "/", 1 << 20).encode().unwrap()).unwrap();
        for _ in 0..16 {
            peer.write_all(&[7; 64 << 10]).unwrap();
        }
        say(b"")(peer)
    });

    assert!(answer.ends_with(&format!("\r\n\r\n{}", 1 << 20)), "{answer}");
    assert!(report.bytes_in > 1 << 20, "{report:?}");
    assert_eq!(report.begun, 1);
}

#[test]
fn variables_become_headers_and_what_the_front_end_says_can_be_asked() {
    async fn shown(request: http::Request<Incoming>) -> Result<http::Response<String>, BoxError> {
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        let user = request.extensions().get::<Variables>().and_then(|all| all.get("REMOTE_USER"));
        let kind = request.headers().get("content-type");
        Ok(http::Response::new(format!("{cookies:?} {user:?} {kind:?} {:?}", request.version())))
    }
    let sent = head("GET", "/", 0)
        .variable("HTTP_COOKIE", "a=1; b=2")
        .variable("HTTP_X_LONG_NAME", "x")
        .variable("REMOTE_USER", "ada")
        .variable("CONTENT_TYPE", "")
        .variable("HTTP_BAD\nNAME", "x")
        .variable("SERVER_PROTOCOL", "HTTP/1.0");

    let answer = answered(service_fn(shown), sent, b"");

    assert!(answer.ends_with("[\"a=1; b=2\"] Some(\"ada\") None HTTP/1.0"), "{answer}");
}

#[test]
fn a_uri_is_the_apps_own_path_as_the_client_spelled_it() {
    let app = Router::new().fallback(any(async |uri: Uri| uri.to_string()));
    let uri = |mount, uri: &str, query: &str| {
        let head = head("GET", uri, 0).variable("QUERY_STRING", query).encode().unwrap();
        let (answer, _) = served(&floor(mount), app.clone(), say(&head));
        answer.rsplit("\r\n").next().unwrap().to_owned()
    };

    assert_eq!(uri(None, "/a%20b/%C3%A9?x=1", "x=1"), "/a%20b/%C3%A9?x=1");
    assert_eq!(uri(Some("/blog"), "/blog/a%2Fb", ""), "/a%2Fb");
    assert_eq!(uri(Some("/blog"), "/blog", ""), "/");
    assert_eq!(uri(None, "http://host/a", ""), "/a");
    assert_eq!(uri(None, "/public/../secret", ""), "/secret", "what front ends took it for");
}

#[test]
fn what_fails_or_panics_is_a_500_and_the_worker_lives() {
    let fails = service_fn(async |_: http::Request<Incoming>| {
        Err::<http::Response<String>, BoxError>("no database".into())
    });
    let panics = service_fn(async |request: http::Request<Incoming>| {
        assert!(request.uri() != "/", "on purpose");
        Ok::<_, BoxError>(http::Response::new(String::new()))
    });

    for answer in
        [answered(fails, head("GET", "/", 0), b""), answered(panics, head("GET", "/", 0), b"")]
    {
        assert!(answer.starts_with("Status: 500 Internal Server Error\r\n"), "{answer}");
    }
}

#[test]
fn a_stream_is_passed_on_while_it_is_made_and_cut_if_it_fails() {
    let (go, gone_on) = mpsc::channel::<()>();
    let gone_on = Arc::new(Mutex::new(gone_on));
    let app = service_fn(move |_: http::Request<Incoming>| {
        let gone_on = Arc::clone(&gone_on);
        async move {
            let pieces = futures_util::stream::unfold(0, move |n| {
                let gone_on = Arc::clone(&gone_on);
                async move {
                    if n == 1 {
                        let wait = move || gone_on.lock().unwrap().recv_timeout(LONG);
                        tokio::task::spawn_blocking(wait).await.unwrap().unwrap();
                    }
                    let piece = if n < 1 { Ok("piece ") } else { Err(io::Error::other("torn")) };
                    Some((piece, n + 1))
                }
            });
            Ok::<_, BoxError>(http::Response::new(axum::body::Body::from_stream(pieces)))
        }
    });

    let (heard, report) = served(&floor(None), app, move |mut peer| {
        peer.write_all(&head("GET", "/", 0).encode().unwrap()).unwrap();
        let mut first = [0; 256];
        let got = peer.read(&mut first).unwrap();
        let first = String::from_utf8_lossy(&first[..got]).into_owned();
        go.send(()).unwrap();
        (first, say(b"")(peer))
    });

    assert!(heard.0.ends_with("\r\n\r\npiece "), "{heard:?}");
    assert_eq!(heard.1, "");
    assert_eq!((report.begun, report.aborted), (1, 0));
}

#[test]
fn a_client_that_leaves_takes_the_work_for_it_along() {
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (tell, told) = mpsc::channel();
    let app = service_fn(move |_: http::Request<Incoming>| {
        let dropped = Dropped(tell.clone());
        async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
            Ok::<_, BoxError>(http::Response::new(String::new()))
        }
    });

    let ((), report) = served(&floor(None), app, |mut peer| {
        peer.write_all(&head("GET", "/", 0).encode().unwrap()).unwrap();
    });

    told.recv_timeout(LONG).unwrap();
    assert_eq!((report.begun, report.aborted), (1, 1));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_not_taken_for_a_short_one() {
    let app = Router::new().route("/", post(async |body: Bytes| body.len().to_string()));

    let (answer, report) = served(&floor(None), app, |mut peer| {
        peer.write_all(&head("POST", "/", 100).encode().unwrap()).unwrap();
        peer.write_all(b"half of it").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        say(b"")(peer)
    });

    assert_eq!(report.aborted, 1, "{answer}");
}

#[test]
fn who_is_answered_before_its_body_was_read_hears_the_answer() {
    let app = Router::new().route("/", post(async || StatusCode::PAYLOAD_TOO_LARGE));

    let (answer, _) = served(&floor(None), app, |mut peer| {
        peer.write_all(&head("POST", "/", 8 << 20).encode().unwrap()).unwrap();
        peer.write_all(&vec![0; 8 << 20]).unwrap();
        say(b"")(peer)
    });

    assert!(answer.starts_with("Status: 413 "), "{answer}");
}

#[test]
fn what_is_not_scgi_is_told_so_and_counted() {
    let app = Router::new().route("/", get(async |_: HeaderMap| "hello\n"));

    let (answer, report) = served(&floor(None), app, say(b"GET / HTTP/1.1\r\n\r\n"));

    assert!(answer.contains("400"), "{answer}");
    assert_eq!((report.begun, report.refused.iter().sum::<u64>()), (0, 1));
}

#[test]
fn who_waited_too_long_is_told_so_and_asks_nothing_of_the_service() {
    let app = service_fn(async |_: http::Request<Incoming>| {
        Err::<http::Response<String>, BoxError>("it was asked".into())
    });
    let long_ago = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() - 9;
    let late = head("GET", "/", 0).variable("HTTP_X_REQUEST_START", format!("t={long_ago}"));

    let (answer, report) = served(&floor(None), app, say(&late.encode().unwrap()));

    assert!(answer.starts_with("Status: 503 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert_eq!(report.expired, 1);
}

#[test]
fn a_reply_that_is_not_taken_is_kept_aside_and_one_that_is_endless_ends_with_its_client() {
    let room = |floor: &Arc<Floor>| floor.room.available_permits();
    let big = service_fn(async |_: http::Request<Incoming>| {
        Ok::<_, BoxError>(http::Response::new(Whole(vec![7; 8 << 20].into())))
    });
    let shared = floor(None);

    let (heard, report) = served(&shared, big, |mut peer| {
        peer.write_all(&head("GET", "/", 0).encode().unwrap()).unwrap();
        // Whoever answers has room again while nobody has read a byte.
        let until = std::time::Instant::now() + LONG;
        while room(&shared) == 0 || shared.terms.tally.report().begun == 0 {
            assert!(until.elapsed() == Duration::ZERO, "the task is held");
            thread::yield_now();
        }
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).unwrap();
        heard.len()
    });

    assert!(heard > 8 << 20, "{heard}");
    assert_eq!((report.begun, report.ended, report.aborted), (1, 1, 0));
    assert_eq!(report.bytes_out, heard as u64);

    let endless = service_fn(async |_: http::Request<Incoming>| {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(vec![7; 64 << 10]));
        Ok::<_, BoxError>(http::Response::new(axum::body::Body::from_stream(pieces)))
    });
    let ((), report) = served(&floor(None), endless, |mut peer| {
        peer.write_all(&head("GET", "/", 0).encode().unwrap()).unwrap();
        peer.read_exact(&mut vec![0; 4 << 20]).unwrap();
    });
    assert_eq!((report.begun, report.ended, report.aborted), (1, 1, 1));
}

#[test]
fn a_body_that_is_short_enough_is_whole_before_the_service_is_asked() {
    let seen = service_fn(async |request: http::Request<Incoming>| {
        let (at_hand, body) = (request.body().at_hand(), request.body().remaining());
        Ok::<_, BoxError>(http::Response::new(format!("{at_hand} of {body}")))
    });

    let slowly = |bytes: usize| {
        let head = head("POST", "/", bytes).encode().unwrap();
        served(&floor(None), seen, move |mut peer| {
            peer.write_all(&head).unwrap();
            peer.write_all(&vec![7; bytes - 1]).unwrap();
            say(b"7")(peer)
        })
        .0
    };

    assert!(slowly(1 << 20).ends_with("1048576 of 1048576"));
    assert!(slowly((1 << 20) + 1).ends_with(" of 1048577"));
}
