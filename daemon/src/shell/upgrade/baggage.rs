//! What a daemon hands to the program it becomes: all that it would have left behind, and the
//! descriptors themselves, by their numbers, in sealed memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::fcntl::FdFlag;
use nix::sys::stat::{SFlag, fstat};
use scgi_protocol::inherit;
use scgi_protocol::name::WorkerId;
use serde::{Deserialize, Serialize};

use super::DoorDescriptors;
use crate::launch::sealed;
use crate::shell::Listeners;
use crate::shell::state::record::{FORMAT, Left, SocketMark};
use crate::spec::Limit;
use crate::supervisor::{Moment, Pid, Supervisor};

/// What its memory is called.
const NAME: &str = "scgid-upgrade";

/// Longest baggage in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// What a daemon hands to the program it becomes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Baggage {
    /// What it would have left behind.
    pub(in crate::shell) left: Left,
    /// The lock of the state directory, if there is one.
    pub(in crate::shell) lock: Option<RawFd>,
    /// Where notices are heard.
    pub(in crate::shell) notices: RawFd,
    /// The control socket.
    pub(in crate::shell) control: RawFd,
    /// The metrics' listener.
    pub(in crate::shell) metrics: Option<RawFd>,
    /// What the service manager handed over, by name.
    pub(in crate::shell) inherited: BTreeMap<String, RawFd>,
    /// Listeners, books and log pipes: what each is, is written on it.
    pub(in crate::shell) stock: Vec<RawFd>,
    /// The files of programs that workers come back from.
    #[serde(default)]
    pub(in crate::shell) programs: Vec<RawFd>,
    /// Where launchers say why they failed.
    pub(in crate::shell) statuses: BTreeMap<WorkerId, RawFd>,
    /// The processes that are this process's children.
    pub(in crate::shell) children: Vec<Pid>,
    /// Lines that were begun and not ended when they were last read, by worker and output.
    pub(in crate::shell) begun_lines: BTreeMap<WorkerId, [Vec<u8>; 2]>,
    /// How many descriptors a worker may have if nothing else is said.
    pub(in crate::shell) nofile: Option<Limit>,
    /// The file of the program that hands this over.
    pub(in crate::shell) previous: RawFd,
    /// Why the program that it was handed to gave it back, if one did.
    #[serde(default)]
    pub(in crate::shell) given_back: Option<String>,
}

