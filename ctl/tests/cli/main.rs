//! The program as a person or a script uses it, against a fake daemon: what it prints, what it
//! asks, and the code it exits with.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod change;
mod errors;
mod fake;
mod front;
mod help;
mod local;
mod look;
mod orders;
mod request;
mod run;
mod samples;
mod streams;
mod terminal;
