//! `scgid demo`: serves the bundled apps until Ctrl-C, and leaves nothing behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scgi_protocol::control::AppState;
use scgi_protocol::name::AppName;

use super::{WRONG, complain, print, refuse, say};
use crate::cli::Demo;
use crate::config;
use crate::demo::{DemoError, Doors, Folder, Ports, table, welcome, yaml};
use crate::run::{self, Run};
use crate::shell::Shared;
use crate::supervisor::PoolView;
use crate::telemetry::{self, Format};

/// How long the apps may take to be up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where `--print` says the sockets are; the real folder's name is drawn at every start.
const PRINTED_FOLDER: &str = "/tmp/scgid-demo";

/// What a person is told, and when.
#[derive(Debug)]
struct Guide {
    folder: PathBuf,
    ports: Ports,
    failed: AtomicBool,
}

/// Runs the demo, or prints its configuration.
pub(crate) fn demo(asked: &Demo) -> ExitCode {
    match asked.print {
        true => Doors::open(asked.port).map_or_else(
            |error| fail(&error),
            |doors| print(&yaml(PRINTED_FOLDER.as_ref(), doors.ports())),
        ),
        false => stage(asked)
            .map_or_else(|error| fail(&error), |(folder, doors)| serve(asked, &folder, doors)),
    }
}

fn stage(asked: &Demo) -> Result<(Folder, Doors), DemoError> {
    Ok((Folder::make()?, Doors::open(asked.port)?))
}

fn serve(asked: &Demo, folder: &Folder, doors: Doors) -> ExitCode {
    let ports = doors.ports();
    let loaded = match config::load_text("demo", &yaml(folder.path(), ports)) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(&problems),
    };
    let telemetry = match telemetry::init(Format::Text, &asked.filter) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error);
            return ExitCode::from(WRONG);
        }
    };
    say("starting two apps and an HTTP front …\n");
    let failed = AtomicBool::new(false);
    let guide = Arc::new(Guide { folder: folder.path().to_owned(), ports, failed });
    let beside = Arc::clone(&guide);
    let run = Run { loaded: Ok(loaded), config: None, opened: doors.opened(), baggage: None };
    let ran = run::run(run, |shared| beside.lead(shared));
    drop(telemetry);
    match ran {
        Err(error) => fail(&error),
        Ok(()) if guide.failed.load(Ordering::Relaxed) => ExitCode::FAILURE,
        Ok(()) => {
            say("ended; nothing is left behind\n");
            ExitCode::SUCCESS
        }
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    complain(error);
    ExitCode::FAILURE
}

impl Guide {
    /// Waits until all apps are well and says so; ends the daemon if they are not.
    async fn lead(self: Arc<Self>, shared: Shared) {
        let mut changes = shared.board.changes();
        let settled = async {
            while !is_settled(&shared.board.pools()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, settled).await.is_ok();
        let pools = shared.board.pools();
        let table = table(&pools);
        if in_time && pools.values().all(|pool| pool.state.is_well()) {
            let path = scgictl_beside(std::env::var_os("PATH").as_deref());
            print(&welcome(&self.folder, self.ports, &table, path.as_deref()));
            return;
        }
        self.failed.store(true, Ordering::Relaxed);
        say(&format!("the demo did not come up\n\n{table}\n{}", troubles(&pools)));
        // The way everybody asks the daemon to leave; it cannot fail for oneself.
        let _ = kill(Pid::this(), Signal::SIGTERM);
    }
}

/// Whether nothing is on its way any more, to good or bad.
fn is_settled(pools: &BTreeMap<AppName, Arc<PoolView>>) -> bool {
    let is_over = |pool: &Arc<PoolView>| match pool.state {
        AppState::Serving
        | AppState::Idle
        | AppState::Held
        | AppState::Failing
        | AppState::Unprepared
        | AppState::Stopped => true,
        AppState::Starting | AppState::Rolling | AppState::Degraded | AppState::Stopping => false,
    };
    !pools.is_empty() && pools.values().all(is_over)
}

fn troubles(pools: &BTreeMap<AppName, Arc<PoolView>>) -> String {
    let told = pools.iter().filter_map(|(app, pool)| {
        let trouble = pool.trouble.as_ref()?;
        Some(format!("{app}: {}; {}\n", trouble.cause, trouble.next))
    });
    told.collect()
}

/// The folder of the `scgictl` that was built with this program, if the shell would not find one.
fn scgictl_beside(path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    let has_it = |folder: &Path| folder.join("scgictl").is_file();
    if path.is_some_and(|path| std::env::split_paths(path).any(|folder| has_it(&folder))) {
        return None;
    }
    let me = std::env::current_exe().ok()?;
    me.parent().filter(|folder| has_it(folder)).map(Path::to_owned)
}
