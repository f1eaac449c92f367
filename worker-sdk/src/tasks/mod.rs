//! Serving with tasks: any tower service of HTTP requests, many requests at once.
//!
//! ```text
//! listeners ─▶ accept ─▶ connection ─▶ http::Request ─▶ tower service ─▶ http::Response ─▶ reply
//!                 ▲          └ slow clients ─▶ shield (that of the threads)
//!                 └──────── their requests ──────┘
//! ```
//!
//! The daemon sees no difference to a worker with threads: the same page, notices and drain. One
//! runtime with one thread, unless the program brings another.

mod accept;
mod connection;
mod eye;
mod incoming;
mod receive;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod wire;

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body::Body;
use scgi_protocol::address::Address;
use scgi_protocol::page::now_ns;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tower_service::Service;

use accept::Entrance;
use connection::Arrival;
use eye::Eye;
pub use incoming::Incoming;
use reply::BoxError;
pub use request::{Mount, Variables};

use crate::birth::{self, BirthError, DEFAULT_ADDRESS, Found};
use crate::drain::Drain;
use crate::exit::Exit;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::log;
use crate::pulse::Pulse;
use crate::service::Terms;
use crate::shield::Shield;

/// Requests at once if nobody says how many.
const CONCURRENCY: u16 = 64;

/// How often a worker that leaves looks whether its slow clients have what they came for.
const LOOK: Duration = Duration::from_millis(10);

/// Serves a tower service of [`http::Request`]s, an axum `Router` for one, as a worker.
///
/// ```no_run
/// use scgi_worker::{Exit, Server};
///
/// fn main() -> Exit {
///     let app = axum::Router::new().route("/", axum::routing::get(async || "hello\n"));
///     Server::new(app).run()
/// }
/// ```
///
/// A request's URI is the app's own path: what the app is mounted at is cut off and stands in its
/// extensions as a [`Mount`], beside the front end's [`Variables`]. Its body is an [`Incoming`].
///
/// When the client leaves before it has its answer, the service's future is dropped, as other
/// servers do it: what has to be done all the same belongs in a task of its own. A panic is a 500
/// and a line on standard error.
#[derive(Debug)]
#[must_use = "a server does nothing until it runs"]
pub struct Server<T> {
    service: T,
    limits: Limits,
    concurrency: Option<NonZeroU16>,
    listen: Option<Address>,
    runtime: Option<Runtime>,
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot begin to serve")]
    Birth(#[source] BirthError),
    #[error("cannot begin to serve")]
    Start(#[source] io::Error),
}

impl<T> Server<T> {
    /// A server of `service`, of which every request has a clone.
    pub fn new(service: T) -> Self {
        let (limits, runtime) = (Limits::default(), None);
        Self { service, limits, concurrency: None, listen: None, runtime }
    }

    /// Sets how much and how long the app puts up with.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves this many requests at once; at least 1. What is not said here is the
    /// configuration's to say (`concurrency`, if more than 1), and 64 otherwise.
    pub fn concurrency(self, requests: u16) -> Self {
        Self { concurrency: NonZeroU16::new(requests.max(1)), ..self }
    }

    /// Where to listen when nobody hands over a socket and no `--listen` is given, in place of
    /// 127.0.0.1:4000.
    pub fn listen(self, address: Address) -> Self {
        Self { listen: Some(address), ..self }
    }

    /// Serves on `runtime`, which must have its I/O and time drivers enabled, in place of one with
    /// a single thread.
    pub fn runtime(self, runtime: Runtime) -> Self {
        Self { runtime: Some(runtime), ..self }
    }

    /// Serves until told to leave, and returns when the last request is answered; as
    /// [`App::run`](crate::App::run) does.
    pub fn run(self) -> Exit
    where
        T: HttpService,
    {
        match self.try_run() {
            Ok(()) => Exit::Drained,
            Err(error) => {
                log::say(&log::chain(&error));
                match error {
                    ServeError::Birth(BirthError::Template) => Exit::NeverAgain,
                    ServeError::Birth(_) | ServeError::Start(_) => Exit::Failed,
                }
            }
        }
    }

    fn try_run(self) -> Result<(), ServeError>
    where
        T: HttpService,
    {
        let Self { service, limits, concurrency, listen, runtime } = self;
        let default = || DEFAULT_ADDRESS.parse().expect("the default address is one");
        let found = birth::look_around(&listen.unwrap_or_else(default));
        let mut found = found.map_err(ServeError::Birth)?;
        let drain = if found.is_managed { Drain::of_worker() } else { Drain::of_program() };
        let drain = drain.map_err(ServeError::Start)?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            None => {
                Builder::new_current_thread().enable_all().build().map_err(ServeError::Start)?
            }
        };
        let (page_fd, made) = (found.page_fd.take(), found.made.take());
        let listeners = std::mem::take(&mut found.listeners);
        let floor = Floor::of(found, limits, concurrency).map_err(ServeError::Start)?;
        let floor = Arc::new(floor);
        let served = runtime.block_on(floor.run(service, listeners, &drain));
        drop(page_fd);
        if let Some(path) = made {
            // Another process may have replaced or removed it already.
            let _ = std::fs::remove_file(path);
        }
        served.map_err(ServeError::Start)
    }
}

/// What a [`Server`] serves: every tower service that answers an HTTP request with a body that
/// comes in frames. There is nothing to implement.
pub trait HttpService: Clone + Send + 'static {
    /// The body of its responses.
    type Body: Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static;

