//! The least that can run workers: binds a socket, starts the programs on it, kills them at the end.
//!
//! It replaces nobody and counts nothing, so what a contender costs under it is the worker's alone.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::socket::{Backlog, listen, setsockopt, sockopt};
use scgi_protocol::address::Address;

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
    /// Kept open, so that a worker's end closes nothing.
    listener: OwnedFd,
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
        let listener = bind(address)?;
        let mut pool = Self { listener, program, workers: Vec::new() };
        for _ in 0..workers {
            pool.start_one()?;
        }
        Ok(pool)
    }

    /// Starts one more worker.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub(crate) fn start_one(&mut self) -> io::Result<()> {
        self.program.stdin(Stdio::from(self.listener.try_clone()?));
        self.workers.push(self.program.spawn()?);
        Ok(())
    }

    /// Waits for the end of its workers, all of which have been killed.
    pub(crate) fn bury(&mut self) {
        for mut worker in self.workers.drain(..) {
            let _ = worker.wait();
        }
    }

    /// Its workers.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.workers.iter().map(Child::id).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
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
