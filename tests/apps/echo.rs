//! An app that behaves: a worker of the SDK with a path for everything that a test asks for.
//!
//! Nothing in here waits for a time: what is to be slow waits for a file that the test makes.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::time::Duration;

use scgi_worker::{App, BodyError, Exit, Request, Response, environ};

/// Longest body that is sent back.
const ECHO_MAX_BYTES: usize = 16 << 20;

/// Pieces of a stream.
const PIECES: u32 = 5;

fn main() -> Exit {
    App::new()
        .get("/", |_| "hello\n")
        .get("/hello", |_| "hello\n")
        .post("/echo", echo)
        .post("/length", length)
        .get("/hold", hold)
        .get("/stream", stream)
        .get("/pid", |_| format!("{}\n", std::process::id()))
        .get("/up", |_| Response::text("\n").status(up()))
        .get("/who", who)
        .get("/panic", |_| -> String { panic!("asked to panic") })
        .get("/say", say)
        .get("/big", big)
        .get("/abandoned", abandoned)
        .get("/query", |request| format!("{}\n", request.query()))
        .get("/variables", environ)
        .limits(scgi_tests::limits())
        .run()
}

/// How it says it is: the status that the environment names, 200 if none.
fn up() -> u16 {
    std::env::var("UP").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// The body, as it came.
fn echo(request: &mut Request<'_>) -> Result<Vec<u8>, BodyError> {
    request.body_to_vec(ECHO_MAX_BYTES)
}

/// As many bytes as the query says.
fn big(request: &mut Request<'_>) -> Result<Vec<u8>, std::num::ParseIntError> {
    request.query().parse().map(|bytes| vec![b'x'; bytes])
}

/// Works until nobody waits for it any more, and then says that it is broken.
fn abandoned(request: &mut Request<'_>) -> Result<String, &'static str> {
    while !request.client_gone() {
        std::thread::park_timeout(Duration::from_millis(2));
    }
    Err("this is in nobody's log")
}

/// How long the body is, without holding it.
fn length(request: &mut Request<'_>) -> io::Result<String> {
    let bytes = io::copy(request, &mut io::sink())?;
    Ok(format!("{bytes}\n"))
}

/// Answers when the file `until` exists.
fn hold(request: &mut Request<'_>) -> Response {
    let Some(until) = request.query_value("until") else {
        return Response::text("which file?\n").status(400);
    };
    wait_for(Path::new(&*until));
    Response::text("held\n")
}

/// Sends the first of its pieces at once, and the others when the file `until` exists.
fn stream(request: &mut Request<'_>) -> Response {
    let until = request.query_value("until").map(|until| until.into_owned());
    Response::stream(move |out| {
        for piece in 0..PIECES {
            writeln!(out, "piece {piece}")?;
            out.flush()?;
            if let Some(until) = until.as_ref().filter(|_| piece == 0) {
                wait_for(Path::new(until));
            }
        }
        Ok(())
    })
    .unbuffered()
}

/// What this process is: identity, limits, directory, environment.
fn who(_: &mut Request<'_>) -> io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mut told = String::new();
    for line in status.lines() {
        if ["Uid:", "Gid:", "Groups:", "Umask:"].iter().any(|field| line.starts_with(field)) {
            let words: Vec<_> = line.split_whitespace().collect();
            writeln!(told, "{}", words.join(" ")).expect("a string takes everything");
        }
    }
    writeln!(told, "Directory: {}", std::env::current_dir()?.display())
        .expect("a string takes everything");
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    writeln!(told, "Nice: {}", fields[17]).expect("a string takes everything");
    told.push_str(&std::fs::read_to_string("/proc/self/limits")?);
    for (name, value) in std::env::vars() {
        writeln!(told, "env {name}={value}").expect("a string takes everything");
    }
    Ok(told)
}

/// Writes its query to standard output and to standard error.
fn say(request: &mut Request<'_>) -> io::Result<&'static str> {
    let mut text = String::new();
    request.read_to_string(&mut text)?;
    let line = request.query();
    writeln!(io::stdout(), "out {line}")?;
    writeln!(io::stderr(), "err {line}")?;
    Ok("said\n")
}

#[expect(clippy::disallowed_methods, reason = "a program apart from the test waits for its word")]
fn wait_for(file: &Path) {
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
