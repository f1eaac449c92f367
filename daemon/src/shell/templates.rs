//! Templates: processes that have loaded an app's program, and fork its workers when they are asked.
//!
//! ```text
//! daemon ── FORK, variables, descriptors ──▶ template ──▶ worker, a child of the daemon
//!    ▲── READY, FAILED ─────────────────────────┘            │
//!    └── BORN, and the kernel's word on who says it ─────────┘
//! ```
//!
//! A worker is what it says it is if it was asked for here, has not been heard of, and the kernel says
//! that its process is a child of this one. What a template was asked for and did not do is known
//! when it has ended. Nothing here waits for a template, or decides when there is one.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use scgi_protocol::birth::{Birth, LISTEN_FDS_START};
use scgi_protocol::name::WorkerId;
use scgi_protocol::page;
use scgi_protocol::template::{self, MAX_BYTES, Word};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::notices::receive;
use super::output::Pipes;
use super::perform::{Expected, Hands};
use super::reap;
use super::spawn::{Born, Pipe, Shared, SpawnError, Surroundings};
use super::spawn::{birth_of, log_pipe, nonblocking, record};
use super::sys;
use crate::supervisor::{Event, Pid, Spawn};

/// How many words may be heard before the loop takes note of the first.
const UNHEARD: usize = 64;

/// A template, the process that spoke, and what it said.
pub(super) type Heard = (WorkerId, Pid, Word);

/// The templates there are.
#[derive(Debug)]
pub(super) struct Templates {
    open: BTreeMap<WorkerId, Open>,
    tell: mpsc::Sender<Heard>,
    told: mpsc::Receiver<Heard>,
}

/// One template.
#[derive(Debug)]
struct Open {
    socket: Arc<AsyncFd<OwnedFd>>,
    task: AbortHandle,
    /// The workers that it was asked for.
    unborn: BTreeMap<WorkerId, Unborn>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A worker that a template was asked for.
#[derive(Debug)]
struct Unborn {
    expected: Expected,
    leaf: u16,
    listeners: usize,
    pipes: Pipes,
}

impl Templates {
    /// There are none yet.
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(UNHEARD);
        Self { open: BTreeMap::new(), tell, told }
    }

    /// Listens to a template at our end of its socket. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// If the reactor cannot watch the socket.
    pub(super) fn listen(&mut self, template: WorkerId, socket: OwnedFd) -> io::Result<()> {
        let socket = Arc::new(sys::watch(socket)?);
        let (heard, tell) = (Arc::clone(&socket), self.tell.clone());
        let task = tokio::spawn(async move {
            while let Ok(Some((from, word))) = next(&heard).await {
                // The loop is gone only if the daemon is.
                let Ok(()) = tell.send((template, from, word)).await else { return };
            }
        });
        let open = Open { socket, task: task.abort_handle(), unborn: BTreeMap::new() };
        self.open.insert(template, open);
        Ok(())
    }

    /// The next word of any template. Waits for one.
    pub(super) async fn next(&mut self) -> Heard {
        match self.told.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }

    /// Whatever templates have said until this moment. Never waits.
    fn drain(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        while let Ok(heard) = self.told.try_recv() {
            all.push(heard);
        }
        for (template, open) in &self.open {
            // Each has its turn, whatever one of them says.
            for _ in 0..UNHEARD {
                let Ok(Some((from, word))) = hear(open.socket.get_ref().as_fd()) else { break };
                all.extend(word.map(|word| (*template, from, word)));
            }
        }
        all
    }

    /// Asks a template for a worker.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; then it was not asked. One that listens no more is about to end: what it was
    /// asked for is known then.
    pub(super) fn ask(
        &mut self,
        (template, order): (WorkerId, &Spawn),
        shared: &Shared<'_>,
        surroundings: &Surroundings,
        expected: Expected,
    ) -> Result<(), SpawnError> {
        let gone = || SpawnError::Resource("its template", io::ErrorKind::NotFound.into());
        let open = self.open.get_mut(&template).ok_or_else(gone)?;
        let [stdout, stderr] = [log_pipe()?, log_pipe()?];
        nonblocking(&stdout.read)?;
        nonblocking(&stderr.read)?;
        send(open.socket.get_ref(), order, shared, surroundings, [&stdout, &stderr])?;
        let (leaf, listeners) = (shared.leaf, shared.listeners.len());
        let pipes = Pipes { stdout: stdout.read, stderr: stderr.read };
        open.unborn.insert(order.worker, Unborn { expected, leaf, listeners, pipes });
        Ok(())
    }

