//! Finds out when programs that make their own sockets take connections: by connecting to them.
//!
//! What connects says nothing and leaves at once, which every server has to put up with. Whether it
//! is the program itself that answers at its address is not looked into: the one before it is gone
//! when it starts, and the kernel gives an address to one alone.

use std::collections::BTreeMap;
use std::time::Duration;

use scgi_protocol::address::Address;
use scgi_protocol::name::WorkerId;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::health::reachable;
use crate::spec::{AppSpec, Kind, Ready, Standalone};

/// How long it is left in peace between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Those that are knocked at.
#[derive(Debug)]
pub(super) struct Knocks {
    tell: mpsc::UnboundedSender<WorkerId>,
    told: mpsc::UnboundedReceiver<WorkerId>,
    under_way: BTreeMap<WorkerId, AbortHandle>,
}

impl Knocks {
    /// Nobody is knocked at yet.
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { tell, told, under_way: BTreeMap::new() }
    }

    /// Knocks until `worker` of `app` opens, if that is how its readiness is known. Must be called
    /// within the runtime.
    pub(super) fn at_door_of(&mut self, worker: WorkerId, app: &AppSpec) {
        let (Ready::Connect, Kind::Standalone(Standalone { at: Some(address) })) =
            (app.timing.ready, &app.kind)
        else {
            return;
        };
        let (tell, address) = (self.tell.clone(), reachable(address.clone()));
        let task = tokio::spawn(async move {
            while !opens(&address).await {
                sleep(PAUSE).await;
            }
            // The loop is gone only if the daemon is.
            let _ = tell.send(worker);
        });
        self.under_way.insert(worker, task.abort_handle());
    }

    /// Leaves a worker in peace that is no more.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        if let Some(task) = self.under_way.remove(&worker) {
            task.abort();
        }
    }

    /// Waits until a worker has opened.
    pub(super) async fn next(&mut self) -> WorkerId {
        match self.told.recv().await {
            Some(worker) => worker,
            None => std::future::pending().await,
        }
    }
}

/// Whether somebody takes a connection there.
async fn opens(address: &Address) -> bool {
    match address {
        Address::Unix(path) => UnixStream::connect(path).await.is_ok(),
        Address::Tcp(at) => TcpStream::connect(at).await.is_ok(),
    }
}
