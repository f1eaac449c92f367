//! Clients that ask again as soon as they are answered, each in a manner of its own; every request is
//! timed, and none may fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scgi_tests::http::{self, Answer};
use scgi_tests::{Manner, Request, ScgiClient};

use crate::dice::{Dice, pause};
use crate::span::Span;
use crate::world::{App, World};

/// Failures that are kept in words; all are counted.
const WORDS_MAX: usize = 20;

/// How long a long request takes.
const LONG: Duration = Duration::from_secs(5);

/// How often a long request looks whether the torture is over.
const LOOK: Duration = Duration::from_millis(20);

/// The longest pause of the client that lets a pool on demand fall asleep.
const NAP_MS: u64 = 400;

/// What came of the requests to one app.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) app: App,
    /// Those whose time counts; long requests are not among them.
    pub(crate) samples: Vec<Span>,
    /// All that were answered as they should be.
    pub(crate) answered: u64,
    pub(crate) failures: u64,
    /// What went wrong, and when.
    pub(crate) words: Vec<String>,
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Work>>,
}

/// What every client is given.
#[derive(Clone, Debug)]
struct Share {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    /// When the torture began.
    epoch: Instant,
}

impl Clients {
    /// Puts clients of every kind on every app.
    pub(crate) fn start(world: &World, seed: u64, epoch: Instant) -> Self {
        let (stop, answered) = (Arc::default(), Arc::default());
        let share = Share { stop: Arc::clone(&stop), answered: Arc::clone(&answered), epoch };
        let mut threads = Vec::new();
        for app in App::ALL {
            for manner in [Manner::Blocking, Manner::NonBlocking] {
                let client = world.daemon.app(app.name()).connecting(manner);
                threads.push(share.closed_loop(app, || {}, move || client.get("/hello")));
            }
        }
        for app in [App::Unix, App::Tcp] {
            let (port, target) = (world.nginx.port(), format!("/{}/hello", app.name()));
            threads.push(share.closed_loop(app, || {}, move || http::get(port, &target)));
            let folder = world.daemon.site().path("");
            threads.push(share.long(app, world.daemon.app(app.name()), folder));
        }
        let client = world.daemon.app(App::Demand.name());
        let mut dice = Dice::of(seed, "naps");
        let nap = move || dice.pause(NAP_MS);
        threads.push(share.closed_loop(App::Demand, nap, move || client.get("/hello")));
        Self { stop, answered, threads }
    }

    /// How many requests were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets every client finish its request; what came of them.
    pub(crate) fn stop(self) -> Vec<Work> {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Work>| thread.join().expect("a client does not panic");
        self.threads.into_iter().map(join).collect()
    }
}

impl Share {
    /// Asks over and over, with a `rest` before each request.
    fn closed_loop(
        &self,
        app: App,
        mut rest: impl FnMut() + Send + 'static,
        mut ask: impl FnMut() -> std::io::Result<Answer> + Send + 'static,
    ) -> JoinHandle<Work> {
        let share = self.clone();
        std::thread::spawn(move || {
            let mut work = Work::of(app);
            while !share.is_over() {
                rest();
                let began = share.epoch.elapsed();
                match judge(ask(), "hello\n") {
                    Ok(()) => {
                        work.samples.push(Span { began, ended: share.epoch.elapsed() });
                        share.count(&mut work);
                    }
                    Err(why) => work.fail(began, &why),
                }
            }
            work
        })
    }

    /// One long request after another.
    fn long(&self, app: App, client: ScgiClient, folder: PathBuf) -> JoinHandle<Work> {
        let share = self.clone();
        std::thread::spawn(move || {
            let mut work = Work::of(app);
            for number in 0.. {
                if share.is_over() {
                    break;
                }
                let began = share.epoch.elapsed();
                let until = folder.join(format!("long-{}-{number}", app.name()));
                let ask = || {
                    let target = format!("/hold?until={}", until.display());
                    let held =
                        client.begin(&Request { method: "GET", target, body: Vec::new() })?;
                    while share.epoch.elapsed().saturating_sub(began) < LONG && !share.is_over() {
                        pause(LOOK);
                    }
                    std::fs::write(&until, "")?;
                    held.finish()
                };
                match judge(ask(), "held\n") {
                    Ok(()) => share.count(&mut work),
                    Err(why) => work.fail(began, &why),
                }
            }
            work
        })
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn count(&self, work: &mut Work) {
        work.answered += 1;
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

impl Work {
    /// Nothing yet.
    pub(crate) const fn of(app: App) -> Self {
        Self { app, samples: Vec::new(), answered: 0, failures: 0, words: Vec::new() }
    }

    /// Counts a request that failed.
    pub(crate) fn fail(&mut self, began: Duration, why: &str) {
        self.failures += 1;
        if self.words.len() < WORDS_MAX {
            let (app, at) = (self.app.name(), began.as_secs_f64());
            self.words.push(format!("{app}: a request that began at {at:.3} s: {why}"));
        }
    }
}

/// Whether this is the answer that was asked for.
///
/// # Errors
///
/// What it is instead, in words.
pub(crate) fn judge(answer: std::io::Result<Answer>, body: &str) -> Result<(), String> {
    match answer {
        Ok(Answer { status: 200, body: got, .. }) if got == body.as_bytes() => Ok(()),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
        Err(error) => Err(error.to_string()),
    }
}
