//! The listening sockets of all apps: prepared, held, handed down, released.
//!
//! The daemon alone binds them. They outlive every worker and every roll; a listener goes only
//! when its app does, or when its app is stopped or listens elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{SockFlag, SockType, SockaddrLike, SockaddrStorage};
use nix::sys::socket::{connect, getsockname, socket};
use scgi_protocol::address::Address;
use scgi_protocol::inherit;
use scgi_protocol::name::AppName;

use super::backlog::{Inode, cut_short};
use super::bind::{BindError, SocketFile, bind, bind_over, resize_queue};
use super::fdstore;
use super::state::record::{ListenerRecord, SocketMark};
use super::upgrade::Stock;
use crate::spec::{AppSpec, ListenAt, ListenSpec};

/// How many threads of a worker are knocked at. More than these hardly ever look for a connection in the
/// same moment, and those left over wait for the next one.
const KNOCKS: usize = 8;

/// The listening sockets of all apps.
#[derive(Debug, Default)]
pub struct Listeners {
    held: BTreeMap<AppName, Vec<Held>>,
    /// What the service manager handed over, by name.
    inherited: BTreeMap<String, OwnedFd>,
    /// Names under which it handed over several: nobody can say which one is meant.
    ambiguous: BTreeSet<String>,
    /// What was opened before anybody knew for whom; each is given away once.
    opened: RefCell<BTreeMap<Address, OwnedFd>>,
    /// The longest accept queue that was asked for.
    longest_queue: u16,
}

/// One open listener.
#[derive(Debug)]
struct Held {
    spec: ListenSpec,
    fd: OwnedFd,
    mark: SocketMark,
    /// Removes the socket's file when the last listener of that address is released.
    file: Option<Arc<SocketFile>>,
}

impl Held {
    /// The same socket, its accept queue too, by another spec: for another app, or with another
    /// owner, mode or backlog.
    fn again(&self, spec: &ListenSpec) -> Result<Self, BindError> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|source| BindError::Again { address: spec.at.clone(), source })?;
        Ok(Self { spec: spec.clone(), fd, mark: self.mark, file: self.file.clone() })
    }

    /// Makes a socket that is in use what its spec says.
    fn retune(&self, app: &AppName) {
        let owned = self.file.as_ref().map_or(Ok(()), |file| file.own(self.spec.ownership));
        if let Err(error) = owned.and_then(|()| resize_queue(&self.fd, self.spec.backlog)) {
            let (address, error) = (&self.spec.at, &error as &dyn std::error::Error);
            tracing::error!(%app, %address, error, "listener in use is left as it was");
        }
    }
}

/// Listeners that were opened and belong to nobody yet. Dropping them closes them again.
#[derive(Debug)]
pub(super) struct Prepared {
    app: AppName,
    /// Sockets that did not exist before.
    bound: Vec<Held>,
    /// Sockets in use, of this app or of one that gives them up.
    shared: Vec<Held>,
}

/// The listeners that apps give up in favour of whoever wants them.
pub(super) type GivenUp = BTreeSet<(AppName, ListenAt)>;

