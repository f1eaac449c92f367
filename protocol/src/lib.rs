//! What scgid, its workers and its control program say to each other.
#![warn(missing_docs)]

pub mod scgi;
