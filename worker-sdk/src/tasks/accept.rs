//! Takes connections from the listeners, and whole requests from the shield, as many at once as the
//! worker has room for.
//!
//! The listeners stand in the runtime's epoll set, which knows no EPOLLEXCLUSIVE: a connection
//! wakes every worker that has nothing to do, and all but one find nothing. So a pool of tasks
//! wants few workers that serve much at once, where a pool of threads may have many.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::connection::{Arrival, serve};
use super::eye::Eye;
use super::{Floor, HttpService, Place};
use crate::listener::Listener;
use crate::log;
use crate::shield::Shield;

/// How long a worker that cannot accept lets the machine recover.
const REST: Duration = Duration::from_millis(50);

/// Connections that a leaving worker still takes of each listener, at most: others are there to take
/// the rest.
const LAST_ONES: usize = 16;

/// Takes connections from `listeners`, and requests that were waited for, and has each served, until
/// `asked` says that it is time to leave.
///
/// # Errors
///
/// If the runtime cannot wait for a listener.
pub(super) async fn accept(
    floor: Arc<Floor>,
    service: impl HttpService,
    listeners: Vec<Listener>,
    mut asked: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut entrance = Entrance::of(listeners, &floor.shield)?;
    loop {
        let place = tokio::select! {
            biased;
            _ = asked.wait_for(|asked| *asked) => break,
            place = floor.place() => place,
        };
        let arrival = tokio::select! {
            biased;
            arrival = entrance.next() => arrival,
            _ = asked.wait_for(|asked| *asked) => break,
        };
        begin(Arc::clone(&floor), service.clone(), arrival, place).await;
    }
    // One that only this worker was told of would wait for nobody.
    for door in &entrance.doors {
        for _ in 0..LAST_ONES {
            let Ok(connection) = door.listener.accept() else { break };
            let place = floor.place().await;
            begin(Arc::clone(&floor), service.clone(), Arrival::Fresh(connection), place).await;
        }
    }
    Ok(())
}

/// Serves a connection here and now if it can be done without waiting, and in a task of its own
/// otherwise: most need none.
pub(super) async fn begin(
    floor: Arc<Floor>,
    service: impl HttpService,
    arrival: Arrival,
    place: Place,
) {
    let work = async move {
        serve(&floor, service, arrival, place.slot).await;
        drop(place);
    };
    let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
    let first = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
    if first.is_pending() {
        tokio::spawn(work);
    }
}

/// All ways in.
struct Entrance {
    doors: Vec<Door>,
    /// The door that is looked at first: each in its turn.
    turn: usize,
    shield: Arc<Shield>,
    bell: Eye,
}

/// A listener, and the runtime's eye on it.
struct Door {
    listener: Listener,
    eye: Eye,
}

impl Entrance {
    fn of(listeners: Vec<Listener>, shield: &Arc<Shield>) -> io::Result<Self> {
        let doors = listeners.into_iter().map(Door::of).collect::<io::Result<_>>()?;
        let bell = Eye::on(shield.as_fd())?;
        Ok(Self { doors, turn: 0, shield: Arc::clone(shield), bell })
    }

    /// The next one to be served.
    async fn next(&mut self) -> Arrival {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Ok(arrival) => return arrival,
                Err(why) => {
                    log::say(&format!("cannot accept connections: {why}; trying again"));
                    sleep(REST).await;
                }
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        // Those have waited longer.
        if self.shield.has_ready()
            && let Some(ready) = self.shield.take()
        {
            return Poll::Ready(Ok(Arrival::Whole(ready)));
        }
        for _ in 0..self.doors.len() {
            self.turn = (self.turn + 1) % self.doors.len();
            if let Poll::Ready(came) = self.doors[self.turn].poll(cx) {
                return Poll::Ready(came.map(Arrival::Fresh));
            }
        }
        let take = || self.shield.take().ok_or_else(|| io::ErrorKind::WouldBlock.into());
        self.bell.poll_read(cx, take).map(|ready| ready.map(Arrival::Whole))
    }
}

impl Door {
    fn of(listener: Listener) -> io::Result<Self> {
        let eye = Eye::on(listener.as_fd())?;
        Ok(Self { listener, eye })
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        self.eye.poll_read(cx, || {
            loop {
                match self.listener.accept() {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    done => return done,
                }
            }
        })
    }
}