    /// The workers that templates were asked for and have not been heard of.
    pub(super) fn unborn(&self) -> impl Iterator<Item = WorkerId> {
        self.open.values().flat_map(|open| open.unborn.keys().copied())
    }

    fn take(&mut self, template: WorkerId, worker: WorkerId) -> Option<Unborn> {
        self.open.get_mut(&template)?.unborn.remove(&worker)
    }
}

impl Hands {
    /// What a word of a template means to the core.
    pub(super) fn heard_of(&mut self, (template, from, word): Heard) -> Vec<Event> {
        match word {
            Word::Ready => {
                let pid = self.pid_of(template);
                pid.map(|pid| Event::Ready { pid }).into_iter().collect()
            }
            Word::Failed(worker, error) => {
                if self.templates.take(template, worker).is_none() {
                    return Vec::new();
                }
                self.books.erase(worker);
                vec![Event::NotSpawned { worker, error: format!("cannot be forked: {error}") }]
            }
            Word::Born(worker) => {
                if self.born.contains_key(&from) || !reap::is_child(from) {
                    tracing::warn!(%worker, pid = from, "process is not the worker that it claims to be");
                    return Vec::new();
                }
                let Some(unborn) = self.templates.take(template, worker) else { return Vec::new() };
                let Unborn { expected, leaf, listeners, pipes } = unborn;
                let record = record(from, (worker, leaf), listeners, &pipes);
                let born = Born { pid: from, record, pipes, status: None, template: None };
                self.settle(expected, born)
            }
        }
    }

    /// What all that templates have said until this moment means to the core.
    pub(super) fn hear_templates(&mut self) -> Vec<Event> {
        let heard = self.templates.drain();
        heard.into_iter().flat_map(|word| self.heard_of(word)).collect()
    }

    /// The workers that a template leaves unforked which has ended; none if `worker` was none.
    pub(super) fn unforked(&mut self, worker: WorkerId) -> Vec<Event> {
        let Some(mut open) = self.templates.open.remove(&worker) else { return Vec::new() };
        let unborn = std::mem::take(&mut open.unborn);
        unborn.keys().for_each(|worker| self.books.erase(*worker));
        unborn.into_keys().map(|worker| Event::Lost { worker }).collect()
    }
}

/// The next word on a template's socket that means something; `None` at its end. Waits for one.
async fn next(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<(Pid, Word)>> {
    loop {
        let mut ready = socket.readable().await?;
        match ready.try_io(|socket| hear(socket.get_ref().as_fd())) {
            Ok(Ok(Some((from, Some(word))))) => return Ok(Some((from, word))),
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Some((_, None)))) | Err(_) => {}
        }
    }
}

/// One datagram: who it is from, and what it says if it says anything; `None` at the end.
fn hear(socket: BorrowedFd<'_>) -> io::Result<Option<(Pid, Option<Word>)>> {
    let mut buffer = [0; MAX_BYTES + 1];
    let (from, length) = receive(socket, &mut buffer)?;
    let word = || Word::decode(&buffer[..length]).filter(|_| length <= MAX_BYTES);
    Ok((length > 0).then(|| (from.unwrap_or(0), word())))
}

/// Sends the order to fork a worker, with all that it finds.
fn send(
    socket: &OwnedFd,
    order: &Spawn,
    shared: &Shared<'_>,
    surroundings: &Surroundings,
    [stdout, stderr]: [&Pipe; 2],
) -> Result<(), SpawnError> {
    let count = shared.listeners.len();
    let book = LISTEN_FDS_START + i32::try_from(count).expect("there are a few listeners");
    let birth = Birth {
        page_fd: Some(book),
        page_offset: page::offset(shared.leaf),
        ..birth_of(order, count, &surroundings.notify_socket)
    };
    let text = template::fork(&birth.told());
    let outputs = [stdout.write.as_raw_fd(), stderr.write.as_raw_fd()];
    let kept = [shared.book.as_raw_fd(), stdout.read.as_raw_fd(), stderr.read.as_raw_fd()];
    let listeners = shared.listeners.iter().map(AsRawFd::as_raw_fd);
    let numbers: Vec<_> = outputs.into_iter().chain(listeners).chain(kept).collect();
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let with = [ControlMessage::ScmRights(&numbers)];
    match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&text)], &with, flags, None) {
        // It has just ended, or is about to.
        Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
        Err(error) => Err(SpawnError::Resource("it from its template", error.into())),
    }
}
