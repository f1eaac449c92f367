//! What an app answers, seen through a connection in memory.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scgi_worker::testing::TestApp;
use scgi_worker::{App, Body, Limits, Response, ResponseHead, Stage};

fn answering(response: impl Fn() -> Response + Send + Sync + 'static) -> TestApp<()> {
    App::new().route("/", move |_| response()).test()
}

#[test]
fn a_handler_sees_what_the_front_end_said() {
    let app = App::new()
        .route("/a/:id/*rest", |request| {
            let header = request.header("X-Custom").unwrap_or("-");
            let query = request.query_value("q").unwrap_or_default().into_owned();
            let param = |name| request.param(name).unwrap_or("-");
            format!(
                "{} {} {} {} {header} {query} {}",
                request.method(),
                request.path(),
                param("id"),
                param("rest"),
                request.remote_addr().unwrap_or("-"),
            )
        })
        .test();

    let seen = app.get("/a/7/x/y%20z?q=two+words&r").header("x-custom", "yes").send();

    assert_eq!(seen.text(), "GET /a/7/x/y z 7 x/y z yes two words 127.0.0.1");
}

#[test]
fn handlers_share_the_state_of_the_app() {
    let app = App::with_state(AtomicU64::new(40))
        .post("/", |request| {
            request.state().fetch_add(1, Ordering::Relaxed);
        })
        .get("/", |request| request.state().load(Ordering::Relaxed).to_string())
        .test();

    assert_eq!(app.post("/", "").send().status(), 204);
    app.post("/", "").send();

    assert_eq!(app.get("/").send().text(), "42");
}

#[test]
fn paths_and_methods_nobody_handles_are_answered() {
    let app = App::new().get("/a", |_| "a").put("/a", |_| "put").test();

    let other = app.request("DELETE", "/a").send();

    assert_eq!(app.get("/b").send().status(), 404);
    assert_eq!((other.status(), other.header("Allow")), (405, Some("GET, PUT, HEAD")));
}

#[test]
fn a_fallback_answers_in_place_of_404_but_not_of_405() {
    let app = App::new().get("/a", |_| "a").fallback(|_| (404, "mine")).test();

    assert_eq!(app.get("/b").send().text(), "mine");
    assert_eq!(app.request("PUT", "/a").send().status(), 405);
}

#[test]
fn the_answer_to_head_is_that_to_get_without_the_body() {
    let app = App::new()
        .get("/text", |_| "four")
        .get("/stream", |_| Response::stream(|_| panic!("nobody wants the body")).length(9))
        .test();

    let text = app.request("HEAD", "/text").send();
    let stream = app.request("HEAD", "/stream").send();

    assert_eq!((text.header("Content-Length"), text.body()), (Some("4"), &b""[..]));
    assert_eq!((stream.header("Content-Length"), stream.body()), (Some("9"), &b""[..]));
}

#[test]
fn an_app_without_handlers_shows_the_variables_escaped() {
    let app = App::new().test();

    let page = app.get("/?<b>").header("Accept", "text/html").send();
    let text = app.get("/x").var("REMOTE_USER", "a\nb").send();

    assert!(page.text().contains("<td>QUERY_STRING</td><td>&lt;b&gt;</td>"), "{}", page.text());
    assert!(text.text().contains("REMOTE_USER = a\\nb\n"), "{}", text.text());
}

#[test]
fn every_kind_of_body_arrives_with_its_length_where_that_can_be_known() {
    let long = || Box::leak(vec![b'x'; 100_000].into_boxed_slice());
    let cases: [(Response, usize, bool); 7] = [
        (Response::text("short"), 5, true),
        (Response::bytes(vec![0; 100_000]), 100_000, true),
        (Response::reader(&b"reader"[..], Some(6)), 6, true),
        (Response::reader(&*long(), Some(100_000)), 100_000, true),
        (Response::reader(&*long(), None), 100_000, false),
        (Response::stream(|out| out.write_all(b"small")), 5, true),
        (Response::stream(|out| out.write_all(&[7; 100_000])), 100_000, false),
    ];
    for (at, (response, bytes, is_known)) in cases.into_iter().enumerate() {
        let once = std::sync::Mutex::new(Some(response));
        let app = answering(move || once.lock().unwrap().take().unwrap());

        let seen = app.get("/").send();

        assert_eq!((at, seen.body().len()), (at, bytes));
        let length = is_known.then(|| bytes.to_string());
        assert_eq!(seen.header("Content-Length"), length.as_deref(), "case {at}");
        assert!(!seen.is_cut());
    }
}

