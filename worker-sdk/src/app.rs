//! An app under construction, and the two ways to bring it to life: serving, and testing.

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use scgi_protocol::address::Address;
use scgi_protocol::page::Page;

use crate::birth::{self, BirthError, DEFAULT_ADDRESS};
use crate::cgi::Manner;
use crate::drain::Drain;
use crate::exit::Exit;
use crate::gate::Line;
use crate::limits::Limits;
use crate::log;
use crate::pulse::Pulse;
use crate::request::Request;
use crate::response::{IntoResponse, Stage};
use crate::route::{Handler, RouteError, Routes, Writes};
use crate::serve::{Around, Post, serve};
use crate::service::{Service, Terms};
use crate::testing::TestApp;

/// An app: handlers at their paths, and `S`, the state they share.
///
/// A handler is anything that takes a [`Request`] and returns something that
/// [means a response](IntoResponse):
///
/// ```
/// use scgi_worker::{App, Request, Response};
///
/// fn greet(request: &mut Request<'_>) -> Response {
///     let name = request.param("name").unwrap_or("world");
///     Response::text(format!("hello {name}\n"))
/// }
///
/// let app = App::new()
///     .get("/", |_| "hello\n")
///     .get("/greet/:name", greet)
///     .post("/length", |request| -> std::io::Result<String> {
///         let bytes = std::io::copy(request, &mut std::io::sink())?;
///         Ok(format!("{bytes}\n"))
///     });
///
/// assert_eq!(app.test().get("/greet/ada").send().text(), "hello ada\n");
/// ```
///
/// In a path, `{name}` (or `:name`) stands for one segment and `{*name}` (or `*name`) for all
/// that is left. Paths and methods nobody handles are answered 404 and 405; HEAD is answered by
/// the handler for GET, without the body.
pub struct App<S = ()> {
    routes: Routes<S>,
    state: S,
    limits: Limits,
    threads: Option<NonZeroU16>,
    listen: Option<Address>,
    socket: Option<OwnedFd>,
    around: Option<Around>,
}

