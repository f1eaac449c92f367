//! Doing it: the loop, and everything that touches the world.

pub mod backlog;
pub mod bind;
pub mod board;
pub mod clock;
pub mod handle;
mod listeners;
mod notices;
pub mod output;
mod reap;
mod strays;
mod sys;
mod wake;