#[test]
fn a_response_without_content_announces_none() {
    for status in [204, 304] {
        let seen = answering(move || Response::text("dropped").status(status)).get("/").send();

        assert_eq!((seen.status(), seen.body()), (status, &b""[..]));
        assert_eq!(seen.header("Content-Length"), None);
        assert_eq!(seen.header("Content-Type"), None);
    }
}

#[test]
fn a_header_that_would_smuggle_a_line_is_a_500_and_goes_nowhere() {
    let refused: [fn() -> Response; 5] = [
        || Response::text("x").header("X-A", "1\r\nSet-Cookie: a=b"),
        || Response::text("x").header("X A", "1"),
        || Response::text("x").header("Transfer-Encoding", "chunked"),
        || Response::text("x").header("Content-Length", "99"),
        || Response::text("x").status(100),
    ];
    for (at, refused) in refused.into_iter().enumerate() {
        let seen = answering(refused).get("/").send();

        assert_eq!((at, seen.status()), (at, 500));
        assert_eq!(seen.header("Set-Cookie"), None);
    }
}

#[test]
fn repeated_headers_and_the_last_content_type_are_sent() {
    let app = answering(|| {
        Response::text("<p>")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("content-type", "text/x-mine")
    });

    let seen = app.get("/").send();

    assert_eq!(seen.headers("Set-Cookie").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
    assert_eq!(seen.headers("Content-Type").collect::<Vec<_>>(), [b"text/x-mine"]);
}

#[test]
fn a_panic_is_a_500_and_the_next_request_is_served() {
    let app = App::new()
        .get("/", |request| {
            assert!(request.query() != "boom", "boom was asked for");
            "fine"
        })
        .test();

    let panicked = app.get("/?boom").send();

    assert_eq!(panicked.status(), 500);
    assert!(!panicked.text().contains("boom"), "the client is told no details");
    assert_eq!(app.get("/").send().text(), "fine");
    assert_eq!(app.report().ends, [0, 1, 0, 0, 1]);
}

#[test]
fn an_error_is_a_500_without_details() {
    let app = App::new()
        .get("/", |_| -> Result<String, io::Error> { Err(io::Error::other("secret")) })
        .test();

    let seen = app.get("/").send();

    assert_eq!((seen.status(), seen.text()), (500, "500 Internal Server Error\n"));
}

#[test]
fn a_stream_that_fails_before_it_began_is_a_500_and_after_that_it_is_cut() {
    let fails_after = |bytes: usize| {
        answering(move || {
            Response::stream(move |out| {
                out.write_all(&vec![b'x'; bytes])?;
                Err(io::Error::other("the disk is gone"))
            })
        })
    };

    let early = fails_after(10).get("/").send();
    let late = fails_after(100_000).get("/").send();

    assert_eq!((early.status(), early.is_cut()), (500, false));
    assert_eq!((late.status(), late.is_cut()), (200, true));
}

#[test]
fn a_stream_that_panics_in_the_middle_is_cut() {
    let app = answering(|| {
        Response::stream(|out| {
            out.write_all(b"begun")?;
            out.flush()?;
            panic!("half way");
        })
    });

    let seen = app.get("/").send();

    assert_eq!((seen.body(), seen.is_cut()), (&b"begun"[..], true));
}

#[test]
fn a_body_of_another_length_than_announced_is_never_taken_for_whole() {
    let wrong: [fn() -> Response; 3] = [
        || Response::reader(&b"short"[..], Some(100_000)),
        || Response::stream(|out| out.write_all(&[7; 50_000])).length(60_000),
        || Response::stream(|out| out.write_all(&[7; 50_000])).length(40_000),
    ];
    for wrong in wrong {
        let seen = answering(wrong).get("/").send();

        assert!(seen.status() == 500 || seen.is_cut(), "{seen:?}");
    }
}

#[test]
fn flushed_pieces_are_one_body_to_the_client() {
    let app = answering(|| {
        Response::stream(|out| {
            for n in 0..3 {
                write!(out, "{n}")?;
                out.flush()?;
            }
            out.flush()
        })
    });

    assert_eq!(app.get("/").send().text(), "012");
}

#[test]
fn what_comes_in_can_go_out_while_it_comes() {
    let upper = |body: &mut Body<'_>, out: &mut dyn Write| -> io::Result<()> {
        let mut piece = [0; 1000];
        loop {
            match body.read(&mut piece)? {
                0 => return Ok(()),
                bytes => out.write_all(&piece[..bytes].to_ascii_uppercase())?,
            }
        }
    };
    let app = App::new().post("/", move |_| Response::exchange(upper)).test();

    let seen = app.post("/", vec![b'a'; 100_000]).send();

    assert_eq!(seen.body(), vec![b'A'; 100_000]);
}