    /// Answers one request.
    fn answer(
        self,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, BoxError>> + Send;
}

impl<T, B> HttpService for T
where
    T: Service<http::Request<Incoming>, Response = http::Response<B>, Error: Into<BoxError>>,
    T: Clone + Send + 'static,
    T::Future: Send,
    B: Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static,
{
    type Body = B;

    async fn answer(
        mut self,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<B>, BoxError> {
        poll_fn(|cx| self.poll_ready(cx)).await.map_err(Into::into)?;
        self.call(request).await.map_err(Into::into)
    }
}

/// What all requests of a worker share.
#[derive(Debug)]
struct Floor {
    terms: Arc<Terms>,
    /// Where slow clients are waited for.
    shield: Arc<Shield>,
    mount: Option<String>,
    pulse: Pulse,
    concurrency: NonZeroU16,
    room: Arc<Semaphore>,
    /// Places on the page that nobody has; the lowest last.
    free: Mutex<Vec<usize>>,
}

/// Room for one request, and its place on the page.
#[derive(Debug)]
struct Place {
    floor: Arc<Floor>,
    slot: usize,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.floor.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
    }
}

impl Floor {
    fn of(found: Found, limits: Limits, said: Option<NonZeroU16>) -> io::Result<Self> {
        let limits = limits.under(&found);
        let configured = found.concurrency.and_then(NonZeroU16::new).filter(|most| most.get() > 1);
        let usual = NonZeroU16::new(CONCURRENCY).expect("it is more than none");
        let concurrency = said.or(configured).unwrap_or(usual);
        let terms = Arc::new(Terms::new(limits, found.page));
        Ok(Self {
            shield: Arc::new(Shield::new(Arc::clone(&terms))?),
            terms,
            mount: found.mount,
            pulse: Pulse::new(found.voice, found.watchdog),
            concurrency,
            room: Arc::new(Semaphore::new(concurrency.get().into())),
            free: Mutex::new((0..concurrency.get().into()).rev().collect()),
        })
    }

    /// Waits until there is room for another request.
    async fn place(self: &Arc<Self>) -> Place {
        let permit = Arc::clone(&self.room).acquire_owned().await;
        let permit = permit.expect("the room is never closed");
        let slot = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slot = slot.expect("there are as many places as permits");
        Place { floor: Arc::clone(self), slot, _permit: permit }
    }

    /// Serves until told to leave, and what is in flight then to its end, parked clients included.
    async fn run(
        self: &Arc<Self>,
        service: impl HttpService,
        listeners: Vec<Listener>,
        drain: &Drain,
    ) -> io::Result<()> {
        let (tell, asked) = watch::channel(false);
        let wake = Eye::on(drain.as_fd())?;
        let (closed, mut is_closed) = mpsc::channel(1);
        let entrance = Entrance::of(listeners, &self.shield, asked, closed)?;
        tokio::spawn(accept::stand(Arc::clone(self), service.clone(), entrance));
        let threads = self.concurrency.get();
        self.terms.tally.accepting(threads, now_ns());
        self.pulse.ready();
        let until_asked = async {
            while !drain.is_asked() {
                match self.pulse.interval() {
                    // The byte stays where it is, and the descriptor readable.
                    None => drop(wake.readable().await),
                    Some(interval) => self.beat(interval, &wake).await,
                }
            }
        };
        tokio::select! {
            () = until_asked => {}
            // A task stands there until it is told to leave, unless it has panicked.
            _ = is_closed.recv() => return Err(io::Error::other("the listeners are left alone")),
        }
        self.terms.tally.draining(threads);
        self.pulse.stopping();
        let _ = tell.send(true);
        is_closed.recv().await;
        self.let_go(service).await;
        Ok(())
    }

    /// Serves those that are parked and may have to be served yet, and waits until everybody is gone.
    async fn let_go(self: &Arc<Self>, service: impl HttpService) {
        loop {
            while self.shield.is_coming() {
                match self.shield.take().map(Arrival::Whole) {
                    Some(arrival) => {
                        let place = self.place().await;
                        accept::begin(Arc::clone(self), service.clone(), arrival, place);
                    }
                    None => self.look_again().await,
                }
            }
            // Of those who are served, some may turn out to be slow.
            self.until_idle().await;
            if !self.shield.is_coming() {
                break;
            }
        }
        while !self.shield.has_closed() {
            self.look_again().await;
        }
    }

    /// Waits until no request is being served.
    async fn until_idle(&self) {
        let mut all = pin!(self.room.acquire_many(self.concurrency.get().into()));
        let interval = self.pulse.interval().unwrap_or(Duration::MAX);
        while timeout(interval, all.as_mut()).await.is_err() {
            self.pulse.beat(now_ns());
        }
    }

    async fn look_again(&self) {
        sleep(LOOK).await;
        self.pulse.beat(now_ns());
    }

    /// Says that the worker lives, once, and waits until it is time to say it again.
    async fn beat(&self, interval: Duration, wake: &Eye) {
        self.pulse.beat(now_ns());
        let _ = timeout(interval, wake.readable()).await;
    }
}
