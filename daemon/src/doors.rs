//! The daemon's own listeners: the control socket, and where Prometheus asks.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use scgi_protocol::address::Address;

use crate::metrics;
use crate::run::RunError;
use crate::shell::bind::{SocketFile, bind};
use crate::shell::upgrade::{Baggage, DoorDescriptors};
use crate::spec::{ListenSpec, MetricsSpec, Ownership, Site};

/// Accept queue of the control socket.
const CONTROL_BACKLOG: u16 = 128;

/// The daemon's own listeners.
#[derive(Debug)]
pub(crate) struct Doors {
    /// The control socket.
    pub(crate) control: tokio::net::UnixListener,
    /// Where the metrics are asked for.
    pub(crate) metrics: Option<metrics::Door>,
    /// The same, to be handed on.
    pub(crate) descriptors: DoorDescriptors,
    /// Their files; removed with them.
    pub(crate) files: Vec<SocketFile>,
}

impl Doors {
    /// Opens them; what is among the `opened` is taken from there.
    pub(crate) fn open(
        site: &Site,
        opened: &mut BTreeMap<Address, OwnedFd>,
    ) -> Result<Self, RunError> {
        let path = &site.control.socket;
        let refused = |source| RunError::Control { path: path.clone(), source };
        let address = Address::Unix(path.clone());
        let (control, file) =
            bind(&address, site.control.ownership, CONTROL_BACKLOG).map_err(refused)?;
        let mut files: Vec<_> = file.into_iter().collect();
        let metrics = site.metrics.as_ref();
        let metrics = metrics.map(|spec| bind_metrics(spec, opened.remove(&spec.listen)));
        let metrics = metrics.transpose()?;
        let metrics = metrics.map(|(fd, file)| {
            files.extend(file);
            fd
        });
        Self::of(site, DoorDescriptors { control, metrics }, files)
    }

    /// Takes them from the program that this process was before.
    pub(crate) fn handed(site: &Site, baggage: &Baggage) -> Result<Self, RunError> {
        let doors = baggage.doors().map_err(|source| needs("the doors handed over", source))?;
        let metrics = site.metrics.as_ref().map(|metrics| &metrics.listen);
        let control = Address::Unix(site.control.socket.clone());
        let files = [Some(&control), metrics].into_iter().flatten().filter_map(SocketFile::at);
        Self::of(site, doors, files.collect())
    }

    fn of(
        site: &Site,
        descriptors: DoorDescriptors,
        files: Vec<SocketFile>,
    ) -> Result<Self, RunError> {
        let control = descriptors.control.try_clone().and_then(unix_listener);
        let control = control.map_err(|source| needs("the control socket", source))?;
        let metrics = descriptors.metrics.as_ref().zip(site.metrics.as_ref());
        let metrics = metrics.map(|(fd, spec)| {
            let fd = fd.try_clone()?;
            match spec.listen {
                Address::Unix(_) => unix_listener(fd).map(metrics::Door::Unix),
                Address::Tcp(_) => tcp_listener(fd).map(metrics::Door::Tcp),
            }
        });
        let metrics = metrics.transpose();
        let metrics = metrics.map_err(|source| needs("the metrics' listener", source))?;
        Ok(Self { control, metrics, descriptors, files })
    }
}

fn needs(what: &'static str, source: io::Error) -> RunError {
    RunError::Loop { what, source }
}

fn bind_metrics(
    spec: &MetricsSpec,
    opened: Option<OwnedFd>,
) -> Result<(OwnedFd, Option<SocketFile>), RunError> {
    match opened {
        Some(fd) => Ok((fd, None)),
        None => bind(&spec.listen, Ownership::default(), ListenSpec::DEFAULT_BACKLOG)
            .map_err(RunError::Metrics),
    }
}

fn unix_listener(fd: OwnedFd) -> io::Result<tokio::net::UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn tcp_listener(fd: OwnedFd) -> io::Result<tokio::net::TcpListener> {
    let listener = std::net::TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