/// Why an app does not serve.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("this app has impossible routes")]
    Routes(#[source] RouteError),
    #[error("cannot begin to serve")]
    Birth(#[source] BirthError),
    #[error("cannot begin to serve")]
    Start(#[source] io::Error),
}

impl App {
    /// An app without state.
    #[must_use]
    pub fn new() -> Self {
        Self::with_state(())
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Send + Sync + 'static> App<S> {
    /// An app whose handlers share `state`, through [`Request::state`].
    ///
    /// Every worker process has its own. Within one, threads share it, so that what changes in it
    /// is an atomic or behind a lock.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use scgi_worker::App;
    ///
    /// let app = App::with_state(AtomicU64::new(0)).get("/", |request| {
    ///     let count = request.state().fetch_add(1, Ordering::Relaxed) + 1;
    ///     format!("{count}\n")
    /// });
    /// ```
    #[must_use]
    pub fn with_state(state: S) -> Self {
        Self {
            routes: Routes::default(),
            state,
            limits: Limits::default(),
            threads: None,
            listen: None,
            socket: None,
            around: None,
        }
    }

    /// Answers at `path`, whatever the method, unless that has a handler of its own.
    #[must_use]
    pub fn route<R: IntoResponse>(
        mut self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.routes.add(None, path, forget(handler));
        self
    }

    /// Answers `method` at `path`. Methods are told apart by case, as HTTP does.
    #[must_use]
    pub fn on<R: IntoResponse>(
        mut self,
        method: &str,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.routes.add(Some(method), path, forget(handler));
        self
    }

    /// Answers GET, and HEAD, at `path`.
    #[must_use]
    pub fn get<R: IntoResponse>(
        self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on("GET", path, handler)
    }

    /// Answers POST at `path`.
    #[must_use]
    pub fn post<R: IntoResponse>(
        self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on("POST", path, handler)
    }

    /// Answers PUT at `path`.
    #[must_use]
    pub fn put<R: IntoResponse>(
        self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on("PUT", path, handler)
    }

    /// Answers DELETE at `path`.
    #[must_use]
    pub fn delete<R: IntoResponse>(
        self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on("DELETE", path, handler)
    }

    /// Answers where no other handler does, in place of the 404.
    #[must_use]
    pub fn fallback<R: IntoResponse>(
        mut self,
        handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.routes.set_fallback(forget(handler));
        self
    }

    /// Answers where no other handler does, and says status and headers whenever it knows them: for
    /// bringing another interface to this one. [`Response::staged`](crate::Response::staged) is the
    /// same for one route among others.
    ///
    /// ```
    /// use scgi_worker::{App, ResponseHead};
    ///
    /// let app = App::new().staged(|request, out| {
    ///     let body = request.body_to_vec(1024).map_err(std::io::Error::other)?;
    ///     out.begin(ResponseHead::new(200).header("Content-Type", "text/plain"))?;
    ///     out.write_all(&body)
    /// });
    ///
    /// assert_eq!(app.test().post("/", "as it was").send().text(), "as it was");
    /// ```
    #[must_use]
    pub fn staged(
        mut self,
        handler: impl Fn(&mut Request<'_, S>, &mut dyn Stage) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.routes.set_fallback(Handler::Stages(Box::new(handler)));
        self
    }

    /// Answers at `path`, whatever the method, as a CGI program does: what the handler writes is a
    /// head (`Content-Type: text/plain`, perhaps a `Status`), an empty line and a body.
    ///
    /// The head is checked and written anew, with its status first and in one piece; a handler that
    /// fails before it is whole is a 500. The request is standard input, and ends where its body
    /// does. [`Request::environment`] is what a program finds in its environment, and
    /// [`Request::export`] gives it to one that is started.
    ///
    /// ```
    /// use scgi_worker::App;
    ///
    /// let app = App::new().cgi("/{*path}", |request, out| {
    ///     let length = std::io::copy(request, &mut std::io::sink())?;
    ///     write!(out, "Content-Type: text/plain\n\n{length} bytes for {}\n", request.path())
    /// });
    ///
    /// let seen = app.test().post("/a", "body").send();
    /// assert_eq!((seen.status(), seen.text()), (200, "4 bytes for /a\n"));
    /// ```
    #[must_use]
    pub fn cgi(
        self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.writing(Manner::Cgi, path, Box::new(handler))
    }

    /// Answers at `path`, whatever the method, byte for byte with what the handler writes: a CGI
    /// response, or whatever the front end understands. Nothing of it is checked or added.
    ///
    /// The request is its variables and the body; nothing follows that on an SCGI connection.
    #[must_use]
    pub fn raw(
        self,
        path: &str,
        handler: impl Fn(&mut Request<'_, S>, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.writing(Manner::Raw, path, Box::new(handler))
    }

    fn writing(mut self, manner: Manner, path: &str, handler: Writes<S>) -> Self {
        self.routes.add(None, path, Handler::Writes(manner, handler));
        self
    }

    /// Sets how much and how long the app puts up with.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves this many requests at once, each in a thread of its own; at least 1. What is not
    /// said here is the configuration's to say (`concurrency`), and 1 otherwise.
    #[must_use]
    pub fn threads(self, threads: u16) -> Self {
        Self { threads: NonZeroU16::new(threads.max(1)), ..self }
    }

    /// Where to listen when nobody hands over a socket and no `--listen` is given, in place of
    /// 127.0.0.1:4000.
    #[must_use]
    pub fn listen(self, address: Address) -> Self {
        Self { listen: Some(address), ..self }
    }

    /// Serves on a socket that this program made and that listens, whatever it was born with: the
    /// way of a program that forks its own workers. It is made non-blocking, for all that hold it.
    #[must_use]
    pub fn socket(self, socket: OwnedFd) -> Self {
        Self { socket: Some(socket), ..self }
    }

    /// Runs every thread that serves inside `around`, which calls what it is given, once: the
    /// place for what a thread needs for as long as it lives.
    ///
    /// ```no_run
    /// use scgi_worker::App;
    ///
    /// App::new().around(|serve| {
    ///     // what is made here is there until the thread ends
    ///     serve();
    /// });
    /// ```
    #[must_use]
    pub fn around(
        self,
        around: impl Fn(&mut (dyn FnMut() + Send)) + Send + Sync + 'static,
    ) -> Self {
        Self { around: Some(Box::new(around)), ..self }
    }

    /// Serves until told to leave, and returns when the last request is answered.
    ///
    /// As a worker of scgid it takes over what it was born with. Started by hand it listens on
    /// the address after `--listen` among the program's arguments (`127.0.0.1:4000`,
    /// `unix:/path`), and leaves on Ctrl-C. What goes wrong is told on standard error.
    pub fn run(self) -> Exit {
        match self.try_run() {
            Ok(()) => Exit::Drained,
            Err(error) => {
                log::say(&log::chain(&error));
                match error {
                    RunError::Routes(_) | RunError::Birth(BirthError::Template) => Exit::NeverAgain,
                    RunError::Birth(_) | RunError::Start(_) => Exit::Failed,
                }
            }
        }
    }

    /// The app for tests, in memory: no socket, the same way through everything else.
    ///
    /// # Panics
    ///
    /// If the routes are impossible, with all that is wrong with them.
    #[must_use]
    pub fn test(self) -> TestApp<S> {
        let (page, _) = Page::create().expect("a test can have 4 KiB of memory");
        let service = self.seal(page, None).unwrap_or_else(|problems| {
            panic!("impossible routes: {problems:?}");
        });
        TestApp::new(service)
    }

    fn try_run(mut self) -> Result<(), RunError> {
        let default = || DEFAULT_ADDRESS.parse().expect("the default address is one");
        let own = self.listen.take().unwrap_or_else(default);
        let threads = self.threads;
        let around = self.around.take().unwrap_or_else(|| Box::new(|serve| serve()));
        let found = match self.socket.take() {
            Some(socket) => birth::with_socket(socket),
            None => birth::look_around(&own),
        }
        .map_err(RunError::Birth)?;
        self.limits = self.limits.under(&found);
        let concurrency = found.concurrency.and_then(NonZeroU16::new);
        let drain = if found.is_managed { Drain::of_worker() } else { Drain::of_program() };
        let post = Post {
            line: if found.on_trial { Line::Front } else { Line::Shared },
            listeners: found.listeners,
            drain: drain.map_err(RunError::Start)?,
            pulse: Pulse::new(found.voice, found.watchdog),
            threads: threads.or(concurrency).unwrap_or(NonZeroU16::MIN),
        };
        let service = self.seal(found.page, found.mount).map_err(|problems| {
            let mut problems = problems.into_iter().rev();
            let last = problems.next().expect("a failure has a reason");
            problems.for_each(|problem| log::say(&log::chain(&problem)));
            RunError::Routes(last)
        })?;
        let served = serve(&service, &post, &around).map_err(RunError::Start);
        drop(found.page_fd);
        if let Some(path) = found.made {
            // Another process may have replaced or removed it already.
            let _ = std::fs::remove_file(path);
        }
        served
    }

    fn seal(self, page: Page, mount: Option<String>) -> Result<Service<S>, Vec<RouteError>> {
        let Self { mut routes, state, limits, .. } = self;
        routes.seal()?;
        Ok(Service { routes, state, terms: Arc::new(Terms::new(limits, page)), mount })
    }
}

fn forget<S, R: IntoResponse>(
    handler: impl Fn(&mut Request<'_, S>) -> R + Send + Sync + 'static,
) -> Handler<S> {
    Handler::Answers(Box::new(move |request| handler(request).into_response()))
}

impl<S> std::fmt::Debug for App<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limits, threads, listen, .. } = self;
        f.debug_struct("App")
            .field("limits", limits)
            .field("threads", threads)
            .field("listen", listen)
            .finish_non_exhaustive()
    }
}
