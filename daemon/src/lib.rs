//! scgid: the master daemon for all the SCGI apps of a machine.

pub mod cli;
pub mod config;
pub mod control;
pub mod journal;
pub mod launch;
pub mod metrics;
pub mod run;
pub mod scoreboard;
pub mod shell;
pub mod spec;
pub mod supervisor;

pub use cli::main;
