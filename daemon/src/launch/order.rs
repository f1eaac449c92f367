//! What the daemon orders its launcher to start, handed over in a sealed piece of memory.
//!
//! Both sides are the same program, so the form (JSON) is nobody else's business. A pipe would do
//! as well, were it not that a pipe can be full and a writer would have to wait.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{OwnedFd, RawFd};

use scgi_protocol::birth::Birth;
use serde::{Deserialize, Serialize};

use super::sealed::sealed;
use crate::spec::Launch;

/// What an order's memory is called.
const NAME: &str = "scgid-launch";

/// Longest order in bytes. The kernel takes at most 2 MiB of arguments and environment (execve(2)).
const MAX_BYTES: u64 = 8 << 20;

/// What an order seldom exceeds, in bytes: it is read in one go.
const USUAL_BYTES: usize = 4096;

/// One worker to start: how, and under which circumstances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchOrder {
    /// The program, its surroundings, identity and limits.
    pub launch: Launch,
    /// What the worker finds when it is born.
    pub birth: Birth,
    /// The number of the descriptor that names the program's file, wherever the program's path
    /// leads by now; `None`: whatever stands at the path is run.
    #[serde(default)]
    pub program: Option<RawFd>,
}

/// Why an order could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It cannot be spelled; a path in it is not UTF-8.
    #[error("cannot write it down")]
    Spell(#[source] serde_json::Error),
    /// There is no memory for it.
    #[error("cannot get sealed memory for it")]
    Memory(#[source] io::Error),
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It is longer than any order is.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// It does not make sense.
    #[error("it does not make sense")]
    Senseless(#[source] serde_json::Error),
}

impl LaunchOrder {
    /// Writes the order into sealed memory, closed on exec until it is given its number.
    ///
    /// # Errors
    ///
    /// [`OrderError::Spell`], [`OrderError::Memory`].
    pub fn to_memfd(&self) -> Result<OwnedFd, OrderError> {
        let text = serde_json::to_vec(self).map_err(OrderError::Spell)?;
        sealed(NAME, &text).map_err(OrderError::Memory)
    }

    /// Reads an order.
    ///
    /// # Errors
    ///
    /// [`OrderError::Read`], [`OrderError::TooLong`], [`OrderError::Senseless`].
    pub(super) fn from_file(mut file: &File) -> Result<Self, OrderError> {
        let mut text = Vec::with_capacity(USUAL_BYTES);
        // The position is shared with the descriptor the daemon wrote through: it stands at the end.
        file.rewind().map_err(OrderError::Read)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(OrderError::Read)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(OrderError::TooLong);
        }
        serde_json::from_slice(&text).map_err(OrderError::Senseless)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// An order to run `program`; all that a worker can be born with is said in it.
    pub(in crate::launch) fn order(program: &str) -> LaunchOrder {
        let written = include_str!("../../tests/fixtures/order.json");
        let mut order: LaunchOrder = serde_json::from_str(written).unwrap();
        order.launch.program = program.into();
        order.launch.arguments[0] = program.into();
        order
    }

    #[test]
    fn an_order_arrives_as_it_was_given() {
        let order = order("/bin/true");

        let memory = File::from(order.to_memfd().unwrap());

        assert_eq!(LaunchOrder::from_file(&memory).unwrap(), order);
    }

    #[test]
    fn an_order_cannot_be_altered_on_the_way() {
        let mut memory = File::from(order("/bin/true").to_memfd().unwrap());

        memory.rewind().unwrap();

        assert!(memory.write_all(b"{}").is_err());
        assert!(memory.set_len(0).is_err());
    }

    #[test]
    fn what_is_not_an_order_is_an_error() {
        for text in ["", "{}", "null", "{\"launch\": 1}"] {
            let memory = File::from(sealed(NAME, text.as_bytes()).unwrap());
            let read = LaunchOrder::from_file(&memory);
            assert!(matches!(read, Err(OrderError::Senseless(_))), "{text}: {read:?}");
        }
        let long = tempfile::tempfile().unwrap();
        long.set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(LaunchOrder::from_file(&long), Err(OrderError::TooLong)));
    }
}
