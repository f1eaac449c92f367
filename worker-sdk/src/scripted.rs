//! A connection for tests that gives what it is told to, when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crate::wire::{Doing, Wire};

/// A peer in memory: what it has sent so far, and how much it takes.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    coming: RefCell<VecDeque<u8>>,
    ended: Cell<bool>,
    room: Cell<usize>,
    sent: RefCell<Vec<u8>>,
    last_given: Cell<usize>,
    broken: Cell<bool>,
    finished: Cell<bool>,
}

impl Scripted {
    /// The peer sends this.
    pub(crate) fn say(&self, bytes: &[u8]) {
        self.coming.borrow_mut().extend(bytes);
    }

    /// The peer closes, and takes nothing more.
    pub(crate) fn leave(&self) {
        self.ended.set(true);
        self.broken.set(true);
    }

    /// The peer takes so many more bytes.
    pub(crate) fn make_room(&self, bytes: usize) {
        self.last_given.set(0);
        self.room.set(self.room.get().saturating_add(bytes));
    }

    /// Bytes given since room was made.
    pub(crate) fn last_given(&self) -> usize {
        self.last_given.get()
    }

    pub(crate) fn sent(&self) -> Vec<u8> {
        self.sent.borrow().clone()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.get()
    }
}

impl Wire for Scripted {
    fn receive(&self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let mut bytes = Vec::with_capacity(into.len());
        let received = self.append(&mut bytes, patience)?.min(into.len());
        into[..received].copy_from_slice(&bytes[..received]);
        Ok(received)
    }

    fn append(&self, into: &mut Vec<u8>, _patience: Duration) -> io::Result<usize> {
        self.take(into)?.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    fn take(&self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let mut coming = self.coming.borrow_mut();
        let bytes = coming.len().min(into.capacity() - into.len());
        into.extend(coming.drain(..bytes));
        Ok((bytes > 0 || self.ended.get()).then_some(bytes))
    }

    fn waiting(&self) -> usize {
        self.coming.borrow().len()
    }

    fn give(&self, parts: &[&[u8]]) -> io::Result<usize> {
        if self.broken.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let all = parts.concat();
        let bytes = all.len().min(self.room.get());
        self.room.set(self.room.get() - bytes);
        self.last_given.set(self.last_given.get() + bytes);
        self.sent.borrow_mut().extend_from_slice(&all[..bytes]);
        Ok(bytes)
    }

    fn wait(&self, what: Doing, _longest: Duration) -> bool {
        match what {
            Doing::Taking => self.ended.get() || !self.coming.borrow().is_empty(),
            Doing::Giving => self.broken.get() || self.room.get() > 0,
        }
    }

    fn is_gone(&self) -> bool {
        self.ended.get()
    }

    fn finish(&self) {
        self.finished.set(true);
    }

    fn spoil(&self) {
        self.broken.set(true);
    }
}
