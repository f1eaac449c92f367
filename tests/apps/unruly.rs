//! An app that does what apps should not do; what exactly, its first argument says.
//!
//! | argument | what it does |
//! |---|---|
//! | `exit N` | says why on standard error and exits with N, before it is ready |
//! | `exit-if FILE N` | the same, as long as FILE exists; otherwise serves |
//! | `segv` | ends by SIGSEGV before it is ready |
//! | `silent` | never says READY |
//! | `when FILE` | serves once FILE exists |
//! | `brittle` | says READY, and exits with 1 at its first request |
//! | `stubborn` | serves, and ignores SIGTERM |
//! | `litter FILE` | starts a process in a session of its own, writes its pid to FILE, serves |
//! | `serve` | serves |
//!
//! A serving one answers `/crash?N` by exiting with N, `/abort` by SIGABRT, `/flood?N` with N
//! lines on standard output, `/torn` with a line in two pieces and one without an end, `/binary`
//! with bytes that are no text.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, SigSet, Signal};
use scgi_worker::{App, Exit, Request};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["exit", status] => return leave(status),
        ["exit-if", file, status] if Path::new(file).exists() => return leave(status),
        ["segv"] => fault(),
        ["silent"] => {
            complain("waiting for what never comes");
            loop {
                std::thread::park();
            }
        }
        ["when", file] => wait_for(Path::new(file)),
        ["brittle"] => return exit_code(App::new().fallback(crash).run()),
        ["stubborn"] => ignore_term(),
        ["litter", file] => litter(file),
        _ => {}
    }
    exit_code(serve())
}

fn serve() -> Exit {
    App::new()
        .get("/", |_| "unruly\n")
        .get("/pid", |_| format!("{}\n", std::process::id()))
        .get("/crash", crash)
        .get("/abort", |_| -> String { std::process::abort() })
        .get("/flood", flood)
        .get("/torn", |_| torn())
        .get("/binary", |_| binary())
        .run()
}

fn exit_code(exit: Exit) -> ExitCode {
    std::process::Termination::report(exit)
}

/// As a program that misses its database does.
fn leave(status: &str) -> ExitCode {
    complain("cannot reach the database");
    ExitCode::from(status.parse::<u8>().unwrap_or(1))
}

fn complain(words: &str) {
    // If nobody listens there is nothing to be done about it.
    let _ = writeln!(io::stderr(), "unruly: {words}");
}

/// The first of these ends nothing: the standard library looks at it, for overflown stacks, and
/// restores the default.
fn fault() -> ! {
    loop {
        signal::raise(Signal::SIGSEGV).expect("a process may signal itself");
    }
}

#[expect(clippy::disallowed_methods, reason = "a program apart from the test waits for its word")]
fn wait_for(file: &Path) {
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Blocked rather than ignored: the worker's own handling of the signal stays as it is.
fn ignore_term() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block().expect("SIGTERM can be blocked");
}

/// Leaves a process behind that the worker's group knows nothing of.
fn litter(file: &str) {
    let left = Command::new("setsid")
        .args([
            "--fork",
            "sh",
            "-c",
            "echo $$ > \"$0.part\" && mv \"$0.part\" \"$0\" && exec sleep 300",
            file,
        ])
        .stdin(Stdio::null())
        .status();
    assert!(left.is_ok_and(|status| status.success()), "setsid(1) is there");
}

#[expect(clippy::exit, reason = "this is the bad behaviour that is wanted")]
fn crash(request: &mut Request<'_>) -> String {
    complain("asked to crash");
    std::process::exit(request.query().parse().unwrap_or(1))
}

fn flood(request: &mut Request<'_>) -> io::Result<&'static str> {
    let lines: u32 = request.query().parse().unwrap_or(1000);
    let mut out = io::stdout().lock();
    for line in 0..lines {
        writeln!(out, "line {line} of a flood")?;
    }
    Ok("flooded\n")
}

fn torn() -> io::Result<&'static str> {
    let mut out = io::stdout().lock();
    for piece in ["first ", "half\nsecond line\nno end"] {
        out.write_all(piece.as_bytes())?;
        out.flush()?;
    }
    Ok("torn\n")
}

fn binary() -> io::Result<&'static str> {
    let mut out = io::stdout().lock();
    out.write_all(b"caf\xe9 \x1b[31mred\n")?;
    out.flush()?;
    Ok("written\n")
}
