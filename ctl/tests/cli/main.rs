//! The program as a person or a script uses it, against a fake daemon: what it prints, what it
//! asks, and the code it exits with.

mod errors;
mod fake;
mod help;
mod look;
mod orders;
mod run;
mod samples;
mod streams;
