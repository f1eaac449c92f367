//! scgid: the master daemon for all the SCGI apps of a machine.

pub mod config;
pub mod spec;
