//! `environ`: shows who served a request and every variable the web server sent with it.

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use scgi_worker::{App, Request, Response};

use super::html::{Escaped, page};

/// How long a slow request takes.
const SLOW: Duration = Duration::from_secs(3);

/// Who serves: what this worker found when it was born.
#[derive(Clone, Debug)]
struct Worker {
    app: String,
    seat: String,
    worker: String,
    generation: String,
    pid: u32,
}

/// Serves until told to leave.
pub(super) fn main(_arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    Ok(super::left(environ(Worker::from_environment()).run()))
}

fn environ(worker: Worker) -> App<Worker> {
    App::with_state(worker).get("/", show).get("/slow", |request| {
        pause();
        show(request)
    })
}

/// What a handler that computes or asks a database would do.
#[expect(clippy::disallowed_methods, reason = "a handler that takes long is the point")]
fn pause() {
    std::thread::sleep(SLOW);
}

fn show(request: &mut Request<'_, Worker>) -> Response {
    let mut variables: Vec<(String, String)> =
        request.vars().map(|(name, value)| (shown(name), shown(value))).collect();
    variables.sort();
    let wants_html = request.header("Accept").is_some_and(|accept| accept.contains("text/html"));
    let response = match wants_html {
        true => Response::html(as_page(request, &variables)),
        false => Response::text(as_text(request.state(), &variables)),
    };
    response.header("Cache-Control", "no-store")
}

fn as_text(worker: &Worker, variables: &[(String, String)]) -> String {
    let facts = worker.facts().map(|(name, value)| format!("{name}: {value}\n"));
    let lines = variables.iter().map(|(name, value)| format!("{name} = {value}\n"));
    facts.into_iter().chain(["\n".to_owned()]).chain(lines).collect()
}

fn as_page(request: &Request<'_, Worker>, variables: &[(String, String)]) -> String {
    let worker = request.state();
    let app = Escaped(&worker.app);
    let mount = Escaped(request.mount());
    let mut body = format!(
        "<h1>{app}</h1>\n\
         <p class=\"lead\">What the web server sent, and who answered. Reload, and it may be \
         another worker; ask for a <a href=\"{mount}/slow\">slow page</a> in several tabs, and \
         see them queue.</p>\n\
         <h2>Served by</h2>\n<dl class=\"facts\">\n"
    );
    for (name, value) in worker.facts() {
        put(&mut body, format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Escaped(value)));
    }
    body.push_str("</dl>\n<h2>What the web server said</h2>\n<div class=\"scroll\"><table>\n");
    for (name, value) in variables {
        let (name, value) = (Escaped(name), Escaped(value));
        put(&mut body, format_args!("<tr><td>{name}</td><td>{value}</td></tr>\n"));
    }
    body.push_str("</table></div>\n");
    if request.var("SERVER_SOFTWARE").is_some_and(|name| name.starts_with("scgid-gateway")) {
        body.push_str("<footer><a href=\"/\">All apps</a></footer>\n");
    }
    page(&worker.app, &body)
}

fn put(body: &mut String, markup: std::fmt::Arguments<'_>) {
    body.write_fmt(markup).expect("a string takes everything");
}

impl Worker {
    fn from_environment() -> Self {
        let said = |name: &str| std::env::var(name).unwrap_or_else(|_| "none".to_owned());
        Self {
            app: std::env::var("SCGI_APP").unwrap_or_else(|_| "environ".to_owned()),
            seat: said("SCGI_SEAT"),
            worker: said("SCGI_WORKER"),
            generation: said("SCGI_GENERATION"),
            pid: std::process::id(),
        }
    }

    fn facts(&self) -> [(&'static str, String); 5] {
        let Self { app, seat, worker, generation, pid } = self.clone();
        [
            ("pool", app),
            ("seat", seat),
            ("worker", worker),
            ("generation", generation),
            ("process", pid.to_string()),
        ]
    }
}

/// Text as it can be shown: control characters escaped, what is not UTF-8 replaced.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c.is_control() {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> Worker {
        Worker {
            app: "environ".into(),
            seat: "3".into(),
            worker: "77".into(),
            generation: "2".into(),
            pid: 4711,
        }
    }

    #[test]
    fn a_program_gets_text_with_the_worker_and_every_variable() {
        let app = environ(worker()).test();

        let answer = app.get("/?a=1").var("X_EVIL", "a\nb\x1b").send();

        let text = answer.text();
        assert!(
            text.starts_with("pool: environ\nseat: 3\nworker: 77\ngeneration: 2\nprocess: 4711\n")
        );
        assert!(text.contains("\nQUERY_STRING = a=1\n"), "{text}");
        assert!(text.contains("\nX_EVIL = a\\nb\\u{1b}\n"), "{text}");
    }

    #[test]
    fn a_browser_gets_a_page_in_which_nothing_sent_is_markup() {
        let app = environ(worker()).test();

        let answer = app
            .get("/")
            .header("Accept", "text/html,*/*")
            .header("User-Agent", "<script>alert(1)</script>")
            .send();

        assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert!(answer.text().contains("&lt;script&gt;"), "{}", answer.text());
        assert!(!answer.text().contains("<script>"));
    }
}
