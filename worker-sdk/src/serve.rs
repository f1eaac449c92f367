//! The loop of every thread: take a connection, serve it, close it or park it, until it is time to
//! leave.
//!
//! Says READY when all threads have their place before the listeners, STOPPING when the first of
//! them leaves. Decides nothing about requests.

use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::thread;

use scgi_protocol::page::now_ns;

use crate::connection::Desk;
use crate::drain::Drain;
use crate::gate::{Arrival, Gate, Line};
use crate::listener::Listener;
use crate::pulse::Pulse;
use crate::service::Service;
use crate::shield::{Ready, Shield};
use crate::wire::Socket;

/// What every thread is run inside of.
pub(crate) type Around = Box<dyn Fn(&mut (dyn FnMut() + Send)) + Send + Sync>;

/// What the threads of a worker wait with.
pub(crate) struct Post {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) drain: Drain,
    pub(crate) pulse: Pulse,
    pub(crate) threads: NonZeroU16,
    pub(crate) line: Line,
}

/// Serves until told to leave, and what is in flight then to its end, parked clients included; every
/// thread inside `around`.
///
/// # Errors
///
/// If the threads or their descriptors cannot be had; nothing was accepted then.
pub(crate) fn serve<S: Sync>(service: &Service<S>, post: &Post, around: &Around) -> io::Result<()> {
    let shield = Arc::new(Shield::new(Arc::clone(&service.terms))?);
    let shift = Shift { service, post, around, shield: &shield };
    let gates = (0..post.threads.get())
        .map(|_| Gate::open(post, Some(&shield)))
        .collect::<io::Result<Vec<_>>>()?;
    thread::scope(|scope| -> io::Result<()> {
        let mut seats = (0..).zip(gates);
        let own = seats.next();
        let shift = &shift;
        for (slot, gate) in seats {
            let name = format!("scgi-{slot}");
            thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, move || shift.turn(gate, slot))?;
        }
        let now_ns = now_ns();
        service.terms.tally.accepting(post.threads.get(), now_ns);
        post.pulse.ready();
        post.pulse.beat(now_ns);
        if let Some((slot, gate)) = own {
            shift.turn(gate, slot);
        }
        Ok(())
    })?;
    shield.finish(&post.pulse);
    Ok(())
}

/// What all threads work with.
struct Shift<'a, S> {
    service: &'a Service<S>,
    post: &'a Post,
    around: &'a Around,
    shield: &'a Arc<Shield>,
}

impl<S: Sync> Shift<'_, S> {
    /// All that a thread does.
    fn turn(&self, gate: Gate<'_>, slot: usize) {
        let mut gate = Some(gate);
        (self.around)(&mut || {
            if let Some(gate) = gate.take() {
                self.work(gate, slot);
            }
        });
        self.leave();
    }

    fn work(&self, mut gate: Gate<'_>, slot: usize) {
        let mut desk = Desk::new(self.service.terms.tally.record(slot));
        while let Some(arrival) = gate.next() {
            if self.post.drain.is_asked() {
                self.leave();
            }
            self.serve(&mut desk, arrival);
        }
        self.leave();
        // From here on others are woken for who connects.
        drop(gate);
        while let Some(ready) = self.shield.next_of_the_last(&self.post.pulse) {
            self.serve(&mut desk, Arrival::Request(ready));
        }
    }

    fn serve(&self, desk: &mut Desk<'_>, arrival: Arrival) {
        let (wire, served) = match arrival {
            Arrival::Connection(connection) => {
                let wire = Socket::new(connection);
                let served = desk.serve(self.service, &wire, now_ns());
                (wire, served)
            }
            Arrival::Request(Ready { wire, intake, slow, .. }) => {
                let served = desk.resume(self.service, &wire, (intake, slow), now_ns());
                (wire, served)
            }
        };
        match served.parked {
            Some(parked) => self.shield.park(wire, parked),
            None => drop(wire),
        }
        self.post.pulse.beat(served.ended_ns);
    }

    /// Says that the worker leaves; saying it again changes nothing.
    fn leave(&self) {
        self.service.terms.tally.draining(self.post.threads.get());
        self.post.pulse.stopping();
    }
}
