//! `scgi-bench`: measures scgid beside the least a server can be, in one run, and prints Markdown.
//!
//! ```text
//! sections/   what is measured, one file a table        jobs calls idle kill roll adopt upgrade plan fleet
//! measure     one load on one server: samples, medians, and how much of the machine was foreign
//! server      a contender that listens                  pool: spawned here · daemon: `scgid run`
//! python      Python servers as contenders
//! aims        what some of them are meant to cost
//! process     what the kernel says of processes         CPU, memory, sleeps, children
//! ```
//!
//! It asserts nothing about speed. It ends with a failure if a server does not come up or a reply
//! is lost or wrong, for then its figures mean nothing.

mod aims;
mod daemon;
mod measure;
mod options;
mod pool;
mod process;
mod python;
mod sections;
mod server;
mod table;
mod wait;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            table::talk(&format!("scgi-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    table::print(&process::machine());
    table::print(&options.describe());
    for section in options.sections() {
        section.run(options)?;
    }
    Ok(())
}
