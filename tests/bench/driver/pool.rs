//! The least that can run workers: binds a socket, starts the programs on it, kills them at the end.
//! Or starts one program that has workers of its own, on such a socket or on one that it binds itself.
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

/// Programs on one listening socket, which is their standard input.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Kept open, so that a program's end closes nothing; `None` if it binds its own.
    listener: Option<OwnedFd>,
    program: Command,
    started: Vec<Child>,
}

impl Pool {
    /// Binds `address` and starts `workers` copies of `program` on it.
    ///
    /// # Errors
    ///
    /// The address is taken or the program cannot be started.
    pub(crate) fn of_workers(
        address: &Address,
        program: Command,
        workers: u32,
    ) -> io::Result<Self> {
        Self::start(Some(bind(address)?), program, workers)
    }

    /// Binds `address` and starts `program` on it, which starts its own workers.
    ///
    /// # Errors
    ///
    /// The address is taken or the program cannot be started.
    pub(crate) fn of_master(address: &Address, program: Command) -> io::Result<Self> {
        Self::start(Some(bind(address)?), program, 1)
    }

    /// Starts `program`, which binds its own socket and starts its own workers.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub(crate) fn of_program(program: Command) -> io::Result<Self> {
        Self::start(None, program, 1)
    }

    fn start(listener: Option<OwnedFd>, program: Command, copies: u32) -> io::Result<Self> {
        let mut pool = Self { listener, program, started: Vec::new() };
        for _ in 0..copies {
            pool.start_one()?;
        }
        Ok(pool)
    }

    /// Starts one more copy of the program.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub(crate) fn start_one(&mut self) -> io::Result<()> {
        let listener = self.listener.as_ref().map(OwnedFd::try_clone).transpose()?;
        self.program.stdin(listener.map_or_else(Stdio::null, Stdio::from));
        self.started.push(self.program.spawn()?);
        Ok(())
    }

    /// Waits for the end of what was started, all of which has been killed.
    pub(crate) fn bury(&mut self) {
        for mut program in self.started.drain(..) {
            let _ = program.wait();
        }
    }

    /// Every process that works for it: the programs that were started, and workers of theirs.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.started.iter().map(Child::id).flat_map(process::tree).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Workers are seen before their parent is gone, and killed after it, so that it replaces none.
        let own: Vec<u32> = self.started.iter().map(Child::id).collect();
        let mut theirs = self.processes();
        theirs.retain(|pid| !own.contains(pid));
        for program in &mut self.started {
            let _ = program.kill();
        }
        for pid in theirs {
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
