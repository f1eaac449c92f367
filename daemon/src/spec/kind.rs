//! What kind of program an app is: how its requests reach it, and what is run for it.

use std::time::Duration;

use scgi_protocol::address::Address;
use scgi_protocol::control::AppKind;
use serde::{Deserialize, Serialize};

/// What kind of program an app is, and what only that kind has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// It accepts SCGI requests on the sockets it is born with.
    #[default]
    Worker,
    /// It is run once for each request, as CGI/1.1 wants it, by a built-in worker.
    Cgi(Cgi),
    /// It is run once for each connection, which is its standard input and output, by a built-in
    /// worker.
    Inetd(Inetd),
    /// It makes its own socket; none of ours is handed to it.
    Standalone(Standalone),
}

/// How CGI programs are run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgi {
    /// What the program's path names.
    pub serves: Serves,
    /// How long a request may take, from the program's start to its last byte.
    pub timeout: Duration,
    /// The most that a program may answer with, in bytes, head included; `None` is no limit.
    pub output: Option<u64>,
}

impl Cgi {
    /// The time limit unless the configuration says another.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// The limit of an answer unless the configuration says another: 1 GiB.
    pub const DEFAULT_OUTPUT: u64 = 1 << 30;
}

/// What `run` of a CGI app names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Serves {
    /// A program, which answers for every path.
    Program,
    /// A directory, in which the path of each request leads to a program.
    Directory,
}

/// How a program is run for each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inetd {
    /// How long a connection may last.
    pub timeout: Duration,
}

impl Inetd {
    /// The time limit unless the configuration says another.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
}

/// What is known of a program that makes its own socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standalone {
    /// Where it listens, if that is said.
    pub at: Option<Address>,
}

impl Kind {
    /// Its name in the configuration.
    pub fn name(&self) -> AppKind {
        match self {
            Self::Worker => AppKind::Worker,
            Self::Cgi(_) => AppKind::Cgi,
            Self::Inetd(_) => AppKind::Inetd,
            Self::Standalone(_) => AppKind::Standalone,
        }
    }

    /// Two of its workers can never be there at once in one seat: each would want the address that
    /// the other one has.
    pub fn is_alone(&self) -> bool {
        match self {
            Self::Standalone(_) => true,
            Self::Worker | Self::Cgi(_) | Self::Inetd(_) => false,
        }
    }
}
