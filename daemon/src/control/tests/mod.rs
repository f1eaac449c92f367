//! The control API as its clients see it.

mod change;
mod orders;
mod reading;
mod refusals;
mod socket;
mod streams;
mod world;
