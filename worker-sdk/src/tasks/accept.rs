//! Takes connections from the listeners, as many at once as the worker has room for.
//!
//! The listeners stand in the runtime's epoll set, which knows no EPOLLEXCLUSIVE: a connection
//! wakes every worker that has nothing to do, and all but one find nothing. So a pool of tasks
//! wants few workers that serve much at once, where a pool of threads may have many.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
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

/// Takes connections from `listener` and has each served, until `asked` says that it is time to
/// leave.
///
/// # Errors
///
/// If the runtime cannot wait for the listener.
pub(super) async fn accept(
    floor: Arc<Floor>,
    service: impl HttpService,
    listener: Listener,
    mut asked: watch::Receiver<bool>,
) -> io::Result<()> {
    let door = Door::of(listener)?;
    loop {
        let place = tokio::select! {
            biased;
            _ = asked.wait_for(|asked| *asked) => break,
            place = floor.place() => place,
        };
        let connection = tokio::select! {
            biased;
            connection = door.next() => connection,
            _ = asked.wait_for(|asked| *asked) => break,
        };
        begin(Arc::clone(&floor), service.clone(), connection, place).await;
    }
    // One that only this worker was told of would wait for nobody.
    for _ in 0..LAST_ONES {
        let Ok(connection) = door.listener.accept() else { break };
        let place = floor.place().await;
        begin(Arc::clone(&floor), service.clone(), connection, place).await;
    }
    Ok(())
}

/// Serves a connection here and now if it can be done without waiting, and in a task of its own
/// otherwise: most need none.
async fn begin(floor: Arc<Floor>, service: impl HttpService, connection: OwnedFd, place: Place) {
    let work = async move {
        serve(&floor, service, connection, place.slot).await;
        drop(place);
    };
    let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
    let first = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
    if first.is_pending() {
        tokio::spawn(work);
    }
}

/// A listener, and the runtime's eye on it.
struct Door {
    listener: Listener,
    eye: Eye,
}

impl Door {
    fn of(listener: Listener) -> io::Result<Self> {
        let eye = Eye::on(listener.as_fd())?;
        Ok(Self { listener, eye })
    }

    /// The next connection.
    async fn next(&self) -> OwnedFd {
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
