//! `scgid init`: writes a commented configuration to start from, and never over another one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{complain, print};
use crate::cli::Init;
use crate::config;

/// What it is called unless somebody says otherwise; found by itself under this name.
const NAME: &str = "scgid.yaml";

/// Why no configuration was written. Nothing has changed.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("`{}` exists already; nothing has changed", path.display())]
    Exists { path: PathBuf },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the file and says what to do with it.
pub(crate) fn init(init: &Init) -> ExitCode {
    let path = match init.place.is_dir() {
        true => init.place.join(NAME),
        false => init.place.clone(),
    };
    // `./scgid.yaml` is a file like any other, but nobody would call it that.
    let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
    match write(&path) {
        Ok(()) => print(&next_steps(&path)),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn write(path: &Path) -> Result<(), InitError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists { path: path.to_owned() },
        _ => InitError::Write { path: path.to_owned(), source },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(config::init_text().as_bytes()).map_err(failed)
}

fn next_steps(path: &Path) -> String {
    let shown = path.display();
    // Where it is found without its name, it needs none.
    let named = match path == Path::new(NAME) {
        true => String::new(),
        false => format!(" {shown}"),
    };
    format!(
        "\
wrote {shown}: one app, built into scgid; put your own in its place

next:
  scgid check{named}
  scgid run{named}
  scgictl ps                 # in another terminal
  scgictl request hello /    # what a web server would be answered
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_written_once_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scgid.yaml");

        write(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let again = write(&path).unwrap_err();

        assert!(again.to_string().ends_with("exists already; nothing has changed"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