#[test]
fn a_body_is_read_to_its_end_and_not_beyond() {
    let app = App::new()
        .post("/all", |request| request.body_to_vec(200_000))
        .post("/piecewise", |request| {
            let mut text = String::new();
            request.read_to_string(&mut text).map(|_| text)
        })
        .test();

    assert_eq!(app.post("/all", vec![5; 150_000]).send().body(), vec![5; 150_000]);
    assert_eq!(app.post("/all", "").send().body(), b"");
    assert_eq!(app.post("/piecewise", "some text").send().text(), "some text");
}

#[test]
fn a_body_over_the_limit_of_the_handler_is_a_413() {
    let app = App::new().post("/", |request| request.body_to_vec(10)).test();

    assert_eq!(app.post("/", "just right").send().status(), 200);
    assert_eq!(app.post("/", "a byte more").send().status(), 413);
}

#[test]
fn a_client_that_leaves_in_its_body_gets_nothing_and_is_counted() {
    let app = App::new().post("/", |request| request.body_to_vec(1000)).test();

    let seen = app.post("/", vec![0; 500]).cut_short().try_send();

    assert_eq!(seen, None);
    let report = app.report();
    assert_eq!((report.ended, report.aborted), (1, 1));
}

#[test]
fn a_client_that_left_is_counted_even_if_the_handler_does_not_mind() {
    let app = App::new()
        .post("/", |request| {
            let _ = request.body_to_vec(1000);
            "answered anyway"
        })
        .test();

    app.post("/", vec![0; 500]).cut_short().try_send();

    assert_eq!(app.report().aborted, 1);
}

#[test]
fn a_head_over_the_limit_is_refused_and_counted() {
    let limits = Limits { head_bytes: 1000, ..Limits::default() };
    let app = App::new().get("/", |_| "ok").limits(limits).test();

    let seen = app.get("/").header("Cookie", "x".repeat(2000)).send();

    assert_eq!(seen.status(), 431);
    assert_eq!((app.report().refused, app.report().begun), ([0, 1, 0], 0));
}

#[test]
fn the_accounts_say_what_was_received_and_sent() {
    let app = App::new().post("/", |_| (201, "made")).test();

    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() - 2;
    app.post("/", "12345").header("X-Request-Start", format!("t={now}")).send();

    let report = app.report();
    assert_eq!((report.begun, report.ended, report.ends), (1, 1, [0, 1, 0, 0, 0]));
    assert!(report.bytes_in > 100 && report.bytes_out > 50, "{report:?}");
    assert_eq!(report.queue.buckets.iter().sum::<u64>(), 1);
    assert!(report.queue.sum_ns >= 2_000_000_000, "{report:?}");
}

#[test]
#[should_panic(expected = "impossible routes")]
fn impossible_routes_do_not_get_as_far_as_a_test() {
    let _ = App::new().get("/a", |_| "1").get("/a", |_| "2").test();
}

/// A stamp of so many seconds ago.
fn stamp(seconds: f64) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
    format!("t={:.3}", now - seconds)
}

#[test]
fn a_request_that_waited_too_long_is_answered_503_without_its_handler() {
    let limits = Limits { queue_timeout: Some(Duration::from_secs(5)), ..Limits::default() };
    let app = App::with_state(AtomicU64::new(0))
        .get("/", |request| request.state().fetch_add(1, Ordering::Relaxed).to_string())
        .limits(limits)
        .test();

    let late = app.get("/").header("X-Request-Start", stamp(60.0)).send();
    let in_time = app.get("/").header("X-Request-Start", stamp(0.01)).send();
    let unstamped = app.get("/").send();

    assert_eq!((late.status(), late.header("Retry-After")), (503, Some("1")));
    assert_eq!((in_time.text(), unstamped.text()), ("0", "1"));
    let report = app.report();
    assert_eq!((report.expired, report.ends), (1, [0, 2, 0, 0, 1]));
    assert_eq!(report.queue.buckets.iter().sum::<u64>(), 2);
}

