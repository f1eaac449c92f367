//! The program `scgictl`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    scgictl::main()
}
