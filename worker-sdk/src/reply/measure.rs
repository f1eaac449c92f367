//! How long a body is to be, and how long it has become.

use std::io;

use super::Fault;

/// The bytes of a body that somebody writes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    /// How many were announced, if it was said.
    pub(super) announced: Option<u64>,
    /// How many were written.
    pub(super) taken: u64,
}

impl Measure {
    /// None of so many were written yet.
    pub(super) fn of(announced: Option<u64>) -> Self {
        Self { announced, taken: 0 }
    }

    /// Takes `bytes` more.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Whether there are not too many yet.
    ///
    /// # Errors
    ///
    /// What whoever writes them is told.
    pub(super) fn is_kept(&self) -> io::Result<()> {
        if self.announced.is_some_and(|length| self.taken > length) {
            return Err(io::Error::other("more is written than was announced"));
        }
        Ok(())
    }

    /// Whether all that were announced were written.
    ///
    /// # Errors
    ///
    /// What is said of the handler in the log.
    pub(super) fn is_met(&self) -> Result<(), Fault> {
        let taken = self.taken;
        match self.announced.filter(|length| *length != taken) {
            Some(length) => {
                let reason = format!("{length} bytes were announced, {taken} written");
                Err(Fault::Handler(reason))
            }
            None => Ok(()),
        }
    }
}
