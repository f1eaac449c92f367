//! What nobody can see of an app because of the kind of program it is, in words.
//!
//! An empty figure and one that cannot be known look alike; these sentences tell them apart.

use crate::spec::{Kind, Standalone};

/// What cannot be seen of an app of this kind, a sentence each; nothing of one that tells all.
pub(super) fn of(kind: &Kind) -> Vec<String> {
    let told: &[&str] = match kind {
        Kind::Worker => &[],
        Kind::Cgi(_) => &[
            "its programs are run anew for each request: a program that changes on disk is run as \
             it is by then, without a roll",
            "its workers are scgid's own: memory and processor time of the programs are not theirs",
        ],
        Kind::Inetd(_) => &[
            "what is said on a connection is not looked at: requests are connections, without \
             method, path or status, and bytes are not counted",
            "its workers are scgid's own: memory and processor time of the programs are not theirs",
        ],
        Kind::Standalone(Standalone { at }) => match at {
            Some(_) => &[
                "it has its own socket: requests, the queue and who is busy are not seen",
                "nobody answers in its place while it is away: not while it starts, fails or is \
                 stopped",
                "a roll ends the old process before the new one starts; clients are refused between",
            ],
            None => &[
                "it does not say where it listens, so nobody knows whether it takes connections: \
                 it is only seen to live",
                "requests, the queue and who is busy are not seen, and nobody answers in its place",
                "a roll ends the old process before the new one starts",
            ],
        },
    };
    told.iter().map(|told| (*told).to_owned()).collect()
}
