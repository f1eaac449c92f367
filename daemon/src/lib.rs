//! scgid: the master daemon for all the SCGI apps of a machine.

pub mod shell;
pub mod spec;
pub mod supervisor;
