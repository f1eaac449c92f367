//! Doing it: the loop, and everything that touches the world.

pub mod backlog;
pub mod board;
pub mod clock;
pub mod handle;
pub mod output;
