//! Sends a response while it is being made, and turns an upload round while it comes in.
//!
//! ```text
//! $ cargo run -p scgi-worker --example streaming
//! $ scgictl request 127.0.0.1:4000 "/primes?below=20"
//! 2
//! 3
//! …
//! $ scgictl request 127.0.0.1:4000 /upper --method POST --data "shout"
//! SHOUT
//! ```
//!
//! nginx passes the pieces on as they come, since the response is `unbuffered`; lighttpd wants
//! `server.stream-response-body = 2` for that, Apache does it by itself.

use std::io::{self, Read, Write};

use scgi_worker::{App, Body, Exit, Request, Response};

fn main() -> Exit {
    App::new()
        .get("/primes", primes)
        .post("/upper", |_| Response::exchange(upper).content_type("text/plain"))
        .run()
}

fn primes(request: &mut Request<'_>) -> Response {
    let below = request.query_value("below").and_then(|text| text.parse().ok()).unwrap_or(1000);
    Response::stream(move |out| {
        let mut found: Vec<u32> = Vec::new();
        for number in 2..below {
            if found.iter().all(|prime| number % prime != 0) {
                found.push(number);
                writeln!(out, "{number}")?;
                out.flush()?;
            }
        }
        Ok(())
    })
    .unbuffered()
}

fn upper(body: &mut Body<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut piece = [0; 8 << 10];
    loop {
        match body.read(&mut piece)? {
            0 => return Ok(()),
            read => out.write_all(&piece[..read].to_ascii_uppercase())?,
        }
    }
}