/// Why a baggage cannot be taken up. Nothing of it was touched.
#[derive(Debug, thiserror::Error)]
pub enum BaggageError {
    /// It cannot be read.
    #[error("cannot read what was handed over")]
    Read(#[source] io::Error),
    /// It makes no sense to this program.
    #[error("what was handed over makes no sense")]
    Senseless(#[source] serde_json::Error),
    /// It contradicts itself, or is of another form.
    #[error("what was handed over cannot be taken up: {0}")]
    Wrong(String),
}

impl Baggage {
    /// Writes it into sealed memory.
    pub(super) fn seal(&self) -> io::Result<OwnedFd> {
        sealed(NAME, &serde_json::to_vec(self)?)
    }

    /// Reads it, and makes sure that this program can go on with it.
    ///
    /// # Errors
    ///
    /// [`BaggageError`].
    pub fn read(mut file: &File) -> Result<Self, BaggageError> {
        let mut text = Vec::new();
        file.rewind().map_err(BaggageError::Read)?;
        file.take(MAX_BYTES).read_to_end(&mut text).map_err(BaggageError::Read)?;
        let baggage: Self = serde_json::from_slice(&text).map_err(BaggageError::Senseless)?;
        let Left { site, now, apps, .. } = &baggage.left;
        if site.format != FORMAT {
            let (format, version) = (site.format, &site.version);
            return Err(BaggageError::Wrong(format!(
                "scgid {version} writes form {format}, this one reads {FORMAT}"
            )));
        }
        let pools = apps.iter().map(|(app, left)| (app.clone(), left.pool.clone())).collect();
        let tried = Supervisor::resume(now.memory.clone(), pools, [], Moment::START);
        tried.map(|_| baggage).map_err(BaggageError::Wrong)
    }

    /// What this program cannot go on with, as it is given back: the file of the program that handed
    /// it over, and the same in sealed memory with the reason `why`.
    pub(super) fn to_give_back(mut file: &File, why: &str) -> io::Result<(RawFd, OwnedFd)> {
        file.rewind()?;
        // Of another form it may be, but all forms have these two.
        let mut value: serde_json::Value = serde_json::from_reader(file)?;
        let previous = value.get("previous").and_then(serde_json::Value::as_i64);
        let previous = previous.and_then(|number| number.try_into().ok());
        let all = value.as_object_mut().ok_or(io::ErrorKind::InvalidData)?;
        all.insert("given_back".to_owned(), why.into());
        let again = sealed(NAME, &serde_json::to_vec(&value)?)?;
        Ok((previous.ok_or(io::ErrorKind::InvalidData)?, again))
    }

    /// Why the program that it was handed to gave it back, if one did.
    pub(in crate::shell) fn given_back(&self) -> Option<&str> {
        self.given_back.as_deref()
    }

    /// How many descriptors a worker may have if nothing else is said.
    pub fn nofile(&self) -> Option<Limit> {
        self.nofile
    }

    /// What the daemon before would have left behind.
    pub fn left(&self) -> &Left {
        &self.left
    }

    /// What the daemon before would have left, and the descriptors that go with it.
    pub(in crate::shell) fn unpack(self) -> (Left, Stock) {
        let Self { left, stock: numbers, statuses, children, begun_lines, .. } = self;
        let Self { programs, previous, .. } = self;
        // The file of a program that is not needed any more.
        drop(inherit::take(previous));
        let mut stock = Stock { children, begun_lines, ..Stock::default() };
        numbers.into_iter().for_each(|number| stock.take(number));
        let status = |(worker, number)| Some((worker, inherit::take(number).ok()?));
        stock.programs = programs.into_iter().filter_map(|n| inherit::take(n).ok()).collect();
        stock.statuses = statuses.into_iter().filter_map(status).collect();
        (left, stock)
    }

    /// The daemon's own sockets.
    pub fn doors(&self) -> io::Result<DoorDescriptors> {
        let metrics = self.metrics.map(inherit::take).transpose()?;
        Ok(DoorDescriptors { control: inherit::take(self.control)?, metrics })
    }

    /// What the service manager handed over.
    pub fn listeners(&self) -> Listeners {
        Listeners::handed(&self.inherited)
    }

    /// Where notices are heard.
    pub fn notices(&self) -> io::Result<OwnedFd> {
        inherit::take(self.notices)
    }

    /// The lock of the state directory, if there is one.
    pub fn lock(&self) -> Option<OwnedFd> {
        self.lock.and_then(|number| inherit::take(number).ok())
    }

    /// The numbers of all descriptors in it.
    pub(super) fn numbers(&self) -> Vec<RawFd> {
        let Self { lock, notices, control, metrics, inherited, previous, .. } = self;
        let Self { stock, statuses, programs, .. } = self;
        let named = [*notices, *control, *previous];
        let maybe = lock.iter().chain(metrics).copied();
        let many =
            inherited.values().chain(stock).chain(statuses.values()).chain(programs).copied();
        named.into_iter().chain(maybe).chain(many).collect()
    }
}

/// Lets a descriptor survive becoming another program, or not.
pub(super) fn keep_over_exec(number: RawFd, flag: FdFlag) -> io::Result<()> {
    crate::shell::sys::set_descriptor_flag(number, flag)
}

/// Descriptors that are at hand, known by what they are.
#[derive(Debug, Default)]
pub(in crate::shell) struct Stock {
    sockets: BTreeMap<SocketMark, OwnedFd>,
    files: BTreeMap<u64, OwnedFd>,
    /// The files of programs that workers come back from.
    pub(in crate::shell) programs: Vec<OwnedFd>,
    /// Where launchers say why they failed.
    pub(in crate::shell) statuses: BTreeMap<WorkerId, OwnedFd>,
    /// Processes that are this process's children.
    pub(in crate::shell) children: Vec<Pid>,
    /// Lines that were begun and not ended.
    pub(in crate::shell) begun_lines: BTreeMap<WorkerId, [Vec<u8>; 2]>,
}

impl Stock {
    /// Adds a descriptor; what is neither a socket nor a file of its own kind is of no use.
    pub(in crate::shell) fn add(&mut self, fd: OwnedFd) {
        let Ok(found) = fstat(&fd) else { return };
        let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFSOCK {
            self.sockets.insert(SocketMark::of(&fd), fd);
        } else {
            self.files.insert(found.st_ino, fd);
        }
    }

    /// Adds the descriptor `number`, which this program was handed.
    pub(in crate::shell) fn take(&mut self, number: RawFd) {
        match inherit::take(number) {
            Ok(fd) => self.add(fd),
            Err(error) => tracing::warn!(number, %error, "descriptor handed over is not open"),
        }
    }

    /// The socket that is known so.
    pub(in crate::shell) fn socket(&mut self, mark: &SocketMark) -> Option<OwnedFd> {
        self.sockets.remove(mark)
    }

    /// The pipe or memory that the kernel calls so.
    pub(in crate::shell) fn file(&mut self, inode: u64) -> Option<OwnedFd> {
        self.files.remove(&inode)
    }
}

/// A number under which this process has something open.
pub(super) fn number(fd: &impl AsRawFd) -> RawFd {
    fd.as_raw_fd()
}
