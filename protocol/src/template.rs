//! What the daemon and a template say to each other: a process that has loaded an app's program, and
//! forks workers from that when it is asked to.
//!
//! ```text
//! daemon ── FORK, variables, descriptors ──▶ template ── forks ──▶ worker
//!    ▲── READY once, FAILED worker why ─────────┘                    │
//!    └── BORN worker ────────────────────────────────────────────────┘
//! ```
//!
//! Datagrams over one connected socket of type `SOCK_SEQPACKET`, whose number in the template is
//! `SCGI_TEMPLATE_FD`. Their parts end with a NUL. Who says that a worker is born is proven by the
//! kernel's credentials, never by anything in the datagram. End of file means that the daemon is
//! gone: the template leaves.

use std::str::FromStr;

use crate::name::WorkerId;

/// A longer datagram means nothing. An order has the variables of a birth, and the names of at
/// most [`crate::birth::LISTENERS_MAX`] sockets among them.
pub const MAX_BYTES: usize = 16 * 1024;

/// Longest reason that is kept, in characters.
pub const REASON_MAX_CHARS: usize = 300;

/// An order to fork a worker, with the variables it shall find. Goes with these descriptors: its
/// standard output and error; then whatever stands at 3 and after.
pub fn fork(variables: &[(&'static str, String)]) -> Vec<u8> {
    let mut datagram = b"FORK\0".to_vec();
    for (name, value) in variables {
        datagram.extend(format!("{name}={value}\0").bytes());
    }
    datagram
}

/// What the daemon hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The program is loaded.
    Ready,
    /// The sender is this worker, and a child of the daemon.
    Born(WorkerId),
    /// This worker could not be forked, and why: one line, control characters replaced, at most
    /// [`REASON_MAX_CHARS`] characters.
    Failed(WorkerId, String),
}

impl Word {
    /// Reads a datagram. Total: what is not understood is `None`.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(datagram);
        let mut parts = text.split_terminator('\0');
        match (parts.next()?, parts.next(), parts.next()) {
            ("READY", None, None) => Some(Self::Ready),
            ("BORN", Some(worker), None) => Some(Self::Born(WorkerId::from_str(worker).ok()?)),
            ("FAILED", Some(worker), why) => {
                let why = why.unwrap_or_default().chars().take(REASON_MAX_CHARS);
                let why = why.map(|c| if c.is_control() { ' ' } else { c }).collect();
                Some(Self::Failed(WorkerId::from_str(worker).ok()?, why))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_order_is_a_block_of_variables() {
        let order = fork(&[("SCGI_APP", "shop".to_owned()), ("SCGI_MOUNT", String::new())]);

        assert_eq!(order, b"FORK\0SCGI_APP=shop\0SCGI_MOUNT=\0");
    }

    #[test]
    fn what_a_template_says_is_understood() {
        for (said, word) in [
            ("READY\0", Some(Word::Ready)),
            ("READY", Some(Word::Ready)),
            ("BORN\x0017\0", Some(Word::Born(WorkerId(17)))),
            ("FAILED\x0017\0no\nmemory\0", Some(Word::Failed(WorkerId(17), "no memory".into()))),
            ("FAILED\x0017\0", Some(Word::Failed(WorkerId(17), String::new()))),
            ("BORN\0-1\0", None),
            ("BORN\0", None),
            ("BORN\x0017\0again\0", None),
            ("ready\0", None),
            ("", None),
        ] {
            assert_eq!(Word::decode(said.as_bytes()), word, "{said:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read(datagram: Vec<u8>) {
            if let Some(Word::Failed(_, why)) = Word::decode(&datagram) {
                prop_assert!(why.chars().count() <= REASON_MAX_CHARS);
            }
        }
    }
}
