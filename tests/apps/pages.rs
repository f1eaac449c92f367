//! An app with a page for every kind of answer that front ends treat each in its own way.
//!
//! Nothing in here waits for a time: what is to be slow waits for a file that the test makes.

use std::path::Path;
use std::time::Duration;

use scgi_worker::{App, BodyError, Exit, Request, Response, environ};

/// Longest body that is sent back.
const ECHO_MAX_BYTES: usize = 16 << 20;

/// An answer that no socket takes at once.
const LARGE_BYTES: usize = 32 << 20;

/// Longest body that the page for small ones takes.
const SMALL_MAX_BYTES: usize = 1000;

fn main() -> Exit {
    App::new()
        .get("/hello", |_| "hello\n")
        .get("/missing", |_| (404, "missing\n"))
        .get("/nothing", |_| Response::new(204))
        .get("/same", |_| Response::new(304).header("ETag", "\"1\""))
        .get("/moved", |_| moved("http://localhost/elsewhere"))
        .get("/moved-here", |request| moved(&format!("{}/hello", request.mount())))
        .get("/cookies", cookies)
        .get("/long", long)
        .get("/large", |_| vec![b'x'; LARGE_BYTES])
        .get("/stream", stream)
        .get("/variables", environ)
        .get("/hold", hold)
        .get("/abandoned", abandoned)
        .post("/echo", |request| request.body_to_vec(ECHO_MAX_BYTES))
        .post("/small", small)
        .post("/busy", |_| Response::text("busy\n").status(503).header("Retry-After", "1"))
        .fallback(place)
        .run()
}

fn moved(location: &str) -> Response {
    Response::new(302).header("Location", location.to_owned())
}

fn cookies(_: &mut Request<'_>) -> Response {
    Response::text("two\n").header("Set-Cookie", "a=1").header("Set-Cookie", "b=2; Path=/")
}

/// A head longer than the page of memory that nginx keeps for it, in lines that Apache takes.
fn long(_: &mut Request<'_>) -> Response {
    (0..3).fold(Response::text("long\n"), |response, n| {
        response.header(format!("X-Long-{n}"), "x".repeat(2500))
    })
}

fn small(request: &mut Request<'_>) -> Result<Vec<u8>, BodyError> {
    request.body_to_vec(SMALL_MAX_BYTES)
}

/// Sends two pieces, the second one when the file `until` exists.
fn stream(request: &mut Request<'_>) -> Response {
    let until = request.query_value("until").map(|until| until.into_owned()).unwrap_or_default();
    Response::stream(move |out| {
        writeln!(out, "piece 0")?;
        out.flush()?;
        wait_for(Path::new(&until));
        writeln!(out, "piece 1")
    })
    .unbuffered()
}

/// Answers when the file `until` exists.
fn hold(request: &mut Request<'_>) -> &'static str {
    let until = request.query_value("until").map(|until| until.into_owned()).unwrap_or_default();
    wait_for(Path::new(&until));
    "held\n"
}

/// Works until nobody waits for it any more, and then says that it is broken.
fn abandoned(request: &mut Request<'_>) -> Result<String, &'static str> {
    while !request.client_gone() {
        std::thread::park_timeout(Duration::from_millis(2));
    }
    Err("this is in nobody's log")
}

/// Where the request is: `SCRIPT_NAME` and `PATH_INFO` as a CGI program would get them.
fn place(request: &mut Request<'_>) -> String {
    let (script_name, path_info) = (request.script_name(), request.path_info());
    format!("{} {}\n", script_name.escape_ascii(), path_info.escape_ascii())
}

#[expect(clippy::disallowed_methods, reason = "a program apart from the test waits for its word")]
fn wait_for(file: &Path) {
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
