//! The daemon's whole life: the order in which it starts, and its farewell.
//!
//! ```text
//! inherited sockets ▶ runtime directory ▶ control socket ▶ metrics ▶ site ▶ loop ▶ farewell
//! ```
//!
//! What the daemon needs for itself must be had before the first app is touched; what an app needs
//! and cannot have is that app's trouble alone.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use scgi_protocol::address::Address;
use tokio::sync::{oneshot, watch};

use crate::config::{Loaded, Problems};
use crate::control::{self, ControlState};
use crate::doors::Doors;
use crate::journal::{Bounds, Journal};
use crate::metrics::{self, Metrics, Pulse, Sources};
use crate::scoreboard::Scoreboard;
use crate::shell::backlog::Queues;
use crate::shell::bind::BindError;
use crate::shell::board::Board;
use crate::shell::clock::Clock;
use crate::shell::handle::Handle;
use crate::shell::revisions::Archive;
use crate::shell::service::Manager;
use crate::shell::state::record::Left;
use crate::shell::state::{Found, State, StateError};
use crate::shell::upgrade::Baggage;
use crate::shell::{self, Listeners, Shared, Shell, Start};
use crate::spec::{Limit, Site};

/// What to run.
#[derive(Debug)]
pub struct Run {
    /// The site, or what is wrong with it: one that is in force is gone on with all the same.
    pub loaded: Result<Loaded, Problems>,
    /// The file it was read from, for a reload.
    pub config: Option<PathBuf>,
    /// Listeners that are open already, by address.
    pub opened: BTreeMap<Address, OwnedFd>,
    /// What the program handed over that this process was before.
    pub baggage: Option<Box<Baggage>>,
}

