//! The loop of every thread: take a connection, serve it, close it, until it is time to leave.
//!
//! Says READY when all threads have their place before the listeners, STOPPING when the first of
//! them leaves. Decides nothing about requests.

use std::io;
use std::num::NonZeroU16;
use std::thread;

use scgi_protocol::page::now_ns;

use crate::connection::Desk;
use crate::drain::Drain;
use crate::gate::{Gate, Line};
use crate::listener::Listener;
use crate::pulse::Pulse;
use crate::service::Service;
use crate::wire::Socket;

/// What the threads of a worker wait with.
pub(crate) struct Post {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) drain: Drain,
    pub(crate) pulse: Pulse,
    pub(crate) threads: NonZeroU16,
    pub(crate) line: Line,
}

/// Serves until told to leave, and what is in flight then to its end.
///
/// # Errors
///
/// If the threads or their descriptors cannot be had; nothing was accepted then.
pub(crate) fn serve<S: Sync>(service: &Service<S>, post: &Post) -> io::Result<()> {
    let gates = (0..post.threads.get())
        .map(|_| Gate::open(&post.listeners, &post.drain, &post.pulse, post.line))
        .collect::<io::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let mut seats = (0..).zip(gates);
        let own = seats.next();
        for (slot, gate) in seats {
            let name = format!("scgi-{slot}");
            thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, move || turn(service, post, gate, slot))?;
        }
        let now_ns = now_ns();
        service.tally.accepting(post.threads.get(), now_ns);
        post.pulse.ready();
        post.pulse.beat(now_ns);
        if let Some((slot, gate)) = own {
            turn(service, post, gate, slot);
        }
        Ok(())
    })
}

fn turn<S>(service: &Service<S>, post: &Post, mut gate: Gate<'_>, slot: usize) {
    let mut desk = Desk::new(service.tally.record(slot));
    while let Some(connection) = gate.next() {
        if post.drain.is_asked() {
            leave(service, post);
        }
        let wire = Socket::new(connection);
        let ended_ns = desk.serve(service, &wire, now_ns());
        drop(wire);
        post.pulse.beat(ended_ns);
    }
    leave(service, post);
}

/// Says that the worker leaves; saying it again changes nothing.
fn leave<S>(service: &Service<S>, post: &Post) {
    service.tally.draining(post.threads.get());
    post.pulse.stopping();
}
