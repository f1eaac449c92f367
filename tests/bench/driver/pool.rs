//! The least that can run workers: binds a socket, starts the programs on it, kills them at the end.
//! Or starts one program that does all that by itself.
//!
//! It replaces nobody and counts nothing, so what a contender costs under it is the worker's alone.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen, setsockopt, sockopt};
use scgi_protocol::address::Address;

use crate::daemon::pid_of;
use crate::process;

const BACKLOG: i32 = 4096;

/// Seconds the kernel keeps a TCP connection back until its first bytes are there.
const DEFER_ACCEPT_SECONDS: u32 = 5;

/// `TCP_DEFER_ACCEPT`, of tcp(7), which nix has no name for.
#[derive(Clone, Copy, Debug)]
struct DeferAccept;

nix::setsockopt_impl!(
    DeferAccept,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32,
    sockopt::SetStruct<'_, u32>
);

/// Workers on one listening socket, which is their standard input.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Kept open, so that a worker's end closes nothing; `None` if the program binds its own.
    listener: Option<OwnedFd>,
    program: Command,
    workers: Vec<Child>,
}

impl Pool {
    /// Binds `address` and starts `workers` copies of `program` on it.
    ///
    /// # Errors
    ///
    /// The address is taken or the program cannot be started.
    pub(crate) fn start(address: &Address, program: Command, workers: u32) -> io::Result<Self> {
        let listener = Some(bind(address)?);
        let mut pool = Self { listener, program, workers: Vec::new() };
        for _ in 0..workers {
            pool.start_one()?;
        }
        Ok(pool)
    }

    /// Starts `program`, which binds its own socket and starts its own workers.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub(crate) fn of_one(program: Command) -> io::Result<Self> {
        let mut pool = Self { listener: None, program, workers: Vec::new() };
        pool.start_one()?;
        Ok(pool)
    }

    /// Starts one more worker.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub(crate) fn start_one(&mut self) -> io::Result<()> {
        let listener = self.listener.as_ref().map(OwnedFd::try_clone).transpose()?;
        self.program.stdin(listener.map_or_else(Stdio::null, Stdio::from));
        self.workers.push(self.program.spawn()?);
        Ok(())
    }

    /// Waits for the end of its workers, all of which have been killed.
    pub(crate) fn bury(&mut self) {
        for mut worker in self.workers.drain(..) {
            let _ = worker.wait();
        }
    }

    /// Those who serve: of a program with workers of its own, these alone.
    pub(crate) fn workers(&self) -> Vec<u32> {
        if self.listener.is_some() {
            return self.pids();
        }
        let tree = |pid| process::tree(pid).into_iter().skip(1);
        self.pids().into_iter().flat_map(tree).collect()
    }

    /// The processes that were started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.workers.iter().map(Child::id).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Seen before their parent is gone, killed after it, so that it replaces none.
        let others = if self.listener.is_none() { self.workers() } else { Vec::new() };
        for worker in &mut self.workers {
            let _ = worker.kill();
        }
        for pid in others {
            let _ = kill(pid_of(pid), Signal::SIGKILL);
        }
        self.bury();
    }
}

/// Bound as scgid binds: its queue length, and on TCP its patience for the first bytes.
fn bind(address: &Address) -> io::Result<OwnedFd> {
    let listener: OwnedFd = match address {
        Address::Unix(path) => UnixListener::bind(path)?.into(),
        Address::Tcp(address) => TcpListener::bind(address)?.into(),
    };
    if matches!(address, Address::Tcp(_)) {
        setsockopt(&listener, DeferAccept, &DEFER_ACCEPT_SECONDS)?;
    }
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}