#[test]
fn without_such_a_bound_a_late_request_is_served() {
    let app = App::new().get("/", |_| "ok").test();

    assert_eq!(app.get("/").header("X-Request-Start", stamp(600.0)).send().status(), 200);
}

#[test]
fn a_handler_that_sees_that_its_client_has_gone_is_no_error_and_sends_nothing() {
    let app = App::new()
        .get("/error", |request| if request.client_gone() { Err("in vain") } else { Ok("done") })
        .get("/answer", |request| request.client_gone().to_string())
        .test();

    assert_eq!(app.get("/error").then_gone().try_send(), None);
    assert_eq!(app.get("/answer").then_gone().try_send(), None);
    assert_eq!(app.get("/error").send().text(), "done");

    let report = app.report();
    assert_eq!((report.begun, report.ended, report.aborted), (3, 3, 2));
    assert_eq!(report.ends, [2, 1, 0, 0, 0]);
}

#[test]
fn a_response_head_that_nginx_would_refuse_is_counted() {
    let app = App::new()
        .get("/large", |_| Response::text("x").header("X-Large", "x".repeat(4096)))
        .get("/small", |_| Response::text("x").header("X-Small", "x".repeat(3900)))
        .test();

    assert_eq!(app.get("/large").send().status(), 200);
    assert_eq!(app.get("/small").send().status(), 200);

    assert_eq!(app.report().large_heads, 1);
}

