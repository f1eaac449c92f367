//! One roller an app: rolls it at random instants, over and over, and sees each roll through.
//!
//! The app of a single worker is rolled in two ways in turn: like the others, and while that worker is
//! busy and stays so until the roll is over. Then nobody can be answered before the next worker is
//! there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use scgi_protocol::control::{self, AppDetail, Operation, OperationState};
use scgi_tests::http::{self, Answer};
use scgi_tests::{Exchange, Request, ScgiClient, eventually, eventually_some};
use serde::de::DeserializeOwned;

use crate::clients::{Work, judge};
use crate::dice::Dice;
use crate::span::Span;
use crate::world::{App, World};

/// The longest pause between two rolls of an app.
const REST_MS: u64 = 250;

/// The status with which an order is refused while another one holds the app.
const CONFLICT: u16 = 409;

/// The status of an operation that is not known.
const NOT_FOUND: u16 = 404;

/// A roll that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roll {
    pub(crate) app: App,
    /// From its order until it had ended.
    pub(crate) span: Span,
    /// How long the app's only worker was kept busy meanwhile, and before.
    pub(crate) held: Option<Span>,
}

/// What a roller did.
#[derive(Clone, Debug)]
pub(crate) struct Rolled {
    pub(crate) rolls: Vec<Roll>,
    /// The requests that were in flight meanwhile.
    pub(crate) work: Work,
    /// Rolls that came to nothing.
    pub(crate) failed: Vec<String>,
}

/// Rollers at work.
#[derive(Debug)]
pub(crate) struct Rollers {
    done: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    /// Held by every roller for as long as its roll takes.
    calm: Arc<RwLock<()>>,
    threads: Vec<JoinHandle<Rolled>>,
}

#[derive(Debug)]
struct Roller {
    app: App,
    control: PathBuf,
    client: ScgiClient,
    folder: PathBuf,
    dice: Dice,
    epoch: Instant,
    rolled: Rolled,
}

impl Rollers {
    /// Has every app rolled until [`Rollers::stop`].
    pub(crate) fn start(world: &World, seed: u64, epoch: Instant) -> Self {
        let (done, stop) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let calm = Arc::<RwLock<()>>::default();
        let roller = |app: App| Roller {
            app,
            control: world.daemon.site().path("control.sock"),
            client: world.daemon.app(app.name()),
            folder: world.daemon.site().path(""),
            dice: Dice::of(seed, app.name()),
            epoch,
            rolled: Rolled { rolls: Vec::new(), work: Work::of(app), failed: Vec::new() },
        };
        let start = |app| {
            let (done, stop, mut roller) = (Arc::clone(&done), Arc::clone(&stop), roller(app));
            let calm = Arc::clone(&calm);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    roller.dice.pause(REST_MS);
                    let rolling = calm.read().unwrap_or_else(PoisonError::into_inner);
                    roller.roll();
                    drop(rolling);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                roller.rolled
            })
        };
        let threads = App::ALL.map(start).into();
        Self { done, stop, calm, threads }
    }

    /// Waits until no roll is under way; none begins while this is held.
    pub(crate) fn calm(&self) -> RwLockWriteGuard<'_, ()> {
        self.calm.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rolls there were so far.
    pub(crate) fn done(&self) -> u32 {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets every roller finish its roll; what they did. A roller that panicked is a failure.
    pub(crate) fn stop(self) -> Vec<Rolled> {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Rolled>| thread.join().expect("see the panic above");
        self.threads.into_iter().map(join).collect()
    }
}

impl Roller {
    fn roll(&mut self) {
        let number = self.rolled.rolls.len();
        let until = self.folder.join(format!("rolled-{}-{number}", self.app.name()));
        let asked = self.epoch.elapsed();
        let held = (self.app == App::Single && number.is_multiple_of(2)).then(|| self.hold(&until));

        let began = self.epoch.elapsed();
        let outcome = self.order();
        let ended = self.epoch.elapsed();

        if let Err(why) = outcome {
            let (app, at) = (self.app.name(), began.as_secs_f64());
            self.rolled.failed.push(format!("{app}: the roll that began at {at:.3} s: {why}"));
        }
        let held = held.map(|held| {
            std::fs::write(&until, "").expect("the folder of the site can be written to");
            match judge(held.and_then(Exchange::finish), "held\n") {
                Ok(()) => self.rolled.work.answered += 1,
                Err(why) => self.rolled.work.fail(began, &why),
            }
            Span { began: asked, ended: self.epoch.elapsed() }
        });
        self.rolled.rolls.push(Roll { app: self.app, span: Span { began, ended }, held });
    }

    /// Keeps the only worker busy until there is a file `until`.
    fn hold(&self, until: &Path) -> io::Result<Exchange> {
        let target = format!("/hold?until={}", until.display());
        let held = self.client.begin(&Request { method: "GET", target, body: Vec::new() })?;
        // It may stand in the queue behind others, and would then be the next worker's.
        let name = until.file_name().unwrap_or_default().to_string_lossy();
        eventually("the only worker is busy", || {
            let workers = self.look::<AppDetail>().workers_now;
            workers.iter().flat_map(|worker| &worker.current).any(|one| one.uri.contains(&*name))
        });
        Ok(held)
    }

    /// Rolls the app, and waits for the end of that.
    fn order(&self) -> Result<(), String> {
        let before = self.look::<control::App>().generation;
        let answer = eventually_some("nothing is in the way of a roll", || {
            let answer = self.ask("POST", &format!("/v1/apps/{}/reload", self.app.name()));
            // An order that a killed daemon had taken and not answered is seen through by the next.
            (answer.status != CONFLICT).then_some(answer)
        });
        if answer.status != 202 {
            return Err(format!("refused: {} {}", answer.status, answer.text()));
        }
        let id = answer.json::<Operation>().id;
        let failure = eventually_some(&format!("operation {id} ends"), || {
            let answer = self.ask("GET", &format!("/v1/operations/{id}"));
            if answer.status == NOT_FOUND {
                // One that ended before the daemon was killed is not known to the next.
                return Some(None);
            }
            let operation: Operation = (answer.status == 200).then(|| answer.json())?;
            match operation.state {
                OperationState::Running => None,
                OperationState::Done => Some(None),
                OperationState::Failed => Some(Some(operation.reason.unwrap_or_default())),
            }
        });
        let control::App { generation, state, .. } = self.look();
        match failure {
            Some(why) => Err(why),
            None if state.is_well() && generation > before => Ok(()),
            None => Err(format!("done, and the app is {} in {generation}", state.as_str())),
        }
    }

    /// How the app is.
    fn look<T: DeserializeOwned>(&self) -> T {
        self.ask("GET", &format!("/v1/apps/{}", self.app.name())).json()
    }

    /// What the daemon answers, as soon as there is one.
    fn ask(&self, method: &str, target: &str) -> Answer {
        eventually_some("the daemon answers", || {
            http::send_unix(&self.control, method, target, b"").ok()
        })
    }
}
