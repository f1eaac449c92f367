//! The last step: this process becomes the app, or says in words why it cannot.

use std::convert::Infallible;
use std::ffi::{CString, NulError, OsStr};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, fcntl};
use nix::sys::stat::{fstat, stat};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{execve, execveat};

use super::environment::Environment;
use crate::spec::Launch;

/// Why the program does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("cannot run `{}`: an argument or variable holds a NUL character", program.display())]
    Nul { program: PathBuf, source: NulError },
    #[error("cannot run `{}`: SIGPIPE cannot be set to its default", program.display())]
    Sigpipe { program: PathBuf, source: std::io::Error },
    #[error("cannot run `{}`: {why}", program.display())]
    Refused { program: PathBuf, why: Why },
}

/// What the kernel meant by its error number, or would mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("there is no such file")]
    Missing,
    #[error("it is a directory")]
    Directory,
    #[error("its interpreter `{0}` does not exist")]
    NoInterpreter(String),
    #[error(
        "the first line ends in a carriage return (Windows line ends), which is taken for part of the interpreter's name"
    )]
    CarriageReturn,
    #[error("its interpreter `{0}` may not be executed")]
    InterpreterNotExecutable(String),
    #[error("the loader it asks for does not exist; it was built for another system")]
    NoLoader,
    #[error("it is not executable (mode {0:04o}); `chmod +x` makes it so")]
    NotExecutable(u32),
    #[error("its file system is mounted `noexec`")]
    NoexecMount,
    #[error("permission denied; may this user read and enter every directory on the way?")]
    Denied,
    #[error("it is neither a program for this machine nor a script that begins with `#!`")]
    Format,
    #[error("it is open for writing; is it being copied?")]
    Busy,
    #[error("its arguments and environment are too long")]
    TooLong,
    #[error("its user runs as many processes as the limit `nproc` allows")]
    TooManyProcesses,
    #[error("{}", .0.desc())]
    Other(Errno),
}

/// Whether the program's `path` leads to another file than to the one that was `kept`, or to none.
pub(super) fn is_elsewhere(kept: &OwnedFd, path: &Path) -> bool {
    let Ok(kept) = fstat(kept) else { return false };
    match stat(path) {
        Ok(there) => (there.st_dev, there.st_ino) != (kept.st_dev, kept.st_ino),
        // Of a path that this user may not go nobody knows where it leads.
        Err(errno) => matches!(errno, Errno::ENOENT | Errno::ENOTDIR),
    }
}

/// Becomes the app, by the file that was `kept` of it or else by its path; comes back only if that
/// failed.
pub(super) fn exec(
    launch: &Launch,
    kept: Option<&OwnedFd>,
    environment: &Environment,
) -> Result<Infallible, ExecError> {
    let program = || launch.program.clone();
    let nul = |source| ExecError::Nul { program: program(), source };
    let path = CString::new(launch.program.as_os_str().as_bytes()).map_err(nul)?;
    let arguments = launch
        .arguments
        .iter()
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(nul)?;
    let variables = environment
        .iter()
        .map(|(name, value)| variable(name, value))
        .collect::<Result<Vec<_>, _>>()
        .map_err(nul)?;
    default_sigpipe().map_err(|source| ExecError::Sigpipe { program: program(), source })?;
    let why = match kept {
        Some(kept) => {
            let place = PathBuf::from(format!("/proc/self/fd/{}", kept.as_raw_fd()));
            reason(&place, exec_kept(kept, &arguments, &variables))
        }
        None => {
            let Err(errno) = execve(&path, &arguments, &variables);
            reason(&launch.program, errno)
        }
    };
    Err(ExecError::Refused { program: program(), why })
}

/// Becomes the program in a file that needs no name; comes back only if that failed.
fn exec_kept(kept: &OwnedFd, arguments: &[CString], variables: &[CString]) -> Errno {
    let become_it = || {
        let Err(errno) = execveat(kept, c"", arguments, variables, AtFlags::AT_EMPTY_PATH);
        errno
    };
    match become_it() {
        // It is a script, whose interpreter is told to read `/dev/fd/N` and has to find it open.
        Errno::ENOENT if fcntl(kept, FcntlArg::F_SETFD(FdFlag::empty())).is_ok() => become_it(),
        errno => errno,
    }
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, NulError> {
    CString::new([name.as_bytes(), value.as_bytes()].join(&b'='))
}

/// Makes SIGPIPE kill again. Rust ignores it from the start of every program, and execve(2) keeps
/// what is ignored but gives a caught signal its default back: so it is caught for the last moment.
fn default_sigpipe() -> std::io::Result<()> {
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, caught).map(drop)
}

