//! scgid: the master daemon for all the SCGI apps of a machine.

pub mod builtin;
pub mod cli;
mod commands;
pub mod config;
pub mod control;
pub mod demo;
mod digest;
mod doors;
pub mod journal;
pub mod launch;
pub mod metrics;
mod proc;
pub mod run;
pub mod scoreboard;
pub mod shell;
pub mod spec;
pub mod supervisor;
pub mod telemetry;
mod words;

pub use cli::main;
