//! The daemon under test: the program `scgid` itself, built along with the tests.

fn main() -> std::process::ExitCode {
    scgid::main()
}
