//! Takes an upload of any size without holding it in memory, and tells what came.
//!
//! ```text
//! $ cargo run -p scgi-worker --example upload
//! $ scgictl request 127.0.0.1:4000 /upload --method POST --data-file photo.jpg
//! 184320 bytes, Adler-32 5c1f08a2
//! ```

use std::io::{self, Read};

use scgi_worker::{App, Exit, Request, Response};

/// The page with the form, for browsers.
const FORM: &str = "<!DOCTYPE html><title>upload</title>\
    <form method=post enctype=text/plain action=upload><input type=file name=file>\
    <button>send</button></form>\n";

fn main() -> Exit {
    App::new().get("/upload", |_| Response::html(FORM)).post("/upload", upload).run()
}

/// A client that leaves in the middle ends up in the `?`: nobody is told, nothing is logged.
fn upload(request: &mut Request<'_>) -> io::Result<String> {
    let mut piece = vec![0; 64 << 10];
    let mut bytes: u64 = 0;
    let (mut low, mut high) = (1, 0);
    loop {
        let read = request.read(&mut piece)?;
        if read == 0 {
            return Ok(format!("{bytes} bytes, Adler-32 {high:04x}{low:04x}\n"));
        }
        for byte in &piece[..read] {
            low = (low + u32::from(*byte)) % 65521;
            high = (high + low) % 65521;
        }
        bytes += read as u64;
    }
}
