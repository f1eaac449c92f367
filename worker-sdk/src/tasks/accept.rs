//! Takes connections from the listeners, and whole requests from the shield, as many at once as the
//! worker has room for.
//!
//! ```text
//! at the entrance ─comes in─▶ serving ─done without waiting─▶ at the entrance
//!                                └─ has to wait: another task takes its place at the entrance
//! ```
//!
//! One task stands there and serves who comes in, here and now: most can be, and need no task of their
//! own.
//!
//! The listeners stand in the runtime's epoll set, which knows no EPOLLEXCLUSIVE: a connection
//! wakes every worker that has nothing to do, and all but one find nothing. So a pool of tasks
//! wants few workers that serve much at once, where a pool of threads may have many.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::connection::{Arrival, serve};
use super::eye::Eye;
use super::{Floor, HttpService, Place};
use crate::intake::Intake;
use crate::listener::Listener;
use crate::log;
use crate::shield::Shield;

/// How long a worker that cannot accept lets the machine recover.
const REST: Duration = Duration::from_millis(50);

/// Connections that a leaving worker still takes of each listener, at most: others are there to take
/// the rest.
const LAST_ONES: usize = 16;

/// Stands at the entrance until it is time to leave, and serves who comes in.
pub(super) fn stand(
    floor: Arc<Floor>,
    service: impl HttpService,
    mut entrance: Entrance,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut intake = Intake::default();
        while let Some((arrival, place)) = entrance.next(&floor).await {
            let work = serve(&floor, service.clone(), arrival, place.slot, &mut intake);
            let mut work = pin!(work);
            let first = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            if first.is_pending() {
                tokio::spawn(stand(Arc::clone(&floor), service.clone(), entrance));
                return work.await;
            }
        }
    })
}

/// Serves one in a task of its own.
pub(super) fn begin(floor: Arc<Floor>, service: impl HttpService, arrival: Arrival, place: Place) {
    tokio::spawn(async move {
        serve(&floor, service, arrival, place.slot, &mut Intake::default()).await;
        drop(place);
    });
}

/// Nobody stands at the entrance any more.
#[derive(Debug)]
pub(super) struct Closed;

/// All ways in, in the hands of the task that stands there.
#[derive(Debug)]
pub(super) struct Entrance {
    doors: Vec<Door>,
    /// The door that is looked at first: each in its turn.
    turn: usize,
    shield: Arc<Shield>,
    bell: Eye,
    /// Says when it is time to leave.
    asked: watch::Receiver<bool>,
    /// Connections to be taken after that.
    last_ones: usize,
    closed: mpsc::Sender<Closed>,
}

/// A listener, and the runtime's eye on it.
#[derive(Debug)]
struct Door {
    listener: Listener,
    eye: Eye,
}

impl Entrance {
    /// An entrance by `listeners` and from the shield until `asked`; tells of its end by `closed`,
    /// which has room for that.
    ///
    /// # Errors
    ///
    /// If the runtime cannot wait for one of them.
    pub(super) fn of(
        listeners: Vec<Listener>,
        shield: &Arc<Shield>,
        asked: watch::Receiver<bool>,
        closed: mpsc::Sender<Closed>,
    ) -> io::Result<Self> {
        let doors = listeners.into_iter().map(Door::of).collect::<io::Result<Vec<_>>>()?;
        let bell = Eye::on(shield.as_fd())?;
        let last_ones = LAST_ONES * doors.len();
        Ok(Self { doors, turn: 0, shield: Arc::clone(shield), bell, asked, last_ones, closed })
    }

    /// The next one to be served, and room for it; `None` when it is time to leave.
    async fn next(&mut self, floor: &Arc<Floor>) -> Option<(Arrival, Place)> {
        if !*self.asked.borrow() {
            let mut asked = self.asked.clone();
            let came = async {
                let place = floor.place().await;
                (self.arrival().await, place)
            };
            tokio::select! {
                biased;
                came = came => return Some(came),
                _ = asked.wait_for(|asked| *asked) => {}
            }
        }
        // One that only this worker was told of would wait for nobody.
        self.last_ones = self.last_ones.checked_sub(1)?;
        let connection = self.doors.iter().find_map(|door| door.listener.accept().ok())?;
        Some((Arrival::Fresh(connection), floor.place().await))
    }

    async fn arrival(&mut self) -> Arrival {
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

impl Drop for Entrance {
    fn drop(&mut self) {
        // Nobody is told only if nobody asks any more.
        let _ = self.closed.try_send(Closed);
    }
}
