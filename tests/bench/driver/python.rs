//! Python servers: the same WSGI app, `tests/bench/wsgi.py`, under each.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use scgi_protocol::address::Address;

/// Where the app is.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench");

/// A worker of the Python face, which takes its socket from its standard input.
///
/// # Errors
///
/// `tests/python --release` was not run.
pub(crate) fn face() -> io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut places = program.ancestors().map(|folder| folder.join("python-env/bin/python3"));
    let python = places.find(|python| python.exists()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "`tests/python --release` makes the Python for it")
    })?;
    let mut command = Command::new(python);
    command.args(["-m", "scgi_worker", "wsgi:app"]).current_dir(FOLDER);
    Ok(command)
}

/// uWSGI with `workers` workers, listening at `address` by itself; Debian's, from the packages
/// `uwsgi-core` and `uwsgi-plugin-python3`.
pub(crate) fn uwsgi(address: &Address, workers: u32, more: &[&str]) -> Command {
    let socket = match address {
        Address::Unix(path) => path.display().to_string(),
        Address::Tcp(address) => address.to_string(),
    };
    let mut command = Command::new("uwsgi");
    command
        .args(["--plugin", "python3", "--master", "--no-orphans", "--disable-logging"])
        .args(["--listen", "4000", "--need-app", "--wsgi-file"])
        .arg(Path::new(FOLDER).join("wsgi.py"))
        .args(["--callable", "app", "--processes", &workers.to_string()])
        .args(["--scgi-socket", &socket])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
