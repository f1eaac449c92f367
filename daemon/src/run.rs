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
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use scgi_protocol::address::Address;
use scgi_protocol::control::OperationState;
use scgi_protocol::name::OperationId;
use scgi_protocol::notice::{Notice, Voice};
use tokio::sync::{oneshot, watch};

use crate::config::{Loaded, Problems};
use crate::control::{self, ControlState};
use crate::journal::{Bounds, Journal};
use crate::metrics::{self, Metrics, Pulse, Sources};
use crate::scoreboard::Scoreboard;
use crate::shell::backlog::Queues;
use crate::shell::bind::{BindError, SocketFile, bind};
use crate::shell::board::Board;
use crate::shell::clock::Clock;
use crate::shell::handle::Handle;
use crate::shell::state::record::Left;
use crate::shell::state::{Found, State, StateError};
use crate::shell::{self, Listeners, Shared, Shell, Start};
use crate::spec::{Limit, ListenSpec, MetricsSpec, Ownership, Site};

/// The longest the service manager is kept waiting for the word that the site is up.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Accept queue of the daemon's own sockets.
const OWN_BACKLOG: u16 = 128;

/// What to run.
#[derive(Debug)]
pub struct Run {
    /// The site, or what is wrong with it: one that is in force is gone on with all the same.
    pub loaded: Result<Loaded, Problems>,
    /// The file it was read from, for a reload.
    pub config: Option<PathBuf>,
    /// Listeners that are open already, by address.
    pub opened: BTreeMap<Address, OwnedFd>,
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
    let listeners = Listeners::inherit();
    let nofile = raise_descriptor_limit();
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
    let Run { loaded, config, mut opened } = run;
    let written = loaded.as_ref().ok().map(|loaded| &loaded.site);
    let (state, legacy) = find_state(written, config.as_deref())?;
    let (loaded, site) = match (loaded, &legacy) {
        (Ok(loaded), _) => {
            let site = loaded.site.clone();
            (Ok(loaded), site)
        }
        (Err(problems), Some(legacy)) => (Err(problems), legacy.site_alone()),
        (Err(problems), None) => return Err(RunError::Config(problems)),
    };
    let doors = Doors::open(&site, &mut opened)?;
    let listeners = listeners.with(opened);
    let shared = shared(legacy.as_deref());
    let (handle, questions) = Handle::new();
    let text = loaded.as_ref().map(shell::reload::text).unwrap_or_default();
    let (facts, facts_seen) = watch::channel(shell::reload::facts(&site, config.as_deref(), text));
    let notify_socket = beside_control(&site, ".notify");
    let handed_over = Arc::new(listeners.handed_over());
    let told = state.told_file();
    let start = Start {
        shared: shared.clone(),
        state,
        listeners,
        notify_socket,
        nofile,
        questions,
        facts,
        config,
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
    };
    let (leave, left) = oneshot::channel::<()>();
    let Doors { control: door, control_file, metrics: metrics_door } = doors;
    let serving = tokio::spawn(control::serve(door, control, async {
        // The sender is dropped at the latest when the daemon ends.
        let _ = left.await;
    }));
    if let Some((door, _)) = metrics_door {
        let metrics = shared.metrics.clone().written_to(told);
        tokio::spawn(metrics::serve(door, metrics, shared.pulse.clone()));
    }
    let first = legacy.is_none().then_some(OperationId(1));
    tokio::spawn(report_ready(shared.board.clone(), first));
    announce(&site, shell.config());
    let beside = tokio::spawn(beside(shared));

    begin(&mut shell, legacy, loaded);
    shell.run().await;

    beside.abort();
    drop(leave);
    // Those who wait for the daemon's end hear of it before their connection does.
    let _ = serving.await;
    drop(control_file);
    Ok(())
}

