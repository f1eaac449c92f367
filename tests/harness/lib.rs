//! What the tests and the benchmark share.

#[path = "../bench/mod.rs"]
pub mod bench;