/// Why the daemon could not run. No worker was started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The control socket could not be opened.
    #[error("cannot open the control socket `{}`", path.display())]
    Control {
        /// Where.
        path: PathBuf,
        /// Why.
        source: BindError,
    },
    /// The configuration has problems, and no site is in force.
    #[error("the configuration has problems")]
    Config(Problems),
    /// Another daemon lives.
    #[error(transparent)]
    State(StateError),
    /// The metrics' listener could not be opened.
    #[error("cannot open the metrics' listener; choose another with `metrics: {{listen: …}}`")]
    Metrics(#[source] BindError),
    /// The kernel refused something the loop cannot do without.
    #[error("cannot get {what}")]
    Loop {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Runs the site until somebody asks the daemon to leave. `beside` is run beside it, and is
/// dropped when the daemon ends.
///
/// # Errors
///
/// [`RunError`], before the first worker is started.
pub fn run<F>(run: Run, beside: impl FnOnce(Shared) -> F) -> Result<(), RunError>
where
    F: Future<Output = ()> + Send + 'static,
{
    // First of all: these descriptors are known by their numbers.
    let listeners = match &run.baggage {
        Some(baggage) => baggage.listeners(),
        None => Listeners::inherit(),
    };
    let raised = raise_descriptor_limit();
    let nofile = run.baggage.as_ref().map_or(raised, |baggage| baggage.nofile());
    shell::adopt_orphans().map_err(|source| needs("what workers leave behind", source.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| needs("a runtime", source))?;
    runtime.block_on(live(run, listeners, nofile, beside))
}

async fn live<F>(
    run: Run,
    listeners: Listeners,
    nofile: Option<Limit>,
    beside: impl FnOnce(Shared) -> F,
) -> Result<(), RunError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Run { loaded, config, mut opened, baggage } = run;
    let Beginning { site, state, doors, origin } = match baggage {
        Some(baggage) => Beginning::handed(baggage)?,
        None => Beginning::find(loaded, config.as_deref(), &mut opened)?,
    };
    let listeners = listeners.with(opened);
    let shared = shared(origin.left());
    let (handle, questions) = Handle::new();
    let archive = Archive::open(&site.revisions, &site.control.socket);
    let facts = shell::reload::facts(&site, config.as_deref(), (origin.text(), None));
    let (facts, facts_seen) = watch::channel(facts);
    let notify_socket = beside_control(&site, ".notify");
    let handed_over = Arc::new(listeners.handed_over());
    let told = state.told_file();
    let notices = origin.notices().map_err(|source| needs("the notices handed over", source))?;
    let Doors { control: door, metrics: metrics_door, descriptors, files } = doors;
    let start = Start {
        shared: shared.clone(),
        state,
        listeners,
        notify_socket,
        notices,
        doors: descriptors,
        nofile,
        questions,
        facts,
        config,
        archive: archive.clone(),
    };
    let mut shell = Shell::new(start).map_err(|source| needs("the loop's sockets", source))?;

    let control = ControlState {
        handle,
        board: shared.board.clone(),
        journal: shared.journal.clone(),
        scoreboard: shared.scoreboard.clone(),
        queues: shared.queues.clone(),
        clock: shared.clock.clone(),
        facts: facts_seen,
        handed_over,
        archive: archive.clone(),
    };
    let (leave, left) = oneshot::channel::<()>();
    let serving = tokio::spawn(control::serve(door, control, async {
        // The sender is dropped at the latest when the daemon ends.
        let _ = left.await;
    }));
    if let Some(door) = metrics_door {
        let metrics = shared.metrics.clone().written_to(told);
        tokio::spawn(metrics::serve(door, metrics, shared.pulse.clone()));
    }
    announce(&site, shell.config());
    let (board, pulse) = (shared.board.clone(), shared.pulse.clone());
    let beside = tokio::spawn(beside(shared));

    origin.begin(&mut shell);
    if let Some(manager) = Manager::from_environment() {
        tokio::spawn(manager.tell(board, pulse));
    }
    shell.run().await;

    beside.abort();
    archive.close();
    drop(leave);
    // Those who wait for the daemon's end hear of it before their connection does.
    let _ = serving.await;
    drop(files);
    Ok(())
}

/// Whom the daemon goes on from.
enum Origin {
    /// Nobody.
    Nobody(Box<Loaded>),
    /// One that ended without being asked; the configuration may be another one by now, or wrong.
    Dead(Box<Left>, Result<Box<Loaded>, Problems>),
    /// The program that this process was before.
    Itself(Box<Baggage>),
}

/// What the daemon begins with.
struct Beginning {
    /// What it says of the daemon itself; its apps may be others.
    site: Site,
    state: State,
    doors: Doors,
    origin: Origin,
}

impl Beginning {
    fn handed(baggage: Box<Baggage>) -> Result<Self, RunError> {
        let site = baggage.left().site_alone();
        let doors = Doors::handed(&site, &baggage)?;
        let path = beside_control(&site, ".state");
        let state = match baggage.lock() {
            Some(lock) => State::handed(&path, lock).map_err(RunError::State)?,
            None => State::none(),
        };
        Ok(Self { site, state, doors, origin: Origin::Itself(baggage) })
    }

    fn find(
        loaded: Result<Loaded, Problems>,
        config: Option<&Path>,
        opened: &mut BTreeMap<Address, OwnedFd>,
    ) -> Result<Self, RunError> {
        let (state, legacy) = match (&loaded, config) {
            (Ok(loaded), config) => find_state(&loaded.site, config)?,
            (Err(_), Some(config)) => find_abandoned(config),
            (Err(_), None) => (State::none(), None),
        };
        let (site, origin) = match (loaded, legacy) {
            (Ok(loaded), None) => (loaded.site.clone(), Origin::Nobody(Box::new(loaded))),
            (Ok(loaded), Some(left)) => {
                (loaded.site.clone(), Origin::Dead(left, Ok(Box::new(loaded))))
            }
            (Err(problems), Some(left)) => (left.site_alone(), Origin::Dead(left, Err(problems))),
            (Err(problems), None) => return Err(RunError::Config(problems)),
        };
        let doors = Doors::open(&site, opened)?;
        Ok(Self { site, state, doors, origin })
    }
}

impl Origin {
    fn left(&self) -> Option<&Left> {
        match self {
            Self::Nobody(_) => None,
            Self::Dead(left, _) => Some(left),
            Self::Itself(baggage) => Some(baggage.left()),
        }
    }

    /// The configuration in force.
    fn text(&self) -> String {
        match self {
            Self::Nobody(loaded) => shell::revisions::text(loaded),
            Self::Dead(left, _) => left.site.text.clone(),
            Self::Itself(baggage) => baggage.left().site.text.clone(),
        }
    }

    fn notices(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Nobody(_) | Self::Dead(..) => Ok(None),
            Self::Itself(baggage) => baggage.notices().map(Some),
        }
    }

    /// Goes on where another daemon was, or begins from nothing.
    fn begin(self, shell: &mut Shell) {
        let refused = |why: &str| {
            tracing::error!(why, "state refused; what the daemon before left is left alone");
        };
        match self {
            Self::Nobody(loaded) => shell.begin(*loaded),
            Self::Itself(baggage) => {
                // That it makes sense was found out when it was received.
                if let Err(why) = shell.go_on_with(*baggage) {
                    refused(&why);
                }
            }
            Self::Dead(left, loaded) => {
                let Err(back) = shell.succeed(*left, loaded.map(|loaded| *loaded)) else { return };
                let (why, loaded) = *back;
                refused(&why);
                if let Ok(loaded) = loaded {
                    shell.begin(loaded);
                }
            }
        }
    }
}

/// Takes the state directory, and reads what another daemon left there.
fn find_state(site: &Site, config: Option<&Path>) -> Result<(State, Option<Box<Left>>), RunError> {
    if config.is_none() {
        // A site that is not read from a file is for a first look, and leaves nothing behind.
        return Ok((State::none(), None));
    }
    let path = beside(&site.control.socket, ".state");
    if let Some(parent) = path.parent() {
        // If it cannot be made, the control socket cannot either, and that says so.
        let _ = std::fs::create_dir_all(parent);
    }
    let mut state = match State::open(&path) {
        Ok(state) => state,
        Err(error @ StateError::Taken(_)) => return Err(RunError::State(error)),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "no state is written down; a crash of scgid would cost more");
            return Ok((State::none(), None));
        }
    };
    let Found { left, refused } = state.find();
    for why in refused {
        tracing::error!(why, "state refused; what the daemon before left is left alone");
    }
    if left.is_none() {
        // The next to take over would find them beside what this daemon writes.
        state.forget_apps();
    }
    Ok((state, left))
}

