//! scgid tried for real: real processes, real sockets, real servers in front of it and beside it.
//!
//! One module a subject. Every test has a daemon, a folder and ports of its own, so that all of
//! them can run at once; none needs a network, and those that need root say so and fail without.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod adopt;
mod boot;
mod check;
mod cli;
mod control;
mod death;
mod demo;
mod deploys;
mod fronts;
mod garbage;
mod input;
mod kinds;
mod launch;
mod logs;
mod metrics;
mod nginx;
mod plan;
mod programs;
mod python;
mod rebind;
mod reload;
mod roll;
mod shutdown;
mod size;
mod slow;
mod stop;
mod systemd;
mod tidy;
mod upgrade;
