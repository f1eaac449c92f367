//! Doing it: the loop, and everything that touches the world.

pub mod backlog;
pub mod bind;
pub mod board;
pub mod handle;
mod listeners;
mod notices;
mod reap;
mod strays;
mod sys;
mod wake;
