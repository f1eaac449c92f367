//! `guestbook`: a small app with a form, a file that all its workers share, and a page that comes
//! piece by piece.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use scgi_worker::{App, Request, Response};
use serde::{Deserialize, Serialize};

use super::form;
use super::html::{Escaped, page};

/// Longest form that is taken, in bytes.
const FORM_MAX_BYTES: usize = 16 * 1024;

/// Longest name and message, in characters. An entry is then one write that no other can tear.
const NAME_MAX_CHARS: usize = 40;
const MESSAGE_MAX_CHARS: usize = 500;

/// How much of the book's end is shown, in bytes.
const SHOWN_BYTES: u64 = 16 * 1024;

/// Seconds the clock is shown.
const CLOCK_SECONDS: u32 = 10;

/// Why there is no book to write in.
#[derive(Debug, thiserror::Error)]
enum BookError {
    #[error("write `scgid builtin guestbook FILE`")]
    Usage,
    #[error("cannot open the book `{}`", path.display())]
    Open { path: PathBuf, source: io::Error },
}

/// What all requests of this worker share.
#[derive(Debug)]
struct Desk {
    book: File,
    path: PathBuf,
    worker: String,
    visits: AtomicU64,
}

/// One line of the book.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    message: String,
    /// Seconds since 1970.
    at: u64,
    /// Which worker took it in.
    worker: String,
}

/// Serves until told to leave; the argument is the book's file, made if it is missing.
pub(super) fn main(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let [path] = arguments else { return Err(BookError::Usage.into()) };
    let worker = std::env::var("SCGI_WORKER").unwrap_or_else(|_| "none".to_owned());
    Ok(super::left(guestbook(Desk::open(path.as_ref(), worker)?).run()))
}

fn guestbook(desk: Desk) -> App<Desk> {
    App::with_state(desk).get("/", show).post("/", sign).get("/clock", clock)
}

fn show(request: &mut Request<'_, Desk>) -> io::Result<Response> {
    let desk = request.state();
    let visits = desk.visits.fetch_add(1, Ordering::Relaxed) + 1;
    let entries = desk.entries()?;
    let now = now_s();
    let mount = request.mount();
    let mut body = format!(
        "<h1>Guestbook</h1>\n\
         <p class=\"lead\">A pool on a unix socket that starts its first worker on the first \
         request and ends the last one when nobody comes for a while.</p>\n\
         <dl class=\"facts\"><div><dt>worker</dt><dd>{worker}</dd></div>\n\
         <div><dt>process</dt><dd>{pid}</dd></div>\n\
         <div><dt>pages it has shown</dt><dd>{visits}</dd></div></dl>\n\
         <form method=\"post\" action=\"{mount}/\">\n\
         <input name=\"name\" maxlength=\"{NAME_MAX_CHARS}\" placeholder=\"Your name\">\n\
         <textarea name=\"message\" rows=\"3\" maxlength=\"{MESSAGE_MAX_CHARS}\" required \
         placeholder=\"Say something\"></textarea>\n\
         <button>Sign</button></form>\n",
        worker = Escaped(&desk.worker),
        pid = std::process::id(),
        mount = Escaped(mount),
    );
    for entry in entries.iter().rev() {
        body.push_str(&markup(entry, now));
    }
    body.push_str(&footer(mount));
    Ok(Response::html(page("Guestbook", &body)).header("Cache-Control", "no-store"))
}

fn footer(mount: &str) -> String {
    let mount = Escaped(mount);
    format!(
        "<footer><a href=\"{mount}/clock\">A page that comes piece by piece</a> · \
         <a href=\"/\">All apps</a></footer>\n"
    )
}

fn markup(entry: &Entry, now: u64) -> String {
    let Entry { name, message, at, worker } = entry;
    let ago = humantime::format_duration(Duration::from_secs(now.saturating_sub(*at)));
    format!(
        "<div class=\"entry\"><b>{}</b> <span class=\"soft\">{ago} ago, taken in by worker \
         {}</span><br>{}</div>\n",
        Escaped(name),
        Escaped(worker),
        Escaped(message)
    )
}

