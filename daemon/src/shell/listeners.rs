//! The listening sockets of all apps: prepared, held, handed down, released.
//!
//! The daemon alone binds them. They outlive every worker and every roll; a listener goes only
//! when its app does, or when its app is stopped or listens elsewhere.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use scgi_protocol::inherit;
use scgi_protocol::name::AppName;

use super::backlog::{Inode, cut_short};
use super::bind::{BindError, SocketFile, bind};
use crate::spec::{AppSpec, ListenAt, ListenSpec};

/// The listening sockets of all apps.
#[derive(Debug, Default)]
pub struct Listeners {
    held: BTreeMap<AppName, Vec<Held>>,
    /// What the service manager handed over, by name.
    inherited: BTreeMap<String, OwnedFd>,
}

/// One open listener.
#[derive(Debug)]
struct Held {
    spec: ListenSpec,
    fd: OwnedFd,
    /// Removes the socket's file when the listener is released.
    _file: Option<SocketFile>,
}

/// Listeners that were opened and belong to nobody yet. Dropping them closes them again.
#[derive(Debug)]
pub(super) struct Prepared {
    app: AppName,
    opened: Vec<Held>,
}

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
        Self { held: BTreeMap::new(), inherited: taken.collect() }
    }

    /// Opens those listeners of `spec` that are not open yet.
    ///
    /// # Errors
    ///
    /// [`BindError`] for the first that could not be opened; then none is.
    pub(super) fn prepare(&self, spec: &AppSpec) -> Result<Prepared, BindError> {
        let held = self.held.get(&spec.name).map(Vec::as_slice).unwrap_or_default();
        let missing = spec.listen.iter().filter(|wanted| held.iter().all(|h| h.spec != **wanted));
        let opened: Result<_, _> = missing.map(|wanted| self.open(wanted)).collect();
        Ok(Prepared { app: spec.name.clone(), opened: opened? })
    }

    fn open(&self, spec: &ListenSpec) -> Result<Held, BindError> {
        let (fd, file) = match &spec.at {
            ListenAt::Address(address) => {
                if let Some(warning) = cut_short(spec.backlog) {
                    tracing::warn!(%address, warning, "accept queue is shorter than asked");
                }
                bind(address, spec.ownership, spec.backlog)?
            }
            ListenAt::Systemd(name) => (self.inherited(name)?, None),
        };
        Ok(Held { spec: spec.clone(), fd, _file: file })
    }

    fn inherited(&self, name: &str) -> Result<OwnedFd, BindError> {
        let dup = self.inherited.get(name).and_then(|fd| fd.try_clone().ok());
        dup.ok_or_else(|| BindError::NotInherited {
            name: name.to_owned(),
            had: self.inherited.keys().cloned().collect(),
        })
    }

    /// Takes prepared listeners over.
    pub(super) fn install(&mut self, prepared: Prepared) {
        self.held.entry(prepared.app).or_default().extend(prepared.opened);
    }

    /// Closes the listeners of `app`, save those that `keep` speaks of.
    pub(super) fn release(&mut self, app: &AppName, keep: Option<&AppSpec>) {
        let Some(held) = self.held.get_mut(app) else { return };
        held.retain(|listener| keep.is_some_and(|spec| spec.listen.contains(&listener.spec)));
        if held.is_empty() {
            self.held.remove(app);
        }
    }

    /// The listeners of `spec` in its order; those that are not open are left out.
    pub(super) fn of(&self, spec: &AppSpec) -> Vec<BorrowedFd<'_>> {
        let held = self.held.get(&spec.name).map(Vec::as_slice).unwrap_or_default();
        let find = |wanted: &ListenSpec| held.iter().find(|listener| listener.spec == *wanted);
        spec.listen.iter().filter_map(find).map(|listener| listener.fd.as_fd()).collect()
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
