//! Python servers, all of them with the interpreter that `tests/python` chose: the same WSGI app,
//! `tests/bench/wsgi.py`, or the same handler class, `tests/bench/handler.py`, under each.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scgi_protocol::address::Address;

/// Where the apps are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench");

/// A worker of the Python face, which takes its socket from its standard input.
///
/// # Errors
///
/// `tests/python --release` was not run.
pub(crate) fn face() -> io::Result<Command> {
    let mut command = Command::new(installed("python3")?);
    command.args(["-m", "scgi_worker", "wsgi:app"]).current_dir(FOLDER);
    Ok(command)
}

/// The `scgi_server` of `package` with `children` children, which takes its socket from its
/// standard input.
///
/// # Errors
///
/// `tests/python --release` was not run.
pub(crate) fn handler(package: &str, children: u32) -> io::Result<Command> {
    let mut command = Command::new(installed("python3")?);
    command.args(["handler.py", package, &children.to_string()]).current_dir(FOLDER);
    // It tells of every child that it starts.
    command.stderr(Stdio::null());
    Ok(command)
}

/// uWSGI with `workers` workers, listening at `address` by itself.
///
/// # Errors
///
/// `tests/bench/run` has not installed it.
pub(crate) fn uwsgi(address: &Address, workers: u32, more: &[&str]) -> io::Result<Command> {
    let socket = match address {
        Address::Unix(path) => path.display().to_string(),
        Address::Tcp(address) => address.to_string(),
    };
    let mut command = Command::new(installed("uwsgi")?);
    command
        .args(["--master", "--no-orphans", "--disable-logging"])
        .args(["--listen", "4000", "--need-app", "--wsgi-file"])
        .arg(Path::new(FOLDER).join("wsgi.py"))
        .args(["--callable", "app", "--processes", &workers.to_string()])
        .args(["--scgi-socket", &socket])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(command)
}

/// A program of the environment that `tests/python` makes.
fn installed(program: &str) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut places = own.ancestors().map(|folder| folder.join("python-env/bin").join(program));
    places.find(|place| place.exists()).ok_or_else(|| {
        let what = format!("`tests/bench/run` installs the `{program}` of the benchmark");
        io::Error::new(io::ErrorKind::NotFound, what)
    })
}
