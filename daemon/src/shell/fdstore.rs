//! The service manager's store of descriptors (sd_notify(3), `FDSTORE=1`): what is put there comes
//! back, by name, to the next daemon, whether workers live or not and whoever may look into them.
//!
//! Without a service manager there is none, and nothing is missing: workers give descriptors back
//! themselves, save for an app that nobody works for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use scgi_protocol::name::{AppName, WorkerId};

use super::state::record::SocketMark;

/// What the names of all descriptors begin with that a daemon puts there.
pub(super) const PREFIX: &str = "scgid-";

/// The longest a service manager is waited for that has too much to hear.
const PATIENCE: Duration = Duration::from_millis(200);

/// The store.
#[derive(Debug, Default)]
pub(super) struct FdStore {
    manager: Option<Manager>,
    /// What is there, by app.
    kept: BTreeMap<AppName, BTreeSet<String>>,
    /// What the daemon before put there, as far as nobody has asked for it yet.
    unclaimed: BTreeSet<String>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    to: UnixAddr,
}

/// The name of a listener in the store.
pub(super) fn listener_name(mark: SocketMark) -> String {
    format!("{PREFIX}listener-{:x}", mark.cookie)
}

/// The name of an app's book in the store.
pub(super) fn book_name(inode: u64) -> String {
    format!("{PREFIX}book-{inode:x}")
}

/// The names of a worker's log pipes in the store.
pub(super) fn worker_names(worker: WorkerId) -> [String; 2] {
    ["stdout", "stderr"].map(|what| format!("{PREFIX}{what}-{worker}"))
}

impl FdStore {
    /// The store of the service manager that listens at `address`, the value of `NOTIFY_SOCKET`, in
    /// which there is what is called `stored`.
    pub(super) fn open(address: Option<&str>, stored: BTreeSet<String>) -> Self {
        let manager = address.and_then(|address| match Manager::at(address) {
            Ok(manager) => Some(manager),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "no descriptor is put into the service manager's store");
                None
            }
        });
        Self { manager, kept: BTreeMap::new(), unclaimed: stored }
    }

    /// There is a store.
    pub(super) fn is_there(&self) -> bool {
        self.manager.is_some()
    }

    /// Sees to it that of `app` all that is `wanted` is in the store, and nothing else.
    pub(super) fn keep(&mut self, app: &AppName, wanted: &BTreeMap<String, BorrowedFd<'_>>) {
        let Some(manager) = &self.manager else { return };
        let kept = self.kept.entry(app.clone()).or_default();
        let mut failed = None;
        for (name, fd) in wanted {
            if kept.contains(name) {
                continue;
            }
            let known = self.unclaimed.remove(name);
            let stored = if known { Ok(()) } else { manager.store(name, *fd) };
            match stored {
                Ok(()) => drop(kept.insert(name.clone())),
                Err(error) => failed = Some(error),
            }
        }
        for name in kept.iter().filter(|name| !wanted.contains_key(*name)) {
            failed = manager.remove(name).err().or(failed);
        }
        kept.retain(|name| wanted.contains_key(name));
        if kept.is_empty() {
            self.kept.remove(app);
        }
        if let Some(error) = failed {
            // A manager that does not take them is not asked again and again.
            self.manager = None;
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "no more descriptors are put into the service manager's store");
        }
    }

    /// Takes out what nobody asked for.
    pub(super) fn forget_unclaimed(&mut self) {
        let Some(manager) = &self.manager else { return };
        for name in std::mem::take(&mut self.unclaimed) {
            // It costs a descriptor of the manager's, and no more.
            let _ = manager.remove(&name);
        }
    }
}

impl Manager {
    fn at(address: &str) -> io::Result<Self> {
        let to = match address.strip_prefix('@') {
            Some(hidden) => UnixAddr::new_abstract(hidden.as_bytes())?,
            None => UnixAddr::new(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, to })
    }

    fn store(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        // Without polling: a listener or a pipe that somebody closes is not ours to forget.
        let text = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0");
        let rights = [fd.as_raw_fd()];
        self.send(&text, &[ControlMessage::ScmRights(&rights)])
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
    }

    fn send(&self, text: &str, control: &[ControlMessage<'_>]) -> io::Result<()> {
        let parts = [IoSlice::new(text.as_bytes())];
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
        Ok(sendmsg(socket, &parts, control, flags, Some(&self.to)).map(drop)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// A service manager that writes down what it hears.
    fn manager() -> (tempfile::TempDir, UnixDatagram, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = path.display().to_string();
        (folder, socket, address)
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 512];
        let texts = std::iter::from_fn(|| {
            let length = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
        });
        texts.collect()
    }

    fn wanted<'a>(names: &[&str], fd: &'a std::fs::File) -> BTreeMap<String, BorrowedFd<'a>> {
        names.iter().map(|name| ((*name).to_owned(), fd.as_fd())).collect()
    }

    #[test]
    fn what_is_wanted_is_stored_once_and_removed_when_it_is_not() {
        let (_folder, socket, address) = manager();
        let file = std::fs::File::open("/dev/null").unwrap();
        let app = "blog".parse().unwrap();
        let mut store = FdStore::open(Some(&address), BTreeSet::new());

        store.keep(&app, &wanted(&["scgid-a"], &file));
        store.keep(&app, &wanted(&["scgid-a"], &file));
        store.keep(&app, &wanted(&["scgid-b"], &file));

        let told = [
            "FDSTORE=1\nFDNAME=scgid-a\nFDPOLL=0",
            "FDSTORE=1\nFDNAME=scgid-b\nFDPOLL=0",
            "FDSTOREREMOVE=1\nFDNAME=scgid-a",
        ];
        assert_eq!(heard(&socket), told);
    }

    #[test]
    fn what_the_daemon_before_stored_is_kept_if_it_is_wanted_and_forgotten_if_not() {
        let (_folder, socket, address) = manager();
        let file = std::fs::File::open("/dev/null").unwrap();
        let stored = ["scgid-a", "scgid-b"].map(str::to_owned).into();
        let mut store = FdStore::open(Some(&address), stored);

        store.keep(&"blog".parse().unwrap(), &wanted(&["scgid-a"], &file));
        store.forget_unclaimed();

        assert_eq!(heard(&socket), ["FDSTOREREMOVE=1\nFDNAME=scgid-b"]);
    }

    #[test]
    fn a_manager_that_is_gone_is_not_asked_again() {
        let (_folder, socket, address) = manager();
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut store = FdStore::open(Some(&address), BTreeSet::new());
        drop(socket);

        store.keep(&"blog".parse().unwrap(), &wanted(&["scgid-a"], &file));

        assert!(!store.is_there());
        assert!(!FdStore::open(None, BTreeSet::new()).is_there());
    }
}
