//! The control program under test: `scgictl` itself, built along with the tests.

fn main() -> std::process::ExitCode {
    scgictl::main()
}