impl Listeners {
    /// Takes what the service manager handed over, as sd_listen_fds(3) describes.
    ///
    /// Must be called before the process opens descriptors of its own.
    pub fn inherit() -> Self {
        let text = |name| std::env::var(name).ok();
        let ours = text("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let count = text("LISTEN_FDS").and_then(|n| n.parse::<i32>().ok()).filter(|_| ours);
        let names = text("LISTEN_FDNAMES").unwrap_or_default();
        let numbers = 3..3 + count.unwrap_or(0).clamp(0, 1024);
        let names = names.split(':').map(str::to_owned).chain(std::iter::repeat("unknown".into()));
        let taken = numbers.zip(names).filter_map(|(number, name)| {
            let fd = inherit::take(number).map_err(|error| {
                tracing::warn!(
                    number,
                    error = &error as &dyn std::error::Error,
                    "descriptor announced by the service manager is not open"
                );
            });
            Some((name, fd.ok()?))
        });
        Self::of_service_manager(taken)
    }

    fn of_service_manager(handed: impl Iterator<Item = (String, OwnedFd)>) -> Self {
        let (mut inherited, mut ambiguous) = (BTreeMap::new(), BTreeSet::new());
        for (name, fd) in handed {
            if inherited.insert(name.clone(), fd).is_some() {
                ambiguous.insert(name);
            }
        }
        inherited.retain(|name, _| !ambiguous.contains(name));
        Self { inherited, ambiguous, ..Self::default() }
    }

    /// The same with listeners that are open already, for whoever listens at their addresses.
    pub fn with(self, opened: BTreeMap<Address, OwnedFd>) -> Self {
        Self { opened: opened.into(), ..self }
    }

    /// Where each socket that the service manager handed over listens, by its name. One that has
    /// no [`Address`], such as an abstract one, is left out.
    pub fn handed_over(&self) -> BTreeMap<String, Address> {
        let known = self.inherited.iter();
        known.filter_map(|(name, fd)| Some((name.clone(), bound_to(fd)?))).collect()
    }

    /// Opens those listeners of `spec` that are not open yet, or shares those of another app that
    /// gives them up: connections that wait there are the next one's to accept.
    ///
    /// # Errors
    ///
    /// [`BindError`] for the first that could not be opened; then none is.
    pub(super) fn prepare(
        &self,
        spec: &AppSpec,
        given_up: &GivenUp,
    ) -> Result<Prepared, BindError> {
        let held = self.held.get(&spec.name).map(Vec::as_slice).unwrap_or_default();
        let missing = spec.listen.iter().filter(|wanted| held.iter().all(|h| h.spec != **wanted));
        let (mut bound, mut shared) = (Vec::new(), Vec::new());
        for wanted in missing {
            match self.in_use(&spec.name, &wanted.at, given_up)? {
                Some(same) => shared.push(same.again(wanted)?),
                None => bound.push(self.open(wanted)?),
            }
        }
        Ok(Prepared { app: spec.name.clone(), bound, shared })
    }

    /// The open listener at an address: of the app itself, or of another that gives it up.
    fn in_use(
        &self,
        app: &AppName,
        at: &ListenAt,
        given_up: &GivenUp,
    ) -> Result<Option<&Held>, BindError> {
        let there = |owner: &AppName| self.held[owner].iter().find(|held| held.spec.at == *at);
        if let Some(own) = self.held.get_key_value(app).and_then(|(app, _)| there(app)) {
            return Ok(Some(own));
        }
        let mut theirs = self.held.keys().filter_map(|other| Some((other, there(other)?)));
        let refused =
            |(other, _): &(&AppName, &Held)| !given_up.contains(&((*other).clone(), at.clone()));
        match theirs.clone().find(refused) {
            Some((other, _)) => {
                Err(BindError::OtherApp { address: at.clone(), app: other.clone() })
            }
            None => Ok(theirs.next().map(|(_, held)| held)),
        }
    }

    fn open(&self, spec: &ListenSpec) -> Result<Held, BindError> {
        let (fd, file) = match &spec.at {
            ListenAt::Address(address) => match self.opened.borrow_mut().remove(address) {
                Some(fd) => (fd, None),
                None => bind(address, spec.ownership, spec.backlog)?,
            },
            ListenAt::Systemd(name) => (self.inherited(name)?, None),
        };
        let mark = SocketMark::of(&fd);
        Ok(Held { spec: spec.clone(), fd, mark, file: file.map(Arc::new) })
    }

    /// Opens a socket in the place of one that workers of `app` still serve and that nobody can
    /// give back: who connects from then on waits here.
    pub(super) fn replace(&mut self, app: &AppName, spec: &ListenSpec) -> Result<(), BindError> {
        let (fd, file) = match &spec.at {
            ListenAt::Address(Address::Unix(path)) => {
                let (fd, file) = bind_over(path, spec.ownership, spec.backlog)?;
                (fd, Some(Arc::new(file)))
            }
            ListenAt::Address(Address::Tcp(_)) => return Err(BindError::Lost(spec.at.clone())),
            ListenAt::Systemd(name) => (self.inherited(name)?, None),
        };
        let held = Held { spec: spec.clone(), mark: SocketMark::of(&fd), fd, file };
        self.held.entry(app.clone()).or_default().push(held);
        Ok(())
    }

    /// What a daemon before this one had put into the service manager's store, and its names there.
    pub(super) fn take_stored(&mut self) -> (Stock, BTreeSet<String>) {
        let is_ours = |name: &String| name.starts_with(fdstore::PREFIX);
        let names: BTreeSet<_> =
            self.inherited.keys().filter(|name| is_ours(name)).cloned().collect();
        let mut stock = Stock::default();
        names.iter().filter_map(|name| self.inherited.remove(name)).for_each(|fd| stock.add(fd));
        (stock, names)
    }

    /// The listeners of `app` as they are called in the service manager's store.
    pub(super) fn to_store(&self, app: &AppName) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        let held = self.held.get(app).into_iter().flatten();
        held.map(|held| (fdstore::listener_name(held.mark), held.fd.as_fd()))
    }

