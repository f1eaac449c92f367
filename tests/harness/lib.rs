//! What the tests with real processes stand on: a daemon with a folder of its own, clients that
//! speak SCGI and HTTP, load, and the servers that real sites have beside scgid.
//!
//! Nothing here asserts a time and nothing sleeps to let something happen: a test waits for a
//! [condition](eventually), with a deadline that is only reached when it fails. Whatever is
//! started is ended by its pid when the test ends, however it ends.
//!
//! ```no_run
//! use scgi_tests::{Site, eventually};
//!
//! let site = Site::new("
//! apps:
//!   blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
//! ");
//! let daemon = site.serve();
//! assert_eq!(daemon.app("blog").get("/hello").unwrap().text(), "hello\n");
//! ```

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]
#![expect(clippy::print_stderr, reason = "a test that fails shows what the programs said")]

#[path = "../bench/mod.rs"]
pub mod bench;
mod connect;
mod daemon;
mod eventually;
mod front_end;
pub mod http;
mod limits;
mod load;
mod machine;
mod nginx;
mod port;
pub mod process;
mod prometheus;
mod redact;
mod scgi;
mod site;

pub use connect::{Connection, Manner};
pub use daemon::{Daemon, Ended, Said};
pub use eventually::{PATIENCE, eventually, eventually_some};
pub use front_end::{FrontEnd, Server};
pub use limits::limits;
pub use load::{Load, Outcome};
pub use machine::Machine;
pub use nginx::Nginx;
pub use port::Port;
pub use prometheus::{Prometheus, check_metrics};
pub use redact::redact;
pub use scgi::{Exchange, Request, ScgiClient};
pub use site::{Site, needs_root, program, python};
