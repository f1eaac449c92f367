//! What the programs of the benchmark share: the jobs, and a request and its reply as bytes.
//!
//! Nothing here measures; nothing here uses the house's own codec, so that an error of the codec
//! cannot hide from the benchmark by being made on both sides.

pub mod exchange;
pub mod job;