/// What a daemon left that was killed, and that was configured from this file: what is written there
/// by now is no configuration.
fn find_abandoned(config: &Path) -> (State, Option<Box<Left>>) {
    let found = crate::config::control_sockets(config).into_iter().find_map(|socket| {
        let path = beside(&socket, ".state");
        State::of_dead(&path, config)
    });
    found.map_or_else(|| (State::none(), None), |(state, left)| (state, Some(left)))
}

/// Says in the log what runs and where it is to be found.
fn announce(site: &Site, config: Option<&Path>) {
    let config = config.map(|path| path.display().to_string());
    let control = site.control.socket.display().to_string();
    let metrics = site.metrics.as_ref().map(|metrics| metrics.listen.to_string());
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, config, control, metrics, "scgid runs");
}

fn needs(what: &'static str, source: io::Error) -> RunError {
    RunError::Loop { what, source }
}

fn shared(left: Option<&Left>) -> Shared {
    let clock = left.map_or_else(Clock::start, |left| Clock::resume(left.site.clock_ns));
    let (board, scoreboard, queues) = (Board::default(), Scoreboard::default(), Queues::new());
    let journal = Journal::new(Bounds::default());
    let sources = Sources {
        board: board.clone(),
        scoreboard: scoreboard.clone(),
        queues: queues.clone(),
        journal: journal.clone(),
    };
    let metrics = Metrics::new(sources, clock.wall_now());
    Shared { clock, board, journal, scoreboard, queues, metrics, pulse: Pulse::default() }
}

/// A path beside the control socket. Who holds that holds this: two daemons may share a directory.
fn beside_control(site: &Site, suffix: &str) -> PathBuf {
    beside(&site.control.socket, suffix)
}

fn beside(socket: &Path, suffix: &str) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Allows this process as many descriptors as it may have. Workers get the limit as it was, which
/// is returned; `None` if it stays.
fn raise_descriptor_limit() -> Option<Limit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(Limit { soft: Some(soft), hard: Some(hard) })
}