/// Finds out what is behind an error number of execve(2).
fn reason(program: &Path, errno: Errno) -> Why {
    match errno {
        Errno::ENOENT => missing(program),
        Errno::EACCES => denied(program),
        Errno::ENOEXEC => Why::Format,
        Errno::ETXTBSY => Why::Busy,
        Errno::E2BIG => Why::TooLong,
        Errno::EAGAIN => Why::TooManyProcesses,
        other => Why::Other(other),
    }
}

fn missing(program: &Path) -> Why {
    if !program.exists() {
        return Why::Missing;
    }
    interpreter(program).map_or(Why::NoLoader, no_interpreter)
}

fn no_interpreter(name: String) -> Why {
    if name.ends_with('\r') { Why::CarriageReturn } else { Why::NoInterpreter(name) }
}

/// What would keep the program in an executable file from running, as far as it can be seen
/// without running it. `None`: nothing.
pub(crate) fn obstacle(program: &Path) -> Option<Why> {
    if is_on_noexec(program) {
        return Some(Why::NoexecMount);
    }
    // A relative one starts from wherever the program is run, if it is anywhere.
    let name = interpreter(program).filter(|name| name.starts_with('/'))?;
    match fs::metadata(&name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(no_interpreter(name)),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            Some(Why::InterpreterNotExecutable(name))
        }
        // What this process may not look at the app's user may.
        Ok(_) | Err(_) => None,
    }
}

fn is_on_noexec(program: &Path) -> bool {
    statvfs(program).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC))
}

fn denied(program: &Path) -> Why {
    let Ok(metadata) = fs::metadata(program) else { return Why::Denied };
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        return Why::Directory;
    }
    if mode & 0o111 == 0 {
        return Why::NotExecutable(mode);
    }
    if is_on_noexec(program) {
        return Why::NoexecMount;
    }
    interpreter(program)
        .filter(|name| fs::metadata(name).is_ok_and(|m| m.permissions().mode() & 0o111 == 0))
        .map_or(Why::Denied, Why::InterpreterNotExecutable)
}

/// The interpreter that a script's first line names.
fn interpreter(program: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let line = line.trim_start_matches([' ', '\t']);
    Some(line.split([' ', '\t']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_missing_file_and_a_missing_interpreter_are_told_apart() {
        let (_folder, here) = script(0o755, "#! /no/such/python -u\nprint()\n");

        let gone = reason(&here.with_file_name("gone"), Errno::ENOENT);

        assert_eq!(gone, Why::Missing);
        assert_eq!(reason(&here, Errno::ENOENT), Why::NoInterpreter("/no/such/python".into()));
    }

    #[test]
    fn windows_line_ends_are_named_as_the_cause() {
        let (_folder, path) = script(0o755, "#!/bin/sh\r\necho\r\n");

        assert_eq!(reason(&path, Errno::ENOENT), Why::CarriageReturn);
    }

    #[test]
    fn a_program_without_the_right_mode_is_told_how_to_get_it() {
        let (folder, path) = script(0o644, "#!/bin/sh\n");

        assert_eq!(reason(&path, Errno::EACCES), Why::NotExecutable(0o644));
        assert_eq!(reason(folder.path(), Errno::EACCES), Why::Directory);
        assert!(Why::NotExecutable(0o644).to_string().contains("(mode 0644)"));
    }

    #[test]
    fn what_would_keep_a_program_from_running_is_seen_beforehand() {
        let seen = |text: &str| {
            let (_folder, path) = script(0o755, text);
            obstacle(&path)
        };

        assert_eq!(seen("#!/nonexistent -u\n"), Some(Why::NoInterpreter("/nonexistent".into())));
        assert_eq!(seen("#!/bin/sh\r\n"), Some(Why::CarriageReturn));
        assert_eq!(
            seen("#!/etc/passwd\n"),
            Some(Why::InterpreterNotExecutable("/etc/passwd".into()))
        );
        for runs in ["#!/bin/sh\n", "#! /usr/bin/env python3\n", "#!python\n", "\x7fELF", ""] {
            assert_eq!(seen(runs), None, "{runs}");
        }
    }

    #[test]
    fn an_interpreter_that_is_no_program_is_named() {
        let (folder, other) = script(0o644, "");
        let path = folder.path().join("script");
        fs::write(&path, format!("#!{}\n", other.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();

        let why = reason(&path, Errno::EACCES);

        assert_eq!(why, Why::InterpreterNotExecutable(other.display().to_string()));
    }
}
