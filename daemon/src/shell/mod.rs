//! Doing it: the loop, and everything that touches the world.

pub mod board;
pub mod handle;
