//! Invented worlds for the core: thousands of histories, each decided by a seed.
//!
//! ```text
//!   chaos.rs     what people, programs and the kernel come up with
//!   world.rs     processes, time, and a shell that does what the core says
//!     lives.rs     processes being born, ready, asked, gone
//!     process.rs   what a program is like, what becomes of one run of it
//!     traffic.rs   listening sockets, and who waits there
//!   oracle.rs    what must be so after every turn
//!   succession.rs  the daemon is killed, and another one takes over
//!   histories.rs what must be so in the end, over many seeds
//!   scenarios/   one behaviour each, to be read
//! ```
//!
//! `SCGID_SIM_SEED=n` replays one history of each kind; `SCGID_SIM_SEEDS=n` tries so many. A long
//! run: `SCGID_SIM_SEEDS=100000 cargo test --release -p scgid sim`.

mod chaos;
mod forks;
mod histories;
mod lives;
mod oracle;
mod process;
mod rng;
mod scenarios;
mod story;
mod succession;
mod traffic;
mod world;
