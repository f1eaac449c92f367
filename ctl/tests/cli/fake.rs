//! A daemon that answers what it was told to answer, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use scgi_protocol::control::Problem;
use serde::Serialize;
use tempfile::TempDir;

use crate::run::Run;

/// An answer of the fake daemon.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a body.
    Body(u16, String),
    /// Server-sent events; the connection closes after them.
    Stream(String),
    /// Server-sent events; the connection stays open after them.
    Endless(String),
    /// The connection closes without an answer.
    Break,
    /// The socket goes away, as when the daemon ends, after this answer.
    Farewell(String),
    /// No answer, and the connection stays open.
    Silence,
}

/// An answer of 200 or, to an order, 202.
pub(crate) fn json(value: &impl Serialize) -> Reply {
    Reply::Body(200, serde_json::to_string(value).unwrap())
}

/// A refusal.
pub(crate) fn problem(status: u16, slug: &str, change: impl FnOnce(&mut Problem)) -> Reply {
    let kind = format!("{}{slug}", Problem::PREFIX);
    let mut problem = Problem { kind, status, ..Problem::default() };
    change(&mut problem);
    Reply::Body(status, serde_json::to_string(&problem).unwrap())
}

/// Server-sent events with these numbers and values.
pub(crate) fn events<T: Serialize>(values: &[(u64, T)]) -> String {
    let event = |(id, value): &(u64, T)| {
        format!("id: {id}\nevent: x\ndata: {}\n\n", serde_json::to_string(value).unwrap())
    };
    values.iter().map(event).collect()
}

#[derive(Debug, Default)]
struct State {
    replies: BTreeMap<String, VecDeque<Reply>>,
    asked: Vec<String>,
}

/// A fake daemon on a socket of its own; it ends with the test.
#[derive(Debug)]
pub(crate) struct Fake {
    dir: TempDir,
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// A daemon that answers 404 to everything.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let path = dir.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, path) = (Arc::clone(&shared), path.clone());
                thread::spawn(move || answer(stream.unwrap(), &shared, path));
            }
        });
        Self { dir, state }
    }

    /// Answers `route`, such as `GET /v1/status`, with `reply`; told again, with the next reply
    /// the next time. The last one is repeated. A query may be part of the route.
    pub(crate) fn on(self, route: &str, reply: Reply) -> Self {
        lock(&self.state).replies.entry(route.to_owned()).or_default().push_back(reply);
        self
    }

    /// What was asked so far: method, path and query, then `Last-Event-ID` or
    /// `If-Match`, then the body.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }

    /// What was ordered so far.
    pub(crate) fn ordered(&self) -> Vec<String> {
        self.asked().into_iter().filter(|asked| !asked.starts_with("GET ")).collect()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// The program, about to be run against this daemon.
    pub(crate) fn scgictl(&self, args: &str) -> Run {
        Run::new(args).socket(self.socket())
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: UnixStream, state: &Mutex<State>, socket: PathBuf) {
    let Some((route, asked)) = read_request(&stream) else { return };
    let reply = {
        let mut state = lock(state);
        state.asked.push(asked);
        reply_to(&mut state.replies, &route)
    };
    let body = match &reply {
        Reply::Body(_, text)
        | Reply::Stream(text)
        | Reply::Endless(text)
        | Reply::Farewell(text) => text.clone(),
        Reply::Break => return,
        Reply::Silence => return until_closed(&stream),
    };
    let status = if let Reply::Body(status, _) = &reply { *status } else { 200 };
    let sized = match &reply {
        Reply::Body(..) | Reply::Farewell(_) => format!("content-length: {}\r\n", body.len()),
        _ => String::new(),
    };
    if matches!(reply, Reply::Farewell(_)) {
        std::fs::remove_file(socket).unwrap();
    }
    let head = format!("HTTP/1.1 {status} x\r\n{sized}connection: close\r\n\r\n");
    let _client_may_have_left = stream.write_all(format!("{head}{body}").as_bytes());
    if matches!(reply, Reply::Endless(_)) {
        until_closed(&stream);
    }
    let _client_may_have_left = stream.shutdown(Shutdown::Both);
}

/// Method and target, and all that is worth remembering of a request.
fn read_request(stream: &UnixStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let route = line.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let mut asked = route.clone();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "if-match" => asked = format!("{asked} if-match {value}"),
            "last-event-id" => asked = format!("{asked} after {value}"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if length > 0 {
        asked = format!("{asked} {}", String::from_utf8(body).ok()?);
    }
    Some((route, asked))
}

fn reply_to(replies: &mut BTreeMap<String, VecDeque<Reply>>, route: &str) -> Reply {
    let bare = route.split('?').next().unwrap_or(route);
    let key = if replies.contains_key(route) { route } else { bare };
    match replies.get_mut(key) {
        Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some(queue) => queue[0].clone(),
        None => problem(404, "no-such-route", |p| p.detail = format!("nothing at {route}")),
    }
}

fn until_closed(mut stream: &UnixStream) {
    let _bytes = stream.read(&mut [0]);
}