/// Goes on where another daemon was, or begins from nothing.
fn begin(shell: &mut Shell, left: Option<Box<Left>>, loaded: Result<Loaded, Problems>) {
    let loaded = match (left, loaded) {
        (Some(left), loaded) => match shell.succeed(*left, loaded) {
            Ok(()) => return,
            Err(refused) => {
                let (why, loaded) = *refused;
                tracing::error!(why, "state refused; what the daemon before left is left alone");
                loaded
            }
        },
        (None, loaded) => loaded,
    };
    if let Ok(loaded) = loaded {
        shell.begin(loaded);
    }
}

/// Takes the state directory, and reads what another daemon left there.
fn find_state(
    site: Option<&Site>,
    config: Option<&Path>,
) -> Result<(State, Option<Box<Left>>), RunError> {
    // A site that is not read from a file is for a first look, and leaves nothing behind.
    let (Some(site), Some(_)) = (site, config) else { return Ok((State::none(), None)) };
    let path = beside_control(site, ".state");
    if let Some(parent) = path.parent() {
        // If it cannot be made, the control socket cannot either, and that says so.
        let _ = std::fs::create_dir_all(parent);
    }
    let state = match State::open(&path) {
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
    Ok((state, left))
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
    let mut path = site.control.socket.clone().into_os_string();
    path.push(suffix);
    path.into()
}

/// The daemon's own listeners.
struct Doors {
    control: tokio::net::UnixListener,
    control_file: Option<SocketFile>,
    metrics: Option<(metrics::Door, Option<SocketFile>)>,
}

impl Doors {
    /// Opens them; what is among the `opened` is taken from there.
    fn open(site: &Site, opened: &mut BTreeMap<Address, OwnedFd>) -> Result<Self, RunError> {
        let path = &site.control.socket;
        let refused = |source| RunError::Control { path: path.clone(), source };
        let address = Address::Unix(path.clone());
        let (fd, control_file) =
            bind(&address, site.control.ownership, OWN_BACKLOG).map_err(refused)?;
        let control = unix_listener(fd).map_err(|source| needs("the control socket", source))?;
        let metrics = site.metrics.as_ref();
        let metrics =
            metrics.map(|spec| open_metrics(spec, opened.remove(&spec.listen))).transpose()?;
        Ok(Self { control, control_file, metrics })
    }
}

fn open_metrics(
    spec: &MetricsSpec,
    opened: Option<OwnedFd>,
) -> Result<(metrics::Door, Option<SocketFile>), RunError> {
    let (fd, file) = match opened {
        Some(fd) => (fd, None),
        None => bind(&spec.listen, Ownership::default(), ListenSpec::DEFAULT_BACKLOG)
            .map_err(RunError::Metrics)?,
    };
    let door = match spec.listen {
        Address::Unix(_) => unix_listener(fd).map(metrics::Door::Unix),
        Address::Tcp(_) => tcp_listener(fd).map(metrics::Door::Tcp),
    };
    let door = door.map_err(|source| needs("the metrics' listener", source))?;
    Ok((door, file))
}

fn unix_listener(fd: OwnedFd) -> io::Result<tokio::net::UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn tcp_listener(fd: OwnedFd) -> io::Result<tokio::net::TcpListener> {
    let listener = std::net::TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Allows this process as many descriptors as it may have. Workers get the limit as it was, which
/// is returned; `None` if it stays.
fn raise_descriptor_limit() -> Option<Limit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(Limit { soft: Some(soft), hard: Some(hard) })
}

/// Tells the service manager, if there is one, that the site is up: once every app serves or is
/// known not to, that is when the `first` operation has ended; at once if there is none.
async fn report_ready(board: Board, first: Option<OperationId>) {
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    let mut changes = board.changes();
    let is_settled = || {
        let state = |id| board.operation(id).map(|operation| operation.state);
        first.is_none_or(|id| state(id).is_some_and(|state| state != OperationState::Running))
    };
    let settled = async {
        while !is_settled() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    // Late is better than never: an app that takes for ever must not fail the whole site.
    let _ = tokio::time::timeout(READY_PATIENCE, settled).await;
    let said = Voice::to(&name).and_then(|voice| voice.say(&Notice::ready()));
    if let Err(error) = said {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "service manager not told that the site is up");
    }
}