    /// The numbers of all listeners.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.held.values().flatten().map(|held| held.fd.as_raw_fd())
    }

    /// The numbers of what the service manager handed over, by name.
    pub(super) fn inherited_descriptors(&self) -> BTreeMap<String, RawFd> {
        self.inherited.iter().map(|(name, fd)| (name.clone(), fd.as_raw_fd())).collect()
    }

    /// What the service manager handed over to the program before this one.
    pub(super) fn handed(inherited: &BTreeMap<String, RawFd>) -> Self {
        let take =
            |(name, number): (&String, &RawFd)| Some((name.clone(), inherit::take(*number).ok()?));
        Self { inherited: inherited.iter().filter_map(take).collect(), ..Self::default() }
    }

    /// Whether the service manager handed over another socket by this name: then whoever connects
    /// comes there, and never to the one that was written down.
    pub(super) fn is_superseded(&self, record: &ListenerRecord) -> bool {
        let ListenAt::Systemd(name) = &record.spec.at else { return false };
        self.inherited.get(name).is_some_and(|fd| SocketMark::of(fd) != record.socket)
    }

    /// Takes a socket that a daemon before this one made, and at which `workers` accept.
    ///
    /// systemd makes the sockets that it hands to a service wait again, whoever else has them. A thread
    /// that looked for a connection meanwhile waits for the next one, and for nothing else: not for the
    /// slow clients of its own. It is knocked at.
    pub(super) fn take_back(
        &mut self,
        app: &AppName,
        record: ListenerRecord,
        fd: OwnedFd,
        workers: usize,
    ) {
        let ListenerRecord { spec, socket: mark, file, nonblocking } = record;
        if nonblocking && !never_waits(&fd) {
            if let Err(error) = rustix::io::ioctl_fionbio(&fd, true) {
                let (at, error) = (&spec.at, &error as &dyn std::error::Error);
                tracing::warn!(%app, address = %at, error, "listener makes workers wait in accept");
            }
            knock(&fd, workers.saturating_mul(KNOCKS));
        }
        let held = self.held.entry(app.clone()).or_default();
        // The specs of one address share its file.
        let same = held.iter().find(|h| h.spec.at == spec.at).and_then(|h| h.file.clone());
        let file = same.or_else(|| {
            let ListenAt::Address(Address::Unix(path)) = &spec.at else { return None };
            file.map(|identity| Arc::new(SocketFile::known(path, identity)))
        });
        held.push(Held { spec, fd, mark, file });
    }

    /// How the listeners of `app` are written down.
    pub(super) fn records(&self, app: &AppName) -> Vec<ListenerRecord> {
        let record = |held: &Held| ListenerRecord {
            spec: held.spec.clone(),
            socket: held.mark,
            file: held.file.as_ref().map(|file| file.identity()),
            nonblocking: never_waits(&held.fd),
        };
        self.held.get(app).into_iter().flatten().map(record).collect()
    }

    fn inherited(&self, name: &str) -> Result<OwnedFd, BindError> {
        if self.ambiguous.contains(name) {
            return Err(BindError::Ambiguous(name.to_owned()));
        }
        let dup = self.inherited.get(name).and_then(|fd| fd.try_clone().ok());
        dup.ok_or_else(|| BindError::NotInherited {
            name: name.to_owned(),
            had: self.inherited.keys().cloned().collect(),
        })
    }

    /// Takes prepared listeners over.
    pub(super) fn install(&mut self, prepared: Prepared) {
        let Prepared { app, bound, shared } = prepared;
        for listener in bound.iter().chain(&shared) {
            self.warn_of_short_queue(&app, &listener.spec);
        }
        shared.iter().for_each(|listener| listener.retune(&app));
        self.held.entry(app).or_default().extend(bound.into_iter().chain(shared));
    }

    /// Warns of a kernel that cuts accept queues short; once for each length beyond those before.
    fn warn_of_short_queue(&mut self, app: &AppName, spec: &ListenSpec) {
        if spec.backlog <= self.longest_queue {
            return;
        }
        self.longest_queue = spec.backlog;
        if let Some(warning) = cut_short(spec.backlog) {
            tracing::warn!(%app, address = %spec.at, warning, "accept queue is shorter than asked");
        }
    }

    /// Closes the listeners of `app`, save those that `keep` speaks of.
    pub(super) fn release(&mut self, app: &AppName, keep: Option<&AppSpec>) {
        let Some(held) = self.held.get_mut(app) else { return };
        held.retain(|listener| keep.is_some_and(|spec| spec.listen.contains(&listener.spec)));
        if held.is_empty() {
            self.held.remove(app);
        }
    }

    /// Whose listeners are open, and where.
    pub(super) fn places(&self) -> impl Iterator<Item = (&AppName, &ListenAt)> {
        let all = self.held.iter();
        all.flat_map(|(app, held)| held.iter().map(move |one| (app, &one.spec.at)))
    }

    /// The listeners of `spec` in its order; those that are not open are left out.
    pub(super) fn of(&self, spec: &AppSpec) -> Vec<BorrowedFd<'_>> {
        let held = self.held.get(&spec.name).map(Vec::as_slice).unwrap_or_default();
        let find = |wanted: &ListenSpec| held.iter().find(|listener| listener.spec == *wanted);
        spec.listen.iter().filter_map(find).map(|listener| listener.fd.as_fd()).collect()
    }

    /// Makes accept(2) wait at the listeners of `spec`, for all who hold them.
    pub(super) fn wait_again(&self, spec: &AppSpec) {
        for fd in self.of(spec) {
            // A socket always lets it; if not, its worker has what it had before.
            let _as_it_was = rustix::io::ioctl_fionbio(fd, false);
        }
    }

    /// All open listeners of `app`.
    pub(super) fn all(&self, app: &AppName) -> Vec<BorrowedFd<'_>> {
        self.held.get(app).into_iter().flatten().map(|listener| listener.fd.as_fd()).collect()
    }

    /// The kernel's names of all open listeners of `app`.
    pub(super) fn inodes(&self, app: &AppName) -> Vec<Inode> {
        self.all(app).into_iter().filter_map(|fd| Inode::of(fd).ok()).collect()
    }
}

