//! Takes connections from the listeners, as many at once as the worker has room for.
//!
//! ```text
//! at the door ─connection─▶ serving ─done without waiting─▶ at the door
//!                              └─ has to wait: another task takes its place at the door
//! ```
//!
//! One task stands at each door and serves who comes in, here and now: most can be, and need no task
//! of their own.
//!
//! The listeners stand in the runtime's epoll set, which knows no EPOLLEXCLUSIVE: a connection
//! wakes every worker that has nothing to do, and all but one find nothing. So a pool of tasks
//! wants few workers that serve much at once, where a pool of threads may have many.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::connection::serve;
use super::eye::Eye;
use super::{Floor, HttpService, Place};
use crate::listener::Listener;
use crate::log;

/// How long a worker that cannot accept lets the machine recover.
const REST: Duration = Duration::from_millis(50);

/// Connections that a leaving worker still takes, at most: others are there to take the rest.
const LAST_ONES: usize = 16;

/// A listener, and the runtime's eye on it; in the hands of the task that stands there.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
    eye: Eye,
    /// Says when it is time to leave.
    asked: watch::Receiver<bool>,
    /// Connections to be taken after that.
    last_ones: usize,
    closed: mpsc::Sender<Closed>,
}

/// Nobody stands at a door any more.
#[derive(Debug)]
pub(super) struct Closed;

/// Stands at `door` until it is time to leave, and serves who comes in.
pub(super) fn stand(
    floor: Arc<Floor>,
    service: impl HttpService,
    mut door: Door,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut input = Vec::new();
        while let Some((connection, place)) = door.next(&floor).await {
            let work = serve(&floor, service.clone(), connection, place.slot, &mut input);
            let mut work = pin!(work);
            let first = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            if first.is_pending() {
                tokio::spawn(stand(Arc::clone(&floor), service.clone(), door));
                return work.await;
            }
        }
    })
}

impl Door {
    /// A door at `listener` until `asked`; tells of its end by `closed`, which has room for that.
    ///
    /// # Errors
    ///
    /// If the runtime cannot wait for the listener.
    pub(super) fn of(
        listener: Listener,
        asked: watch::Receiver<bool>,
        closed: mpsc::Sender<Closed>,
    ) -> io::Result<Self> {
        let eye = Eye::on(listener.as_fd())?;
        Ok(Self { listener, eye, asked, last_ones: LAST_ONES, closed })
    }

    /// The next connection, and room for it; `None` when it is time to leave.
    async fn next(&mut self, floor: &Arc<Floor>) -> Option<(OwnedFd, Place)> {
        if !*self.asked.borrow() {
            let mut asked = self.asked.clone();
            let came = async {
                let place = floor.place().await;
                (self.connection().await, place)
            };
            tokio::select! {
                biased;
                came = came => return Some(came),
                _ = asked.wait_for(|asked| *asked) => {}
            }
        }
        // One that only this worker was told of would wait for nobody.
        self.last_ones = self.last_ones.checked_sub(1)?;
        let connection = self.listener.accept().ok()?;
        Some((connection, floor.place().await))
    }

    async fn connection(&self) -> OwnedFd {
        use io::ErrorKind::{ConnectionAborted, WouldBlock};
        loop {
            let ready = self.eye.readable().await;
            let why = match ready.and_then(|()| self.eye.try_read(|| self.listener.accept())) {
                Ok(connection) => return connection,
                Err(error) if [WouldBlock, ConnectionAborted].contains(&error.kind()) => continue,
                Err(error) => error,
            };
            log::say(&format!("cannot accept connections: {why}; trying again"));
            sleep(REST).await;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Nobody is told only if nobody asks any more.
        let _ = self.closed.try_send(Closed);
    }
}