fn sign(request: &mut Request<'_, Desk>) -> Result<Response, Box<dyn Error>> {
    let form = request.body_to_vec(FORM_MAX_BYTES)?;
    let message = form::value(&form, "message").unwrap_or_default();
    let message: String = message.trim().chars().take(MESSAGE_MAX_CHARS).collect();
    if message.is_empty() {
        return Ok(Response::text("Say something.\n").status(422));
    }
    let name = form::value(&form, "name").unwrap_or_default();
    let name: String = name.trim().chars().take(NAME_MAX_CHARS).collect();
    let name = if name.is_empty() { "Somebody".to_owned() } else { name };
    request.state().add(name, message)?;
    Ok(Response::redirect(format!("{}/", request.mount())))
}

fn clock(_request: &mut Request<'_, Desk>) -> Response {
    Response::stream(|out| {
        // Browsers hold back the first kilobyte of a page.
        let begun = page("Clock", "<h1>Clock</h1>\n<p class=\"lead\">One line a second.</p>\n");
        let begun = begun.trim_end().trim_end_matches("</main></body></html>");
        out.write_all(begun.as_bytes())?;
        out.flush()?;
        for left in (0..CLOCK_SECONDS).rev() {
            let time = humantime::format_rfc3339_seconds(SystemTime::now());
            writeln!(out, "<p><code>{time}</code> · {left} to go</p>")?;
            out.flush()?;
            if left > 0 {
                tick();
            }
        }
        writeln!(out, "<footer><a href=\"./\">Back</a></footer></main></body></html>")
    })
    .content_type("text/html; charset=utf-8")
    .header("Cache-Control", "no-store")
    .unbuffered()
}

#[expect(clippy::disallowed_methods, reason = "a page that takes its time is the point")]
fn tick() {
    std::thread::sleep(Duration::from_secs(1));
}

impl Desk {
    fn open(path: &Path, worker: String) -> Result<Self, BookError> {
        let book = OpenOptions::new().create(true).append(true).open(path);
        let book = book.map_err(|source| BookError::Open { path: path.to_owned(), source })?;
        Ok(Self { book, path: path.to_owned(), worker, visits: AtomicU64::new(0) })
    }

    fn add(&self, name: String, message: String) -> io::Result<()> {
        let entry = Entry { name, message, at: now_s(), worker: self.worker.clone() };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        (&self.book).write_all(&line)
    }

    /// The entries at the end of the book, oldest first. A line that is none is passed over.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut book = File::open(&self.path)?;
        let length = book.metadata()?.len();
        book.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
        let mut end = Vec::new();
        book.take(SHOWN_BYTES).read_to_end(&mut end)?;
        let lines = end.split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> (tempfile::TempDir, Desk) {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::open(&folder.path().join("book"), "77".into()).unwrap();
        (folder, desk)
    }

    #[test]
    fn who_signs_is_sent_back_and_finds_the_entry_there() {
        let (_folder, desk) = book();
        let app = guestbook(desk).test();

        let signed = app.post("/", "name=Ada&message=%3Cb%3Ehello%3C%2Fb%3E").send();
        let shown = app.get("/").send();

        assert_eq!((signed.status(), signed.header("Location")), (303, Some("/")));
        assert!(shown.text().contains("<b>Ada</b>"), "{}", shown.text());
        assert!(shown.text().contains("&lt;b&gt;hello&lt;/b&gt;"), "{}", shown.text());
    }

    #[test]
    fn workers_share_the_book() {
        let (folder, desk) = book();
        let other = Desk::open(&folder.path().join("book"), "78".into()).unwrap();

        other.add("Ada".into(), "hello".into()).unwrap();

        let entries = desk.entries().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!((&*entries[0].name, &*entries[0].worker), ("Ada", "78"));
    }

    #[test]
    fn an_empty_message_or_too_long_a_form_is_refused() {
        let (_folder, desk) = book();
        let app = guestbook(desk).test();

        assert_eq!(app.post("/", "name=Ada&message=+").send().status(), 422);
        assert_eq!(app.post("/", vec![b'x'; FORM_MAX_BYTES + 1]).send().status(), 413);
        assert_eq!(app.post("/other", "").send().status(), 404);
    }

    #[test]
    fn only_the_end_of_a_long_book_is_read() {
        let (_folder, desk) = book();
        for number in 0..400 {
            desk.add(format!("n{number}"), "x".repeat(60)).unwrap();
        }

        let entries = desk.entries().unwrap();

        assert!(entries.len() < 200, "{}", entries.len());
        assert_eq!(entries.last().map(|entry| &*entry.name), Some("n399"));
    }
}
