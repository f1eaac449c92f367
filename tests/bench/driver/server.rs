//! The contenders, and starting one of them so that it answers.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use scgi_protocol::address::Address;
use scgi_tests::bench::exchange::{ask, ok_body, request};
use scgi_tests::bench::job::Job;
use tempfile::TempDir;

use crate::daemon::{App, Daemon, directory, free_address, pid_of};
use crate::pool::Pool;
use crate::python;
use crate::wait;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    /// The least a worker can do: `scgi-bare`.
    Bare,
    /// The same once more: how far two measurements of one thing lie apart.
    Again,
    /// The SDK's app without a daemon.
    Sdk,
    /// The jobs as tasks of the SDK, without a daemon.
    Async,
    /// The same as a router of axum's.
    Axum,
    /// The SDK's app run by `scgid`.
    Scgid,
    /// The same jobs as a WSGI app on the Python face, without a daemon.
    Wsgi,
    /// That WSGI app under uWSGI, with its master.
    Uwsgi,
    /// The same with its lock around accepting.
    UwsgiLock,
    /// The jobs as a handler class of the package `scgi`, under its own `scgi_server`.
    ScgiServer,
    /// That handler class on the Python face, its import changed.
    Handler,
}

impl Contender {
    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Again => "bare again",
            Self::Sdk => "sdk",
            Self::Async => "async",
            Self::Axum => "axum",
            Self::Scgid => "scgid",
            Self::Wsgi => "wsgi",
            Self::Uwsgi => "uwsgi",
            Self::UwsgiLock => "uwsgi, lock",
            Self::ScgiServer => "scgi_server",
            Self::Handler => "handler",
        }
    }
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    Unix,
    Tcp,
}

impl Transport {
    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
        }
    }
}

/// What a server is asked to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) transport: Transport,
    pub(crate) workers: u32,
    pub(crate) job: Job,
}

/// A contender that answers.
#[derive(Debug)]
pub(crate) struct Server {
    address: Address,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Pool { pool: Pool, _directory: TempDir },
    Daemon(Daemon),
}

impl Server {
    /// Starts `contender` and waits until all its workers run and it answers.
    ///
    /// # Errors
    ///
    /// It cannot be started, or never answers rightly.
    pub(crate) fn start(contender: Contender, shape: Shape) -> io::Result<Self> {
        let directory = directory()?;
        let address = match shape.transport {
            Transport::Unix => Address::Unix(directory.path().join("app.sock")),
            Transport::Tcp => Address::Tcp(free_address()?),
        };
        let program = match contender {
            Contender::Bare | Contender::Again => bare_program(shape.job)?,
            Contender::Sdk => Command::new(app_program()?),
            Contender::Async | Contender::Axum => tasks_program(contender)?,
            Contender::Scgid => return Self::start_daemon(directory, address, shape.workers),
            Contender::Wsgi => python::face()?,
            Contender::Uwsgi => python::uwsgi(&address, shape.workers, &[])?,
            Contender::UwsgiLock => python::uwsgi(&address, shape.workers, &["--thunder-lock"])?,
            Contender::ScgiServer => python::handler("scgi", shape.workers)?,
            Contender::Handler => python::handler("scgi_worker", shape.workers)?,
        };
        let pool = match contender {
            Contender::Uwsgi | Contender::UwsgiLock => Pool::of_program(program)?,
            Contender::ScgiServer | Contender::Handler => Pool::of_master(&address, program)?,
            _ => Pool::of_workers(&address, program, shape.workers)?,
        };
        let server = Self { address, side: Side::Pool { pool, _directory: directory } };
        server.wait_for_reply(shape.job)?;
        Ok(server)
    }

    fn start_daemon(directory: TempDir, address: Address, workers: u32) -> io::Result<Self> {
        let app = App {
            name: "bench".to_owned(),
            listen: address.clone(),
            workers: workers.to_string(),
            mark: "one".to_owned(),
        };
        let daemon = Daemon::start(directory, &[app])?;
        daemon.wait_for_workers(workers as usize)?;
        let server = Self { address, side: Side::Daemon(daemon) };
        server.wait_for_reply(Job::Hello)?;
        Ok(server)
    }

    fn wait_for_reply(&self, job: Job) -> io::Result<()> {
        let request = request(job);
        let answered = wait::until("the first reply", || {
            let reply = ask(&self.address, &request).ok()?;
            (ok_body(&reply) == Some(job.reply_body())).then_some(())
        });
        match &self.side {
            Side::Pool { .. } => answered,
            Side::Daemon(daemon) => daemon.explain(answered),
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Every process that costs something for it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        match &self.side {
            Side::Pool { pool, .. } => pool.processes(),
            Side::Daemon(daemon) => crate::process::tree(daemon.pid()),
        }
    }

    /// Its workers; with their master where it is somebody else's.
    pub(crate) fn workers(&self) -> Vec<u32> {
        match &self.side {
            Side::Pool { pool, .. } => pool.processes(),
            Side::Daemon(daemon) => daemon.workers(),
        }
    }

    /// Kills `victims`; a pool, which replaces nobody, is told to start one worker.
    ///
    /// # Errors
    ///
    /// A victim is gone already, or the pool's program cannot be started.
    pub(crate) fn kill(&mut self, victims: &[u32]) -> io::Result<()> {
        for &victim in victims {
            kill(pid_of(victim), Signal::SIGKILL)?;
        }
        match &mut self.side {
            Side::Pool { pool, .. } => {
                pool.bury();
                pool.start_one()
            }
            Side::Daemon(_) => Ok(()),
        }
    }
}

fn bare_program(job: Job) -> io::Result<Command> {
    let mut command = Command::new(sibling("scgi-bare")?);
    command.arg(job.name());
    Ok(command)
}

/// The jobs as tasks.
fn tasks_program(contender: Contender) -> io::Result<Command> {
    let mut command = Command::new(sibling("scgi-bench-tasks")?);
    command.arg(contender.name());
    Ok(command)
}

/// The app of the benchmark.
pub(crate) fn app_program() -> io::Result<PathBuf> {
    sibling("scgi-bench-app")
}

/// A program that was built beside this one.
///
/// # Errors
///
/// It was not.
pub(crate) fn sibling(name: &str) -> io::Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("`{}` is not built", path.display())))
}