/// The address that a socket is bound to.
fn bound_to(socket: &OwnedFd) -> Option<Address> {
    let name: SockaddrStorage = getsockname(socket.as_raw_fd()).ok()?;
    if let Some(unix) = name.as_unix_addr() {
        return unix.path().map(|path| Address::Unix(path.to_owned()));
    }
    let v4 = name.as_sockaddr_in().map(|v4| SocketAddr::from(SocketAddrV4::from(*v4)));
    let v6 = || name.as_sockaddr_in6().map(|v6| SocketAddr::from(SocketAddrV6::from(*v6)));
    v4.or_else(v6).map(Address::Tcp)
}

/// Connects `times` times and says nothing, which a worker takes for a front end that has thought better
/// of it.
fn knock(listener: &OwnedFd, times: usize) {
    let Ok(name) = getsockname::<SockaddrStorage>(listener.as_raw_fd()) else { return };
    let Some(family) = name.family() else { return };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    for _ in 0..times {
        let Ok(socket) = socket(family, SockType::Stream, flags, None) else { return };
        // If the queue is full, nobody waits for a connection.
        let _knocked = connect(socket.as_raw_fd(), &name);
    }
}

/// Whether accepting at a listener returns at once if nobody is there.
fn never_waits(listener: &OwnedFd) -> bool {
    let flags = fcntl(listener, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    flags.is_ok_and(|flags| flags.contains(OFlag::O_NONBLOCK))
}

#[cfg(test)]
mod tests;
