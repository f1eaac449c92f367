//! Workers as real processes: born as the daemon bears them, asked as front ends ask.
//!
//! The worker is this very program, started again to run one test, `the_worker`, which serves.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

#[path = "../client/mod.rs"]
mod client;
mod drain;
mod life;
mod process;
mod shield;
mod strangers;

use std::cell::Cell;
use std::io::{self, Read};
use std::num::ParseIntError;
use std::time::Duration;

use scgi_worker::{App, Exit, Limits, Policy, Request, Response};

use process::ROLE;

/// How long a worker waits that is in a hurry.
const HASTE: Duration = Duration::from_millis(300);

/// How many slow clients a worker waits for that has little room.
const CROWD: usize = 10;

thread_local! {
    /// How often what is around the thread was entered.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Serves, if this process was started for that; passes otherwise.
#[test]
fn the_worker() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let usual = Limits {
        head_bytes: 100_000,
        head_timeout: client::PATIENCE,
        body_timeout: client::PATIENCE,
        write_timeout: client::PATIENCE,
        ..Limits::default()
    };
    let limits = match role.to_str() {
        // A handler begins when the head is there, and the client keeps it waiting.
        Some("direct") => Limits { body_buffer_bytes: 0, ..usual },
        Some("crowded") => Limits { parked: CROWD, ..usual },
        Some("strict") => Limits { policy: Policy::Strict, ..usual },
        Some("hasty") => Limits { head_timeout: HASTE, body_timeout: HASTE, ..usual },
        _ => usual,
    };
    let app = App::new()
        .get("/", |_| "ok")
        .get("/mount", |request| format!("{} {}", request.mount(), request.path()))
        .get("/big", big)
        .get("/endless", |_| Response::reader(io::repeat(b'x'), None))
        .post("/broken", |_| Response::reader(&[b'x'; 80_000][..], Some(100_000)))
        .post("/refuse", |_| (403, "no"))
        .post("/length", length)
        .get("/inside", |_| format!("{}", INSIDE.get()))
        .around(|serve| {
            INSIDE.set(INSIDE.get() + 1);
            serve();
        })
        .limits(limits);

    assert_eq!(app.run(), Exit::Drained);
}

fn big(request: &mut Request<'_>) -> Result<Vec<u8>, ParseIntError> {
    request.query().parse().map(|bytes| vec![b'x'; bytes])
}

/// Answers when the whole body is there: how long it takes is the client's choice.
fn length(request: &mut Request<'_>) -> io::Result<String> {
    let mut body = Vec::new();
    request.read_to_end(&mut body)?;
    Ok(format!("{} bytes", body.len()))
}
