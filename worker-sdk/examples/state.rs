//! State shared by all handlers: a guest book in memory.
//!
//! ```text
//! $ cargo run -p scgi-worker --example state
//! $ scgictl request 127.0.0.1:4000 /book --method POST --data "I was here"
//! $ scgictl request 127.0.0.1:4000 /book
//! 1. I was here
//! ```
//!
//! Each worker process has a book of its own: what several of them are to share belongs into a
//! database. Threads of one worker share it, hence the lock.

use std::sync::Mutex;

use scgi_worker::{App, BodyError, Exit, Request, Response};

/// Longest entry, in bytes; a longer one is answered 413.
const ENTRY_MAX_BYTES: usize = 1000;

#[derive(Default)]
struct Book {
    entries: Mutex<Vec<String>>,
}

fn main() -> Exit {
    App::with_state(Book::default()).threads(4).get("/book", read).post("/book", write).run()
}

fn read(request: &mut Request<'_, Book>) -> String {
    let entries = request.state().entries.lock().expect("no handler panics with the lock");
    (1..).zip(entries.iter()).map(|(number, entry)| format!("{number}. {entry}\n")).collect()
}

fn write(request: &mut Request<'_, Book>) -> Result<Response, BodyError> {
    let entry = request.body_to_vec(ENTRY_MAX_BYTES)?;
    let entry = String::from_utf8_lossy(&entry).into_owned();
    request.state().entries.lock().expect("no handler panics with the lock").push(entry);
    Ok(Response::redirect(format!("{}/book", request.mount())))
}