#[test]
fn a_trace_is_handed_on_if_it_is_valid() {
    let app = App::new()
        .get("/", |request| request.traceparent().map(|trace| trace.trace_id().to_owned()))
        .test();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    let valid = app.get("/").header("traceparent", trace).send();
    let invalid = app.get("/").header("traceparent", "00-0-0-0").send();

    assert_eq!(valid.text(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(invalid.status(), 404);
}

#[test]
fn what_a_cgi_handler_writes_is_checked_and_written_anew() {
    let app = App::new()
        .cgi("/late", |_, out| out.write_all(b"X-A: b\nStatus: 404 Nowhere\n\ngone"))
        .cgi("/moved", |_, out| out.write_all(b"Location: /x\r\n\r\n"))
        .cgi("/pieces", |_, out| {
            for byte in b"Content-Type: text/plain\n\nbody" {
                out.write_all(&[*byte])?;
            }
            out.flush()?;
            out.write_all(b" and more")
        })
        .test();

    let late = app.get("/late").send();
    let moved = app.get("/moved").send();
    let pieces = app.get("/pieces").send();

    assert_eq!((late.status(), late.header("X-A"), late.text()), (404, Some("b"), "gone"));
    assert_eq!((moved.status(), moved.header("Location")), (302, Some("/x")));
    assert_eq!((pieces.status(), pieces.text()), (200, "body and more"));
    assert_eq!(app.request("HEAD", "/pieces").send().text(), "");
    assert_eq!(app.report().ends, [0, 2, 1, 1, 0]);
}

#[test]
fn a_cgi_handler_that_writes_no_head_or_fails_before_is_a_500() {
    let app = App::new()
        .cgi("/nothing", |_, _| Ok(()))
        .cgi("/text", |_, out| out.write_all(b"no head at all\n\n"))
        .cgi("/half", |_, out| out.write_all(b"Status: 200 OK\n"))
        .cgi("/error", |_, out| {
            out.write_all(b"Status: 200 OK\n")?;
            Err(io::Error::other("broken"))
        })
        .cgi("/ignores", |_, out| {
            let _ = out.write_all(b"Status: x\n\n");
            Ok(())
        })
        .test();

    for path in ["/nothing", "/text", "/half", "/error", "/ignores"] {
        assert_eq!(app.get(path).send().status(), 500, "{path}");
    }
}

#[test]
fn a_raw_handler_writes_what_it_likes_and_its_status_is_counted() {
    let app = App::new()
        .raw("/", |request, out| {
            let mut body = String::new();
            request.read_to_string(&mut body)?;
            write!(out, "Status: 299 Mine\r\nX-Sent: {body}\r\n\r\n{}", request.vars().len())
        })
        .test();

    let seen = app.post("/", "this").send();

    assert_eq!((seen.status(), seen.header("X-Sent")), (299, Some("this")));
    assert_eq!(app.report().ends, [0, 1, 0, 0, 0]);
}

#[test]
fn a_program_finds_the_request_in_its_environment_and_nothing_of_the_worker() {
    let app = App::new()
        .cgi("/{*rest}", |request, out| {
            let mut command = std::process::Command::new("env");
            let told = request.export(&mut command).output()?;
            out.write_all(b"Content-Type: text/plain\n\n")?;
            out.write_all(&told.stdout)
        })
        .test();

    let seen = app.get("/a%20b?q=1").header("Proxy", "http://evil/").header("X-A", "b").send();

    let lines: Vec<&str> = seen.text().lines().collect();
    for line in ["GATEWAY_INTERFACE=CGI/1.1", "PATH_INFO=/a b", "SCRIPT_NAME=", "QUERY_STRING=q=1"]
    {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(lines.contains(&"HTTP_X_A=b"), "{lines:?}");
    let hidden = ["HTTP_PROXY=", "CARGO", "HOME="];
    assert!(
        !lines.iter().any(|line| hidden.iter().any(|name| line.starts_with(name))),
        "{lines:?}"
    );
}

/// An app whose response is made by `run`.
fn staging(run: fn(&mut Body<'_>, &mut dyn Stage) -> io::Result<()>) -> TestApp<()> {
    App::new().route("/", move |_| Response::staged(run)).test()
}

#[test]
fn a_staged_response_says_its_head_while_it_is_made() {
    let app = staging(|body, out| {
        let mut name = String::new();
        body.read_to_string(&mut name)?;
        let head = ResponseHead::new(404).with_reason("No Such Name");
        out.begin(head.header("X-Name", b"caf\xe9".as_slice()))?;
        writeln!(out, "no {name}")
    });

    let answer = app.post("/", "ada").send();

    assert_eq!((answer.status(), answer.text()), (404, "no ada\n"));
    assert_eq!(answer.headers("X-Name").collect::<Vec<_>>(), [b"caf\xe9"]);
    assert_eq!(answer.header("Content-Length"), Some("7"));
}

#[test]
fn a_staged_head_can_be_taken_back_until_it_is_sent() {
    let app = staging(|_, out| {
        out.begin(ResponseHead::new(200))?;
        assert!(!out.is_sent());
        out.begin(ResponseHead::new(500))?;
        out.flush()?;
        assert!(out.is_sent() && out.begin(ResponseHead::new(200)).is_err());
        Ok(())
    });

    assert_eq!(app.get("/").send().status(), 500);
}

#[test]
fn a_staged_response_that_says_no_head_is_a_500() {
    let silent = staging(|_, _| Ok(()));
    let headless = staging(|_, out| out.write_all(b"text"));

    assert_eq!(silent.get("/").send().status(), 500);
    assert_eq!(headless.get("/").send().status(), 500);
}

#[test]
fn a_staged_response_must_write_what_it_announces() {
    let short = staging(|_, out| {
        out.begin(ResponseHead::new(200).header("content-length", "7"))?;
        out.write_all(b"short")?;
        out.flush()
    });
    let long = staging(|_, out| {
        out.begin(ResponseHead::new(200).header("Content-Length", "2"))?;
        out.write_all(b"long")
    });

    assert!(short.get("/").send().is_cut());
    assert_eq!(long.get("/").send().status(), 500);
}

#[test]
fn a_staged_response_to_head_has_the_length_and_no_body() {
    let writing = staging(|_, out| {
        out.begin(ResponseHead::new(200))?;
        out.write_all(b"hello")
    });
    let saying = staging(|_, out| out.begin(ResponseHead::new(200).header("Content-Length", "70")));

    let written = writing.request("HEAD", "/").send();
    let said = saying.request("HEAD", "/").send();

    assert_eq!((written.header("Content-Length"), written.text()), (Some("5"), ""));
    assert_eq!((said.header("Content-Length"), said.text()), (Some("70"), ""));
}

#[test]
fn a_staged_204_has_neither_body_nor_length() {
    let app = staging(|_, out| {
        out.begin(ResponseHead::new(204))?;
        out.write_all(b"nobody sees this")
    });

    let answer = app.get("/").send();

    assert_eq!((answer.status(), answer.text()), (204, ""));
    assert_eq!(answer.header("Content-Length"), None);
}
